//! `sasl.jaas.config`: the one line of Java configuration that carries a user name and a password.

use std::collections::BTreeMap;

/// Why the line cannot be used. The text never holds the password (D10).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JaasError {
    /// A login module whose mechanism is not available.
    #[error(
        "sasl.jaas.config names the login module {0:?}; PlainLoginModule and ScramLoginModule are \
         available"
    )]
    Module(String),
    /// An option is missing.
    #[error("sasl.jaas.config lacks {0}=\"...\"")]
    Missing(&'static str),
    /// Not of the form `module flag key="value" ... ;`.
    #[error(
        "sasl.jaas.config is not of the form MODULE required username=\"...\" password=\"...\";"
    )]
    Form,
}

/// User name and password of a JAAS line for PLAIN or SCRAM.
///
/// # Errors
/// [`JaasError`] names what is missing or not available.
pub fn credentials(line: &str) -> Result<(String, String), JaasError> {
    let line = line.trim();
    let line = line.strip_suffix(';').ok_or(JaasError::Form)?;
    let (module, rest) = line
        .split_once(char::is_whitespace)
        .ok_or(JaasError::Form)?;
    let module = module.rsplit('.').next().unwrap_or(module);
    if module != "PlainLoginModule" && module != "ScramLoginModule" {
        return Err(JaasError::Module(module.to_owned()));
    }
    let (_flag, options) = rest
        .trim_start()
        .split_once(char::is_whitespace)
        .ok_or(JaasError::Form)?;
    let mut options = parse_options(options)?;
    let username = options
        .remove("username")
        .ok_or(JaasError::Missing("username"))?;
    let password = options
        .remove("password")
        .ok_or(JaasError::Missing("password"))?;
    Ok((username, password))
}

/// `key=value key="quoted \" value"`, as Java's StreamTokenizer reads it.
fn parse_options(text: &str) -> Result<BTreeMap<String, String>, JaasError> {
    let mut options = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(JaasError::Form)?;
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix(['"', '\'']) {
            Some(quoted) => unquote(quoted, after.starts_with('"'))?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.to_owned(), after)
            }
        };
        options.insert(key.trim().to_owned(), value);
        rest = after.trim_start();
    }
    Ok(options)
}

fn unquote(text: &str, double: bool) -> Result<(String, &str), JaasError> {
    let quote = if double { '"' } else { '\'' };
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            value.push(chars.next().ok_or(JaasError::Form)?.1);
        } else if c == quote {
            return Ok((value, text.get(at + 1..).unwrap_or("")));
        } else {
            value.push(c);
        }
    }
    Err(JaasError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_scram() {
        let line = r#"org.apache.kafka.common.security.scram.ScramLoginModule required
            username="alice" password="a\"b;c d";"#;
        assert_eq!(
            credentials(line),
            Ok(("alice".to_owned(), "a\"b;c d".to_owned()))
        );
        let line = "PlainLoginModule required username=bob password='x=y' ;";
        assert_eq!(credentials(line), Ok(("bob".to_owned(), "x=y".to_owned())));
    }

    #[test]
    fn says_what_is_wrong_without_the_password() {
        assert!(matches!(
            credentials("a.b.Krb5LoginModule required useKeyTab=true;"),
            Err(JaasError::Module(m)) if m == "Krb5LoginModule"
        ));
        let error = credentials(r#"PlainLoginModule required password="secret";"#).unwrap_err();
        assert_eq!(error, JaasError::Missing("username"));
        assert!(!error.to_string().contains("secret"));
        assert_eq!(credentials("PlainLoginModule"), Err(JaasError::Form));
    }
}
