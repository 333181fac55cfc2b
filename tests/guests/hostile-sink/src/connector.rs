//! The connector's half: well-behaved, but for what every export can do wrong.

use misbehaviour::Orders;
use tidegate_sdk::bindings::sink_world::exports::tidegate::connect::connector::{
    Description, Guest, Issue,
};
use tidegate_sdk::bindings::types::{Config, Failure};

use crate::Hostile;

impl Guest for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile-sink".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation: "Breaks the contract on demand.".to_owned(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            wants: Vec::new(),
            exactly_once: false,
            own_transactions: false,
            replan_interval: None,
        }
    }

    fn validate(config: Config) -> Vec<Issue> {
        let failure = Orders::new(&config).obey("validate").err();
        let issue = |failure: Failure| Issue {
            key: "misbehave".to_owned(),
            message: failure.to_string(),
            recommended: Vec::new(),
        };
        failure.map(issue).into_iter().collect()
    }

    fn plan(
        config: Config,
        max_tasks: u32,
        _: Vec<(String, String)>,
    ) -> Result<Vec<Config>, Failure> {
        Orders::new(&config).obey("plan")?;
        Ok(vec![config; max_tasks as usize])
    }

    fn alter_offsets(config: Config, _: Vec<(String, Option<String>)>) -> Result<bool, Failure> {
        Orders::new(&config).obey("alter-offsets")?;
        Ok(true)
    }
}
