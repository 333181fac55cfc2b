//! What a guest, and a log, may see of a connection URL (D10).

/// The URL without user, password and parameters.
pub fn redacted(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("//") else {
        return url.to_owned();
    };
    // A password may hold a slash that should have been escaped, so the last @ counts.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}//{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_stays() {
        for (url, seen) in [
            ("jdbc:sqlite:/a/b.db", "jdbc:sqlite:/a/b.db"),
            (
                "jdbc:postgresql://h:1/db?password=secret",
                "jdbc:postgresql://h:1/db",
            ),
            ("postgres://me:sec/ret@h/db#x", "postgres://h/db"),
            ("secret-free", "secret-free"),
        ] {
            assert_eq!(redacted(url), seen);
        }
    }
}
