//! The connector's half.

use misbehaviour::{Orders, get};
use tidegate_sdk::bindings::source_world::exports::tidegate::connect::connector::{
    Description, Guest, Issue,
};
use tidegate_sdk::bindings::types::{Config, Failure};

use crate::Hostile;

impl Guest for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile-source".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation: "Breaks the contract on demand.".to_owned(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            wants: Vec::new(),
            exactly_once: true,
            own_transactions: false,
            replan_interval: Some(100),
        }
    }

    fn validate(config: Config) -> Vec<Issue> {
        let mut orders = Orders::new(&config);
        // validate cannot fail, so a failure is an issue here.
        let failure = orders
            .obey("validate")
            .err()
            .map(|failure| issue("misbehave", &failure.to_string()));
        match orders.word.as_str() {
            "validate-unknown-key" => vec![issue("no.such.key", "told to complain")],
            "validate-huge" => vec![issue("misbehave", &"x".repeat(1000)); 100_000],
            _ => failure.into_iter().collect(),
        }
    }

    fn plan(
        config: Config,
        max_tasks: u32,
        _: Vec<(String, String)>,
    ) -> Result<Vec<Config>, Failure> {
        let mut orders = Orders::new(&config);
        orders.obey("plan")?;
        let with = |key: &str, value: String| {
            let mut task = config.clone();
            task.push((key.to_owned(), value));
            task
        };
        Ok(match orders.word.as_str() {
            "plan-too-many" => vec![config; max_tasks as usize + 1],
            "plan-none" => Vec::new(),
            "plan-duplicate-key" => vec![with("topic", "again".to_owned())],
            "plan-huge" => vec![with("huge", "x".repeat(16 << 20))],
            "plan-restless" => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                vec![with("now", format!("{now:?}"))]
            }
            _ => {
                let tasks = get(&config, "tasks")
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(1);
                (0..max_tasks.min(tasks))
                    .map(|n| with("task", n.to_string()))
                    .collect()
            }
        })
    }

    fn alter_offsets(config: Config, _: Vec<(String, Option<String>)>) -> Result<bool, Failure> {
        Orders::new(&config).obey("alter-offsets")?;
        Ok(true)
    }
}

fn issue(key: &str, message: &str) -> Issue {
    Issue {
        key: key.to_owned(),
        message: message.to_owned(),
        recommended: Vec::new(),
    }
}
