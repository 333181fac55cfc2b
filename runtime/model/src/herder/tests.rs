//! The herder driven by hand, and by a random driver that crashes tasks.

use super::*;
use crate::config::ConfigMap;
use crate::config_log::task_records;
use proptest::prelude::*;

struct Driver {
    herder: Herder,
    place: u64,
    now_ms: u64,
    plans: Vec<(String, u64, ConfigMap)>,
    live: BTreeMap<(TaskId, u64), TaskSpec>,
    starts: usize,
}

impl Driver {
    fn new() -> Self {
        Self {
            herder: Herder::standalone("w"),
            place: 0,
            now_ms: 0,
            plans: vec![],
            live: BTreeMap::new(),
            starts: 0,
        }
    }

    fn event(&mut self, event: Event) {
        self.step(event);
        self.flush();
    }

    /// What the herder wants in the log, until it has it.
    fn flush(&mut self) {
        loop {
            let records = self.herder.next_append(self.now_ms);
            if records.is_empty() {
                return;
            }
            for record in records {
                self.place += 1;
                self.step(Event::Log(self.place, record));
            }
        }
    }

    fn step(&mut self, event: Event) {
        let actions = self.herder.handle(self.now_ms, event);
        for action in actions {
            match action {
                Action::Plan {
                    connector,
                    revision,
                    config,
                } => {
                    self.plans.push((connector, revision, config));
                }
                Action::Release(..) | Action::ForgetWorker(_) | Action::Fence { .. } => {
                    panic!("alone: {action:?}")
                }
                Action::Start { epoch, spec, .. } => {
                    self.starts += 1;
                    let twin = self.live.keys().find(|(id, _)| *id == spec.id);
                    assert!(twin.is_none(), "{} started twice", spec.id);
                    self.live.insert((spec.id.clone(), epoch), *spec);
                }
                Action::Stop(id, epoch) => {
                    self.live.remove(&(id.clone(), epoch));
                    let trace = None;
                    self.step(Event::TaskEnded { id, epoch, trace });
                }
                Action::SetPaused(id, epoch, paused) => {
                    let state = if paused {
                        State::Paused
                    } else {
                        State::Running
                    };
                    self.step(Event::TaskState { id, epoch, state });
                }
            }
        }
    }

    fn append(&mut self, record: ConfigRecord) {
        self.place += 1;
        self.event(Event::Log(self.place, record));
    }

    fn end(&mut self, id: TaskId, epoch: u64, trace: Option<&str>) {
        if self.live.remove(&(id.clone(), epoch)).is_some() {
            self.event(Event::TaskEnded {
                id,
                epoch,
                trace: trace.map(str::to_owned),
            });
        }
    }

    fn crash(&mut self, task: u32) {
        let key = self.live.keys().find(|(id, _)| id.task == task).cloned();
        if let Some((id, epoch)) = key {
            self.end(id, epoch, Some("trap"));
        }
    }

    fn configure(&mut self, config: &[(&str, &str)]) {
        let config = config
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        self.append(ConfigRecord::Connector {
            name: "c".into(),
            config: Some(config),
        });
    }

    fn target(&mut self, state: TargetState) {
        if state == TargetState::Stopped {
            let revision = self
                .herder
                .log
                .connector("c")
                .map_or(0, |e| e.planned_revision);
            task_records("c", revision, &[], false)
                .into_iter()
                .for_each(|r| self.append(r));
        }
        self.append(ConfigRecord::Target {
            name: "c".into(),
            state,
        });
    }

    /// A plugin that plans `n` tasks when the configuration says `tasks=n`.
    fn answer_plans(&mut self) {
        while let Some((connector, revision, config)) = self.plans.pop() {
            let outcome = match config.get("tasks").map(|n| n.parse::<usize>().unwrap()) {
                Some(n) => Ok(plan_of((0..n).map(|i| i.to_string()))),
                None => Err("no tasks key".to_owned()),
            };
            self.event(Event::Planned(Planned {
                connector,
                revision,
                outcome,
            }));
        }
    }

    fn restart(&mut self, connector: bool, task: Option<u32>) {
        self.append(ConfigRecord::Restart(RestartRequest {
            name: "c".into(),
            include_tasks: false,
            only_failed: !connector,
            task,
        }));
    }

    fn connector(&self) -> Option<Status> {
        Some(self.herder.connector_status("c")?.status)
    }

    fn tasks(&self) -> Vec<Status> {
        let placed = self.herder.task_statuses("c").into_iter();
        placed.map(|placed| placed.status).collect()
    }

    fn running(&self) -> Vec<u32> {
        self.live.keys().map(|(id, _)| id.task).collect()
    }
}

fn plan_of(values: impl Iterator<Item = String>) -> PlanOutcome {
    let task = |value: String| -> ConfigMap { [("i".to_owned(), value)].into() };
    PlanOutcome {
        tasks: values.map(task).collect(),
        again_after_ms: None,
        exactly_once: false,
    }
}

#[test]
fn create_plan_start_delete() {
    let mut d = Driver::new();
    d.configure(&[("tasks", "2")]);
    assert_eq!(d.connector().unwrap().state, State::Unassigned);
    d.answer_plans();
    assert_eq!(d.running(), [0, 1]);
    assert_eq!(d.connector().unwrap().state, State::Running);
    d.append(ConfigRecord::Connector {
        name: "c".into(),
        config: None,
    });
    assert!(d.running().is_empty());
    assert_eq!(d.connector(), None);
    assert!(d.herder.is_idle());
}

#[test]
fn a_failed_plan_fails_the_connector_and_leaves_tasks_alone() {
    let mut d = Driver::new();
    d.configure(&[("tasks", "1")]);
    d.answer_plans();
    d.configure(&[("other", "1")]);
    assert_eq!(d.running(), [0], "goes on while the new plan is made");
    d.answer_plans();
    assert_eq!(d.running(), [0]);
    let status = d.connector().unwrap();
    assert_eq!(status, Status::failed("no tasks key"));
    d.configure(&[("tasks", "1")]);
    d.answer_plans();
    assert_eq!(d.connector().unwrap().state, State::Running);
    assert_eq!(
        d.starts, 2,
        "a new configuration restarts the task, even with an equal plan"
    );
}

#[test]
fn only_tasks_that_differ_restart() {
    let mut d = Driver::new();
    d.configure(&[("tasks", "2")]);
    d.answer_plans();
    d.restart(true, None);
    let revision = d.plans.pop().unwrap().1;
    let planned = |values: &[&str]| {
        Event::Planned(Planned {
            connector: "c".into(),
            revision,
            outcome: Ok(plan_of(values.iter().map(|v| (*v).to_owned()))),
        })
    };
    d.event(planned(&["1", "0"]));
    assert_eq!(
        d.starts, 2,
        "the same set in another order is the same plan"
    );
    d.restart(true, None);
    d.event(planned(&["0", "7", "8"]));
    assert_eq!(
        (d.starts, d.running()),
        (4, vec![0, 1, 2]),
        "0 goes on, 1 restarts, 2 is new"
    );
}

#[test]
fn failed_tasks_wait_for_a_restart() {
    let mut d = Driver::new();
    d.configure(&[("tasks", "1")]);
    d.answer_plans();
    d.crash(0);
    d.event(Event::Tick);
    assert!(d.running().is_empty());
    assert_eq!(d.tasks(), [Status::failed("trap")]);
    d.restart(false, Some(0));
    assert_eq!(d.running(), [0]);
}

#[test]
fn automatic_restarts_back_off_and_end() {
    let mut d = Driver::new();
    d.configure(&[
        ("tasks", "1"),
        ("tidegate.restart.max.attempts", "2"),
        ("tidegate.restart.backoff.ms", "100"),
    ]);
    d.answer_plans();
    for pause in [100, 200] {
        d.crash(0);
        assert_eq!(d.herder.next_tick_ms(), Some(d.now_ms + pause));
        d.now_ms += pause - 1;
        d.event(Event::Tick);
        assert!(d.running().is_empty());
        d.now_ms += 1;
        d.event(Event::Tick);
        assert_eq!(d.running(), [0]);
    }
    d.crash(0);
    assert_eq!(d.herder.next_tick_ms(), None);
}

#[test]
fn pause_keeps_tasks_and_stop_ends_them() {
    let mut d = Driver::new();
    d.configure(&[("tasks", "1")]);
    d.answer_plans();
    d.target(TargetState::Paused);
    assert_eq!(d.tasks(), [Status::of(State::Paused)]);
    assert_eq!(d.running(), [0]);
    d.target(TargetState::Started);
    assert_eq!(d.tasks(), [Status::of(State::Running)]);
    d.target(TargetState::Stopped);
    d.answer_plans();
    assert!(d.running().is_empty());
    assert_eq!(d.connector().unwrap().state, State::Stopped);
    d.target(TargetState::Started);
    d.answer_plans();
    assert_eq!(d.running(), [0]);
}

#[test]
fn created_paused_plans_nothing() {
    let mut d = Driver::new();
    d.target(TargetState::Paused);
    d.configure(&[("tasks", "1")]);
    assert!(d.plans.is_empty());
    d.target(TargetState::Started);
    d.answer_plans();
    assert_eq!(d.running(), [0]);
}

proptest! {
    /// Whatever happens, once plans are answered and nothing fails any more, exactly the tasks of
    /// the last good configuration run, each once, with that configuration.
    #[test]
    fn settles_on_what_the_log_says(steps in proptest::collection::vec(0u8..9, 1..60)) {
        let mut d = Driver::new();
        for step in steps {
            d.now_ms += 10;
            match step {
                0 => d.configure(&[("tasks", "1")]),
                1 => d.configure(&[("tasks", "3")]),
                2 => d.configure(&[("bad", "1")]),
                3 => d.append(ConfigRecord::Connector { name: "c".into(), config: None }),
                4 => d.target(TargetState::Paused),
                5 => d.target(TargetState::Started),
                6 => d.target(TargetState::Stopped),
                7 => d.crash(0),
                _ => d.answer_plans(),
            }
        }
        d.configure(&[("tasks", "2")]);
        d.target(TargetState::Started);
        d.answer_plans();
        prop_assert_eq!(d.running(), vec![0, 1]);
        let revision = d.herder.log.connector("c").unwrap().revision;
        for spec in d.live.values() {
            prop_assert_eq!(spec.revision, revision);
        }
        d.event(Event::Shutdown);
        prop_assert!(d.running().is_empty());
        prop_assert!(d.herder.is_idle());
    }
}
