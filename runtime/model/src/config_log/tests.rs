//! Reading the log, whole, torn and compacted.

use super::*;

fn config(value: &str) -> ConfigMap {
    [("k".to_owned(), value.to_owned())].into()
}

fn connector(value: &str) -> ConfigRecord {
    ConfigRecord::Connector {
        name: "c".into(),
        config: Some(config(value)),
    }
}

fn read(records: Vec<ConfigRecord>) -> ConfigState {
    let mut state = ConfigState::default();
    for (place, record) in (1..).zip(records) {
        state.apply(place, record);
    }
    state
}

#[test]
fn task_configs_apply_all_or_not_at_all() {
    let mut records = vec![connector("1")];
    records.extend(task_records("c", 1, &[config("a"), config("b")], false));
    let state = read(records.clone());
    assert_eq!(
        state.connector("c").unwrap().tasks,
        [config("a"), config("b")]
    );

    // Cut anywhere inside the second set: the first stays whole.
    let second = task_records("c", 1, &[config("x"), config("y"), config("z")], false);
    for cut in 0..second.len() {
        let mut torn = records.clone();
        torn.extend(second.iter().take(cut).cloned());
        assert_eq!(
            read(torn).connector("c").unwrap().tasks,
            [config("a"), config("b")],
            "cut after {cut}"
        );
    }
    // A commit whose task records were lost does not apply either.
    records.extend(second.into_iter().skip(1));
    assert_eq!(
        read(records).connector("c").unwrap().tasks,
        [config("a"), config("b")]
    );
}

#[test]
fn target_may_come_before_the_connector() {
    let target = ConfigRecord::Target {
        name: "c".into(),
        state: TargetState::Paused,
    };
    let state = read(vec![target, connector("1")]);
    assert_eq!(state.connector("c").unwrap().target, TargetState::Paused);
}

#[test]
fn delete_forgets_tasks_and_target() {
    let mut records = vec![connector("1")];
    records.extend(task_records("c", 1, &[config("a")], false));
    records.push(ConfigRecord::Target {
        name: "c".into(),
        state: TargetState::Stopped,
    });
    records.push(ConfigRecord::Connector {
        name: "c".into(),
        config: None,
    });
    records.push(connector("2"));
    let state = read(records);
    let entry = state.connector("c").unwrap();
    assert_eq!((entry.tasks.len(), entry.target), (0, TargetState::Started));
}

#[test]
fn tasks_of_an_older_configuration_outlive_compaction() {
    let mut records = vec![connector("1")];
    records.extend(task_records("c", 1, &[config("a")], false));
    records.push(connector("2"));
    let all = read(records.clone());
    // Compaction takes the first configuration away: the tasks planned from it come first then.
    let mut compacted = ConfigState::default();
    for (place, record) in (1..).zip(records).skip(1) {
        compacted.apply(place, record);
    }
    assert_eq!(compacted.connectors(), all.connectors());
    assert_eq!(all.connector("c").unwrap().tasks, [config("a")]);
    assert_ne!(
        all.connector("c").unwrap().planned_revision,
        all.connector("c").unwrap().revision
    );
}

#[test]
fn a_record_that_was_read_before_changes_nothing() {
    let mut state = read(vec![connector("1"), connector("2")]);
    state.apply(1, connector("1"));
    assert_eq!(state.connector("c").unwrap().config, config("2"));
}

#[test]
fn an_exactly_once_generation_waits_for_its_fence() {
    let mut records = vec![connector("1")];
    records.extend(task_records("c", 1, &[config("a")], true));
    assert!(!read(records.clone()).connector("c").unwrap().may_run());
    let fence = ConfigRecord::Fence {
        name: "c".into(),
        tasks: 1,
    };
    records.push(fence);
    assert!(read(records.clone()).connector("c").unwrap().may_run());
    records.extend(task_records("c", 1, &[config("a"), config("b")], true));
    let state = read(records);
    assert!(!state.connector("c").unwrap().may_run());
    assert_eq!(state.transactional_ids("c"), 1);
}
