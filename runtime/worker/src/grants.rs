//! What a task may reach, from what its plugin wants, what the connector's configuration says and
//! what the operator allows. Deny by default: a file outside `tidegate.directories` is refused
//! when the connector is created, with the key to change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tidegate_connections::{ConnectionSettings, Pools, SessionSettings, check, session};
use tidegate_model::config::{self, ConfigMap};
use tidegate_model::connector_config::KeyProblem;
use tidegate_model::plugin::{Description, PluginKind};
use tidegate_sandbox::{DirectoryGrant, FileAccess, NoSql, SqlSession};

use crate::connection_keys;

/// What a task may reach.
pub(crate) struct Grants {
    pub(crate) directories: Vec<DirectoryGrant>,
    connections: BTreeMap<String, ConnectionSettings>,
    /// The first connection that the plugin wants: where a sink keeps its offsets.
    ledger: Option<String>,
    /// The keys that name files.
    files: Vec<String>,
    allowed: Vec<PathBuf>,
}

impl Grants {
    /// Works out the grants of a configuration.
    pub(crate) fn of(
        description: &Description,
        config: &ConfigMap,
        allowed: &[PathBuf],
    ) -> Result<Self, Vec<KeyProblem>> {
        let allowed: Vec<PathBuf> = allowed
            .iter()
            .filter_map(|directory| directory.canonicalize().ok())
            .collect();
        let mut directories = BTreeSet::new();
        let mut connections = BTreeMap::new();
        let mut ledger = None;
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for want in &description.wants {
            let Some(value) = config.get(&want.key).filter(|v| !v.trim().is_empty()) else {
                continue;
            };
            let access = match want.kind.as_str() {
                "read-files" => FileAccess::Read,
                "write-files" => FileAccess::Write,
                "connection" => {
                    let settings = connection_keys::settings(&want.key, value, config);
                    let session = SessionSettings::new(BTreeMap::new(), None, allowed.clone());
                    if let Err(error) = check(&want.key, &settings, &session) {
                        problems.push(problem(&want.key, error.to_string()));
                    }
                    connections.insert(want.key.clone(), settings);
                    ledger.get_or_insert_with(|| want.key.clone());
                    continue;
                }
                other => {
                    problems.push(problem(
                        &want.key,
                        format!("the plugin wants {other:?}, which this version does not know"),
                    ));
                    continue;
                }
            };
            files.push(want.key.clone());
            for path in config::list(value) {
                match directory(&path, access, &allowed) {
                    Ok(grant) => {
                        directories.insert((grant.guest_path, grant.host_path, grant.access));
                    }
                    Err(message) => problems.push(problem(&want.key, message)),
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let directories = directories
            .into_iter()
            .map(|(guest_path, host_path, access)| DirectoryGrant {
                host_path,
                guest_path,
                access,
            })
            .collect();
        Ok(Self {
            directories,
            connections,
            ledger,
            files,
            allowed,
        })
    }

    /// The keys that name what is granted, databases first: a file beside one is a detail.
    pub(crate) fn keys(&self) -> Vec<String> {
        if self.connections.is_empty() {
            return self.files.clone();
        }
        self.connections.keys().cloned().collect()
    }

    /// The same, if nothing of it goes beyond what the connector's own configuration says: the guest
    /// plans its tasks' configurations, and must not grant itself anything by it. Connections are the
    /// connector's: the guest has seen none of their secrets.
    pub(crate) fn within(self, connector: Self) -> Result<Self, Vec<KeyProblem>> {
        let beyond = self.directories.iter().find(|wanted| {
            !connector.directories.iter().any(|granted| {
                wanted.host_path.starts_with(&granted.host_path) && wanted.access <= granted.access
            })
        });
        if let Some(beyond) = beyond {
            let message = format!(
                "the plugin planned a task that uses {}, which the connector's configuration does \
                 not name",
                beyond.host_path.display()
            );
            return Err(vec![problem("plan", message)]);
        }
        Ok(Self {
            connections: connector.connections,
            ledger: connector.ledger,
            ..self
        })
    }

    /// A database session for one task, or for the connector itself.
    pub(crate) fn sql(&self, pools: &Arc<Pools>, kind: PluginKind) -> Arc<dyn SqlSession> {
        if self.connections.is_empty() {
            return Arc::new(NoSql);
        }
        let ledger = match kind {
            PluginKind::Sink => self.ledger.clone(),
            PluginKind::Source => None,
        };
        let (connections, directories) = (self.connections.clone(), self.allowed.clone());
        session(
            pools,
            SessionSettings::new(connections, ledger, directories),
        )
    }
}

fn problem(key: &str, message: String) -> KeyProblem {
    KeyProblem {
        key: key.to_owned(),
        message: format!("Invalid value for configuration {key}: {message}"),
    }
}

/// The directory that has to be granted for `path`, which may be a glob.
fn directory(
    path: &str,
    access: FileAccess,
    allowed: &[PathBuf],
) -> Result<DirectoryGrant, String> {
    let whole = Path::new(path);
    if whole.components().any(|part| part == Component::ParentDir) {
        return Err(format!(
            "{path:?} goes up with \"..\": write the path without it"
        ));
    }
    let is_glob = |part: &Component<'_>| {
        part.as_os_str()
            .to_string_lossy()
            .contains(['*', '?', '[', '{'])
    };
    let parts: Vec<Component<'_>> = whole.components().collect();
    let fixed = parts
        .iter()
        .position(is_glob)
        .unwrap_or(parts.len().saturating_sub(1));
    let mut guest: PathBuf = parts.iter().take(fixed).collect();
    if guest.as_os_str().is_empty() {
        guest = PathBuf::from(".");
    }
    let host = guest.canonicalize().map_err(|e| {
        format!(
            "the directory {} cannot be opened: {e}; create it first",
            guest.display()
        )
    })?;
    if !allowed.iter().any(|directory| host.starts_with(directory)) {
        let list: Vec<String> = allowed.iter().map(|d| d.display().to_string()).collect();
        let list = if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        };
        return Err(format!(
            "{} is not in a directory that connectors may use ({list}): add it to \
             tidegate.directories in the worker's configuration and restart the worker",
            host.display()
        ));
    }
    Ok(DirectoryGrant {
        host_path: host,
        guest_path: guest.display().to_string(),
        access,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::plugin::Want;

    fn description(kind: &str) -> Description {
        Description {
            name: "p".into(),
            version: "1.0.0".into(),
            documentation: String::new(),
            aliases: vec![],
            definitions: vec![],
            wants: vec![Want {
                kind: kind.into(),
                key: "file".into(),
            }],
            exactly_once: false,
            own_transactions: false,
            replan_interval_ms: None,
        }
    }

    fn grants(file: &str, allowed: &Path) -> Result<Vec<String>, String> {
        let config = [("file".to_owned(), file.to_owned())].into();
        Grants::of(&description("read-files"), &config, &[allowed.to_owned()])
            .map(|g| g.directories.into_iter().map(|d| d.guest_path).collect())
            .map_err(|problems| problems.into_iter().map(|p| p.message).collect())
    }

    #[test]
    fn files_and_globs_under_an_allowed_directory() {
        let root = tempfile::tempdir().unwrap();
        let sub = root.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        assert_eq!(
            grants(&text(sub.join("a.txt")), root.path()).unwrap(),
            [text(sub.clone())]
        );
        let list = format!(
            "{}, {}",
            text(root.path().join("s*/b.txt")),
            text(sub.join("*.log"))
        );
        let both = grants(&list, root.path()).unwrap();
        assert_eq!(both, [text(root.path().to_owned()), text(sub)]);
    }

    #[test]
    fn a_plan_grants_nothing_more() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| root.path().join(name));
        for directory in [&a, &b] {
            std::fs::create_dir(directory).unwrap();
        }
        let of = |kind: &str, file: String| {
            let config = [("file".to_owned(), file)].into();
            Grants::of(&description(kind), &config, &[root.path().to_owned()]).unwrap()
        };
        let in_a = a.join("x").display().to_string();
        let in_b = b.join("x").display().to_string();
        let glob = root.path().join("*/x").display().to_string();
        let allowed = |task: Grants, connector: Grants| task.within(connector).is_ok();
        assert!(allowed(
            of("read-files", in_a.clone()),
            of("read-files", glob)
        ));
        assert!(!allowed(
            of("read-files", in_b),
            of("read-files", in_a.clone())
        ));
        assert!(!allowed(
            of("write-files", in_a.clone()),
            of("read-files", in_a)
        ));
        let url = |file: &Path| format!("jdbc:sqlite:{}", file.display());
        let [x, y] = ["x", "y"].map(|name| of("connection", url(&a.join(name))));
        let task = y.within(x).unwrap();
        assert_eq!(task.connections["file"].url, url(&a.join("x")));
    }

    #[test]
    fn everything_else_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        for (file, part) in [
            (text(outside.path().join("a")), "tidegate.directories"),
            (text(root.path().join("link/a")), "tidegate.directories"),
            (text(root.path().join("../a")), "\"..\""),
            (text(root.path().join("none/a")), "create it first"),
        ] {
            let error = grants(&file, root.path()).unwrap_err();
            assert!(error.contains(part), "{file}: {error}");
        }
    }
}
