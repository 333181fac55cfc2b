//! Which task reads which files.

use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::glob;

/// The task configurations.
pub fn tasks(request: &PlanRequest<'_, Config>) -> Result<Vec<RawConfig>> {
    // The plain case is the configuration of the connector itself, as in Kafka.
    if let [one] = request.config.file.as_slice()
        && !glob::is_pattern(one)
    {
        return Ok(vec![request.task()]);
    }
    let files = files(&request.config.file)?;
    if files.is_empty() {
        log::info!("no file matches {} yet", request.config.file.join(", "));
    }
    let task = |files: Vec<String>| {
        Ok(request
            .task()
            .with("task.files", serde_json::to_string(&files)?))
    };
    distribute(files, request.max_tasks)
        .into_iter()
        .map(task)
        .collect()
}

/// Every file once. A name without wildcards counts even if there is no such file yet.
fn files(names: &[String]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for name in names {
        if glob::is_pattern(name) {
            files.extend(glob::expand(name).or_fail(format!(
                "list {name} (check permissions and that the connector was granted its directory)"
            ))?);
        } else {
            files.push(name.clone());
        }
    }
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

/// Deals files to at most `max` tasks, evenly, and so that one file more or less moves few others:
/// each file goes to the task that suits it best among those with room left.
fn distribute(files: Vec<String>, max: usize) -> Vec<Vec<String>> {
    let count = max.min(files.len());
    let mut tasks: Vec<Vec<String>> = vec![Vec::new(); count];
    let room = files.len().div_ceil(count.max(1));
    for file in files {
        let free = tasks
            .iter_mut()
            .enumerate()
            .filter(|(_, task)| task.len() < room);
        if let Some((_, task)) = free.max_by_key(|(number, _)| affinity(&file, *number)) {
            task.push(file);
        }
    }
    // Room is rounded up, so the last tasks can be left without a file.
    tasks.retain(|task| !task.is_empty());
    tasks
}

/// FNV-1a of both. Part of how the files of a running connector are spread: keep it as it is.
fn affinity(file: &str, task: usize) -> u64 {
    let bytes = file.bytes().chain(task.to_string().into_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("/logs/{n}.log")).collect()
    }

    #[test]
    fn every_file_has_one_task_and_no_task_has_too_many() {
        for (count, max) in [(0, 3), (1, 3), (3, 3), (10, 3), (100, 7), (5, 1)] {
            let tasks = distribute(names(count), max);
            assert!(tasks.len() <= max);
            assert!(
                tasks
                    .iter()
                    .all(|t| t.len() <= count.div_ceil(max.min(count)) && !t.is_empty())
            );
            let all: BTreeSet<_> = tasks.into_iter().flatten().collect();
            assert_eq!(all.len(), count);
        }
    }

    #[test]
    fn one_file_more_leaves_most_where_they_are() {
        let (before, after) = (distribute(names(60), 6), distribute(names(61), 6));
        let stayed: usize = before
            .iter()
            .zip(&after)
            .map(|(old, new)| old.iter().filter(|file| new.contains(file)).count())
            .sum();
        assert!(stayed >= 45, "{stayed} of 60 files stayed");
    }
}
