//! From records to columns: which there are, and what each takes its values from.

use tidegate_sdk::Field;
use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::ValueSource;

use crate::config::{Config, PkMode};
use crate::record_key::RecordKey;

/// The column of values that have no fields.
const WHOLE_VALUE: &str = "value";
/// The columns of pk.mode=kafka.
const KAFKA: [&str; 3] = ["__connect_topic", "__connect_partition", "__connect_offset"];

/// A column that records fill.
#[derive(Clone, Debug)]
pub struct Planned {
    pub name: String,
    pub source: ValueSource,
    /// Connect's type; none: only a closer look at the records tells.
    pub kind: Option<String>,
    /// Whether records may lack it.
    pub optional: bool,
    /// Whether it is part of what identifies a row.
    pub identifies: bool,
}

/// The column for a field, perhaps of a field.
pub fn column_of(path: &str) -> String {
    path.replace('.', "_")
}

/// The columns that the records of `batch` fill: first those that identify a row, then, unless
/// rows are only deleted, those of the value. None: no record has a key, and it is needed.
pub fn of(batch: &Batch, config: &Config, only_deletes: bool) -> Result<Option<Vec<Planned>>> {
    let fields = match (only_deletes, config.pk_mode) {
        (true, PkMode::RecordKey | PkMode::Kafka) => Some(Vec::new()),
        _ => value_fields(batch)?,
    };
    let Some(mut columns) = identity(batch, config, fields.as_deref())? else {
        return Ok(None);
    };
    if only_deletes {
        return Ok(Some(columns));
    }
    let values = match &fields {
        Some(fields) => of_fields(fields, &config.fields_whitelist),
        None => vec![planned(WHOLE_VALUE, ValueSource::Value, None)],
    };
    // Keys are often repeated in the value.
    let is_new = |column: &Planned| !columns.iter().any(|known| known.name == column.name);
    let values: Vec<_> = values.into_iter().filter(is_new).collect();
    columns.extend(values);
    if columns.is_empty() {
        return Err(Failure::fatal(format!(
            "the records of {} have no field to write, check fields.whitelist",
            batch.topic()
        )));
    }
    Ok(Some(columns))
}

/// None: the values have no structure.
fn value_fields(batch: &Batch) -> Result<Option<Vec<Field>>> {
    match batch.fields() {
        Ok(fields) => Ok(Some(fields)),
        Err(failure) if failure.is_retriable() => Err(failure),
        Err(_) => Ok(None),
    }
}

fn of_fields(fields: &[Field], wanted: &[String]) -> Vec<Planned> {
    let mut columns = Vec::new();
    for field in fields {
        if wanted.is_empty() || wanted.contains(&field.name) {
            columns.push(of_field(field));
        }
        let is_below = |path: &&String| {
            let rest = path.strip_prefix(&field.name);
            let is_field = fields.iter().any(|field| field.name == **path);
            rest.is_some_and(|rest| rest.starts_with('.')) && !is_field
        };
        for path in wanted.iter().filter(is_below) {
            let source = ValueSource::ValueField(path.clone());
            columns.push(planned(&column_of(path), source, None));
        }
    }
    columns
}

fn of_field(field: &Field) -> Planned {
    Planned {
        optional: field.optional,
        ..planned(
            &field.name,
            ValueSource::ValueField(field.name.clone()),
            Some(field.kind.as_str()),
        )
    }
}

fn identity(
    batch: &Batch,
    config: &Config,
    fields: Option<&[Field]>,
) -> Result<Option<Vec<Planned>>> {
    let columns = match config.pk_mode {
        PkMode::None => Vec::new(),
        PkMode::Kafka => of_position(&config.pk_fields),
        PkMode::RecordValue => of_value(batch, &config.pk_fields, fields)?,
        PkMode::RecordKey => match RecordKey::of(batch)? {
            RecordKey::Missing => return Ok(None),
            key => of_key(batch, &config.pk_fields, &key)?,
        },
    };
    let identifies = |column| Planned {
        optional: false,
        identifies: true,
        ..column
    };
    Ok(Some(columns.into_iter().map(identifies).collect()))
}

fn of_position(names: &[String]) -> Vec<Planned> {
    let sources = [
        (ValueSource::Topic, "string"),
        (ValueSource::Partition, "int32"),
        (ValueSource::Offset, "int64"),
    ];
    let mut names = names.iter().map(String::as_str);
    let column =
        |(default, (source, kind))| planned(names.next().unwrap_or(default), source, Some(kind));
    KAFKA.into_iter().zip(sources).map(column).collect()
}

fn of_value(batch: &Batch, paths: &[String], fields: Option<&[Field]>) -> Result<Vec<Planned>> {
    let Some(fields) = fields else {
        return Err(Failure::fatal(format!(
            "the values of {} have no fields, of which pk.mode=record_value takes the primary key: \
             set pk.mode to record_key or kafka, or use a converter that gives structs",
            batch.topic()
        )));
    };
    Ok(of_paths(paths, fields, ValueSource::ValueField))
}

fn of_key(batch: &Batch, paths: &[String], key: &RecordKey) -> Result<Vec<Planned>> {
    match (key, paths) {
        (RecordKey::Fields(fields), paths) => Ok(of_paths(paths, fields, ValueSource::KeyField)),
        (RecordKey::Whole(kind), [name]) => Ok(vec![planned(name, ValueSource::Key, Some(kind))]),
        (RecordKey::Whole(kind), _) => Err(Failure::fatal(format!(
            "the keys of {} are of type {kind} and have no fields, and pk.fields names {}: set it to \
             the one column that shall hold the key",
            batch.topic(),
            paths.len()
        ))),
        (RecordKey::Missing, _) => Ok(Vec::new()),
    }
}

/// Columns for fields by their paths, for all fields if there are no paths.
fn of_paths(paths: &[String], fields: &[Field], source: fn(String) -> ValueSource) -> Vec<Planned> {
    let all: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
    let paths = if paths.is_empty() { &all } else { paths };
    let column = |path: &String| {
        let known = fields.iter().find(|field| field.name == *path);
        match known {
            Some(field) => planned(path, source(path.clone()), Some(field.kind.as_str())),
            None => planned(&column_of(path), source(path.clone()), None),
        }
    };
    paths.iter().map(column).collect()
}

fn planned(name: &str, source: ValueSource, kind: Option<&str>) -> Planned {
    Planned {
        name: name.to_owned(),
        source,
        kind: kind.map(str::to_owned),
        optional: true,
        identifies: false,
    }
}
