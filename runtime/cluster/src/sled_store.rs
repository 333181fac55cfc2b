//! State in sled: the only file that knows it. Its authors announced a rewrite without a date, so
//! nothing of it shows outside.
//!
//! Trees: `config` (record key -> place and record), `offsets` (connector, NUL, partition ->
//! offset). Components lie as files beside, since sled keeps large values in its cache.

use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sled::transaction::ConflictableTransactionError;
use sled::{Db, Tree};
use tidegate_model::config_log::{ConfigRecord, PluginEntry};
use tidegate_model::offset::{SourceOffset, SourcePartition};

use crate::store::{ConfigLog, Positions, StateStore, StoreError, StoreFuture};

/// sled's page cache; the state of a worker is small, and its default of 1 GiB is not.
const CACHE_BYTES: u64 = 4 << 20;

/// The key of the last place in the log, in a tree of its own.
const LAST_PLACE: &[u8] = b"last-place";

/// What a probe writes, in the same tree.
const PROBE: &[u8] = b"probe";

/// What sled calls a snapshot that it has not finished. Left by a full disk or a power cut, it is taken
/// for the newest one at the next start, and nothing can be read any more.
const HALF_SNAPSHOT: &str = ".generating";

/// How long sled may take to close before it can be opened again.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const CLOSE_PAUSE: Duration = Duration::from_millis(20);

/// A store in a directory.
#[derive(Clone)]
pub struct SledStore {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    /// None: what was open has failed, and could not be opened again yet.
    tables: RwLock<Option<Tables>>,
    /// Whether something failed for the storage's sake since a probe went well.
    is_failing: AtomicBool,
    /// Held for as long as the store lives: what is repaired before opening is nobody else's.
    _lock: File,
}

struct Tables {
    db: Db,
    config: Tree,
    meta: Tree,
    offsets: Tree,
    components: PathBuf,
}

impl SledStore {
    /// Opens the state in `directory`, which is made if it is missing. A directory belongs to one
    /// process at a time.
    ///
    /// # Errors
    /// If another process has it, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |reason: String| opening(directory, &reason);
        // Configurations may hold passwords: nobody else is to read them.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory.join("plugins"))
            .map_err(|e| failed(e.to_string()))?;
        let lock = File::create(directory.join("lock")).map_err(|e| failed(e.to_string()))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => failed("another worker uses it".to_owned()),
            TryLockError::Error(e) => failed(e.to_string()),
        })?;
        let tables = Tables::open(directory)?;
        Ok(Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                tables: RwLock::new(Some(tables)),
                is_failing: AtomicBool::new(false),
                _lock: lock,
            }),
        })
    }

    /// sled blocks on the disk, so its work goes to a thread for that.
    fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl Fn(&Tables) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || shared.run(&work))
                .await
                .map_err(|e| StoreError::Storage {
                    action,
                    reason: e.to_string(),
                })?
        })
    }
}

impl Shared {
    /// After one failed write sled refuses every later one, also when the disk has room again: then it
    /// is opened anew, and the work is done once more. All work here can be repeated.
    fn run<T>(&self, work: &impl Fn(&Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let done = self.run_or_open_again(work);
        if matches!(done, Err(StoreError::Storage { .. })) {
            self.is_failing.store(true, Ordering::Relaxed);
        }
        done
    }

    /// What was open lets go of its lock a little after it was dropped.
    fn open_again(&self) -> Result<Tables, StoreError> {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        loop {
            match Tables::open(&self.directory) {
                Err(StoreError::Storage { reason, .. })
                    if reason.contains("could not acquire lock") && Instant::now() < deadline =>
                {
                    std::thread::sleep(CLOSE_PAUSE);
                }
                opened => return opened,
            }
        }
    }

    fn run_or_open_again<T>(
        &self,
        work: &impl Fn(&Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tried = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            tables.as_ref().map(work)
        };
        match tried {
            Some(Err(StoreError::Storage { .. })) | None => {}
            Some(done) => return done,
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: sled has a lock of its own on its directory.
        *tables = None;
        let opened = self.open_again()?;
        tracing::info!("opened the state directory again");
        let done = work(&opened);
        *tables = Some(opened);
        done
    }
}

fn opening(directory: &Path, reason: &str) -> StoreError {
    StoreError::Storage {
        action: "open the state directory (tidegate.state.directory)",
        reason: format!("{}: {reason}", directory.display()),
    }
}

/// Removes snapshots that were never finished. The log they were made from is whole.
fn remove_half_snapshots(state: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(state) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(HALF_SNAPSHOT) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn storage<E: ToString>(action: &'static str) -> impl Fn(E) -> StoreError {
    move |e| StoreError::Storage {
        action,
        reason: e.to_string(),
    }
}

fn damaged<E: ToString>(what: &str) -> impl Fn(E) -> StoreError + '_ {
    move |e| StoreError::Damaged {
        what: what.to_owned(),
        reason: e.to_string(),
    }
}

impl Tables {
    fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |reason: String| opening(directory, &reason);
        let state = directory.join("state");
        remove_half_snapshots(&state).map_err(|e| failed(e.to_string()))?;
        let db = sled::Config::new()
            .path(state)
            .cache_capacity(CACHE_BYTES)
            .open()
            .map_err(|e| failed(e.to_string()))?;
        let tree = |name: &str| db.open_tree(name).map_err(|e| failed(e.to_string()));
        Ok(Self {
            config: tree("config")?,
            meta: tree("meta")?,
            offsets: tree("offsets")?,
            components: directory.join("plugins"),
            db,
        })
    }

    fn append(&self, records: &[ConfigRecord]) -> Result<Vec<u64>, StoreError> {
        const ACTION: &str = "append to the config log";
        use sled::Transactional;
        let texts: Vec<(String, String)> = records
            .iter()
            .map(|record| Ok((record.key(), serde_json::to_string(record)?)))
            .collect::<Result<_, serde_json::Error>>()
            .map_err(storage(ACTION))?;
        let places = (&self.config, &self.meta)
            .transaction(|(config, meta)| {
                let last = match meta.get(LAST_PLACE)? {
                    Some(bytes) => place(&bytes).map_err(ConflictableTransactionError::Abort)?,
                    None => 0,
                };
                let mut places = Vec::with_capacity(texts.len());
                for (next, (key, text)) in (last + 1..).zip(&texts) {
                    let mut value = next.to_be_bytes().to_vec();
                    value.extend_from_slice(text.as_bytes());
                    config.insert(key.as_bytes(), value)?;
                    places.push(next);
                }
                let last = places.last().copied().unwrap_or(last);
                meta.insert(LAST_PLACE, &last.to_be_bytes())?;
                Ok(places)
            })
            .map_err(
                |e: sled::transaction::TransactionError<StoreError>| match e {
                    sled::transaction::TransactionError::Abort(error) => error,
                    sled::transaction::TransactionError::Storage(error) => storage(ACTION)(error),
                },
            )?;
        // The caller will answer 2xx: only now may it (D9).
        self.db.flush().map_err(storage(ACTION))?;
        Ok(places)
    }

    fn read_log(&self) -> Result<Vec<(u64, ConfigRecord)>, StoreError> {
        let mut log = Vec::new();
        for entry in &self.config {
            let (key, value) = entry.map_err(storage("read the config log"))?;
            let name = String::from_utf8_lossy(&key).into_owned();
            let text = value.get(8..).unwrap_or_default();
            let record = serde_json::from_slice(text).map_err(damaged(&name))?;
            log.push((place(&value)?, record));
        }
        log.sort_by_key(|(place, _)| *place);
        Ok(log)
    }

    fn offsets(&self, connector: &str) -> Result<Positions, StoreError> {
        let prefix = offset_key(connector, "");
        self.offsets
            .scan_prefix(&prefix)
            .map(|entry| {
                let (key, value) = entry.map_err(storage("read source offsets"))?;
                let partition = key.get(prefix.len()..).unwrap_or_default();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let what = format!("offsets of {connector}");
                Ok((
                    SourcePartition::parse(&text(partition)).map_err(damaged(&what))?,
                    SourceOffset::parse(&text(&value)).map_err(damaged(&what))?,
                ))
            })
            .collect()
    }

    fn commit_offsets(&self, connector: &str, positions: &Positions) -> Result<(), StoreError> {
        const ACTION: &str = "commit source offsets";
        let mut batch = sled::Batch::default();
        for (partition, offset) in positions {
            batch.insert(
                offset_key(connector, partition.as_str()),
                offset.as_str().as_bytes(),
            );
        }
        self.offsets.apply_batch(batch).map_err(storage(ACTION))?;
        self.db.flush().map_err(storage(ACTION))?;
        Ok(())
    }

    /// Writes something that nobody reads.
    fn probe(&self) -> Result<(), StoreError> {
        const ACTION: &str = "write to the state directory (tidegate.state.directory)";
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ns = now.unwrap_or_default().as_nanos().to_be_bytes();
        self.meta.insert(PROBE, &now_ns).map_err(storage(ACTION))?;
        self.db.flush().map_err(storage(ACTION))?;
        Ok(())
    }

    fn put_component(&self, digest: &str, component: &[u8]) -> Result<(), StoreError> {
        let path = self.components.join(format!("{digest}.wasm"));
        let partial = path.with_extension("partial");
        let write = || -> std::io::Result<()> {
            use std::io::Write;
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(component)?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)?;
            std::fs::File::open(&self.components)?.sync_all()
        };
        write().map_err(storage("store the plugin"))
    }

    fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match std::fs::read(self.components.join(format!("{digest}.wasm"))) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(storage("read the component")(e)),
        }
    }
}

fn place(value: &[u8]) -> Result<u64, StoreError> {
    value
        .first_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .ok_or_else(|| damaged("the config log")("an entry without its place"))
}

/// NUL cannot be in a connector's name, so no name is a prefix of another's keys.
fn offset_key(connector: &str, partition: &str) -> Vec<u8> {
    [connector.as_bytes(), b"\0", partition.as_bytes()].concat()
}

impl ConfigLog for SledStore {
    fn append(&self, records: Vec<ConfigRecord>) -> StoreFuture<'_, Vec<u64>> {
        self.blocking("append to the config log", move |tables| {
            tables.append(&records)
        })
    }

    fn read_log(&self) -> StoreFuture<'_, Vec<(u64, ConfigRecord)>> {
        self.blocking("read the config log", Tables::read_log)
    }
}

impl StateStore for SledStore {
    fn offsets(&self, connector: &str, _: Option<&str>) -> StoreFuture<'_, Positions> {
        let connector = connector.to_owned();
        self.blocking("read source offsets", move |tables| {
            tables.offsets(&connector)
        })
    }

    fn commit_offsets(
        &self,
        connector: &str,
        _: Option<&str>,
        positions: Positions,
    ) -> StoreFuture<'_, ()> {
        let connector = connector.to_owned();
        self.blocking("commit source offsets", move |tables| {
            tables.commit_offsets(&connector, &positions)
        })
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        if !self.shared.is_failing.load(Ordering::Relaxed) {
            return Box::pin(async { Ok(()) });
        }
        let probed = self.blocking("write to the state directory", Tables::probe);
        Box::pin(async move {
            probed.await?;
            self.shared.is_failing.store(false, Ordering::Relaxed);
            Ok(())
        })
    }

    fn put_component(&self, digest: &str, component: Vec<u8>) -> StoreFuture<'_, Vec<i64>> {
        let digest = digest.to_owned();
        self.blocking("store the plugin", move |tables| {
            tables.put_component(&digest, &component)?;
            // The digest suffices to find the file.
            Ok(Vec::new())
        })
    }

    fn delete_component(&self, entry: &PluginEntry) -> StoreFuture<'_, ()> {
        let digest = entry.info.digest.clone();
        self.blocking("delete the plugin", move |tables| {
            // Left behind, the file does no harm: nothing names it.
            let _ = std::fs::remove_file(tables.components.join(format!("{digest}.wasm")));
            Ok(())
        })
    }

    fn component(&self, entry: &PluginEntry) -> StoreFuture<'_, Option<Vec<u8>>> {
        let digest = entry.info.digest.clone();
        self.blocking("read the component", move |tables| {
            tables.component(&digest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::config_log::task_records;

    fn partition(text: &str) -> SourcePartition {
        SourcePartition::parse(text).unwrap()
    }

    fn offset(text: &str) -> SourceOffset {
        SourceOffset::parse(text).unwrap()
    }

    #[tokio::test]
    async fn what_was_answered_survives_a_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let positions = vec![(partition(r#"{"f":"a"}"#), offset(r#"{"p":1}"#))];
        let connector = |value| ConfigRecord::Connector {
            name: "c".into(),
            config: Some([value].into()),
        };
        let first = connector(("k".to_owned(), "1".to_owned()));
        let second = connector(("k".to_owned(), "2".to_owned()));
        {
            let store = SledStore::open(directory.path()).unwrap();
            assert_eq!(store.append(vec![first]).await.unwrap(), [1]);
            let tasks = task_records("c", 1, &[[("t".to_owned(), "0".to_owned())].into()], false);
            assert_eq!(store.append(tasks).await.unwrap(), [2, 3]);
            store.append(vec![second.clone()]).await.unwrap();
            store
                .commit_offsets("c", None, positions.clone())
                .await
                .unwrap();
        }
        let store = SledStore::open(directory.path()).unwrap();
        let log = store.read_log().await.unwrap();
        assert_eq!(
            log.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
            [2, 3, 4]
        );
        assert_eq!(log.last().unwrap().1, second);
        assert_eq!(store.offsets("c", None).await.unwrap(), positions);
        assert_eq!(store.append(vec![second]).await.unwrap(), [5]);
    }

    #[tokio::test]
    async fn offsets_of_other_connectors_are_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        for name in ["a", "ab"] {
            let position = (
                partition(r#"{"f":1}"#),
                offset(&format!(r#"{{"n":"{name}"}}"#)),
            );
            store
                .commit_offsets(name, None, vec![position])
                .await
                .unwrap();
        }
        let own = store.offsets("a", None).await.unwrap();
        assert_eq!(own, [(partition(r#"{"f":1}"#), offset(r#"{"n":"a"}"#))]);
    }

    #[tokio::test]
    async fn a_half_snapshot_is_no_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let position = vec![(partition(r#"{"f":1}"#), offset(r#"{"n":1}"#))];
        let commit = |store: SledStore| {
            let position = position.clone();
            async move { store.commit_offsets("a", None, position).await }
        };
        commit(SledStore::open(directory.path()).unwrap())
            .await
            .unwrap();
        let half = "snap.FFFFFFFFFFFFFFFF.generating";
        std::fs::write(directory.path().join("state").join(half), b"").unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        assert_eq!(store.offsets("a", None).await.unwrap(), position);
    }

    #[tokio::test]
    async fn a_directory_has_one_worker() {
        let directory = tempfile::tempdir().unwrap();
        let _first = SledStore::open(directory.path()).unwrap();
        let second = SledStore::open(directory.path()).err().unwrap();
        assert!(
            second.to_string().contains("another worker uses it"),
            "{second}"
        );
    }
}
