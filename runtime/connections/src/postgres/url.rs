//! PostgreSQL's connection URLs: `jdbc:postgresql:`, as Kafka Connect has them, and `postgres:`.
//!
//! Messages name parameters that are known and no other part of the URL: behind a `&` that
//! somebody forgot to escape, the name of a parameter is the rest of a password (D10).

use std::time::Duration;

use super::parameters::{self, Parameter};

const DEFAULT_PORT: u16 = 5432;
const FORM: &str = "use jdbc:postgresql://HOST:PORT/DATABASE";

/// How the network between here and the server is guarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Security {
    /// In clear.
    Disable,
    /// Encrypted if the server can, with whomever it is.
    #[default]
    Prefer,
    /// Encrypted, with whomever it is.
    Require,
    /// Encrypted, with the host of the URL as a trusted authority attests it.
    Verify,
}

/// What SCRAM does about the certificate of the link it runs over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Binding {
    /// Nothing.
    Disable,
    /// Binds to it where the server offers that.
    #[default]
    Prefer,
    /// Insists on it.
    Require,
}

/// What a URL says.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct PostgresUrl {
    /// Names or addresses with ports, in the order in which they are tried.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) security: Security,
    pub(super) binding: Binding,
    /// For `search_path`.
    pub(super) schemas: Option<String>,
    pub(super) application_name: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    /// Whether servers that cannot be written to are passed over.
    pub(super) writable_only: bool,
    /// Whether a pooler may hand each transaction to another server process: `prepareThreshold=0`.
    pub(super) pools_transactions: bool,
}

/// Without the values: they can be passwords (D10).
impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresUrl")
    }
}

/// Reads `url` if it is PostgreSQL's; the error is the problem alone.
pub(crate) fn parse(url: &str) -> Option<Result<PostgresUrl, String>> {
    let after = |prefix: &str| {
        let (start, rest) = url.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    if let Some(rest) = after("jdbc:postgresql:") {
        return Some(jdbc(rest));
    }
    after("postgresql://")
        .or_else(|| after("postgres://"))
        .map(libpq)
}

fn jdbc(rest: &str) -> Result<PostgresUrl, String> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(format!("the url names no host; {FORM}"));
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if rest.contains('@') {
        return Err(format!(
            "jdbc urls have no user before the host; {FORM}?user=USER&password=PASSWORD"
        ));
    }
    let mut url = place(rest)?;
    parameters(&mut url, query, |text| decoded(&text.replace('+', " ")))?;
    Ok(url)
}

fn libpq(rest: &str) -> Result<PostgresUrl, String> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((credentials, rest)) => (Some(credentials), rest),
        None => (None, rest),
    };
    let mut url = place(rest)?;
    if let Some(credentials) = credentials {
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        url.user = Some(decoded(user)?);
        url.password = password.map(decoded).transpose()?;
    }
    parameters(&mut url, query, decoded)?;
    Ok(url)
}

/// `HOST:PORT,HOST:PORT/DATABASE`.
fn place(text: &str) -> Result<PostgresUrl, String> {
    let (hosts, database) = text.split_once('/').unwrap_or((text, ""));
    let hosts = hosts.split(',').map(host).collect::<Result<_, _>>()?;
    let database = decoded(database)?;
    if database.contains(['/', '\0']) {
        return Err(format!("the url's database has a / or a NUL; {FORM}"));
    }
    Ok(PostgresUrl {
        hosts,
        database: (!database.is_empty()).then_some(database),
        ..PostgresUrl::default()
    })
}

fn host(text: &str) -> Result<(String, u16), String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']').unwrap_or_default();
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').unwrap_or("none")),
            };
            (name.to_owned(), port)
        }
        None => {
            let (name, port) = match text.rsplit_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            };
            (decoded(name)?, port)
        }
    };
    if name.starts_with(['/', '@', '\\']) {
        return Err(format!("unix sockets are not available; {FORM}"));
    }
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("the url names no host; {FORM}"));
    }
    let port = match port {
        None => Some(DEFAULT_PORT),
        Some(port) => port.parse().ok().filter(|port| *port > 0),
    };
    let port = port.ok_or_else(|| "the url's port is no number from 1 to 65535".to_owned())?;
    Ok((name, port))
}

fn parameters(
    url: &mut PostgresUrl,
    query: &str,
    decode: impl Fn(&str) -> Result<String, String>,
) -> Result<(), String> {
    let mut ssl = None;
    let mut mode = None;
    for (index, pair) in query.split('&').enumerate() {
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value)?;
        match parameters::known(name) {
            Some(Parameter::User) => url.user = Some(value),
            Some(Parameter::Password) => url.password = Some(value),
            Some(Parameter::Schemas) => url.schemas = Some(value),
            Some(Parameter::ApplicationName) => url.application_name = Some(value),
            Some(Parameter::ConnectTimeout) => {
                let seconds = value.parse().map_err(|_| {
                    format!("the url's {name} is no number of seconds; write {name}=10")
                })?;
                // As in both of them, none at all is no limit; there always is one here.
                url.connect_timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            Some(Parameter::SslMode) => mode = Some(security(&value)?),
            Some(Parameter::Ssl) => ssl = Some(matches!(value.as_str(), "" | "true")),
            Some(Parameter::ChannelBinding) => url.binding = binding(&value)?,
            Some(Parameter::ServerType) => url.writable_only = writable(name, &value)?,
            Some(Parameter::PrepareThreshold) => url.pools_transactions = value == "0",
            Some(Parameter::Ignored) => {}
            Some(Parameter::Off(off)) if off.contains(&value.as_str()) => {}
            Some(Parameter::Off(off)) => {
                let off = off.first().unwrap_or(&"");
                return Err(format!(
                    "the url's {name} can only be {off} here; leave it out"
                ));
            }
            Some(Parameter::Refused(why)) => {
                return Err(format!("the url's {name} is not available: {why}"));
            }
            None => {
                return Err(format!(
                    "parameter number {} of the url is not known; check its spelling, and write \
                     %26 for a & inside a value",
                    index + 1
                ));
            }
        }
    }
    url.security = match (mode, ssl) {
        (Some(mode), _) => mode,
        (None, Some(true)) => Security::Verify,
        (None, _) => Security::default(),
    };
    Ok(())
}

fn security(mode: &str) -> Result<Security, String> {
    Ok(match mode {
        "disable" => Security::Disable,
        "allow" | "prefer" => Security::Prefer,
        "require" => Security::Require,
        "verify-ca" | "verify-full" => Security::Verify,
        _ => {
            return Err(
                "the url's sslmode is not known; use disable, prefer, require or verify-full"
                    .to_owned(),
            );
        }
    })
}

fn binding(mode: &str) -> Result<Binding, String> {
    Ok(match mode {
        "disable" => Binding::Disable,
        "prefer" => Binding::Prefer,
        "require" => Binding::Require,
        _ => {
            return Err(
                "the url's channel binding is not known; use disable, prefer or require".to_owned(),
            );
        }
    })
}

fn writable(name: &str, kind: &str) -> Result<bool, String> {
    match kind {
        "any" => Ok(false),
        "primary" | "master" | "read-write" => Ok(true),
        _ => Err(format!(
            "the url's {name} can be any or primary here: a connection may have to write"
        )),
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, String> {
    let problem = || {
        "the url has a % that is not followed by two hexadecimal digits of UTF-8; write %25 for a %"
            .to_owned()
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        out.extend_from_slice(plain.as_bytes());
        let (digits, after) = escaped.split_at_checked(2).ok_or_else(problem)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(problem());
        }
        out.push(u8::from_str_radix(digits, 16).map_err(|_| problem())?);
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    let text = String::from_utf8(out).map_err(|_| problem())?;
    if text.contains('\0') {
        return Err("the url has a NUL character; leave it out".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine(url: &str) -> PostgresUrl {
        parse(url).unwrap().unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        let jdbc = fine(
            "jdbc:postgresql://h/d%20b?user=a%40b&password=p%26+%2B&sslmode=verify-full\
             &ApplicationName=app&connectTimeout=3&currentSchema=one,two",
        );
        let mut libpq = fine(
            "postgres://a%40b:p%26%20+@h:5432/d%20b?sslmode=verify-full&application_name=app\
             &connect_timeout=3",
        );
        libpq.schemas = Some("one,two".into());
        assert!(jdbc == libpq);
        assert_eq!(jdbc.hosts, [("h".to_owned(), 5432)]);
        assert_eq!(jdbc.database.as_deref(), Some("d b"));
        assert_eq!(jdbc.password.as_deref(), Some("p& +"));
        assert_eq!(jdbc.connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(format!("{jdbc:?}"), "PostgresUrl");
    }

    #[test]
    fn hosts_have_ports() {
        let url = fine("JDBC:PostgreSQL://a,b:1,[::1],[fe80::1]:2/");
        let host = |name: &str, port| (name.to_owned(), port);
        assert_eq!(
            url.hosts,
            [
                host("a", 5432),
                host("b", 1),
                host("::1", 5432),
                host("fe80::1", 2)
            ]
        );
        assert_eq!(url.database, None);
    }

    #[test]
    fn security_is_that_of_the_jdbc_driver() {
        for (query, security) in [
            ("", Security::Prefer),
            ("?ssl=false", Security::Prefer),
            ("?ssl", Security::Verify),
            ("?ssl=true", Security::Verify),
            ("?ssl=true&sslmode=require", Security::Require),
            ("?sslmode=allow", Security::Prefer),
            ("?sslmode=disable", Security::Disable),
            ("?sslmode=verify-ca", Security::Verify),
        ] {
            let url = fine(&format!("jdbc:postgresql://h/d{query}"));
            assert_eq!(url.security, security, "{query}");
        }
    }

    #[test]
    fn tuning_is_accepted_and_does_nothing() {
        let plain = fine("jdbc:postgresql://h/d");
        let tuned = fine(
            "jdbc:postgresql://h/d?reWriteBatchedInserts=true&prepareThreshold=5&tcpKeepAlive=true\
             &loginTimeout=5&socketTimeout=30&stringtype=unspecified&readOnly=false",
        );
        assert!(plain == tuned);
        assert!(fine("jdbc:postgresql://h/d?targetServerType=primary").writable_only);
    }

    #[test]
    fn what_cannot_be_is_refused_without_repeating_it() {
        for (url, says) in [
            ("jdbc:postgresql:secret", "names no host"),
            ("jdbc:postgresql:///secret", "names no host"),
            ("jdbc:postgresql://u:secret@h/d", "no user before the host"),
            ("jdbc:postgresql://%2Fvar%2Fsecret/d", "unix sockets"),
            ("postgres:///secret", "names no host"),
            ("postgres://h:secret/d", "port"),
            ("postgres://h:0/secret", "port"),
            ("postgres://[::1]5/secret", "port"),
            ("jdbc:postgresql://h/d?password=a&secret=b", "number 2"),
            ("jdbc:postgresql://h/d?secret", "number 1"),
            ("jdbc:postgresql://h/d?password=%secret", "%25"),
            ("jdbc:postgresql://h/d?password=%ff", "%25"),
            ("jdbc:postgresql://h/d?password=secret%00", "NUL"),
            ("jdbc:postgresql://h/d?sslmode=secret", "sslmode"),
            ("jdbc:postgresql://h/d?channelBinding=secret", "binding"),
            ("jdbc:postgresql://h/d?sslrootcert=/secret", "sslrootcert"),
            ("jdbc:postgresql://h/d?sslkey=/secret", "sslkey"),
            ("jdbc:postgresql://h/d?sslpassword=secret", "sslpassword"),
            (
                "jdbc:postgresql://h/d?socketFactory=secret",
                "socketFactory",
            ),
            ("jdbc:postgresql://h/d?readOnly=true", "readOnly"),
            ("jdbc:postgresql://h/d?options=-c%20secret", "options"),
            ("postgres://h/d?host=/secret", "host"),
            (
                "jdbc:postgresql://h/d?targetServerType=secondary",
                "primary",
            ),
        ] {
            let problem = parse(url).unwrap().unwrap_err();
            assert!(problem.contains(says), "{url}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
        assert!(parse("jdbc:mysql://h/d").is_none());
    }
}
