//! A position belongs to a file, whatever its name is by now and whatever has its name.

use super::*;

/// Lines of one size, so that a position in one file is the beginning of a line in any other.
fn lines(what: &str, numbers: std::ops::Range<usize>) -> String {
    numbers.map(|n| format!("{what}-{n:05}\n")).collect()
}

fn texts(what: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    lines(what, numbers).lines().map(str::to_owned).collect()
}

/// Polls until so many values came.
fn next(source: &mut SourceTest<FileSource>, count: usize) -> Vec<String> {
    let began = std::time::Instant::now();
    let mut values = Vec::new();
    while values.len() < count && began.elapsed() < Duration::from_secs(10) {
        values.extend(source.drain().unwrap().values());
    }
    values
}

fn said(words: &str) -> usize {
    let logs = testing::logs();
    logs.iter().filter(|line| line.contains(words)).count()
}

#[test]
fn a_file_that_was_rotated_while_nothing_ran_is_finished_first() {
    let setup = Setup::new();
    setup.append("a", &lines("old", 0..500));
    let mut source = setup.start("a");
    assert_eq!(next(&mut source, 500).len(), 500);
    setup.append("a", &lines("old", 500..700));
    setup.rename("a", "a.1");
    setup.append("a", &lines("new", 0..840));
    source.crash().unwrap();
    let expected = [texts("old", 500..700), texts("new", 0..840)].concat();
    assert_eq!(next(&mut source, 1040), expected);
}

#[test]
fn a_position_from_before_a_rotation_is_not_applied_to_the_new_file() {
    let setup = Setup::new();
    setup.append("a", &lines("old", 0..500));
    let mut source = setup.start("a");
    source.limit(300, 1 << 20);
    source.poll().unwrap();
    let stored = source.position(&setup.partition("a")).unwrap().unwrap();
    assert_eq!(next(&mut source, 200).len(), 200);
    setup.rename("a", "a.1");
    setup.append("a", &lines("new", 0..900));
    assert_eq!(next(&mut source, 900).len(), 900, "the rotation was seen");

    let at = [(setup.partition("a"), stored)];
    let mut source = SourceTest::<FileSource>::start_at(setup.config(&["a"]), &at).unwrap();
    let expected = [texts("old", 300..500), texts("new", 0..900)].concat();
    assert_eq!(next(&mut source, 1100), expected);
}

#[test]
fn a_file_that_was_removed_and_written_anew_is_read_from_its_start() {
    let setup = Setup::new();
    setup.append("a", &lines("old", 0..300));
    let mut source = setup.start("a");
    next(&mut source, 300);
    fs::remove_file(setup.path("a")).unwrap();
    // The inode may well be the old one's.
    setup.append("a", &lines("new", 0..300));
    source.crash().unwrap();
    assert_eq!(next(&mut source, 300), texts("new", 0..300));
    assert_eq!(said("after 3000 bytes of it were read"), 1);
}

#[test]
fn a_file_that_was_rewritten_past_the_position_is_read_from_its_start() {
    for stopped in [true, false] {
        for count in [300, 500, 100] {
            let setup = Setup::new();
            setup.append("a", &lines("old", 0..300));
            let mut source = setup.start("a");
            next(&mut source, 300);
            fs::write(setup.path("a"), lines("new", 0..count)).unwrap();
            if stopped {
                source.crash().unwrap();
            }
            assert_eq!(
                next(&mut source, count),
                texts("new", 0..count),
                "{stopped} {count}"
            );
        }
    }
}

#[test]
fn the_first_line_alone_does_not_make_it_the_same_file() {
    let setup = Setup::new();
    let header = "name;number\n";
    setup.append("a", &format!("{header}{}", lines("old", 0..10)));
    let mut source = setup.start("a");
    next(&mut source, 11);
    fs::write(setup.path("a"), format!("{header}{}", lines("new", 0..20))).unwrap();
    source.crash().unwrap();
    assert_eq!(next(&mut source, 21)[1..], texts("new", 0..20));
    // Rotated when no more than that line had been read.
    setup.append("b", header);
    let mut source = setup.start("b");
    next(&mut source, 1);
    setup.append("b", &lines("b", 0..5));
    setup.rename("b", "b.1");
    setup.append("b", &format!("{header}{}", lines("b", 5..10)));
    source.crash().unwrap();
    let expected = [
        texts("b", 0..5),
        vec![header.trim().to_owned()],
        texts("b", 5..10),
    ]
    .concat();
    assert_eq!(next(&mut source, 11), expected);
}

#[test]
fn several_rotations_at_once_lose_nothing_and_keep_the_order() {
    for stopped in [true, false] {
        for dated in [true, false] {
            let setup = Setup::new();
            setup.append("a.log", &lines("x", 0..100));
            setup.append("a.log.9", "before the first start\n");
            setup.append("a-errors.log", "another log\n");
            let mut source = setup.start("a.log");
            next(&mut source, 100);
            setup.append("a.log", &lines("x", 100..150));
            for rotation in 1..4 {
                if dated {
                    setup.rename("a.log", &format!("a.log-2026010{rotation}"));
                } else {
                    for number in (1..rotation).rev() {
                        let names = [number, number + 1].map(|n| format!("a.log.{n}"));
                        setup.rename(&names[0], &names[1]);
                    }
                    setup.rename("a.log", "a.log.1");
                }
                let from = 150 + (rotation - 1) * 10;
                setup.append("a.log", &lines("x", from..from + 10));
            }
            if stopped {
                source.crash().unwrap();
            }
            assert_eq!(
                next(&mut source, 80),
                texts("x", 100..180),
                "{stopped} {dated}"
            );
            source.crash().unwrap();
            assert!(
                source.drain().unwrap().values().is_empty(),
                "all of it was read"
            );
        }
    }
}

#[test]
fn a_copied_and_truncated_file_is_finished_in_the_copy() {
    for stopped in [true, false] {
        for again in [0, 700] {
            let setup = Setup::new();
            setup.append("a", &lines("x", 0..300));
            let mut source = setup.start("a");
            next(&mut source, 300);
            setup.append("a", &lines("x", 300..400));
            fs::copy(setup.path("a"), setup.path("a.1")).unwrap();
            fs::write(setup.path("a"), lines("x", 400..400 + again)).unwrap();
            if stopped {
                source.crash().unwrap();
            }
            let values = next(&mut source, 100 + again);
            assert_eq!(values, texts("x", 300..400 + again), "{stopped} {again}");
        }
    }
}

#[test]
fn a_file_that_an_editor_saved_goes_on() {
    for stopped in [true, false] {
        let setup = Setup::new();
        setup.append("a", &lines("x", 0..300));
        let mut source = setup.start("a");
        next(&mut source, 300);
        setup.append("new", &lines("x", 0..310));
        setup.rename("new", "a");
        if stopped {
            source.crash().unwrap();
        }
        assert_eq!(next(&mut source, 10), texts("x", 300..310), "{stopped}");
    }
}

#[test]
fn an_offset_of_kafkas_own_connector_goes_on() {
    let setup = Setup::new();
    setup.append("a", "one\ntwo\n");
    let at = [(setup.partition("a"), Offset::new().with("position", 4))];
    let mut source = SourceTest::<FileSource>::start_at(setup.config(&["a"]), &at).unwrap();
    assert_eq!(source.drain().unwrap().values(), ["two"]);
    assert_eq!(position(&source, &setup.partition("a")), Some(8));
}

#[test]
fn an_empty_file_that_was_seen_is_known_after_its_rotation() {
    let setup = Setup::new();
    setup.append("a", "");
    let mut source = setup.start("a");
    source.drain().unwrap();
    setup.append("a", "one\n");
    setup.rename("a", "a.1");
    setup.append("a", "two\n");
    source.crash().unwrap();
    assert_eq!(next(&mut source, 2), ["one", "two"]);
}

#[test]
fn what_was_compressed_unread_is_said_once_with_counts() {
    let setup = Setup::new();
    setup.append("a", "one\n");
    let mut source = setup.start("a");
    next(&mut source, 1);
    setup.append("a", "two\n");
    fs::remove_file(setup.path("a")).unwrap();
    setup.append("a.1.gz", "not lines");
    setup.append("a", "three\n");
    source.crash().unwrap();
    assert_eq!(next(&mut source, 1), ["three"]);
    let words = "(1 compressed files beside it are newer";
    assert_eq!(said(words), 1);
}

#[test]
fn a_pattern_says_where_rotated_files_go() {
    let setup = Setup::new();
    fs::create_dir(setup.path("archive")).unwrap();
    setup.append("a", "one\n");
    let archive = setup.path("archive/*.txt").to_str().unwrap().to_owned();
    let config = setup.config(&["a"]).with("rotated.files", archive);
    let mut source = SourceTest::<FileSource>::start(config).unwrap();
    next(&mut source, 1);
    setup.append("a", "two\n");
    setup.rename("a", "archive/20260101.txt");
    setup.append("a", "three\n");
    setup.rename("a", "archive/20260102.txt");
    setup.append("a", "four\n");
    source.crash().unwrap();
    assert_eq!(next(&mut source, 3), ["two", "three", "four"]);
}

#[test]
fn numbers_of_devices_and_inodes_may_change_while_contents_stay() {
    let setup = Setup::new();
    setup.append("a", &lines("x", 0..30));
    let mut source = setup.start("a");
    next(&mut source, 30);
    let stored = source.position(&setup.partition("a")).unwrap().unwrap();
    let stored = stored.with("file", "0000000000000001-0000000000000002");
    setup.append("a", &lines("x", 30..40));
    let at = [(setup.partition("a"), stored)];
    let mut source = SourceTest::<FileSource>::start_at(setup.config(&["a"]), &at).unwrap();
    assert_eq!(next(&mut source, 10), texts("x", 30..40));
}

#[test]
fn a_writer_that_does_not_notice_the_rotation_loses_nothing() {
    let setup = Setup::new();
    setup.append("a", &lines("x", 0..10));
    let mut source = setup.start("a");
    next(&mut source, 10);
    setup.rename("a", "a.1");
    setup.append("a", &lines("x", 10..20));
    assert_eq!(next(&mut source, 10), texts("x", 10..20));
    setup.append("a.1", &lines("late", 0..5));
    setup.append("a.1", "ha");
    assert_eq!(next(&mut source, 5), texts("late", 0..5));
    setup.append("a.1", "lf\n");
    assert_eq!(next(&mut source, 1), ["half"]);
    assert_eq!(said("its writer goes on with it"), 1);
}

/// Random numbers from a seed; a failure names it.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit).unwrap()
    }
}

/// Whatever happens to a file, in whatever order, with crashes that go back to older positions: every
/// line comes, and without such crashes once.
#[test]
fn a_storm_of_rotations_truncations_and_crashes_loses_nothing() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let setup = Setup::new();
        setup.append("a", "");
        let mut source = setup.start("a");
        let stale = seed % 3 == 0;
        let mut stored = vec![source.position(&setup.partition("a")).unwrap().unwrap()];
        let (mut written, mut rotations) = (0, 0);
        let mut values: Vec<String> = Vec::new();
        for _ in 0..40 {
            match random.below(10) {
                0..=3 => {
                    let more = random.below(120);
                    setup.append("a", &lines("x", written..written + more));
                    written += more;
                }
                4 => {
                    for number in (1..=rotations).rev() {
                        setup.rename(&format!("a.{number}"), &format!("a.{}", number + 1));
                    }
                    rotations += 1;
                    setup.rename("a", "a.1");
                    setup.append("a", "");
                }
                5 => {
                    for number in (1..=rotations).rev() {
                        setup.rename(&format!("a.{number}"), &format!("a.{}", number + 1));
                    }
                    rotations += 1;
                    fs::copy(setup.path("a"), setup.path("a.1")).unwrap();
                    fs::write(setup.path("a"), "").unwrap();
                }
                6..=8 => {
                    source.limit(1 + random.below(80), 1 << 20);
                    values.extend(source.poll().unwrap().values());
                    stored.push(source.position(&setup.partition("a")).unwrap().unwrap());
                }
                _ => {
                    let back = if stale { random.below(4) } else { 0 };
                    let at = stored.len() - 1 - back.min(stored.len() - 1);
                    let at = [(setup.partition("a"), stored[at].clone())];
                    source = SourceTest::start_at(setup.config(&["a"]), &at).unwrap();
                }
            }
        }
        source.limit(2000, 1 << 20);
        let expected = texts("x", 0..written);
        let missing = |values: &[String]| {
            let seen: std::collections::BTreeSet<&String> = values.iter().collect();
            expected.iter().filter(|line| !seen.contains(line)).count()
        };
        let began = std::time::Instant::now();
        while missing(&values) > 0 && began.elapsed() < Duration::from_secs(5) {
            values.extend(source.drain().unwrap().values());
        }
        assert_eq!(
            missing(&values),
            0,
            "seed {seed}: of {written} lines, {rotations} rotations"
        );
        if !stale {
            values.extend(source.drain().unwrap().values());
            assert_eq!(values.len(), written, "seed {seed}: some came twice");
        }
    }
}
