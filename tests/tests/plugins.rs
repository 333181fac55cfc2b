//! Uploading, listing and deleting plugins, and every way in which an upload can be wrong.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::paths;
use tidegate_tests::rest::config_object;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// The smallest core module: magic and version, nothing else.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// The smallest component; it exports nothing.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn file_source() -> Vec<u8> {
    fs::read(paths::guest("file-source")).unwrap()
}

/// The same plugin in other bytes: a custom section at the end means nothing to anybody.
fn with_custom_section(mut component: Vec<u8>) -> Vec<u8> {
    component.extend([0, 5, 4, b'n', b'o', b't', b'e']);
    component
}

#[test]
fn an_upload_is_described_listed_and_found_again() {
    let worker = Worker::setup(Broker::shared()).start();
    let rest = worker.rest();
    assert_eq!(rest.get("/plugins").expect(200).body, json!([]));

    let component = file_source();
    let first = rest.upload(&component).expect(201).body;
    assert_eq!(first["name"], "file-source");
    assert_eq!(first["kind"], "source");
    assert_eq!(first["size_bytes"], component.len());
    assert_eq!(first["digest"].as_str().map(str::len), Some(64));
    for key in [
        "version",
        "documentation",
        "aliases",
        "definitions",
        "wants",
    ] {
        assert!(!first[key].is_null(), "{key} is missing in {first}");
    }

    let again = rest.upload(&component).expect(200).body;
    assert_eq!(again["digest"], first["digest"]);
    let list = rest.get("/plugins").expect(200).body;
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["digest"], first["digest"]);
    let one = rest.get("/plugins/file-source").expect(200);
    assert!(
        one.text.contains(first["digest"].as_str().unwrap()),
        "{}",
        one.text
    );
    rest.get("/plugins/no-such-plugin").error(404);

    let classes = rest.get("/connector-plugins").expect(200).body;
    let class = "org.apache.kafka.connect.file.FileStreamSourceConnector";
    let listed = classes
        .as_array()
        .unwrap()
        .iter()
        .any(|p| p["class"] == class && p["type"] == "source");
    assert!(listed, "{classes}");
}

#[test]
fn what_is_no_plugin_is_refused_with_a_reason() {
    let worker = Worker::setup(Broker::shared())
        .set("tidegate.task.call.cpu.max.ms", "1000")
        .start();
    let rest = worker.rest();
    let component = file_source();
    let guest = |name: &str| fs::read(paths::guest(name)).unwrap();
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("nothing", Vec::new(), &["empty", "component"]),
        ("text", b"#!/bin/sh\necho hello\n".to_vec(), &["component"]),
        (
            "a core module",
            CORE_MODULE.to_vec(),
            &["core module", "component"],
        ),
        (
            "another world",
            EMPTY_COMPONENT.to_vec(),
            &["world", "tidegate:connect"],
        ),
        (
            "half a component",
            component[..component.len() / 2].to_vec(),
            &["component", "truncated"],
        ),
        (
            "describe traps",
            guest("hostile/describe-trap"),
            &["describe"],
        ),
        (
            "describe never ends",
            guest("hostile/describe-loop"),
            &["describe"],
        ),
        ("no name for a plugin", guest("hostile/bad-name"), &["name"]),
    ];
    for (what, bytes, words) in cases {
        let answer = rest.upload(&bytes);
        let message = answer.error(400);
        println!("{what}: {message}");
        assert!(
            words.iter().any(|word| message.contains(word)),
            "{what}: {message}"
        );
    }
    assert_eq!(rest.get("/plugins").expect(200).body, json!([]));
    // Unharmed by all that.
    rest.upload(&component).expect(201);
}

/// A client that goes away, as one does whose request took too long, does not end the compiling.
#[test]
fn an_upload_whose_client_goes_away_is_there_in_the_end() {
    let mut worker = Worker::setup(Broker::shared()).start();
    let rest = worker.rest();
    let pid = worker.process().pid();
    // Nobody has compiled it before: the cache is the worker's own.
    let component = fs::read(paths::guest("sql-sink")).unwrap();
    let mut client = TcpStream::connect(worker.id()).unwrap();
    let head = format!(
        "POST /plugins HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        component.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(&component).unwrap();
    wait_until("the compiler runs", LIMIT, || has_child(pid));
    drop(client);
    let there = || rest.get("/plugins").expect(200).body != json!([]);
    wait_until("the plugin is there", LIMIT, there);
    rest.upload(&component).expect(200);
}

/// Whether a process has started another one.
fn has_child(pid: u32) -> bool {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let of_main = fs::read_to_string(children).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of_all = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    !of_main.trim().is_empty() || of_all.flatten().any(|list| !list.trim().is_empty())
}

#[test]
fn an_upload_over_the_limit_is_refused_with_the_key_to_change() {
    let component = file_source();
    let limit = component.len() - 1;
    let worker = Worker::setup(Broker::shared())
        .set("tidegate.plugin.max.bytes", &limit.to_string())
        .start();
    let answer = worker.rest().upload(&component);
    assert!(
        answer.error(413).contains("tidegate.plugin.max.bytes"),
        "{}",
        answer.text
    );
}

#[test]
fn other_bytes_under_the_same_name_and_version_conflict() {
    let worker = Worker::setup(Broker::shared()).start();
    let rest = worker.rest();
    let component = file_source();
    let first = rest.upload(&component).expect(201).body;
    let answer = rest.upload(&with_custom_section(component));
    assert!(answer.error(409).contains("file-source"), "{}", answer.text);
    assert_eq!(rest.get("/plugins").body[0]["digest"], first["digest"]);
}

#[test]
fn a_plugin_in_use_cannot_be_deleted() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let file = worker.scratch().text("in.txt");
    let config = [
        ("connector.class", "FileStreamSource"),
        ("topic", "in-use"),
        ("file", &*file),
    ];
    rest.create("user", &config);
    let answer = rest.delete("/plugins/file-source");
    assert!(
        answer.error(409).contains("user"),
        "names who uses it: {}",
        answer.text
    );
    rest.delete("/plugins/no-such-plugin").error(404);

    rest.delete("/connectors/user").expect(204);
    let answer = rest.delete("/plugins/file-source");
    assert!(matches!(answer.status, 200 | 204), "{}", answer.text);
    rest.get("/plugins/file-source").error(404);
    let refused = rest.post(
        "/connectors",
        &json!({"name": "late", "config": config_object(&config)}),
    );
    assert!(
        refused.error(400).contains("FileStreamSource"),
        "{}",
        refused.text
    );
}

#[test]
fn an_unknown_class_is_refused_with_what_there_is() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let config = config_object(&[("connector.class", "org.example.NoSuch"), ("topic", "t")]);
    let answer = worker
        .rest()
        .post("/connectors", &json!({"name": "lost", "config": config}));
    let message = answer.error(400);
    assert!(
        message.contains("org.example.NoSuch") && message.contains("/plugins"),
        "{message}"
    );
}
