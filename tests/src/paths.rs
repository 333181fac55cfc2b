//! Where the things under test are.

use std::path::{Path, PathBuf};

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// The binary under test: `TIDEGATE_BIN`, or the one that was built beside this executable.
pub fn tidegate() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("tidegate"))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no tidegate beside {}, run: just build", own.display()))
}

/// A connector, by its file name without `.wasm`; hostile guests are `hostile/NAME`.
pub fn guest(name: &str) -> PathBuf {
    let directory = std::env::var_os("TIDEGATE_GUESTS")
        .map_or_else(|| repository().join("target/guests"), PathBuf::from);
    let path = directory.join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} does not exist, run: just guests",
        path.display()
    );
    path
}

/// What `just kafka` fetched.
pub fn kafka() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .unwrap();
    let path = cache.join("tidegate/kafka-4.3.1");
    assert!(
        path.join("stamp").exists(),
        "{} does not exist, run: just kafka",
        path.display()
    );
    path
}
