//! The loop of a source task that delivers exactly once: poll, convert, and hand over to the task's
//! transactions (D8). While one batch is on its way the guest already makes the next.

use std::time::Duration;

use tidegate_cluster::Positions;
use tidegate_model::batch::SourceBatch;
use tidegate_model::state::State;
use tidegate_sandbox::{CallError, Polled};
use tokio::time::sleep;

use crate::backoff::Pauses;
use crate::error::TaskError;
use crate::rest::Rest;
use crate::source_boundaries::Step;
use crate::source_intake::{Next, Prepared, SourceIntake, poll};
use crate::source_transaction::SourceTransactions;
use crate::task::Control;

pub(crate) struct ExactlyOnceLoop {
    pub(crate) intake: SourceIntake,
    pub(crate) transactions: SourceTransactions,
}

impl ExactlyOnceLoop {
    /// Runs until stopped; then ends the open transaction and lets the guest clean up.
    pub(crate) async fn run(mut self, control: &mut Control) -> Result<(), TaskError> {
        if let Err(error) = self.rounds(control).await {
            return Err(self.transactions.give_up(error).await);
        }
        let finished = self.transactions.finish(control).await;
        self.intake.stop().await;
        finished
    }

    async fn rounds(&mut self, control: &mut Control) -> Result<(), TaskError> {
        let mut pauses = Pauses::new();
        let mut pending: Option<Box<SourceBatch>> = None;
        let mut rest = Rest::default();
        loop {
            self.transactions.check()?;
            if control.is_stopping() {
                return Ok(());
            }
            if self.transactions.due()? == Some(Duration::ZERO) {
                self.commit(control).await?;
            }
            // A transaction that only the connector may end goes on to its end first.
            if control.is_paused() && !self.transactions.is_midway() {
                match pending.take() {
                    Some(batch) => {
                        let prepared = self.intake.prepare(batch).await?;
                        let delivered = self.deliver(prepared, control).await;
                        self.delivered(delivered, control).await?;
                    }
                    None => {
                        self.commit(control).await?;
                        control.report(State::Paused);
                        control.changed().await;
                    }
                }
                continue;
            }
            control.report(State::Running);
            if let Some(left) = rest.left() {
                self.wait(control, left).await?;
                continue;
            }
            let polled = match pending.take() {
                Some(batch) => self.deliver_and_poll(batch, control).await?,
                None => poll(&mut self.intake.task).await,
            };
            match self.intake.understand(polled, &mut pauses)? {
                Next::Produce(batch) => pending = Some(batch),
                Next::Wait(pause) => rest.begin(pause),
                Next::Finished => rest.begin(Duration::MAX),
            }
        }
    }

    async fn wait(&mut self, control: &mut Control, pause: Duration) -> Result<(), TaskError> {
        let due = self.transactions.due()?.unwrap_or(Duration::MAX);
        tokio::select! {
            () = sleep(pause.min(due)) => {}
            () = self.transactions.acked() => {}
            () = control.changed() => {}
        }
        Ok(())
    }

    async fn deliver_and_poll(
        &mut self,
        batch: Box<SourceBatch>,
        control: &mut Control,
    ) -> Result<Result<Polled, CallError>, TaskError> {
        let mut prepared = self.intake.prepare(batch).await?;
        let steps = self.steps(&mut prepared);
        let (delivered, polled) = tokio::join!(
            self.transactions.deliver(&prepared, steps, control),
            poll(&mut self.intake.task)
        );
        self.delivered(delivered, control).await?;
        Ok(polled)
    }

    async fn deliver(
        &mut self,
        mut prepared: Prepared,
        control: &Control,
    ) -> Result<Positions, TaskError> {
        let steps = self.steps(&mut prepared);
        self.transactions.deliver(&prepared, steps, control).await
    }

    fn steps(&self, prepared: &mut Prepared) -> Vec<Step> {
        let checkpoints = std::mem::take(&mut prepared.batch.checkpoints);
        self.transactions.bounds.steps(
            self.transactions.is_midway(),
            prepared.batch.rows,
            checkpoints,
        )
    }

    async fn delivered(
        &mut self,
        delivered: Result<Positions, TaskError>,
        control: &mut Control,
    ) -> Result<(), TaskError> {
        self.committed(delivered?, control).await
    }

    async fn commit(&mut self, control: &mut Control) -> Result<(), TaskError> {
        let durable = self.transactions.commit(control).await?;
        self.committed(durable, control).await
    }

    async fn committed(
        &mut self,
        durable: Positions,
        control: &mut Control,
    ) -> Result<(), TaskError> {
        self.intake.show_memory();
        if durable.is_empty() {
            return Ok(());
        }
        control.progress();
        self.intake.committed(&durable).await
    }
}
