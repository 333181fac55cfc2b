//! Membership in the group of the shards: who owns what, and that nobody holds a lease on what
//! somebody else has gained.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tidegate_kafka::{
    Kafka, KafkaSettings, Lease, Membership, MembershipEvent, MembershipSettings, Progress,
};
use tidegate_tests::broker::Broker;
use tidegate_tests::process::{Process, command};
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::{wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const SESSION: Duration = Duration::from_secs(3);
const HEARTBEAT: Duration = Duration::from_millis(500);
const SHARDS: usize = 32;

fn kafka(bootstrap: &str) -> Kafka {
    let mut settings = KafkaSettings::default();
    let servers = ("bootstrap.servers".to_owned(), bootstrap.to_owned());
    settings.common.extend([servers]);
    Kafka::new(settings).unwrap().0
}

/// What happened to a member, and when.
#[derive(Default)]
struct Seen {
    owned: BTreeSet<u32>,
    /// How often shards were taken away.
    goings: usize,
    lost: usize,
    /// When shards came, and whether there was a lease on them.
    gains: Vec<(u64, bool)>,
    failed: Option<String>,
}

/// A worker's membership, answered at once, with a herder that makes progress unless told not to.
struct Member {
    membership: Option<Membership>,
    lease: Lease,
    seen: Arc<Mutex<Seen>>,
    is_alive: Arc<AtomicBool>,
    runtime: tokio::runtime::Runtime,
}

impl Member {
    fn join(broker: &Broker, group: &str, name: &str, instance_id: Option<&str>) -> Self {
        Self::join_with(broker, group, name, instance_id, LIMIT)
    }

    fn join_with(
        broker: &Broker,
        group: &str,
        name: &str,
        instance_id: Option<&str>,
        rebalance_timeout: Duration,
    ) -> Self {
        let bootstrap = broker.bootstrap();
        Self::join_at(&bootstrap, group, name, instance_id, rebalance_timeout)
    }

    fn join_at(
        bootstrap: &str,
        group: &str,
        name: &str,
        instance_id: Option<&str>,
        rebalance_timeout: Duration,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let settings = MembershipSettings {
            group: group.to_owned(),
            topic: group.to_owned(),
            instance_id: instance_id.map(ToOwned::to_owned),
            client_id: name.to_owned(),
            session_timeout: SESSION,
            heartbeat_interval: HEARTBEAT,
            rebalance_timeout,
            identity: name.to_owned(),
        };
        let progress = Arc::new(Progress::default());
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let membership =
            Membership::join(&kafka(bootstrap), settings, Arc::clone(&progress), events).unwrap();
        let lease = membership.lease();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let is_alive = Arc::new(AtomicBool::new(true));
        let (told, of) = (Arc::clone(&seen), lease.clone());
        runtime.spawn(async move {
            while let Some(event) = heard.recv().await {
                hear(event, &mut told.lock().unwrap(), &of);
            }
        });
        let beating = Arc::clone(&is_alive);
        runtime.spawn(async move {
            while beating.load(Ordering::Relaxed) {
                progress.beat();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self {
            membership: Some(membership),
            lease,
            seen,
            is_alive,
            runtime,
        }
    }

    fn owned(&self) -> BTreeSet<u32> {
        self.seen.lock().unwrap().owned.clone()
    }

    fn count(&self) -> usize {
        self.owned().len()
    }

    fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    fn leave(mut self, for_good: bool) {
        let membership = self.membership.take().unwrap();
        self.runtime.block_on(membership.leave(for_good));
        assert!(!self.lease.is_valid(), "who has left has no lease");
    }
}

fn hear(event: MembershipEvent, seen: &mut Seen, lease: &Lease) {
    match event {
        MembershipEvent::Gained(shards) => {
            seen.owned.extend(shards);
            seen.gains.push((boot_ms(), lease.is_valid()));
        }
        MembershipEvent::Going { shards, lost, done } => {
            assert!(!(lost && lease.is_valid()), "a lease on lost shards");
            seen.owned.retain(|shard| !shards.contains(shard));
            seen.goings += 1;
            seen.lost += usize::from(lost);
            done.send(()).unwrap();
        }
        MembershipEvent::Failed(reason) => seen.failed = Some(reason),
    }
}

fn all_are_owned_once(members: &[&Member]) -> bool {
    let owned: Vec<u32> = members.iter().flat_map(|m| m.owned()).collect();
    owned.len() == SHARDS && owned.iter().collect::<BTreeSet<_>>().len() == SHARDS
}

fn settle(what: &str, members: &[&Member]) {
    let fair = SHARDS / members.len();
    wait_until(what, LIMIT, || {
        all_are_owned_once(members) && members.iter().all(|m| m.count().abs_diff(fair) <= 1)
    });
}

/// The clock of leases, which all processes share.
fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec * 1000 + now.tv_nsec / 1_000_000) as u64
}

fn create(broker: &Broker, group: &str) {
    broker.client().create_topic(group, SHARDS as i32);
}

#[test]
fn members_share_the_shards_and_a_third_takes_its_part() {
    let broker = Broker::shared();
    create(broker, "share");
    let a = Member::join(broker, "share", "a", None);
    let b = Member::join(broker, "share", "b", None);
    settle("two share", &[&a, &b]);
    let (before_a, before_b) = (a.owned(), b.owned());
    let c = Member::join(broker, "share", "c", None);
    settle("three share", &[&a, &b, &c]);
    // Nobody but the newcomer got anything.
    assert!(a.owned().is_subset(&before_a));
    assert!(b.owned().is_subset(&before_b));
    for member in [&a, &b, &c] {
        assert!(member.lease.is_valid());
        member.look(|seen| {
            assert!(
                seen.gains.iter().all(|(_, leased)| *leased),
                "{:?}",
                seen.gains
            );
            assert_eq!(seen.lost, 0);
            assert_eq!(seen.failed, None);
        });
    }
    c.leave(false);
    settle("two share again", &[&a, &b]);
}

#[test]
fn a_lease_lasts_while_the_member_does() {
    let broker = Broker::shared();
    create(broker, "lasting");
    let member = Member::join(broker, "lasting", "lasting", None);
    settle("one owns all", &[&member]);
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    while start.elapsed() < SESSION * 2 {
        assert!(member.lease.is_valid());
        longest = longest.max(member.lease.remaining());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(longest <= SESSION - Duration::from_secs(1), "{longest:?}");
    let (group, held) = member.runtime.block_on(async {
        let kafka = kafka(&broker.bootstrap());
        let group = kafka.group_description("lasting").await.unwrap().unwrap();
        let held = kafka
            .committed_metadata("lasting", "lasting")
            .await
            .unwrap();
        assert_eq!(kafka.group_description("nobody").await.unwrap(), None);
        (group, held)
    });
    assert_eq!(
        (group.protocol_type.as_str(), group.state.as_str()),
        ("consumer", "Stable")
    );
    assert_eq!(group.members[0].client_id, "lasting");
    assert_eq!(held, [(SHARDS as i32 - 1, "lasting".to_owned())]);
}

#[test]
fn a_member_whose_herder_stands_still_loses_its_lease_before_others_gain_its_shards() {
    let broker = Broker::shared();
    create(broker, "silent");
    // Also how long a herder may be silent.
    let timeout = Duration::from_secs(4);
    let join = |name| Member::join_with(broker, "silent", name, None, timeout);
    let (a, b) = (join("a"), join("b"));
    settle("two share", &[&a, &b]);
    let gains = b.look(|seen| seen.gains.len());
    a.is_alive.store(false, Ordering::Relaxed);
    let ended = wait_for("the lease ends", LIMIT, || {
        (!a.lease.is_valid()).then(boot_ms)
    });
    wait_until("the other has all", LIMIT, || b.count() == SHARDS);
    let gained = b.look(|seen| seen.gains[gains].0);
    assert!(
        ended < gained,
        "the shards went at {gained}, the lease ended at {ended}"
    );
    assert!(!a.lease.is_valid());
    assert!(b.lease.is_valid());
}

#[test]
fn a_static_member_that_comes_back_moves_nothing() {
    let broker = Broker::shared();
    create(broker, "static");
    let a = Member::join(broker, "static", "a", Some("instance-a"));
    let b = Member::join(broker, "static", "b", Some("instance-b"));
    settle("two share", &[&a, &b]);
    let (before, goings) = (b.owned(), a.look(|seen| seen.goings));
    b.leave(false);
    let b = Member::join(broker, "static", "b", Some("instance-b"));
    settle("two share again", &[&a, &b]);
    assert_eq!(b.owned(), before);
    assert_eq!(a.look(|seen| seen.goings), goings);
    // For good, its shards go at once and not when its session ends.
    let start = Instant::now();
    b.leave(true);
    wait_until("the other has all", LIMIT, || a.count() == SHARDS);
    assert!(start.elapsed() < SESSION, "{:?}", start.elapsed());
}

#[test]
fn a_second_process_with_the_same_instance_id_fails_the_first() {
    let broker = Broker::shared();
    create(broker, "twice");
    let first = Member::join(broker, "twice", "first", Some("one"));
    settle("one owns all", &[&first]);
    let second = Member::join(broker, "twice", "second", Some("one"));
    wait_until("the first fails", LIMIT, || {
        first.look(|seen| seen.failed.is_some())
    });
    assert!(!first.lease.is_valid());
    settle("the second owns all", &[&second]);
    assert!(second.lease.is_valid());
}

#[test]
fn without_a_broker_the_lease_ends_and_comes_back() {
    let mut broker = Broker::start();
    create(&broker, "away");
    let member = Member::join(&broker, "away", "away", None);
    settle("one owns all", &[&member]);
    broker.kill();
    wait_until("the lease ends", LIMIT, || !member.lease.is_valid());
    broker.start_again();
    wait_until("the lease is back", LIMIT, || {
        member.lease.is_valid() && member.count() == SHARDS
    });
}

/// A member in a process of its own, to be treated with signals. It writes what it has seen.
struct Child {
    process: Process,
    _directory: Scratch,
}

/// One look of it: when, until when its lease holds, how many shards it owns, and how often it
/// lost some.
#[derive(Debug, Clone, Copy)]
struct Look {
    at_ms: u64,
    until_ms: u64,
    owned: u64,
    lost: u64,
}

impl Child {
    fn start(broker: &Broker, group: &str) -> Self {
        let directory = Scratch::new("member");
        let mut test = command(std::env::current_exe().unwrap());
        test.args(["--exact", "member_process", "--ignored", "--nocapture"]);
        test.env("MEMBER_BOOTSTRAP", broker.bootstrap());
        test.env("MEMBER_GROUP", group);
        Self {
            process: Process::spawn(test, &directory.join("log")),
            _directory: directory,
        }
    }

    fn looks(&self) -> Vec<Look> {
        let log = self.process.log();
        let look = |line: &str| {
            let mut numbers = line.strip_prefix("look ")?.split(' ').map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(Look {
                at_ms: next()?,
                until_ms: next()?,
                owned: next()?,
                lost: next()?,
            })
        };
        // The last line may be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(look).collect()
    }

    fn last(&self) -> Option<Look> {
        self.looks().last().copied()
    }
}

#[test]
#[ignore = "run by other tests, in a process of its own"]
fn member_process() {
    let (group, bootstrap) = ("MEMBER_GROUP", "MEMBER_BOOTSTRAP");
    let (Ok(group), Ok(bootstrap)) = (std::env::var(group), std::env::var(bootstrap)) else {
        return;
    };
    let member = Member::join_at(&bootstrap, &group, "child", None, LIMIT);
    loop {
        let (lost, owned) = member.look(|seen| (seen.lost, seen.owned.len()));
        let (now, remaining) = (boot_ms(), member.lease.remaining());
        let until = if remaining.is_zero() {
            0
        } else {
            now + remaining.as_millis() as u64
        };
        println!("look {now} {until} {owned} {lost}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A member and a child that share, and when the member got the rest after `signal`.
fn take_over(broker: &Broker, group: &str, signal: Signal) -> (Member, Child, u64) {
    create(broker, group);
    let member = Member::join(broker, group, "parent", None);
    let child = Child::start(broker, group);
    wait_until("both share", LIMIT, || {
        let half = SHARDS / 2;
        member.count() == half && child.last().is_some_and(|l| l.owned == half as u64)
    });
    let gains = member.look(|seen| seen.gains.len());
    child.process.signal(signal);
    wait_until("the other has all", LIMIT, || member.count() == SHARDS);
    let gained = member.look(|seen| seen.gains[gains].0);
    (member, child, gained)
}

#[test]
fn the_shards_of_a_killed_process_go_to_others_after_its_lease() {
    let (member, child, gained) = take_over(Broker::shared(), "killed", Signal::KILL);
    let last = child.last().unwrap();
    assert!(last.until_ms < gained, "gained at {gained}, but {last:?}");
    assert!(member.lease.is_valid());
}

#[test]
fn a_process_that_was_stopped_wakes_up_without_a_lease() {
    let (_member, child, gained) = take_over(Broker::shared(), "stopped", Signal::STOP);
    let last = child.last().unwrap();
    assert!(last.until_ms < gained, "gained at {gained}, but {last:?}");
    child.process.signal(Signal::CONT);
    wait_until("it hears that its shards are lost", LIMIT, || {
        child.last().unwrap().lost > 0
    });
    let looks = child.looks();
    let awake = looks.iter().filter(|look| look.at_ms > gained);
    // Until it hears of it, it cannot know but by its lease.
    let deceived: Vec<_> = awake
        .filter(|look| look.lost == 0 && look.until_ms > look.at_ms)
        .collect();
    assert!(deceived.is_empty(), "{deceived:?}");
}
