//! From records to columns: which there are, and what each takes its values from.

use tidegate_sdk::sql::ValueSource;

use crate::config::{Config, InsertMode, PkMode};
use crate::dialect::Dialect;
use crate::structure::{Found, Part, Structure};

/// The column of values that have no fields.
pub const WHOLE_VALUE: &str = "value";
/// The columns of pk.mode=kafka.
const KAFKA: [&str; 3] = ["__connect_topic", "__connect_partition", "__connect_offset"];

/// Where a column takes its values from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Key,
    KeyField(String),
    Value,
    ValueField(String),
    Topic,
    Partition,
    Offset,
}

impl From<Source> for ValueSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Key => Self::Key,
            Source::KeyField(path) => Self::KeyField(path),
            Source::Value => Self::Value,
            Source::ValueField(path) => Self::ValueField(path),
            Source::Topic => Self::Topic,
            Source::Partition => Self::Partition,
            Source::Offset => Self::Offset,
        }
    }
}

/// A column that records fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub name: String,
    pub source: Source,
    /// What there is for it, with Connect's type where that is known.
    pub found: Found,
    /// Whether records may lack it.
    pub optional: bool,
    /// Whether it is part of what identifies a row.
    pub identifies: bool,
}

/// Records of one structure: what they are to the columns.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    pub key: &'a Structure,
    /// None: they only delete, and their values are of no importance.
    pub value: Option<&'a Structure>,
    pub config: &'a Config,
    pub dialect: Dialect,
}

/// The column for a field, perhaps of a field.
pub fn column_of(path: &str) -> String {
    path.replace('.', "_")
}

/// What somebody is told whose record has no key.
pub const NO_KEY: &str = "the record has no key, and pk.mode is record_key";

impl Records<'_> {
    /// The columns that the records fill: first those that identify a row, then, unless rows are
    /// only deleted, those of the value.
    ///
    /// # Errors
    /// Why no such record can be written.
    pub fn columns(self) -> Result<Vec<Planned>, String> {
        let mut columns = self.identity()?;
        let deletes = self.config.insert_mode == InsertMode::Delete;
        let Some(value) = self.value.filter(|_| !deletes) else {
            return Ok(columns);
        };
        let values = match value.parts() {
            Some(parts) => self.of_parts(value, &parts),
            None => {
                let kind = Found::Kind(Some(value.whole_value()));
                vec![planned(WHOLE_VALUE, Source::Value, kind)]
            }
        };
        let identifying = columns.len();
        for column in values {
            let mut known = columns.iter().enumerate();
            match known.find(|(_, known)| self.dialect.is_same(&known.name, &column.name)) {
                // Keys are often repeated in the value.
                Some((place, _)) if place < identifying => {}
                Some((_, known)) => {
                    return Err(format!(
                        "fields {:?} and {:?} are one column: rename one, or list in \
                         fields.whitelist what shall be written",
                        known.name, column.name
                    ));
                }
                None => columns.push(column),
            }
        }
        if columns.is_empty() {
            return Err("the record has no field to write, check fields.whitelist".to_owned());
        }
        if self.config.insert_mode == InsertMode::Update && columns.len() == identifying {
            return Err(
                "the record has nothing but what identifies its row, so that there is nothing to \
                 change: use insert.mode=upsert"
                    .to_owned(),
            );
        }
        Ok(columns)
    }

    fn of_parts(self, value: &Structure, parts: &[Part]) -> Vec<Planned> {
        let wanted = &self.config.fields_whitelist;
        let mut columns = Vec::new();
        for part in parts {
            if wanted.is_empty() || wanted.contains(&part.name) {
                columns.push(Planned {
                    optional: part.optional,
                    ..planned(
                        &part.name,
                        Source::ValueField(part.name.clone()),
                        part.found.clone(),
                    )
                });
            }
            let is_below = |path: &&String| {
                let rest = path.strip_prefix(&part.name);
                let is_field = parts.iter().any(|part| part.name == **path);
                rest.is_some_and(|rest| rest.starts_with('.')) && !is_field
            };
            for path in wanted.iter().filter(is_below) {
                let found = value.at(path);
                if found != Found::Absent {
                    let source = Source::ValueField(path.clone());
                    columns.push(planned(&column_of(path), source, found));
                }
            }
        }
        columns
    }

    fn identity(self) -> Result<Vec<Planned>, String> {
        let paths = &self.config.pk_fields;
        let columns = match self.config.pk_mode {
            PkMode::None => Vec::new(),
            PkMode::Kafka => of_position(paths),
            PkMode::RecordValue => match self.value.and_then(|v| Some((v, v.parts()?))) {
                Some((value, parts)) => of_paths(paths, value, &parts, Source::ValueField)?,
                None => {
                    return Err(
                        "the value has no fields, of which pk.mode=record_value takes the primary \
                         key: set pk.mode to record_key or kafka, or use a converter that gives \
                         structs"
                            .to_owned(),
                    );
                }
            },
            PkMode::RecordKey => self.of_key(paths)?,
        };
        let identifies = |column| Planned {
            optional: false,
            identifies: true,
            ..column
        };
        Ok(columns.into_iter().map(identifies).collect())
    }

    fn of_key(self, paths: &[String]) -> Result<Vec<Planned>, String> {
        if let Some(parts) = self.key.parts() {
            return of_paths(paths, self.key, &parts, Source::KeyField);
        }
        let Some(kind) = self.key.whole_key() else {
            return Err(NO_KEY.to_owned());
        };
        match paths {
            [name] => {
                let found = Found::Kind(Some(kind));
                Ok(vec![planned(name, Source::Key, found)])
            }
            _ => Err(format!(
                "the key is of type {kind} and has no fields, and pk.fields names {}: set it to \
                 the one column that shall hold the key",
                paths.len()
            )),
        }
    }
}

fn of_position(names: &[String]) -> Vec<Planned> {
    let sources = [
        (Source::Topic, "string"),
        (Source::Partition, "int32"),
        (Source::Offset, "int64"),
    ];
    let mut names = names.iter().map(String::as_str);
    let column = |(default, (source, kind)): (&str, (Source, &str))| {
        let found = Found::Kind(Some(kind.to_owned()));
        planned(names.next().unwrap_or(default), source, found)
    };
    KAFKA.into_iter().zip(sources).map(column).collect()
}

/// Columns for fields by their paths, for all fields if there are no paths.
fn of_paths(
    paths: &[String],
    structure: &Structure,
    parts: &[Part],
    source: fn(String) -> Source,
) -> Result<Vec<Planned>, String> {
    let all: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let paths = if paths.is_empty() { &all } else { paths };
    let column = |path: &String| {
        let found = structure.at(path);
        if matches!(found, Found::Absent | Found::Null) {
            return Err(format!(
                "the record has no {path}, by which rows are told apart: check pk.fields"
            ));
        }
        let name = match all.contains(path) {
            true => path.clone(),
            false => column_of(path),
        };
        Ok(planned(&name, source(path.clone()), found))
    };
    paths.iter().map(column).collect()
}

fn planned(name: &str, source: Source, found: Found) -> Planned {
    Planned {
        name: name.to_owned(),
        source,
        found,
        optional: true,
        identifies: false,
    }
}
