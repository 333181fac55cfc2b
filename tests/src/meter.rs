//! What a process costs, as the kernel counts it.

use std::fs;

/// CPU time and memory of a process, together with its children.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    pid: u32,
    cpu_at_start: f64,
}

impl Meter {
    /// Starts counting: CPU time from now on, and the peak of memory from what it is now.
    pub fn start(pid: u32) -> Self {
        for pid in family(pid) {
            // 5 resets the peak (proc(5)).
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        Self {
            pid,
            cpu_at_start: cpu_seconds(pid),
        }
    }

    /// Counts CPU time from the process's own start.
    pub fn count_from_zero(&mut self) {
        self.cpu_at_start = 0.0;
    }

    /// CPU-seconds since the start.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.pid) - self.cpu_at_start
    }

    /// The most memory since the start, in MiB, the children's peaks added.
    pub fn peak_mib(&self) -> u64 {
        family(self.pid)
            .into_iter()
            .map(|pid| memory_kib(pid, "VmHWM:"))
            .sum::<u64>()
            / 1024
    }
}

/// User and system time of a process, of its children, and of those that ended before.
pub fn cpu_seconds(pid: u32) -> f64 {
    // Linux counts these in hundredths of a second on every platform (USER_HZ).
    const TICKS_PER_SECOND: f64 = 100.0;
    let own = stat(pid, 11) + stat(pid, 12);
    let ended_children = stat(pid, 13) + stat(pid, 14);
    let living: f64 = children(pid).into_iter().map(cpu_seconds).sum();
    (own + ended_children) as f64 / TICKS_PER_SECOND + living
}

/// What a process holds in memory now, in MiB.
pub fn resident_mib(pid: u32) -> u64 {
    memory_kib(pid, "VmRSS:") / 1024
}

/// How many threads a process has.
pub fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or_default()
}

fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    children(pid)
        .into_iter()
        .for_each(|child| all.extend(family(child)));
    all
}

fn children(pid: u32) -> Vec<u32> {
    // A child is listed with the thread that made it.
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A number of /proc/PID/stat, counted from behind the name: that may hold blanks.
fn stat(pid: u32, field: usize) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let numbers = text
        .rsplit_once(") ")
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    numbers
        .split(' ')
        .nth(field)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

fn memory_kib(pid: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default()
}
