//! All connectors with what they do, for lists: one look at the herder, whatever their number.

use std::collections::HashMap;

use tidegate_model::names::TaskId;
use tidegate_model::plugin::PluginInfo;

use crate::error::WorkerError;
use crate::worker::{ConnectorInfo, ConnectorStatus, Worker};

impl Worker {
    /// Every connector, as configured and with its status.
    ///
    /// # Errors
    /// While shutting down.
    pub async fn all_connectors(
        &self,
    ) -> Result<Vec<(ConnectorInfo, ConnectorStatus)>, WorkerError> {
        let found = self.herder().inspect(|herder| {
            let connectors = herder.log().connectors();
            let found = connectors.iter().filter_map(|(name, entry)| {
                let status = herder.connector_status(name)?;
                let tasks = herder.task_statuses(name);
                Some((name.clone(), entry.config.clone(), status, tasks))
            });
            found.collect::<Vec<_>>()
        });
        // Many connectors have the same plugin, and finding one sorts them all.
        let mut plugins: HashMap<(String, String), Option<PluginInfo>> = HashMap::new();
        let mut all = Vec::new();
        for (name, config, connector, tasks) in found.await? {
            let of = |key: &str| config.get(key).cloned().unwrap_or_default();
            let key = (of("connector.class"), of("connector.plugin.version"));
            let plugin = plugins
                .entry(key)
                .or_insert_with(|| self.plugin_of(&config));
            let kind = plugin.as_ref().map_or("unknown", |p| p.kind.as_str());
            let version = plugin.as_ref().map(|p| p.description.version.clone());
            let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
            let info = ConnectorInfo {
                tasks: (0..count).map(|task| TaskId::new(&name, task)).collect(),
                kind,
                name: name.clone(),
                config,
            };
            let status = ConnectorStatus {
                name,
                connector,
                tasks,
                kind,
                version,
            };
            all.push((info, status));
        }
        Ok(all)
    }
}
