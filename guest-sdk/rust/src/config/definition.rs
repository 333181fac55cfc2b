//! What the derive knows about a key, and what becomes of it.

use std::fmt;

use super::{ConfigValue, RawConfig};

/// What a struct field says about its key; made by the derive.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Spec {
    pub key: &'static str,
    pub aliases: &'static [&'static str],
    pub documentation: &'static str,
    pub importance: &'static str,
    pub group: &'static str,
    pub display_name: &'static str,
    pub default: Option<&'static str>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub dependents: &'static [&'static str],
}

/// One key of a configuration, as a form or a validator needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The key.
    pub name: String,
    /// The type, by Connect's name in lower case.
    pub kind: String,
    /// high, medium or low.
    pub importance: String,
    /// What it is for.
    pub documentation: String,
    /// A heading it belongs under.
    pub group: String,
    /// Its name in a form.
    pub display_name: String,
    /// Its value when it is absent.
    pub default: Option<String>,
    /// Whether a configuration without it is refused.
    pub required: bool,
    /// The values allowed; empty: any.
    pub choices: Vec<String>,
    /// Keys whose meaning depends on it.
    pub dependents: Vec<String>,
}

/// Something wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key.
    pub key: String,
    /// What is wrong and what to do, with the key in it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

#[doc(hidden)]
pub fn define<T: ConfigValue>(spec: &Spec) -> Definition {
    let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    Definition {
        name: spec.key.to_owned(),
        kind: T::KIND.to_owned(),
        importance: spec.importance.to_owned(),
        documentation: match spec.aliases {
            [] => spec.documentation.to_owned(),
            aliases => format!("{} Also: {}.", spec.documentation, aliases.join(", ")),
        },
        group: spec.group.to_owned(),
        display_name: spec.display_name.to_owned(),
        default: spec.default.map(str::to_owned),
        required: spec.default.is_none() && !T::OPTIONAL,
        choices: owned(&T::choices()),
        dependents: owned(spec.dependents),
    }
}

/// The value of one key, or nothing and one more error.
#[doc(hidden)]
pub fn check<T: ConfigValue>(
    raw: &RawConfig,
    spec: &Spec,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let mut wrong = |message: String| {
        errors.push(ConfigError {
            key: spec.key.to_owned(),
            message,
        });
        None
    };
    let spellings = spellings(raw, spec);
    let (key, text) = match (spellings.first(), spec.default) {
        (Some(given), _) => *given,
        (None, Some(default)) => (spec.key, default),
        (None, None) => {
            return match T::absent() {
                Some(value) => Some(value),
                None => wrong(format!(
                    "{} is missing, set it: {}",
                    spec.key,
                    sentence(spec.documentation)
                )),
            };
        }
    };
    // A password is the one value that no message may repeat.
    let shown = |text| match T::KIND {
        "password" => "[hidden]",
        _ => text,
    };
    if let Some((other, contrary)) = spellings.iter().find(|(_, other)| *other != text) {
        return wrong(format!(
            "{key} is {} and {other} is {}, which mean the same: set one of them",
            shown(text),
            shown(contrary)
        ));
    }
    let shown = shown(text);
    let value = match T::parse(text) {
        Ok(value) => value,
        Err(expected) => return wrong(format!("{key} is {shown}, expected {expected}")),
    };
    match (value.magnitude(), spec.min, spec.max) {
        (Some(n), Some(min), _) if n < min => {
            wrong(format!("{key} is {shown}, it must be at least {min}"))
        }
        (Some(n), _, Some(max)) if n > max => {
            wrong(format!("{key} is {shown}, it must be at most {max}"))
        }
        _ => Some(value),
    }
}

/// The key and its aliases, as far as they are set, and to what.
fn spellings<'a>(raw: &'a RawConfig, spec: &Spec) -> Vec<(&'static str, &'a str)> {
    let keys = std::iter::once(&spec.key).chain(spec.aliases);
    keys.filter_map(|key| Some((*key, raw.get(key)?.trim())))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// The first sentence of a documentation, as the end of a message.
fn sentence(documentation: &str) -> String {
    let first = documentation
        .split(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let mut chars = first.chars();
    let small = chars
        .next()
        .map(|first| first.to_lowercase().to_string())
        .unwrap_or_default();
    small + chars.as_str()
}
