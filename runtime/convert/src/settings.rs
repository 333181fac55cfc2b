//! Settings of a converter, read as Kafka's `ConfigDef` reads them.

use std::collections::BTreeMap;

use crate::{converter::Side, error::ConverterConfigError};

/// A converter's settings, without the prefix, and whose they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) map: &'a BTreeMap<String, String>,
    pub(crate) side: Side,
}

impl<'a> Settings<'a> {
    /// The text under `name`, if set.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.map.get(name).map(String::as_str)
    }

    /// The full key of `name`, for errors.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.side.setting())
    }

    /// An error about what is set under `name`.
    pub(crate) fn wrong(&self, name: &str, expected: &'static str) -> ConverterConfigError {
        let value = self.text(name).unwrap_or_default().to_owned();
        ConverterConfigError::Setting {
            key: self.key(name),
            value,
            expected,
        }
    }

    /// A BOOLEAN: any case, white space around it.
    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, ConverterConfigError> {
        match self
            .text(name)
            .map(|text| text.trim().to_ascii_lowercase())
            .as_deref()
        {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// An INT.
    pub(crate) fn int(&self, name: &str, default: i32) -> Result<i32, ConverterConfigError> {
        self.text(name).map_or(Ok(default), |text| {
            text.trim()
                .parse()
                .map_err(|_| self.wrong(name, "a whole number of 32 bits"))
        })
    }
}
