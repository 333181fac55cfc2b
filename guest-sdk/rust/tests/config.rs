//! What the derives make of a configuration.

// A helper of tests is a test too.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidegate_sdk::config::{
    ConfigChoice, ConnectorConfig, Definition, HostHeld, Password, RawConfig,
};

#[derive(ConnectorConfig)]
struct Config {
    /// The server to talk to.
    /// It has two sentences. No, three.
    #[config(importance = "high", group = "Server", display_name = "Server address")]
    server_url: String,
    /// How deep to look.
    #[config(default = -1, min = -1, max = 9)]
    depth: i32,
    /// How to go on.
    #[config(default = "carry-on", aliases = ["way", "old.way"], dependents = ["depth"])]
    mode: Mode,
    /// A secret, if needed.
    token: Option<Password>,
    /// Names, in order.
    #[config(default = "a, b")]
    names: Vec<String>,
    /// The rest between two looks.
    #[config(key = "rest.ms", default = 100, max = 1000)]
    rest: Duration,
    /// Where the data is.
    #[config(key = "connection.url")]
    _connection: HostHeld,
    #[config(internal)]
    part: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, ConfigChoice)]
enum Mode {
    #[config(name = "full_stop")]
    Stop,
    CarryOn,
}

fn definition(name: &str) -> Definition {
    Config::definitions()
        .into_iter()
        .find(|known| known.name == name)
        .unwrap()
}

fn messages<const N: usize>(pairs: [(&str, &str); N]) -> Vec<String> {
    let errors = Config::parse(&RawConfig::from(pairs))
        .err()
        .unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn definitions_say_what_the_struct_says() {
    let url = definition("server.url");
    assert_eq!(
        url.documentation,
        "The server to talk to. It has two sentences. No, three."
    );
    assert_eq!(
        (url.kind.as_str(), url.required, url.default),
        ("string", true, None)
    );
    assert_eq!(
        (url.importance.as_str(), url.group.as_str()),
        ("high", "Server")
    );
    assert_eq!(url.display_name, "Server address");
    let depth = definition("depth");
    assert_eq!(
        (depth.kind.as_str(), depth.default.as_deref()),
        ("int", Some("-1"))
    );
    assert_eq!(
        (depth.required, depth.display_name.as_str()),
        (false, "Depth")
    );
    let mode = definition("mode");
    assert_eq!(
        (mode.choices, mode.dependents),
        (
            vec!["full_stop".into(), "carry-on".into()],
            vec!["depth".into()]
        )
    );
    assert_eq!(mode.documentation, "How to go on. Also: way, old.way.");
    let token = definition("token");
    assert_eq!((token.kind.as_str(), token.required), ("password", false));
    assert_eq!(definition("rest.ms").kind, "long");
    let held = definition("connection.url");
    assert_eq!((held.kind.as_str(), held.required), ("string", true));
    assert_eq!(
        Config::definitions().len(),
        7,
        "internal keys are not shown"
    );
}

#[test]
fn absent_keys_take_their_defaults() {
    let config = Config::parse(&RawConfig::from([("server.url", " u "), ("unknown", "x")]))
        .ok()
        .unwrap();
    assert_eq!(
        (config.server_url.as_str(), config.depth, config.mode),
        ("u", -1, Mode::CarryOn)
    );
    assert_eq!(
        (config.names.join("+"), config.rest),
        ("a+b".into(), Duration::from_millis(100))
    );
    assert!(config.token.is_none() && config.part.is_none());
}

#[test]
fn present_keys_are_parsed() {
    let pairs = [
        ("server.url", "u"),
        ("mode", "FULL_STOP"),
        ("token", "t"),
        ("names", ""),
        ("part", "7"),
    ];
    let config = Config::parse(&RawConfig::from(pairs)).ok().unwrap();
    assert_eq!((config.mode, config.part), (Mode::Stop, Some(7)));
    assert_eq!(config.token.as_ref().map(Password::reveal), Some("t"));
    assert_eq!(format!("{:?}", config.token), "Some([hidden])");
}

#[test]
fn all_mistakes_are_named_at_once() {
    assert_eq!(
        messages([
            ("depth", "10"),
            ("mode", "go"),
            ("rest.ms", "soon"),
            ("part", "x")
        ]),
        [
            "server.url is missing, set it: the server to talk to",
            "depth is 10, it must be at most 9",
            "mode is go, expected one of full_stop, carry-on",
            "rest.ms is soon, expected a whole number of milliseconds",
            "part is x, expected a whole number of 64 bits, not negative",
        ]
    );
    assert_eq!(messages([("server.url", ""), ("depth", "-2")]).len(), 2);
}

#[test]
fn aliases_are_read_and_may_not_disagree() {
    let mode = |pairs: &[(&str, &str)]| {
        let raw: RawConfig = pairs.iter().copied().collect();
        let config = Config::parse(&raw.with("server.url", "u"));
        config
            .map(|config| config.mode)
            .map_err(|errors| errors[0].to_string())
    };
    assert_eq!(mode(&[("old.way", "full_stop")]), Ok(Mode::Stop));
    let same = [
        ("mode", "full_stop"),
        ("way", " full_stop "),
        ("old.way", ""),
    ];
    assert_eq!(mode(&same), Ok(Mode::Stop));
    assert_eq!(
        mode(&[("mode", "carry-on"), ("old.way", "full_stop")]),
        Err(
            "mode is carry-on and old.way is full_stop, which mean the same: set one of them"
                .into()
        )
    );
    assert_eq!(
        mode(&[("way", "go")]),
        Err("way is go, expected one of full_stop, carry-on".into())
    );
}
