//! Types that a configuration field can have.

use std::fmt;
use std::time::Duration;

use super::ConfigChoice;

/// A type that a configuration field can have.
pub trait ConfigValue: Sized {
    /// The name of the type in a definition: boolean, string, int, short, long, double, list,
    /// class or password.
    const KIND: &'static str;
    /// Whether the key may be absent without a default.
    const OPTIONAL: bool = false;

    /// Reads a value that is there; an error says what is expected: `a whole number`.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value of an absent key, where that is allowed.
    fn absent() -> Option<Self> {
        None
    }

    /// The only values allowed; empty: any that parse.
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }

    /// For `min` and `max`.
    fn magnitude(&self) -> Option<f64> {
        None
    }
}

/// A value that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The value itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A value that only the host reads, such as the URL of a connection that the plugin
/// [wants](crate::Description::uses_connection): the guest declares the key and may not see what
/// it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostHeld;

impl ConfigValue for HostHeld {
    const KIND: &'static str = "string";

    fn parse(_: &str) -> Result<Self, String> {
        Ok(Self)
    }

    // The host checks that it is there.
    fn absent() -> Option<Self> {
        Some(Self)
    }
}

impl ConfigValue for String {
    const KIND: &'static str = "string";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ConfigValue for Password {
    const KIND: &'static str = "password";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl ConfigValue for bool {
    const KIND: &'static str = "boolean";

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("true or false".to_owned()),
        }
    }
}

impl ConfigValue for Vec<String> {
    const KIND: &'static str = "list";

    fn parse(text: &str) -> Result<Self, String> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Ok(items.map(str::to_owned).collect())
    }
}

/// Milliseconds.
impl ConfigValue for Duration {
    const KIND: &'static str = "long";

    fn parse(text: &str) -> Result<Self, String> {
        let millis = text
            .parse()
            .map_err(|_| "a whole number of milliseconds".to_owned())?;
        Ok(Self::from_millis(millis))
    }

    fn magnitude(&self) -> Option<f64> {
        Some(self.as_secs_f64() * 1000.0)
    }
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    const KIND: &'static str = T::KIND;
    const OPTIONAL: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn choices() -> Vec<&'static str> {
        T::choices()
    }

    fn magnitude(&self) -> Option<f64> {
        self.as_ref().and_then(T::magnitude)
    }
}

impl<T: ConfigChoice> ConfigValue for T {
    const KIND: &'static str = "string";

    fn parse(text: &str) -> Result<Self, String> {
        let found = T::CHOICES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("one of {}", T::choices().join(", ")))
    }

    fn choices() -> Vec<&'static str> {
        T::CHOICES.iter().map(|(name, _)| *name).collect()
    }
}

macro_rules! numbers {
    ($($number:ty: $kind:literal, $expected:literal;)*) => {$(
        impl ConfigValue for $number {
            const KIND: &'static str = $kind;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }

            // Bounds are written by hand; those beyond 2^53 are compared in a rounded form.
            #[allow(clippy::cast_lossless, clippy::cast_precision_loss)]
            fn magnitude(&self) -> Option<f64> {
                Some(*self as f64)
            }
        }
    )*};
}

numbers! {
    i16: "short", "a whole number from -32768 to 32767";
    u16: "int", "a whole number from 0 to 65535";
    i32: "int", "a whole number of 32 bits";
    u32: "int", "a whole number of 32 bits, not negative";
    i64: "long", "a whole number of 64 bits";
    u64: "long", "a whole number of 64 bits, not negative";
    usize: "int", "a whole number, not negative";
    f64: "double", "a number";
}
