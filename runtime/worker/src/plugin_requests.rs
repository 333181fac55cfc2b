//! Plugins as REST sees them: uploaded, listed, deleted. Their entries are in the config log.

use std::sync::Arc;

use tidegate_model::config::ConfigMap;
use tidegate_model::config_log::{ConfigRecord, PluginEntry};
use tidegate_model::plugin::PluginInfo;

use crate::error::WorkerError;
use crate::plugins::{Plugins, Uploaded, digest};
use crate::worker::Worker;

impl Worker {
    /// Checks, compiles and stores a component. It goes on if nobody waits for it any more; whoever
    /// uploads the same bytes meanwhile waits for the same.
    ///
    /// # Errors
    /// If it is no plugin, too large, or in conflict with another.
    pub async fn upload(&self, component: Vec<u8>) -> Result<Uploaded, Arc<WorkerError>> {
        let (worker, digest) = (self.clone(), digest(&component));
        let uploads = &self.environment().plugins.under_way;
        uploads
            .join(&digest, async move { worker.upload_now(component).await })
            .await
    }

    async fn upload_now(&self, component: Vec<u8>) -> Result<Uploaded, WorkerError> {
        let enter = async |entry: PluginEntry| {
            let digest = entry.info.digest.clone();
            let entry = Some(Box::new(entry));
            let record = ConfigRecord::Plugin { digest, entry };
            self.herder().change(move |_| ((), vec![record])).await
        };
        self.environment().plugins.upload(component, enter).await
    }

    /// All plugins.
    pub fn plugins(&self) -> Vec<PluginInfo> {
        self.environment().plugins.list()
    }

    /// The versions of a plugin, newest last; a class or alias will do as the name.
    ///
    /// # Errors
    /// If there is none.
    pub fn plugin(&self, name: &str) -> Result<Vec<PluginInfo>, WorkerError> {
        let mut found = self.plugins();
        found.retain(|plugin| plugin.answers_to(name));
        if found.is_empty() {
            Err(WorkerError::NoPlugin(name.to_owned()))
        } else {
            Ok(found)
        }
    }

    /// Deletes the versions of a plugin, or the one version.
    ///
    /// # Errors
    /// If there is none, or connectors use it.
    pub async fn delete_plugin(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), WorkerError> {
        let mut doomed = self.plugin(name)?;
        doomed.retain(|plugin| version.is_none_or(|v| plugin.description.version == v));
        if doomed.is_empty() {
            return Err(WorkerError::NoPlugin(format!(
                "{name} {}",
                version.unwrap_or("")
            )));
        }
        let plugins = Arc::clone(&self.environment().plugins);
        let entries = plugins.entries(&doomed);
        // In one step with the look at who uses them: no connector can come in between.
        let deleted = self.herder().change(move |herder| {
            let users: Vec<String> = herder
                .log()
                .connectors()
                .iter()
                .filter(|(_, entry)| {
                    plugin_of(&plugins, &entry.config)
                        .is_some_and(|used| doomed.iter().any(|d| d.digest == used.digest))
                })
                .map(|(name, _)| name.clone())
                .collect();
            if !users.is_empty() {
                return (Err(users.join(", ")), Vec::new());
            }
            let records = doomed.into_iter().map(|info| ConfigRecord::Plugin {
                digest: info.digest,
                entry: None,
            });
            (Ok(()), records.collect())
        });
        deleted
            .await?
            .map_err(|connectors| WorkerError::PluginUsed {
                name: name.to_owned(),
                connectors,
            })?;
        self.environment().plugins.delete_components(&entries).await
    }

    pub(crate) fn plugin_of(&self, config: &ConfigMap) -> Option<PluginInfo> {
        plugin_of(&self.environment().plugins, config)
    }
}

fn plugin_of(plugins: &Plugins, config: &ConfigMap) -> Option<PluginInfo> {
    let version = config.get("connector.plugin.version").map(String::as_str);
    let version = version.filter(|v| !v.is_empty() && *v != "latest");
    plugins
        .resolve(config.get("connector.class")?, version)
        .ok()
}
