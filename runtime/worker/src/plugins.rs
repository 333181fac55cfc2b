//! The plugins of a worker: uploaded once, compiled once, found by class.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tidegate_cluster::StateStore;
use tidegate_model::config_log::PluginEntry;
use tidegate_model::plugin::{PluginInfo, resolve};
use tidegate_sandbox::{Plugin, Sandbox};
use tokio::sync::OnceCell;

use crate::error::WorkerError;
use crate::uploads::Uploads;

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The plugin.
    pub info: PluginInfo,
    /// Whether it is new; the same bytes again are not.
    pub created: bool,
}

/// A plugin that is ready to run.
pub(crate) struct Loaded {
    pub(crate) info: PluginInfo,
    pub(crate) plugin: Plugin,
}

type LoadedCell = Arc<OnceCell<Arc<Loaded>>>;

pub(crate) struct Plugins {
    store: Arc<dyn StateStore>,
    sandbox: Sandbox,
    max_bytes: u64,
    /// What the log has, by digest.
    known: Mutex<BTreeMap<String, PluginEntry>>,
    /// By digest. A cell each, so that one that compiles holds up nobody but who waits for it.
    loaded: Mutex<HashMap<String, LoadedCell>>,
    pub(crate) under_way: Uploads,
    /// One upload at a time: the check for a conflict and the storing belong together.
    uploads: tokio::sync::Mutex<()>,
}

impl Plugins {
    pub(crate) fn new(store: Arc<dyn StateStore>, sandbox: Sandbox, max_bytes: u64) -> Self {
        Self {
            store,
            sandbox,
            max_bytes,
            known: Mutex::default(),
            loaded: Mutex::default(),
            under_way: Uploads::default(),
            uploads: tokio::sync::Mutex::default(),
        }
    }

    /// Takes what the log says of a plugin; none: it is deleted.
    pub(crate) fn set(&self, digest: &str, entry: Option<PluginEntry>) {
        let mut known = self.known();
        match entry {
            Some(entry) => drop(known.insert(digest.to_owned(), entry)),
            None => {
                known.remove(digest);
                drop(known);
                self.cells().remove(digest);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, PluginEntry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All plugins, by name and version.
    pub(crate) fn list(&self) -> Vec<PluginInfo> {
        let known = self.known();
        let mut all: Vec<PluginInfo> = known.values().map(|entry| entry.info.clone()).collect();
        drop(known);
        all.sort_by(|a, b| {
            let key = |p: &PluginInfo| {
                (
                    p.description.name.clone(),
                    semver_key(&p.description.version),
                )
            };
            key(a).cmp(&key(b))
        });
        all
    }

    /// The plugin that a class means.
    pub(crate) fn resolve(
        &self,
        class: &str,
        version: Option<&str>,
    ) -> Result<PluginInfo, WorkerError> {
        let all = self.list();
        resolve(&all, class, version).cloned().ok_or_else(|| {
            let known: Vec<String> = all
                .iter()
                .map(|p| format!("{} {}", p.class(), p.description.version))
                .collect();
            WorkerError::UnknownClass {
                class: match version {
                    Some(version) => format!("{class} (version {version})"),
                    None => class.to_owned(),
                },
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
            }
        })
    }

    /// Checks, compiles and stores a component; `enter` writes its entry into the log.
    pub(crate) async fn upload(
        &self,
        component: Vec<u8>,
        enter: impl AsyncFnOnce(PluginEntry) -> Result<(), WorkerError>,
    ) -> Result<Uploaded, WorkerError> {
        let size_bytes = component.len() as u64;
        if size_bytes > self.max_bytes {
            return Err(WorkerError::PluginTooLarge {
                limit_bytes: self.max_bytes,
            });
        }
        let start = Instant::now();
        let digest = digest(&component);
        if let Some(info) = self.stored(&digest).await? {
            return Ok(Uploaded {
                info,
                created: false,
            });
        }
        let (plugin, timings) = self.sandbox.load(&digest, &component).await?;
        let _turn = self.uploads.lock().await;
        let description = plugin.description().clone();
        if let Some(info) = self.stored(&digest).await? {
            return Ok(Uploaded {
                info,
                created: false,
            });
        }
        for other in self.list().into_iter().filter(|o| o.digest != digest) {
            let same = other.description.name == description.name
                && other.description.version == description.version;
            if same {
                return Err(WorkerError::PluginConflict {
                    name: description.name,
                    version: description.version,
                    digest: other.digest,
                });
            }
        }
        let info = PluginInfo {
            digest: digest.clone(),
            kind: plugin.kind(),
            size_bytes,
            description,
        };
        let stored = Instant::now();
        let offsets = self.store.put_component(&digest, component).await?;
        let loaded = Arc::new(Loaded {
            info: info.clone(),
            plugin,
        });
        self.cells()
            .insert(digest.clone(), Arc::new(OnceCell::new_with(Some(loaded))));
        let entry = PluginEntry {
            info: info.clone(),
            offsets,
        };
        enter(entry).await?;
        tracing::info!(
            plugin = info.description.name,
            version = info.description.version,
            digest,
            size_bytes,
            compile_ms = timings.compile.as_millis() as u64,
            compiled_before = timings.cached,
            describe_ms = timings.describe.as_millis() as u64,
            store_ms = stored.elapsed().as_millis() as u64,
            total_ms = start.elapsed().as_millis() as u64,
            "plugin uploaded"
        );
        Ok(Uploaded {
            info,
            created: true,
        })
    }

    /// The plugin with this digest, if its bytes are there too: those that were lost can be uploaded
    /// again.
    async fn stored(&self, digest: &str) -> Result<Option<PluginInfo>, WorkerError> {
        let entry = self.known().get(digest).cloned();
        let Some(entry) = entry else {
            return Ok(None);
        };
        let there = self.store.component(&entry).await?.is_some();
        Ok(there.then_some(entry.info))
    }

    /// A plugin ready to run; compiled code comes from memory or the cache.
    pub(crate) async fn load(&self, info: &PluginInfo) -> Result<Arc<Loaded>, WorkerError> {
        let cell = Arc::clone(self.cells().entry(info.digest.clone()).or_default());
        let loaded = cell.get_or_try_init(|| self.load_stored(info)).await?;
        Ok(Arc::clone(loaded))
    }

    async fn load_stored(&self, info: &PluginInfo) -> Result<Arc<Loaded>, WorkerError> {
        let entry = self.known().get(&info.digest).cloned();
        let gone = || {
            WorkerError::Internal(format!(
                "the bytes of plugin {} are gone; upload it again",
                info.digest
            ))
        };
        let entry = entry.ok_or_else(gone)?;
        let component = self.store.component(&entry).await?.ok_or_else(gone)?;
        let (plugin, _) = self.sandbox.load(&info.digest, &component).await?;
        Ok(Arc::new(Loaded {
            info: info.clone(),
            plugin,
        }))
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<String, LoadedCell>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the bytes of plugins that the log does not have any more.
    pub(crate) async fn delete_components(
        &self,
        doomed: &[PluginEntry],
    ) -> Result<(), WorkerError> {
        for entry in doomed {
            self.store.delete_component(entry).await?;
        }
        Ok(())
    }

    /// What the log has of these plugins.
    pub(crate) fn entries(&self, infos: &[PluginInfo]) -> Vec<PluginEntry> {
        let known = self.known();
        let entries = infos.iter().filter_map(|info| known.get(&info.digest));
        entries.cloned().collect()
    }
}

/// By precedence: a pre-release comes before its release. Uploads without a version are refused, so the
/// text alone never has to do.
fn semver_key(version: &str) -> (Option<semver::Version>, String) {
    (semver::Version::parse(version).ok(), version.to_owned())
}

/// By which a component is known.
pub(crate) fn digest(component: &[u8]) -> String {
    hex(&Sha256::digest(component))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
