//! Starting a task: a loop of its own, inside another that hears of its end, however it ends.

use std::sync::Arc;

use tidegate_model::herder::{Event, TaskSpec};
use tidegate_sandbox::CpuMeter;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Driver, RunningTask};
use crate::task::{Control, supervise};

impl Driver {
    pub(super) fn start_task(&mut self, epoch: u64, paused: bool, spec: TaskSpec) {
        let spec = Arc::new(spec);
        let (paused, paused_receiver) = watch::channel(paused);
        let stop = CancellationToken::new();
        let cpu = CpuMeter::default();
        let control = Control::new(
            Arc::clone(&spec),
            epoch,
            stop.clone(),
            paused_receiver,
            self.events.clone(),
            self.environment.lease.clone(),
            cpu.clone(),
        );
        let id = spec.id.clone();
        self.tasks.insert(
            (id.clone(), epoch),
            RunningTask {
                stop: stop.clone(),
                paused,
                cpu,
            },
        );
        let environment = self.environment.clone();
        let events = self.events.clone();
        // A shard that goes is waited for by the whole group, and the lease runs meanwhile.
        let session = self.environment.cluster.as_ref();
        let session = session.map(|cluster| cluster.settings().session_timeout / 2);
        let graceful = environment.settings.graceful_timeout;
        let grace = session.map_or(graceful, |half| half.min(graceful));
        tokio::spawn(async move {
            // A loop of its own, so that even a panic in it is an end that the herder hears of.
            let mut supervised = tokio::spawn(supervise(environment, spec, control));
            // Past the graceful time-out the loop is dropped where it stands: what it had not
            // committed is read or polled again.
            let too_late = async {
                stop.cancelled().await;
                sleep(grace).await;
            };
            let trace = tokio::select! {
                ended = &mut supervised => ended.unwrap_or_else(|e| Some(format!("the task's loop broke: {e}"))),
                () = too_late => {
                    supervised.abort();
                    tracing::warn!(task = %id, "abandon the task: it did not stop within {} ms (task.shutdown.graceful.timeout.ms, in a cluster at most half of session.timeout.ms)", grace.as_millis());
                    None
                }
            };
            let _ = events.send(Event::TaskEnded { id, epoch, trace });
        });
    }
}
