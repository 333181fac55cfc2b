//! The plugins of a worker: uploaded once, compiled once, found by class.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tidegate_cluster::StateStore;
use tidegate_model::plugin::{PluginInfo, resolve};
use tidegate_sandbox::{Plugin, Sandbox};
use tokio::sync::OnceCell;

use crate::error::WorkerError;

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
    known: Mutex<Vec<PluginInfo>>,
    /// By digest. A cell each, so that one that compiles holds up nobody but who waits for it.
    loaded: Mutex<HashMap<String, LoadedCell>>,
    /// One upload at a time: the check for a conflict and the storing belong together.
    uploads: tokio::sync::Mutex<()>,
}

impl Plugins {
    pub(crate) async fn open(
        store: Arc<dyn StateStore>,
        sandbox: Sandbox,
        max_bytes: u64,
    ) -> Result<Self, WorkerError> {
        let known = store.plugins().await?;
        Ok(Self {
            store,
            sandbox,
            max_bytes,
            known: Mutex::new(known),
            loaded: Mutex::default(),
            uploads: tokio::sync::Mutex::default(),
        })
    }

    /// All plugins, by name and version.
    pub(crate) fn list(&self) -> Vec<PluginInfo> {
        let mut all = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
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

    /// Checks, compiles and stores a component.
    pub(crate) async fn upload(&self, component: Vec<u8>) -> Result<Uploaded, WorkerError> {
        let size_bytes = component.len() as u64;
        if size_bytes > self.max_bytes {
            return Err(WorkerError::PluginTooLarge {
                limit_bytes: self.max_bytes,
            });
        }
        let start = Instant::now();
        let digest = hex(&Sha256::digest(&component));
        if let Some(info) = self.list().into_iter().find(|info| info.digest == digest) {
            return Ok(Uploaded {
                info,
                created: false,
            });
        }
        let (plugin, timings) = self.sandbox.load(&digest, &component).await?;
        let _turn = self.uploads.lock().await;
        let description = plugin.description().clone();
        for other in self.list() {
            if other.digest == digest {
                return Ok(Uploaded {
                    info: other,
                    created: false,
                });
            }
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
        self.store.put_plugin(info.clone(), component).await?;
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
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(info.clone());
        let loaded = Arc::new(Loaded {
            info: info.clone(),
            plugin,
        });
        self.cells()
            .insert(digest, Arc::new(OnceCell::new_with(Some(loaded))));
        Ok(Uploaded {
            info,
            created: true,
        })
    }

    /// A plugin ready to run; compiled code comes from memory or the cache.
    pub(crate) async fn load(&self, info: &PluginInfo) -> Result<Arc<Loaded>, WorkerError> {
        let cell = Arc::clone(self.cells().entry(info.digest.clone()).or_default());
        let loaded = cell.get_or_try_init(|| self.load_stored(info)).await?;
        Ok(Arc::clone(loaded))
    }

    async fn load_stored(&self, info: &PluginInfo) -> Result<Arc<Loaded>, WorkerError> {
        let component = self.store.component(&info.digest).await?.ok_or_else(|| {
            WorkerError::Internal(format!(
                "the bytes of plugin {} are gone; upload it again",
                info.digest
            ))
        })?;
        let (plugin, _) = self.sandbox.load(&info.digest, &component).await?;
        Ok(Arc::new(Loaded {
            info: info.clone(),
            plugin,
        }))
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<String, LoadedCell>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the plugins of a name (and version, if given); the caller saw to it that nobody
    /// uses them.
    pub(crate) async fn delete(&self, doomed: &[PluginInfo]) -> Result<(), WorkerError> {
        for info in doomed {
            self.store.delete_plugin(&info.digest).await?;
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|known| known.digest != info.digest);
            self.cells().remove(&info.digest);
        }
        Ok(())
    }
}

fn semver_key(version: &str) -> (Vec<u64>, String) {
    let numbers = version
        .split(['.', '-', '+'])
        .map_while(|part| part.parse().ok())
        .collect();
    (numbers, version.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
