//! Links to database servers, shared by all tasks of a worker.

/// The pools of a worker; links are made when they are needed.
#[derive(Debug, Default)]
pub struct Pools {}
