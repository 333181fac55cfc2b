//! Where the transactions of a source end (KIP-618): what a batch means for them, and when one that is
//! open has to go.

use std::ops::Range;
use std::time::Duration;

use tidegate_cluster::Positions;
use tidegate_model::batch::{Boundary, Checkpoint};

/// What a transaction of the connector's own may hold. It cannot be cut, and a reader of what is
/// committed waits for its end.
pub(crate) const MAX_OWN_BYTES: usize = 64 << 20;

/// The part of the transaction time-out that is left for acks and the commit itself.
const COMMIT_SHARE: u32 = 10;

/// What a transaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// One batch.
    Poll,
    /// The batches of so long.
    Interval(Duration),
    /// What the connector says.
    Connector,
}

/// How a step leaves its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Commit,
    Abort,
}

/// Rows of a batch and the positions that cover them, all in one transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) rows: Range<usize>,
    pub(crate) positions: Positions,
    pub(crate) end: End,
}

/// What an open transaction needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing, for so long.
    Later(Duration),
    Commit,
    /// It holds more than is allowed, and may not be cut.
    TooLarge,
    /// The broker is about to abort it, and it may not be cut.
    TooLong,
}

/// The bounds of a task's transactions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransactionBounds {
    pub(crate) within: Within,
    /// Past this one is committed early, where it may be cut.
    pub(crate) max_bytes: usize,
    /// `transaction.timeout.ms`: past this the broker aborts it.
    pub(crate) timeout: Duration,
}

impl TransactionBounds {
    /// What a transaction needs that has been open for `age` and holds `bytes`.
    pub(crate) fn due(&self, age: Duration, bytes: usize) -> Due {
        let longest = self.timeout - self.timeout / COMMIT_SHARE;
        let later = |longest: Duration| match longest.saturating_sub(age) {
            Duration::ZERO => None,
            left => Some(Due::Later(left)),
        };
        match self.within {
            Within::Poll => Due::Commit,
            Within::Interval(_) if bytes >= self.max_bytes => Due::Commit,
            Within::Interval(interval) => later(interval.min(longest)).unwrap_or(Due::Commit),
            Within::Connector if bytes > MAX_OWN_BYTES => Due::TooLarge,
            Within::Connector => later(longest).unwrap_or(Due::TooLong),
        }
    }

    /// What to do with a batch, in order. `midway`: a transaction of the connector's own is open.
    pub(crate) fn steps(
        &self,
        midway: bool,
        rows: usize,
        checkpoints: Vec<Checkpoint>,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut start = 0;
        let mut positions = Positions::new();
        for checkpoint in checkpoints {
            positions.push((checkpoint.partition, checkpoint.offset));
            let end = match checkpoint.boundary {
                Boundary::Commit if self.within == Within::Connector => End::Commit,
                Boundary::Abort if self.within == Within::Connector => End::Abort,
                // Who asked for other transactions than the connector's own gets them.
                _ => continue,
            };
            let covered = checkpoint.rows as usize;
            steps.push(Step {
                rows: start..covered,
                positions: std::mem::take(&mut positions),
                end,
            });
            start = covered;
        }
        if start < rows || !positions.is_empty() {
            let is_between = start == rows && (!midway || !steps.is_empty());
            let end = match self.within {
                Within::Poll => End::Commit,
                // A position between two transactions covers nothing that is not committed, and would
                // else keep one open that nobody ends.
                Within::Connector if is_between => End::Commit,
                Within::Interval(_) | Within::Connector => End::Open,
            };
            steps.push(Step {
                rows: start..rows,
                positions,
                end,
            });
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::offset::{SourceOffset, SourcePartition};

    fn bounds(within: Within) -> TransactionBounds {
        TransactionBounds {
            within,
            max_bytes: 1000,
            timeout: Duration::from_secs(60),
        }
    }

    fn checkpoint(rows: u32, boundary: Boundary) -> Checkpoint {
        Checkpoint {
            rows,
            partition: SourcePartition::parse(r#"{"f":"a"}"#).unwrap(),
            offset: SourceOffset::parse(&format!(r#"{{"n":{rows}}}"#)).unwrap(),
            boundary,
        }
    }

    /// Rows, how far the last position is, and the end of each step.
    fn steps_from(
        midway: bool,
        within: Within,
        rows: usize,
        boundaries: &[(u32, Boundary)],
    ) -> Vec<(Range<usize>, String, End)> {
        let checkpoints = boundaries.iter().map(|&(rows, b)| checkpoint(rows, b));
        let steps = bounds(within).steps(midway, rows, checkpoints.collect());
        let last = |step: &Step| step.positions.last().map(|(_, offset)| offset.to_string());
        steps
            .iter()
            .map(|step| (step.rows.clone(), last(step).unwrap_or_default(), step.end))
            .collect()
    }

    fn steps(
        within: Within,
        rows: usize,
        boundaries: &[(u32, Boundary)],
    ) -> Vec<(Range<usize>, String, End)> {
        steps_from(false, within, rows, boundaries)
    }

    #[test]
    fn a_poll_is_a_transaction_whatever_the_connector_says() {
        let at = |n: u32| format!(r#"{{"n":{n}}}"#);
        let both = [(2, Boundary::Abort), (3, Boundary::Commit)];
        assert_eq!(steps(Within::Poll, 4, &both), [(0..4, at(3), End::Commit)]);
        let interval = Within::Interval(Duration::from_secs(1));
        assert_eq!(steps(interval, 4, &both), [(0..4, at(3), End::Open)]);
        // A position can move without a record.
        let moved = [(0, Boundary::None)];
        assert_eq!(steps(Within::Poll, 0, &moved), [(0..0, at(0), End::Commit)]);
        assert_eq!(steps(Within::Poll, 0, &[]), []);
    }

    #[test]
    fn a_connectors_transactions_end_where_it_says() {
        let at = |n: u32| format!(r#"{{"n":{n}}}"#);
        let said = [
            (1, Boundary::None),
            (2, Boundary::Commit),
            (4, Boundary::Abort),
            (5, Boundary::None),
        ];
        assert_eq!(
            steps(Within::Connector, 6, &said),
            [
                (0..2, at(2), End::Commit),
                (2..4, at(4), End::Abort),
                (4..6, at(5), End::Open),
            ]
        );
        let whole = [(6, Boundary::Commit)];
        assert_eq!(
            steps(Within::Connector, 6, &whole),
            [(0..6, at(6), End::Commit)]
        );
    }

    #[test]
    fn a_position_between_two_transactions_opens_none() {
        let at = |n: u32| format!(r#"{{"n":{n}}}"#);
        let own = Within::Connector;
        let moved = [(0, Boundary::None)];
        assert_eq!(steps(own, 0, &moved), [(0..0, at(0), End::Commit)]);
        assert_eq!(
            steps_from(true, own, 0, &moved),
            [(0..0, at(0), End::Open)],
            "it would commit what the connector has not"
        );
        let after = [(2, Boundary::Commit), (2, Boundary::None)];
        assert_eq!(
            steps_from(true, own, 2, &after),
            [(0..2, at(2), End::Commit), (2..2, at(2), End::Commit)]
        );
        let before = [(2, Boundary::Commit), (3, Boundary::None)];
        assert_eq!(steps(own, 3, &before)[1], (2..3, at(3), End::Open));
    }

    #[test]
    fn only_what_may_be_cut_is_committed_early() {
        let seconds = Duration::from_secs;
        let interval = bounds(Within::Interval(seconds(10)));
        assert_eq!(interval.due(seconds(4), 999), Due::Later(seconds(6)));
        assert_eq!(interval.due(seconds(4), 1000), Due::Commit);
        assert_eq!(interval.due(seconds(10), 0), Due::Commit);
        // Longer than the broker lets it stay open.
        let slow = bounds(Within::Interval(seconds(600)));
        assert_eq!(slow.due(seconds(54), 0), Due::Commit);

        let own = bounds(Within::Connector);
        assert_eq!(own.due(seconds(4), 1000), Due::Later(seconds(50)));
        assert_eq!(own.due(seconds(4), MAX_OWN_BYTES + 1), Due::TooLarge);
        assert_eq!(own.due(seconds(54), 0), Due::TooLong);
    }
}
