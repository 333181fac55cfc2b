//! Tries what a guest without grants must not reach, and tells what happened.

use std::fs;
use std::net::{TcpStream, UdpSocket};

use tidegate_sdk::bindings::sql::Connection;

/// One line a try: what it was, and `denied` or what it brought.
pub fn findings() -> Vec<String> {
    vec![
        line(
            "environment",
            Some(std::env::vars().count()).filter(|count| *count > 0),
        ),
        line(
            "arguments",
            Some(std::env::args().count()).filter(|count| *count > 0),
        ),
        line("list /", fs::read_dir("/").ok().map(Iterator::count)),
        line("list .", fs::read_dir(".").ok().map(Iterator::count)),
        line(
            "read /etc/passwd",
            fs::read("/etc/passwd").ok().map(|bytes| bytes.len()),
        ),
        line("write /tmp", fs::write("/tmp/hostile", "x").ok()),
        line(
            "tcp",
            TcpStream::connect("127.0.0.1:9092")
                .ok()
                .map(|_| "connected"),
        ),
        line("udp", UdpSocket::bind("127.0.0.1:0").ok().map(|_| "bound")),
        line(
            "sql",
            Connection::open("connection.url").ok().map(|_| "opened"),
        ),
    ]
}

fn line(what: &str, brought: Option<impl std::fmt::Debug>) -> String {
    brought.map_or_else(
        || format!("{what}: denied"),
        |brought| format!("{what}: {brought:?}"),
    )
}
