//! What tasks read and write: topics, offsets and tables of four pieces a connector, and those who
//! have the right to write them.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{D1, D4, D8};
use super::happening::{
    Answer, Effect, Inside, Outside, Piece, ProcessId, Start, TaskKey, TaskStep,
};
use super::task::Kind;
use super::world::World;

/// Who wrote last by which right.
type Holder = (ProcessId, TaskKey);

#[derive(Default)]
struct Written {
    /// Records in Kafka, of a source that produces at least once.
    records: BTreeSet<u64>,
    /// Before which there is no gap.
    whole: u64,
    /// The committed offset.
    offset: u64,
    /// The fence of the row, and who raised it last.
    fence: u32,
    holder: Option<Holder>,
}

#[derive(Default)]
pub(super) struct Targets {
    pieces: BTreeMap<(String, Piece), Written>,
    /// Transactional ids: their epochs, and who has them.
    ids: BTreeMap<(String, u32), (u32, Option<Holder>)>,
}

impl World {
    /// Ends what is open under the transactional ids, and shuts out who had them.
    pub(super) fn fence_ids(
        &mut self,
        process: ProcessId,
        connector: String,
        generation: u64,
        ids: u32,
    ) {
        let outcome = if self.is_chaos && self.chance(5) {
            Err("Kafka does not answer".to_owned())
        } else {
            for task in 0..ids {
                let id = self
                    .targets
                    .ids
                    .entry((connector.clone(), task))
                    .or_default();
                *id = (id.0 + 1, None);
            }
            Ok(())
        };
        self.step(|_| format!("{ids} ids of {connector} fenced for {generation}: {outcome:?}"));
        let fenced = Inside::Fenced {
            connector,
            generation,
            outcome,
        };
        self.answer(process, fenced);
    }

    pub(super) fn init_task(&mut self, process: ProcessId, key: TaskKey) {
        let (name, task) = (key.0.connector.clone(), key.0.task);
        let id = self.targets.ids.entry((name, task)).or_default();
        *id = (id.0 + 1, Some((process, key.clone())));
        let epoch = id.0;
        self.answer(process, Inside::Task(key, TaskStep::Initialised(epoch)));
    }

    pub(super) fn open_piece(&mut self, process: ProcessId, key: TaskKey, piece: Piece) {
        let at = (key.0.connector.clone(), piece);
        let written = self.targets.pieces.entry(at).or_default();
        if Kind::of(&key.0.connector) == Kind::Ledger {
            written.fence += 1;
            written.holder = Some((process, key.clone()));
        }
        let start = Start {
            next: written.offset,
            fence: written.fence,
        };
        self.answer(process, Inside::Task(key, TaskStep::Opened(piece, start)));
    }

    /// An effect arrives. Whoever sent it may be gone by now.
    pub(super) fn apply(&mut self, process: ProcessId, key: TaskKey, effect: Effect, right: u32) {
        let lost = self.is_chaos && self.chance(3);
        let answer = match effect {
            Effect::Produce(..) if lost => Answer::Lost,
            Effect::Produce(piece, record) => self.produced(&key, piece, record),
            Effect::Commit(piece, offset) => self.committed(&key, piece, offset),
            Effect::Transact { piece, from, to } => {
                let answer = self.transacted(process, &key, (piece, from, to), right);
                if lost { Answer::Lost } else { answer }
            }
        };
        self.answer(
            process,
            Inside::Task(key, TaskStep::Answered(effect, answer)),
        );
    }

    fn written(&mut self, key: &TaskKey, piece: Piece) -> &mut Written {
        let at = (key.0.connector.clone(), piece);
        self.targets.pieces.entry(at).or_default()
    }

    fn produced(&mut self, key: &TaskKey, piece: Piece, record: u64) -> Answer {
        let written = self.written(key, piece);
        written.records.insert(record);
        while written.records.remove(&written.whole) {
            written.whole += 1;
        }
        Answer::Done
    }

    fn committed(&mut self, key: &TaskKey, piece: Piece, offset: u64) -> Answer {
        let written = self.written(key, piece);
        written.offset = offset;
        let whole = written.whole;
        if offset > whole {
            let detail = format!(
                "{} commits offset {offset} of piece {piece}, and record {whole} is not in Kafka",
                key.0
            );
            self.violate(D1, detail);
        }
        Answer::Done
    }

    fn transacted(
        &mut self,
        process: ProcessId,
        key: &TaskKey,
        (piece, from, to): (Piece, u64, u64),
        right: u32,
    ) -> Answer {
        let is_ledger = Kind::of(&key.0.connector) == Kind::Ledger;
        let id = (key.0.connector.clone(), key.0.task);
        let of_id = self.targets.ids.get(&id).cloned().unwrap_or_default();
        let written = self.written(key, piece);
        let (current, holder) = if is_ledger {
            (written.fence, written.holder.clone())
        } else {
            of_id
        };
        if right != current {
            self.tally.refusals += 1;
            return Answer::Refused;
        }
        let offset = std::mem::replace(&mut written.offset, to);
        let name = &self.processes[process].name;
        let what = format!("{} on {name} writes {from} to {to} of piece {piece}", key.0);
        if holder.as_ref() != Some(&(process, key.clone())) {
            self.violate(D4, format!("{what}, and somebody else has the right"));
        } else if offset != from {
            self.violate(D8, format!("{what}, and {offset} would be next"));
        }
        Answer::Done
    }

    /// Asks where each piece of a task begins.
    pub(super) fn open_pieces(&mut self, process: ProcessId, key: &TaskKey, pieces: &[Piece]) {
        for piece in pieces {
            let open = Outside::Open(process, key.clone(), *piece);
            self.send(process, open);
        }
    }
}
