//! What can be known of client settings without a broker. librdkafka would say some of it only when
//! it connects, in its own names, and some of it never.

use std::fs;

use tidegate_model::config::ConfigMap;

use crate::client_config::ClientConfigError;

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Checks all settings of a client together, in Java's words.
///
/// # Errors
/// [`ClientConfigError`] names the key and what to write.
pub(crate) fn check(java: &ConfigMap) -> Result<(), ClientConfigError> {
    let get = |key: &str| java.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
    let protocol = get("security.protocol")
        .unwrap_or("PLAINTEXT")
        .to_ascii_uppercase();
    if !PROTOCOLS.contains(&protocol.as_str()) {
        return Err(invalid(
            "security.protocol",
            format!("{protocol:?} is none of {}", PROTOCOLS.join(", ")),
        ));
    }
    if protocol.starts_with("SASL") {
        let mechanism = get("sasl.mechanism");
        let name = mechanism.unwrap_or("GSSAPI").to_ascii_uppercase();
        if !MECHANISMS.contains(&name.as_str()) {
            let default = if mechanism.is_none() {
                " (the default)"
            } else {
                ""
            };
            return Err(invalid(
                "sasl.mechanism",
                format!(
                    "{name}{default} is not available; there are {}",
                    MECHANISMS.join(", ")
                ),
            ));
        }
        if get("sasl.jaas.config").is_none() && get("sasl.username").is_none() {
            return Err(invalid(
                "sasl.jaas.config",
                format!(
                    "it is missing, and security.protocol={protocol} needs a user name and a password"
                ),
            ));
        }
    }
    if protocol.ends_with("SSL") {
        let is_pem = |key: &str| get(key).is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
        if let Some(path) = get("ssl.truststore.location").filter(|_| is_pem("ssl.truststore.type"))
        {
            has("ssl.truststore.location", path, &["CERTIFICATE"])?;
        }
        if let Some(path) = get("ssl.keystore.location") {
            let parts: &[&str] = if is_pem("ssl.keystore.type") {
                &["CERTIFICATE", "PRIVATE KEY"]
            } else {
                &[]
            };
            has("ssl.keystore.location", path, parts)?;
        }
    }
    Ok(())
}

/// Whether the file can be read and has these parts of PEM.
fn has(key: &str, path: &str, parts: &[&str]) -> Result<(), ClientConfigError> {
    let bytes = fs::read(path).map_err(|e| invalid(key, format!("{path} cannot be read: {e}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let has = |part: &str| {
        let begins = text
            .lines()
            .any(|line| line.starts_with("-----BEGIN ") && line.contains(part));
        begins && text.contains("-----END ")
    };
    match parts.iter().find(|part| !has(part)) {
        Some(part) => Err(invalid(key, format!("{path} holds no {part} in PEM"))),
        None => Ok(()),
    }
}

fn invalid(key: &str, reason: String) -> ClientConfigError {
    ClientConfigError::Value {
        key: key.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> Option<String> {
        let java = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        check(&java.collect()).err().map(|e| e.to_string())
    }

    #[test]
    fn what_cannot_connect_is_refused_with_its_key() {
        let jaas = "org.x.PlainLoginModule required username=\"a\" password=\"s3cret\";";
        for (pairs, key) in [
            (&[("security.protocol", "TLS")][..], "security.protocol"),
            (&[("security.protocol", "SASL_SSL")], "sasl.mechanism"),
            (
                &[
                    ("security.protocol", "sasl_plaintext"),
                    ("sasl.mechanism", "OAUTHBEARER"),
                ],
                "sasl.mechanism",
            ),
            (
                &[
                    ("security.protocol", "SASL_SSL"),
                    ("sasl.mechanism", "PLAIN"),
                ],
                "sasl.jaas.config",
            ),
            (
                &[
                    ("security.protocol", "SSL"),
                    ("ssl.truststore.type", "PEM"),
                    ("ssl.truststore.location", "/not/there.pem"),
                ],
                "ssl.truststore.location",
            ),
            (
                &[
                    ("security.protocol", "SSL"),
                    ("ssl.keystore.type", "PKCS12"),
                    ("ssl.keystore.location", "/not/there.p12"),
                ],
                "ssl.keystore.location",
            ),
        ] {
            let said = refusal(pairs).unwrap_or_default();
            assert!(said.contains(key), "{pairs:?}: {said}");
        }
        let good = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", jaas),
            // Of no use without TLS, so nobody reads it.
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "/not/there.pem"),
        ];
        assert_eq!(refusal(&good), None);
    }
}
