//! What a configuration may not say, and what a form gets to know.

use tidegate_sdk::prelude::*;
use tidegate_sdk::testing;

use super::harness::config;
use crate::{Config, SqlSink};

fn keys(more: &[(&str, &str)]) -> Vec<String> {
    let issues = testing::validate::<SqlSink>(config(more));
    let about = |issue: &Issue| assert!(issue.message.contains(&issue.key), "{issue:?}");
    issues.iter().for_each(about);
    issues.into_iter().map(|issue| issue.key).collect()
}

#[test]
fn sensible_configurations_have_no_issue() {
    for fine in [
        &[][..],
        &[("insert.mode", "upsert"), ("pk.mode", "record_key")],
        &[("pk.mode", "record_key"), ("delete.enabled", "true")],
        &[("pk.mode", "kafka"), ("pk.fields", "a,b,c")],
        &[("schema.evolution", "basic")],
        &[("quote.sql.identifiers", "ALWAYS"), ("db.timezone", "UTC")],
        &[("table.name.format", "kafka.${topic}")],
        &[("pk.mode", "kafka"), ("primary.key.mode", "kafka")],
    ] {
        assert_eq!(keys(fine), [""; 0], "{fine:?}");
    }
}

#[test]
fn contradictions_are_named_by_their_key() {
    for (wrong, key) in [
        (&[("insert.mode", "upsert")][..], "pk.mode"),
        (&[("insert.mode", "delete")], "pk.mode"),
        (&[("delete.enabled", "true")], "delete.enabled"),
        (
            &[("delete.enabled", "true"), ("pk.mode", "kafka")],
            "delete.enabled",
        ),
        (&[("pk.mode", "kafka"), ("pk.fields", "a,b")], "pk.fields"),
        (
            &[("pk.mode", "kafka"), ("primary.key.mode", "none")],
            "pk.mode",
        ),
        (
            &[("max.retries", "1"), ("flush.max.retries", "2")],
            "max.retries",
        ),
        // auto.create is true in all of these.
        (&[("schema.evolution", "none")], "schema.evolution"),
        (
            &[("schema.evolution", "basic"), ("auto.evolve", "false")],
            "schema.evolution",
        ),
        (
            &[("table.name.format", "${source.table}")],
            "table.name.format",
        ),
        (&[("fields.whitelist", "a.b,a_b")], "fields.whitelist"),
        (&[("field.include.list", "topic:a")], "fields.whitelist"),
        (
            &[("topics.to.tables.mapping", "a:b")],
            "topics.to.tables.mapping",
        ),
        (
            &[("quote.sql.identifiers", "never")],
            "quote.sql.identifiers",
        ),
        (&[("db.timezone", "Europe/Vienna")], "db.timezone"),
        (&[("batch.size", "0")], "batch.size"),
        (&[("insert.mode", "merge")], "insert.mode"),
    ] {
        assert_eq!(keys(wrong), [key], "{wrong:?}");
    }
}

#[test]
fn a_form_has_all_it_needs() {
    let definitions = Config::definitions();
    let mut groups: Vec<_> = definitions.iter().map(|key| key.group.as_str()).collect();
    groups.dedup();
    assert_eq!(
        groups,
        [
            "Connection",
            "Writes",
            "Data mapping",
            "DDL support",
            "Retries"
        ]
    );
    for key in &definitions {
        assert!(!key.documentation.is_empty() && !key.display_name.is_empty());
        let known = |name: &String| definitions.iter().any(|key| key.name == *name);
        assert!(key.dependents.iter().all(known), "{key:?}");
    }
    let find = |name: &str| definitions.iter().find(|key| key.name == name).unwrap();
    assert!(find("connection.url").required);
    assert_eq!(find("connection.password").kind, "password");
    assert_eq!(
        find("pk.mode").choices,
        ["none", "kafka", "record_key", "record_value"]
    );
    let defaults = [
        ("insert.mode", "insert"),
        ("batch.size", "3000"),
        ("max.retries", "10"),
        ("retry.backoff.ms", "3000"),
        ("table.name.format", "${topic}"),
    ];
    for (key, default) in defaults {
        assert_eq!(find(key).default.as_deref(), Some(default));
    }
}

#[test]
fn every_task_is_alike() {
    assert_eq!(testing::plan::<SqlSink>(config(&[]), 3).unwrap().len(), 3);
}
