//! Definitions of configuration keys (Connect's ConfigDef) and the checks that follow from them.

use serde::{Deserialize, Serialize};

use crate::config::{self, ConfigMap};

/// One configuration key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The key.
    pub name: String,
    /// Connect's type in lower case: boolean, string, int, short, long, double, list, class,
    /// password.
    pub kind: String,
    /// high, medium or low.
    pub importance: String,
    /// For people.
    pub documentation: String,
    /// Section of a form.
    pub group: String,
    /// Label in a form.
    pub display_name: String,
    /// Used where the key is absent.
    pub default: Option<String>,
    /// Absent is an error.
    pub required: bool,
    /// Allowed values; empty: any.
    pub choices: Vec<String>,
    /// Keys that show only when this one is set.
    pub dependents: Vec<String>,
}

impl Definition {
    /// What is wrong with the value of this key in `config`, in Connect's words.
    pub fn errors(&self, config: &ConfigMap) -> Vec<String> {
        let Some(value) = config.get(&self.name).or(self.default.as_ref()) else {
            if self.required {
                return vec![format!(
                    "Missing required configuration \"{}\" which has no default value.",
                    self.name
                )];
            }
            return Vec::new();
        };
        if let Some(wanted) = self.type_problem(value) {
            return vec![format!(
                "Invalid value {value} for configuration {}: {wanted}",
                self.name
            )];
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|c| c == value) {
            return vec![format!(
                "Invalid value {value} for configuration {}: String must be one of: {}",
                self.name,
                self.choices.join(", ")
            )];
        }
        Vec::new()
    }

    fn type_problem(&self, value: &str) -> Option<String> {
        let trimmed = value.trim();
        let number = |ok: bool, what: &str| (!ok).then(|| format!("Not a number of type {what}"));
        match self.kind.as_str() {
            "boolean" => config::boolean(value)
                .is_none()
                .then(|| "Expected value to be either true or false".to_owned()),
            "short" => number(trimmed.parse::<i16>().is_ok(), "SHORT"),
            "int" => number(trimmed.parse::<i32>().is_ok(), "INT"),
            "long" => number(trimmed.parse::<i64>().is_ok(), "LONG"),
            "double" => number(trimmed.parse::<f64>().is_ok(), "DOUBLE"),
            _ => None,
        }
    }
}

/// All that is wrong with `config` by its definitions: key and message.
pub fn check(definitions: &[Definition], config: &ConfigMap) -> Vec<(String, String)> {
    definitions
        .iter()
        .flat_map(|d| {
            d.errors(config)
                .into_iter()
                .map(|message| (d.name.clone(), message))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: &str) -> Definition {
        Definition {
            name: "k".into(),
            kind: kind.into(),
            required: true,
            ..Definition::default()
        }
    }

    fn errors(definition: &Definition, value: Option<&str>) -> Vec<String> {
        let config = value
            .map(|v| ("k".to_owned(), v.to_owned()))
            .into_iter()
            .collect();
        definition.errors(&config)
    }

    #[test]
    fn missing_and_default() {
        let mut d = definition("string");
        assert_eq!(
            errors(&d, None),
            ["Missing required configuration \"k\" which has no default value."]
        );
        d.default = Some("x".into());
        assert!(errors(&d, None).is_empty());
    }

    #[test]
    fn types() {
        for (kind, good, bad) in [
            ("boolean", "True", "yes"),
            ("int", " 7 ", "7.5"),
            ("short", "-3", "40000"),
            ("long", "9999999999", "x"),
            ("double", "1e3", "one"),
        ] {
            let d = definition(kind);
            assert!(errors(&d, Some(good)).is_empty(), "{kind} {good}");
            assert_eq!(errors(&d, Some(bad)).len(), 1, "{kind} {bad}");
        }
    }

    #[test]
    fn choices() {
        let d = Definition {
            choices: vec!["insert".into()],
            ..definition("string")
        };
        assert!(errors(&d, Some("insert")).is_empty());
        assert!(errors(&d, Some("upsert"))[0].contains("must be one of: insert"));
    }
}
