//! The worker's own client: asks whether Kafka is there and lets the worker in, at its start and from
//! then on. The clients of tasks may have other settings, and some workers have no task.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, Producer};
use tidegate_model::config::ConfigMap;
use tidegate_model::state::Wait;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::quiet::QuietLog;
use crate::reachability::{self, Reachability, Verdict};
use crate::state_producer::AckContext;

/// How long one question waits: the attempts to connect show in between.
const STEP: Duration = Duration::from_millis(250);

/// For all lines that wait.
const POLL: Duration = Duration::from_millis(5);

/// The topic that is asked for: of all Kafka's topics a large cluster would have too much to say each time.
/// Every Kafka that has seen a consumer group has this one, and an answer that there is none is one, too.
const TOPIC: &str = "__consumer_offsets";

pub(crate) struct OwnClient {
    /// Never produces. It has no thread that polls: one of those costs a percent of a core.
    client: BaseProducer<AckContext>,
    reachability: Arc<Reachability>,
}

impl OwnClient {
    fn new(
        settings: &BTreeMap<String, String>,
        reachability: Arc<Reachability>,
    ) -> Result<Self, KafkaError> {
        let mut all = settings.clone();
        reachability::listen_to_log(&mut all);
        let made = client_config(&all)
            .set_log_level(RDKafkaLogLevel::Debug)
            .create_with_context(AckContext::new(QuietLog::new(
                "worker",
                Arc::clone(&reachability),
            )));
        let client = made.map_err(|e| KafkaError::Client {
            client: "client",
            reason: e.to_string(),
        })?;
        Ok(Self {
            client,
            reachability,
        })
    }

    fn answers(&self, timeout: Duration) -> bool {
        let answer = self.client.client().fetch_metadata(Some(TOPIC), timeout);
        // What librdkafka has logged meanwhile is taken in.
        self.client.poll(POLL);
        answer.is_ok()
    }
}

impl Kafka {
    fn own_client(&self) -> Result<Arc<OwnClient>, KafkaError> {
        let mut kept = self
            .0
            .own_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*kept {
            return Ok(Arc::clone(client));
        }
        let (settings, _) = self.client_config(ClientKind::Admin, &ConfigMap::new())?;
        let names = self.key_names(ClientKind::Admin, &ConfigMap::new());
        let reachability = Reachability::new(names);
        reachability.will_be_looked_at();
        let client = Arc::new(OwnClient::new(&settings, reachability)?);
        *kept = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Asks once whether Kafka lets the worker in. A Kafka that is away is no error: it comes, and is
    /// waited for. Blocks up to `limit`, less where somebody answers or nobody is there.
    ///
    /// # Errors
    /// [`KafkaError::Refused`] if waiting does not help, with the key to change.
    pub fn ask_in(&self, limit: Duration) -> Result<(), KafkaError> {
        if self.is_embedded() {
            return Ok(());
        }
        let client = self.own_client()?;
        let until = Instant::now() + limit;
        while Instant::now() < until {
            let asked = Instant::now();
            if client.answers(STEP) {
                return Ok(());
            }
            match client.reachability.first_wait() {
                Some((wait, Verdict::Stays)) => {
                    return Err(KafkaError::Refused {
                        reason: wait.reason,
                        remedy: wait.remedy,
                    });
                }
                Some((_, Verdict::Passes)) => return Ok(()),
                Some((_, Verdict::Unsure)) | None => {}
            }
            std::thread::sleep(STEP.saturating_sub(asked.elapsed()));
        }
        Ok(())
    }

    /// Asks again, so that what the worker waits for is seen to come and to go; blocks up to `timeout`.
    pub fn ask_again(&self, timeout: Duration) {
        if let Ok(client) = self.own_client() {
            client.answers(timeout);
        }
    }

    /// What the worker itself waits for.
    pub fn own_wait(&self) -> Option<Wait> {
        let kept = self
            .0
            .own_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.as_ref()?.reachability.wait()
    }
}
