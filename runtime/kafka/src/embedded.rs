//! The embedded Kafka of `tidegate dev`: librdkafka's mock cluster, in memory. For trying out on a
//! machine without Kafka; no claim about delivery is tested on it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::mocking::MockCluster;

use crate::cluster::KafkaError;

/// A running mock cluster. Ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct EmbeddedKafka {
    bootstrap_servers: String,
    cluster_id: String,
    requests: Sender<CreateTopic>,
}

struct CreateTopic {
    name: String,
    partitions: i32,
    answer: Sender<Result<(), String>>,
}

impl EmbeddedKafka {
    /// Starts it on a loopback port of its own.
    ///
    /// # Errors
    /// If librdkafka cannot start it.
    pub fn start() -> Result<Self, KafkaError> {
        let (ready_sender, ready) = channel();
        let (requests, receiver) = channel();
        // The handle of the mock is tied to a thread, so one thread owns it and takes requests.
        std::thread::Builder::new()
            .name("embedded-kafka".to_owned())
            .spawn(move || match MockCluster::new(1) {
                Ok(cluster) => {
                    let _ = ready_sender.send(Ok(cluster.bootstrap_servers()));
                    serve(&cluster, &receiver);
                }
                Err(error) => {
                    let _ = ready_sender.send(Err(error.to_string()));
                }
            })
            .map_err(|e| KafkaError::Embedded(e.to_string()))?;
        let bootstrap_servers = ready
            .recv()
            .map_err(|e| KafkaError::Embedded(e.to_string()))?
            .map_err(KafkaError::Embedded)?;
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let started_ns = started.unwrap_or_default().as_nanos();
        Ok(Self {
            bootstrap_servers,
            cluster_id: format!("embedded-{}-{started_ns}", std::process::id()),
            requests,
        })
    }

    /// Where it listens.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Another one with each start, for the records go with the process.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Creates a topic; one that exists is left as it is.
    ///
    /// # Errors
    /// With librdkafka's words.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), KafkaError> {
        let (answer, answered) = channel();
        let request = CreateTopic {
            name: name.to_owned(),
            partitions,
            answer,
        };
        self.requests
            .send(request)
            .map_err(|e| KafkaError::Embedded(e.to_string()))?;
        answered
            .recv()
            .map_err(|e| KafkaError::Embedded(e.to_string()))?
            .map_err(|reason| KafkaError::Topic {
                topic: name.to_owned(),
                reason,
            })
    }
}

fn serve(
    cluster: &MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    requests: &Receiver<CreateTopic>,
) {
    while let Ok(request) = requests.recv() {
        let created = cluster.create_topic(&request.name, request.partitions, 1);
        let answer = match created {
            Err(e) if !e.to_string().contains("already exists") => Err(e.to_string()),
            _ => Ok(()),
        };
        let _ = request.answer.send(answer);
    }
}
