//! News of the cluster, and what the driver owes the cluster for them.

use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_cluster::{ClusterEvent, StatusRecord};
use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::Event;
use tidegate_model::names::TaskId;
use tidegate_model::state::RemoteStatus;

use super::{Driver, Ended, Log};
use crate::source_delivery::transactional_id;

impl Driver {
    pub(super) fn news(&mut self, event: ClusterEvent) {
        match event {
            ClusterEvent::Log(place, record) => self.log_record(place, record),
            ClusterEvent::Status(record) => self.status(record),
            ClusterEvent::End(reached) => {
                let _ = reached.send(());
            }
            ClusterEvent::Gained(shards) => {
                tracing::info!(shards = shards.len(), "gained shards");
                self.handle(Event::Gained(shards));
            }
            ClusterEvent::Going { shards, done } => {
                tracing::info!(shards = shards.len(), "shards go");
                self.handle(Event::Lost(shards.clone()));
                if let Some(done) = done {
                    self.going.push((shards, done));
                }
            }
            ClusterEvent::Leading(leading) => {
                tracing::info!(leading, "lead of the cluster");
                self.handle(Event::Leading(leading));
                if let Some(publisher) = &mut self.publisher {
                    publisher.forget_connectors();
                }
            }
            ClusterEvent::Failed(reason) => {
                tracing::error!("this worker cannot be a member of the cluster any more: {reason}");
                self.ended.send_replace(Some(Ended::Failed(reason)));
            }
        }
    }

    /// A record of the log, from the topic or from an append of our own.
    pub(super) fn log_record(&mut self, place: u64, record: ConfigRecord) {
        self.forget_deleted(&record);
        self.handle(Event::Log(place, record));
        self.applied.send_replace(self.herder.log().last_place());
    }

    fn status(&mut self, record: StatusRecord) {
        self.say_again_of_connector(&record);
        let event = match record {
            StatusRecord::Task(id, status) => Event::TaskStatus(id, status),
            StatusRecord::Connector(name, status) => Event::ConnectorStatus(name, status),
            StatusRecord::Worker(id, record) => Event::Worker(id, record),
            StatusRecord::Released(id, place) => Event::Released(id, place),
        };
        self.handle(event);
    }

    /// A former leader's word stands last in the topic now, and is all that a worker that comes later
    /// reads of the connector: who leads says it again.
    fn say_again_of_connector(&mut self, record: &StatusRecord) {
        let StatusRecord::Connector(name, status) = record else {
            return;
        };
        let own = self.herder.own_record();
        let is_own = |status: &RemoteStatus| {
            own.as_ref()
                .is_some_and(|own| own.incarnation == status.incarnation)
        };
        if let Some(publisher) = &mut self.publisher
            && self.herder.is_leading()
            && !status.as_ref().is_some_and(is_own)
        {
            publisher.say_again(name);
        }
    }

    /// Statuses of a connector that is no more, for who leads to delete.
    fn forget_deleted(&mut self, record: &ConfigRecord) {
        let ConfigRecord::Connector { name, config: None } = record else {
            return;
        };
        let existed = self.herder.log().connector(name).is_some();
        if let Some(publisher) = &mut self.publisher
            && self.herder.is_leading()
            && existed
        {
            let tasks = self.herder.task_statuses(name).len();
            publisher.forget(name, tasks);
        }
    }

    /// The leader's session key, where there is none, or an old one, or one that cannot be opened.
    pub(super) fn due_session_key(&self) -> Option<ConfigRecord> {
        let Log::Shared(cluster) = &self.log else {
            return None;
        };
        if !self.herder.is_leading() {
            return None;
        }
        let settings = cluster.settings();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let now_ms = i64::try_from(now.as_millis()).ok()?;
        let ttl_ms = i64::try_from(settings.key_ttl.as_millis()).unwrap_or(i64::MAX);
        let current = self.herder.log().cluster().session_keys().first();
        let is_good = current.is_some_and(|key| {
            // A clock that jumped back makes keys of the future: they are renewed, too.
            (0..ttl_ms).contains(&(now_ms - key.creation_timestamp))
                && settings.secret_key.signer(key).is_ok()
        });
        if is_good {
            return None;
        }
        let key = settings.secret_key.new_session_key(now_ms);
        key.ok().map(ConfigRecord::SessionKey)
    }

    pub(super) fn fence(&self, connector: String, generation: u64, ids: u32) {
        let Log::Shared(cluster) = &self.log else {
            return;
        };
        let group = &cluster.settings().group;
        let ids = (0..ids).map(|task| transactional_id(group, &TaskId::new(&*connector, task)));
        let (ids, kafka) = (ids.collect(), self.environment.kafka.clone());
        let events = self.events.clone();
        tokio::spawn(async move {
            let outcome = crate::fencing::fence(&kafka, &connector, ids).await;
            let _ = events.send(Event::Fenced {
                connector,
                generation,
                outcome,
            });
        });
    }
}
