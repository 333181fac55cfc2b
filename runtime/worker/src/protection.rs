//! Keys of a worker's file that protect something in Kafka Connect and cannot be obeyed here yet. Ignored,
//! they would leave open what their writer believes to be closed: they end the start.

use tidegate_model::config::{self, ConfigMap};

use crate::settings::SettingsError;

/// Whoever sets this knows that REST is open to all who reach its address.
const UNSECURED: &str = "tidegate.rest.unsecured";

const FIX_REST: &str = "REST has no authentication and no TLS. Put a proxy in front that has, bind listeners to \
     loopback, remove the key, and set tidegate.rest.unsecured=true to say that you know";

const FIX_VALUE: &str = "configuration providers do not work yet: write the value itself, in a file that only \
     the worker's user may read";

const FIX_POLICY: &str = "connectors may set every client key but those that run code or read files; there is \
     no other policy yet. Set it to All, or set tidegate.rest.unsecured=true to say that you know";

/// REST's: authentication, TLS, who may call.
const REST_KEYS: [&str; 3] = [
    "rest.extension.classes",
    "ssl.client.auth",
    "admin.listeners",
];
const REST_PREFIXES: [&str; 2] = ["listeners.https.", "admin.listeners.https."];

/// Refuses what is not obeyed.
///
/// # Errors
/// [`SettingsError::Unprotected`] names the key and what to do.
pub(crate) fn check(raw: &ConfigMap) -> Result<(), SettingsError> {
    let unprotected = |key: &str, fix| {
        Err(SettingsError::Unprotected {
            key: key.to_owned(),
            fix,
        })
    };
    let knows = raw.get(UNSECURED).and_then(|v| config::boolean(v)) == Some(true);
    for (key, value) in raw {
        let value = value.trim();
        if has_reference(value) {
            return unprotected(key, FIX_VALUE);
        }
        let is_of_rest = REST_KEYS.contains(&key.as_str())
            || REST_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        let is_off = value.is_empty() || (key == "ssl.client.auth" && value == "none");
        if is_of_rest && !is_off && !knows {
            return unprotected(key, FIX_REST);
        }
        let is_policy = key == "connector.client.config.override.policy";
        if is_policy && !value.is_empty() && value != "All" && !knows {
            return unprotected(key, FIX_POLICY);
        }
    }
    Ok(())
}

/// Whether a value holds `${provider:...}`, which a configuration provider would replace.
pub(crate) fn has_reference(value: &str) -> bool {
    value.split("${").skip(1).any(|rest| {
        let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        word.is_some_and(|end| end > 0 && rest.get(end..).is_some_and(|r| r.starts_with(':')))
            && rest.contains('}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pairs: &[(&str, &str)]) -> Result<(), SettingsError> {
        let pairs = pairs.iter();
        check(
            &pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn what_protects_is_refused_with_the_way_out() {
        for (key, value) in [
            ("rest.extension.classes", "com.example.Auth"),
            ("listeners.https.ssl.keystore.location", "/k.jks"),
            ("ssl.client.auth", "required"),
            ("connector.client.config.override.policy", "None"),
            ("sasl.jaas.config", "${file:/secrets:jaas}"),
        ] {
            let error = checked(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert_eq!(checked(&[("ssl.client.auth", "none")]), Ok(()));
        assert_eq!(
            checked(&[("connector.client.config.override.policy", "All")]),
            Ok(())
        );
    }

    #[test]
    fn who_knows_that_rest_is_open_may_say_so() {
        let known = [
            ("tidegate.rest.unsecured", "true"),
            ("rest.extension.classes", "x"),
        ];
        assert_eq!(checked(&known), Ok(()));
    }

    #[test]
    fn a_reference_has_a_provider_and_an_end() {
        for text in ["${file:/a:b}", "x${env:HOME}", "${vault-1:a}"] {
            assert!(has_reference(text), "{text}");
        }
        for text in [
            "${topic}",
            "$file:a",
            "${:a}",
            "a:b",
            "${file:",
            "${timestamp}:x",
        ] {
            assert!(!has_reference(text), "{text}");
        }
    }
}
