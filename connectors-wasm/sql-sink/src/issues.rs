//! What keys say against each other.

use std::collections::BTreeMap;

use tidegate_sdk::Issue;

use crate::config::{Config, InsertMode, PkMode, SchemaEvolution};
use crate::mapping::column_of;

/// Everything that is wrong beyond single values.
pub fn of(config: &Config) -> Vec<Issue> {
    let mut issues = Vec::new();
    keys(config, &mut issues);
    tables(config, &mut issues);
    fields(config, &mut issues);
    unavailable(config, &mut issues);
    issues
}

fn keys(config: &Config, issues: &mut Vec<Issue>) {
    if config.insert_mode != InsertMode::Insert && config.pk_mode == PkMode::None {
        let mode = config.mode();
        issues.push(Issue {
            recommended: ["record_key", "record_value", "kafka"]
                .map(Into::into)
                .into(),
            ..Issue::new(
                "pk.mode",
                format!(
                    "insert.mode={mode} finds rows by their primary key, and pk.mode is none: set \
                     pk.mode to record_key, record_value or kafka"
                ),
            )
        });
    }
    if config.delete_enabled && config.pk_mode != PkMode::RecordKey {
        issues.push(Issue::new(
            "delete.enabled",
            "delete.enabled deletes the row of a record's key: set pk.mode to record_key, or \
             delete.enabled to false",
        ));
    }
    if config.pk_mode == PkMode::Kafka && !matches!(config.pk_fields.len(), 0 | 3) {
        issues.push(Issue::new(
            "pk.fields",
            format!(
                "pk.mode=kafka has three columns (topic, partition, offset) and pk.fields names \
                 {}: name three, or none for __connect_topic, __connect_partition and \
                 __connect_offset",
                config.pk_fields.len()
            ),
        ));
    }
}

fn tables(config: &Config, issues: &mut Vec<Issue>) {
    let left = config.table("");
    if left.contains("${") {
        issues.push(Issue::new(
            "table.name.format",
            format!(
                "table.name.format is {}, in which only ${{topic}} stands for something: leave out \
                 the other placeholders",
                config.table_name_format
            ),
        ));
    }
    let given = [
        ("auto.create", config.auto_create_given),
        ("auto.evolve", config.auto_evolve_given),
    ];
    for (key, given) in given {
        let (evolution, contrary) = match config.schema_evolution {
            Some(SchemaEvolution::Basic) => ("basic", Some(false)),
            Some(SchemaEvolution::None) => ("none", Some(true)),
            None => continue,
        };
        if given == contrary {
            issues.push(Issue::new(
                "schema.evolution",
                format!(
                    "schema.evolution is {evolution} and {key} says the opposite: set one of them"
                ),
            ));
        }
    }
}

fn fields(config: &Config, issues: &mut Vec<Issue>) {
    for (key, paths) in [
        ("fields.whitelist", &config.fields_whitelist),
        ("pk.fields", &config.pk_fields),
    ] {
        if let Some(path) = paths.iter().find(|path| path.contains(':')) {
            issues.push(Issue::new(
                key,
                format!(
                    "{key} has {path}, and fields of one topic alone are not available: name the \
                     field without its topic"
                ),
            ));
        }
        let mut columns = BTreeMap::new();
        for path in paths {
            if let Some(other) = columns.insert(column_of(path), path) {
                issues.push(Issue::new(
                    key,
                    format!("{key} has {other} and {path} for one column: leave one out"),
                ));
            }
        }
    }
}

fn unavailable(config: &Config, issues: &mut Vec<Issue>) {
    let utc = |zone: &str| ["utc", "gmt", "z"].contains(&zone.to_ascii_lowercase().as_str());
    let set = |value: &Option<String>, fine: &dyn Fn(&str) -> bool| {
        value.as_deref().is_some_and(|value| !fine(value))
    };
    if set(&config.topics_to_tables, &|_| false) {
        issues.push(Issue::new(
            "topics.to.tables.mapping",
            "topics.to.tables.mapping is not available: use table.name.format, and a connector for \
             each topic whose table has another name",
        ));
    }
    if set(&config.quoting, &|quoting| {
        quoting.eq_ignore_ascii_case("always")
    }) {
        issues.push(Issue::new(
            "quote.sql.identifiers",
            "names are always quoted here: leave quote.sql.identifiers out",
        ));
    }
    if set(&config.time_zone, &utc) {
        issues.push(Issue::new(
            "db.timezone",
            "times are always written in UTC here: leave db.timezone out",
        ));
    }
}
