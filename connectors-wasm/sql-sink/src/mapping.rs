//! From fields of records to columns of a table.

use tidegate_sdk::Field;
use tidegate_sdk::sql::{Column, Table, ValueSource};

/// The column of values that have no fields.
const WHOLE_VALUE: &str = "value";

/// What a batch fills: each column with its source and the type it would be created with.
#[derive(Debug)]
pub struct Mapping {
    fields: Vec<Field>,
    whole: bool,
}

impl Mapping {
    /// One column a field.
    pub fn of_fields(fields: Vec<Field>, wanted: &[String]) -> Self {
        let keep = |field: &Field| wanted.is_empty() || wanted.contains(&field.name);
        Self {
            fields: fields.into_iter().filter(keep).collect(),
            whole: false,
        }
    }

    /// One column for the value as it is.
    pub fn of_value() -> Self {
        let value = Field {
            name: WHOLE_VALUE.to_owned(),
            kind: "string".to_owned(),
            optional: false,
        };
        Self {
            fields: vec![value],
            whole: true,
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Where each column takes its value from.
    pub fn sources(&self) -> Vec<(String, ValueSource)> {
        let source = |field: &Field| {
            let source = match self.whole {
                true => ValueSource::Value,
                false => ValueSource::ValueField(field.name.clone()),
            };
            (field.name.clone(), source)
        };
        self.fields.iter().map(source).collect()
    }

    /// A table that takes these rows.
    pub fn table(&self) -> Table {
        let column = |field: &Field| Column {
            name: field.name.clone(),
            kind: sqlite_kind(&field.kind).to_owned(),
            nullable: field.optional,
        };
        Table {
            columns: self.fields.iter().map(column).collect(),
            primary_key: Vec::new(),
        }
    }
}

/// SQLite's column type for a Connect type. A logical type may come with its package name.
fn sqlite_kind(kind: &str) -> &'static str {
    match kind.rsplit('.').next().unwrap_or(kind) {
        "boolean" | "int8" | "int16" | "int32" | "int64" => "INTEGER",
        "float32" | "float64" | "float" | "double" => "REAL",
        "bytes" => "BLOB",
        "Decimal" | "Date" | "Time" | "Timestamp" => "NUMERIC",
        // Strings, and arrays, maps and structs as JSON.
        _ => "TEXT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_column_types() {
        let kinds = [
            "int64",
            "float32",
            "bytes",
            "org.apache.kafka.connect.data.Decimal",
            "struct",
        ];
        let expected = ["INTEGER", "REAL", "BLOB", "NUMERIC", "TEXT"];
        assert_eq!(kinds.map(sqlite_kind), expected);
    }
}
