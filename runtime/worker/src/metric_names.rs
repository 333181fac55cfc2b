//! Names of the worker's metrics, in one place; `docs/operations.md` explains them. Labels are
//! connector and task, never anything out of a record.

pub(crate) const SOURCE_RECORDS: &str = "tidegate_source_records_total";
pub(crate) const SINK_RECORDS: &str = "tidegate_sink_records_total";
pub(crate) const RECORDS_SKIPPED: &str = "tidegate_records_skipped_total";
pub(crate) const DEAD_LETTERS: &str = "tidegate_dead_letters_total";
pub(crate) const TASK_FAILURES: &str = "tidegate_task_failures_total";
pub(crate) const TASK_RECOVERIES: &str = "tidegate_task_recoveries_total";
pub(crate) const OFFSET_COMMITS: &str = "tidegate_offset_commits_total";
pub(crate) const OFFSET_COMMIT_FAILURES: &str = "tidegate_offset_commit_failures_total";
pub(crate) const TASK_MEMORY: &str = "tidegate_task_memory_bytes";
pub(crate) const TASK_WAITING: &str = "tidegate_task_waiting";
pub(crate) const TASKS_RUNNING: &str = "tidegate_tasks_running";
