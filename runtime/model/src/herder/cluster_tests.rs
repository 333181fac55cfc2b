//! One herder of a cluster, told by hand what the others say. The simulation found each of these.

use super::*;
use crate::config_log::task_records;

/// Worker `a` with shards 0 to 3 of 8, and task c-0 placed on shard 1, ordered there by a move from 5.
struct Cluster {
    herder: Herder,
    place: u64,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self {
            herder: Herder::of_cluster("a", "http://a", "a1", 8),
            place: 0,
        };
        let config = ConfigRecord::Connector {
            name: "c".into(),
            config: Some(Default::default()),
        };
        cluster.log(config);
        for record in task_records("c", 1, &[Default::default()], false) {
            cluster.log(record);
        }
        cluster.handle(Event::Gained((0..4).collect()));
        cluster.worker("b", "b1", 4..8, 1);
        cluster
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        self.herder.handle(0, event)
    }

    fn log(&mut self, record: ConfigRecord) -> Vec<Action> {
        self.place += 1;
        self.handle(Event::Log(self.place, record))
    }

    /// Answers the place of the move, and what follows.
    fn moved(&mut self, from: Option<u32>, shard: u32) -> (u64, Vec<Action>) {
        let actions = self.log(ConfigRecord::Placement {
            task: task(),
            shard,
            from,
        });
        (self.place, actions)
    }

    fn worker(&mut self, id: &str, incarnation: &str, shards: std::ops::Range<u32>, epoch: u64) {
        let record = WorkerRecord {
            incarnation: incarnation.into(),
            shards: shards.collect(),
            epoch,
            ..WorkerRecord::default()
        };
        self.handle(Event::Worker(id.into(), Some(record)));
    }

    fn says(&mut self, worker: &str, incarnation: &str, epoch: u64, state: State) {
        let status = RemoteStatus {
            status: Status::of(state),
            worker: worker.into(),
            incarnation: incarnation.into(),
            epoch,
        };
        self.handle(Event::TaskStatus(task(), Some(status)));
    }

    fn epoch(&self) -> u64 {
        self.herder.own_record().unwrap().epoch
    }
}

fn task() -> TaskId {
    TaskId::new("c", 0)
}

fn released(actions: &[Action]) -> Vec<u64> {
    let place = |action: &Action| match action {
        Action::Release(_, place) => Some(*place),
        _ => None,
    };
    actions.iter().filter_map(place).collect()
}

#[test]
fn a_release_that_is_heard_of_before_its_move_does_not_undo_an_older_one() {
    let mut cluster = Cluster::new();
    let (first, _) = cluster.moved(Some(1), 5);
    cluster.handle(Event::Released(task(), first));
    // Whoever lost a shard does not remember what it said.
    cluster.handle(Event::Lost([0].into()));
    // The task went on from 5; the log has not told yet.
    let actions = cluster.handle(Event::Released(task(), first + 1));
    assert_eq!(
        released(&actions),
        [0u64; 0],
        "the move at {first} was let go long ago"
    );
    cluster.moved(Some(5), 6);
    assert!(cluster.herder.is_move_done(&task()));
}

#[test]
fn a_release_that_comes_late_does_not_stop_what_a_later_one_started() {
    let mut cluster = Cluster::new();
    let (first, _) = cluster.moved(Some(5), 6);
    let (second, _) = cluster.moved(Some(6), 1);
    let actions = cluster.handle(Event::Released(task(), second));
    assert!(
        matches!(actions.as_slice(), [Action::Start { .. }]),
        "{actions:?}"
    );
    let actions = cluster.handle(Event::Released(task(), first));
    assert!(actions.is_empty(), "it goes on");
}

#[test]
fn a_release_that_is_overwritten_by_a_late_one_is_said_again() {
    let mut cluster = Cluster::new();
    let (first, _) = cluster.moved(Some(5), 1);
    cluster.handle(Event::Released(task(), first));
    let (second, actions) = cluster.moved(Some(1), 6);
    let Some(Action::Stop(id, epoch)) = actions.first().cloned() else {
        panic!("{actions:?}");
    };
    let trace = None;
    let actions = cluster.handle(Event::TaskEnded { id, epoch, trace });
    assert_eq!(released(&actions), [second]);
    cluster.handle(Event::Released(task(), second));
    let actions = cluster.handle(Event::Released(task(), first));
    assert_eq!(
        released(&actions),
        [second],
        "who comes later reads only the first"
    );
}

#[test]
fn the_status_of_a_moved_task_is_its_new_owners_whatever_the_epochs() {
    let mut cluster = Cluster::new();
    cluster.worker("b", "b1", 4..6, 7);
    cluster.worker("d", "d1", 6..8, 3);
    cluster.moved(None, 5);
    cluster.says("b", "b1", 7, State::Running);
    let (place, _) = cluster.moved(Some(5), 6);
    cluster.handle(Event::Released(task(), place));
    cluster.says("d", "d1", 3, State::Running);
    cluster.says("b", "b1", 7, State::Unassigned);
    let status = cluster.herder.task_statuses("c").remove(0);
    assert_eq!(
        (status.status.state, &*status.worker),
        (State::Running, "d")
    );
}

#[test]
fn a_former_owners_late_word_makes_the_owner_speak_again() {
    let mut cluster = Cluster::new();
    cluster.moved(None, 1);
    let before = cluster.epoch();
    cluster.says("a", "a1", before, State::Running);
    assert_eq!(cluster.epoch(), before, "its own word is no news");
    cluster.says("b", "b1", 1, State::Unassigned);
    assert!(cluster.epoch() > before, "a new epoch says all again");
}

#[test]
fn a_record_of_an_earlier_start_that_comes_late_is_said_again() {
    let mut cluster = Cluster::new();
    let before = cluster.epoch();
    cluster.worker("a", "a0", 0..8, 1);
    assert!(cluster.epoch() > before, "the others believe it until then");
}

/// What a leader says of connector `c`: `trace` if it cannot be planned.
fn word(worker: &str, epoch: u64, trace: Option<&str>) -> Event {
    let status = RemoteStatus {
        status: trace.map_or(Status::of(State::Running), Status::failed),
        worker: worker.into(),
        incarnation: format!("{worker}1"),
        epoch,
    };
    Event::ConnectorStatus("c".into(), Some(status))
}

#[test]
fn a_former_leaders_late_word_on_a_connector_does_not_count() {
    let mut cluster = Cluster::new();
    let leads = |worker: &str| ConfigRecord::Leader {
        worker: worker.into(),
        url: format!("http://{worker}"),
        incarnation: format!("{worker}1"),
    };
    let state = |cluster: &Cluster| cluster.herder.connector_status("c").unwrap().status;
    cluster.log(leads("b"));
    cluster.handle(word("b", 1, Some("no")));
    assert_eq!(state(&cluster), Status::failed("no"));
    cluster.log(leads("d"));
    assert_eq!(state(&cluster).state, State::Running, "d has not spoken");
    cluster.handle(word("d", 2, None));
    cluster.handle(word("b", 1, Some("late")));
    assert_eq!(state(&cluster).state, State::Running);
    cluster.handle(word("d", 2, Some("true")));
    cluster.handle(word("b", 1, None));
    assert_eq!(state(&cluster), Status::failed("true"));
}

const TEN_MINUTES_MS: u64 = 600_000;

#[test]
fn a_worker_without_shards_is_forgotten_by_who_leads_after_a_while() {
    let mut cluster = Cluster::new();
    cluster.worker("random-1", "x", 0..0, 0);
    let forgotten = |cluster: &mut Cluster, now_ms| {
        let actions = cluster.herder.handle(now_ms, Event::Tick).into_iter();
        let forgotten = actions.filter_map(|action| match action {
            Action::ForgetWorker(id) => Some(id),
            _ => None,
        });
        forgotten.collect::<Vec<_>>()
    };
    assert!(
        forgotten(&mut cluster, TEN_MINUTES_MS).is_empty(),
        "another leads"
    );
    cluster.herder.handle(TEN_MINUTES_MS, Event::Leading(true));
    assert!(forgotten(&mut cluster, 2 * TEN_MINUTES_MS - 1).is_empty());
    assert_eq!(forgotten(&mut cluster, 2 * TEN_MINUTES_MS), ["random-1"]);
    let next = 2 * TEN_MINUTES_MS + 1;
    assert!(forgotten(&mut cluster, next).is_empty(), "once");
    let gone = Event::Worker("random-1".into(), None);
    cluster.herder.handle(next, gone);
    assert!(forgotten(&mut cluster, 4 * TEN_MINUTES_MS).is_empty());
}

#[test]
fn the_place_of_a_task_that_is_no_more_is_forgotten_after_a_while() {
    let mut cluster = Cluster::new();
    cluster.moved(None, 5);
    cluster.herder.handle(0, Event::Leading(true));
    let unplaced = |cluster: &mut Cluster, now_ms| {
        let records = cluster.herder.next_append(now_ms);
        records.contains(&ConfigRecord::Unplaced { task: task() })
    };
    assert!(!unplaced(&mut cluster, TEN_MINUTES_MS), "it is there");
    cluster.log(ConfigRecord::Connector {
        name: "c".into(),
        config: None,
    });
    assert!(!unplaced(&mut cluster, TEN_MINUTES_MS));
    assert!(!unplaced(&mut cluster, 2 * TEN_MINUTES_MS - 1));
    assert!(unplaced(&mut cluster, 2 * TEN_MINUTES_MS));
    assert!(
        unplaced(&mut cluster, 3 * TEN_MINUTES_MS),
        "until it is written"
    );
    cluster.log(ConfigRecord::Unplaced { task: task() });
    assert_eq!(cluster.herder.log().cluster().placement(&task()), None);
    assert!(!unplaced(&mut cluster, 4 * TEN_MINUTES_MS));
}
