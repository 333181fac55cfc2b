//! Which files a connection may open.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use tidegate_sandbox::SqlError;

/// The canonical path of the database file `path`, which need not exist yet.
///
/// # Errors
/// If it, or what it is a symbolic link to, lies outside of `directories`. Files outside and
/// missing directories get the same answer, so that a configuration cannot probe the host.
pub(crate) fn database_file(path: &Path, directories: &[PathBuf]) -> Result<PathBuf, SqlError> {
    let outside = || {
        SqlError::Denied(format!(
            "database file {} is in no existing directory that is granted; \
             create its directory and list it in tidegate.directories",
            path.display()
        ))
    };
    let Some(name) = path.file_name() else {
        return Err(outside());
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let in_parent = parent.canonicalize().map_err(|_| outside())?.join(name);
    let granted = |path: &Path| directories.iter().any(|granted| path.starts_with(granted));
    if !granted(&in_parent) {
        return Err(outside());
    }
    match in_parent.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(in_parent),
        Err(_) => return Err(outside()),
        Ok(_) => {}
    }
    let file = in_parent.canonicalize().map_err(|_| outside())?;
    if !granted(&file) {
        return Err(outside());
    }
    // Opening a pipe would wait for ever.
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(SqlError::Denied(format!(
            "{} is not a file; name a database file",
            path.display()
        )));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn denied(path: &Path, directories: &[PathBuf]) -> String {
        match database_file(path, directories) {
            Err(SqlError::Denied(reason)) => reason,
            other => panic!("{path:?}: {other:?}"),
        }
    }

    #[test]
    fn files_stay_in_granted_directories() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let granted = root.join("granted");
        let outside = root.join("granted-not");
        std::fs::create_dir_all(granted.join("below")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("a.db"), "").unwrap();
        std::fs::write(granted.join("b.db"), "").unwrap();
        symlink(&outside, granted.join("away")).unwrap();
        symlink(outside.join("a.db"), granted.join("link.db")).unwrap();
        symlink(outside.join("new.db"), granted.join("dangling.db")).unwrap();
        symlink(granted.join("b.db"), granted.join("inside.db")).unwrap();
        let directories = [granted.clone()];

        for fine in ["new.db", "b.db", "below/new.db", "below/../b.db"] {
            assert!(
                database_file(&granted.join(fine), &directories).is_ok(),
                "{fine}"
            );
        }
        assert_eq!(
            database_file(&granted.join("inside.db"), &directories),
            Ok(granted.join("b.db"))
        );
        for bad in [
            "../granted-not/a.db",
            "../a.db",
            "away/a.db",
            "away/new.db",
            "link.db",
            "dangling.db",
            "missing/a.db",
            "..",
        ] {
            let reason = denied(&granted.join(bad), &directories);
            assert!(reason.contains("tidegate.directories"), "{bad}: {reason}");
        }
        denied(&granted.join("b.db"), &[]);
        assert!(denied(&granted.join("below"), &directories).contains("not a file"));
    }
}
