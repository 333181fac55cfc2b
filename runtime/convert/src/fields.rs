//! The fields of a batch's values: what a connector needs to know to make a table of them.

use std::collections::HashMap;

use crate::{
    decoded::{DecodedColumn, Form},
    error::ConvertError,
    json::{node::Node, number},
    schema::{Schema, Type},
    value::Value,
};

/// A top-level field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// Connect's type, or `Decimal`, `Date`, `Time`, `Timestamp`; of an array with a schema with
    /// what it holds, such as `array<int32>`.
    pub kind: String,
    /// Whether it may be null or missing.
    pub optional: bool,
    /// Whether it has no schema and is null wherever it is, so that its type is a guess.
    pub only_nulls: bool,
}

impl DecodedColumn {
    /// The top-level fields, in the schema's order; where there is no struct schema, those that
    /// the maps of this batch have, in the order in which they appear. Then integers and floats
    /// in one field make it `float64`, and other mixtures, or nothing but nulls, `string`.
    ///
    /// # Errors
    /// If a row is neither null nor a struct or map.
    pub fn fields(&self) -> Result<Vec<FieldInfo>, ConvertError> {
        let (schemas, _) = self.schemas();
        if let Some(schema) = schemas.iter().find(|schema| schema.kind == Type::Struct) {
            return Ok(of_schema(schema));
        }
        let mut inferred = Inferred::default();
        match self.form() {
            Form::Json(column) => {
                for bytes in column.iter().flatten() {
                    inferred.add_json(&Node::parse(bytes)?)?;
                }
            }
            Form::Values(values) => {
                for value in values.iter() {
                    inferred.add_value(value)?;
                }
            }
            Form::Text(column) if !column.all_null() => {
                return Err(ConvertError::NoFields { kind: "string" });
            }
            Form::Bytes(column) if !column.all_null() => {
                return Err(ConvertError::NoFields { kind: "bytes" });
            }
            Form::Text(_) | Form::Bytes(_) => {}
        }
        Ok(inferred.finish())
    }
}

fn of_schema(schema: &Schema) -> Vec<FieldInfo> {
    let fields = schema.fields.iter().map(|field| FieldInfo {
        name: field.name.clone(),
        kind: kind(&field.schema),
        optional: field.schema.optional,
        only_nulls: false,
    });
    fields.collect()
}

fn kind(schema: &Schema) -> String {
    match &schema.value_schema {
        Some(items) if schema.kind == Type::Array => format!("array<{}>", kind(items)),
        _ => schema.kind_name().to_owned(),
    }
}

#[derive(Default)]
struct Inferred {
    rows: usize,
    places: HashMap<String, usize>,
    /// Name, type so far, rows in which it is not null.
    fields: Vec<(String, Option<&'static str>, usize)>,
}

impl Inferred {
    fn add_json(&mut self, node: &Node<'_>) -> Result<(), ConvertError> {
        let Node::Object(members) = node else {
            return Err(ConvertError::NoFields {
                kind: node.type_name(),
            });
        };
        self.rows += 1;
        for (name, node) in members {
            let kind = match node {
                Node::Missing | Node::Null => None,
                Node::Boolean(_) => Some("boolean"),
                Node::Number(text) if number::is_integral(text) => Some("int64"),
                Node::Number(_) => Some("float64"),
                Node::String(_) => Some("string"),
                Node::Array(_) => Some("array"),
                Node::Object(_) => Some("map"),
            };
            self.add(name, kind);
        }
        Ok(())
    }

    fn add_value(&mut self, value: &Value) -> Result<(), ConvertError> {
        let entries = match value {
            Value::Null => return Ok(()),
            Value::Map(entries) => entries,
            other => {
                return Err(ConvertError::NoFields {
                    kind: other.type_name(),
                });
            }
        };
        self.rows += 1;
        for (name, value) in entries {
            let Value::String(name) = name else {
                return Err(ConvertError::NoFields {
                    kind: "map without string keys",
                });
            };
            self.add(
                name,
                match value {
                    Value::Null => None,
                    Value::Date(_) => Some("Timestamp"),
                    other => Some(other.type_name()),
                },
            );
        }
        Ok(())
    }

    fn add(&mut self, name: &str, kind: Option<&'static str>) {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                self.places.insert(name.to_owned(), self.fields.len());
                self.fields.push((name.to_owned(), None, 0));
                self.fields.len() - 1
            }
        };
        let Some((_, known, rows)) = self.fields.get_mut(place) else {
            return;
        };
        let Some(kind) = kind else { return };
        *rows += 1;
        *known = Some(match *known {
            None => kind,
            Some(same) if same == kind => kind,
            Some("int64" | "float64") if matches!(kind, "int64" | "float64") => "float64",
            Some(_) => "string",
        });
    }

    fn finish(self) -> Vec<FieldInfo> {
        let field = |(name, kind, _): (String, Option<&'static str>, usize)| FieldInfo {
            name,
            kind: kind.unwrap_or("string").to_owned(),
            only_nulls: kind.is_none(),
            // What one batch has in every row, the next may lack.
            optional: true,
        };
        self.fields.into_iter().map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{schema::Field, value::SchemaAndValue};

    #[test]
    fn kinds_tell_what_arrays_hold() {
        let array = |items| Schema::array(Some(Arc::new(items)));
        let cases = [
            (Schema::decimal(2), "Decimal"),
            (array(Schema::new(Type::Int32)), "array<int32>"),
            (array(array(Schema::decimal(2))), "array<array<Decimal>>"),
            (Schema::array(None), "array"),
            (
                Schema::map(None, Some(Arc::new(Schema::new(Type::Int8)))),
                "map",
            ),
        ];
        let field = |(number, (schema, _)): (usize, &(Schema, &str))| Field {
            name: number.to_string(),
            schema: Arc::new(schema.clone()),
        };
        let fields = cases.iter().enumerate().map(field).collect();
        let row = SchemaAndValue {
            schema: Some(Arc::new(Schema::structure(fields))),
            value: Value::Null,
        };
        let found = DecodedColumn::from_rows([row]).0.fields().unwrap();
        for (field, (_, kind)) in found.iter().zip(cases) {
            assert_eq!(field.kind, kind);
        }
        assert_eq!(found.len(), 5);
    }
}
