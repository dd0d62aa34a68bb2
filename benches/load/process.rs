//! What the kernel says of a process and its children.

use std::time::Duration;

/// A process with all that it started.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            found.extend(children.unwrap_or_default().split_whitespace().map(pid_of));
        }
        at += 1;
    }
    found
}

fn pid_of(text: &str) -> u32 {
    text.parse().unwrap()
}

/// CPU time that processes have used so far, in user mode and in the kernel.
pub(crate) fn cpu(processes: &[u32]) -> Duration {
    processes.iter().map(|pid| precise(*pid).unwrap_or_else(|| coarse(*pid))).sum()
}

/// Of all running threads, to the nanosecond. `None` where the kernel does not count so.
fn precise(pid: u32) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += Duration::from_nanos(stat.split(' ').next()?.parse().ok()?);
    }
    Some(sum)
}

/// In hundredths of a second, whatever the kernel's own tick is.
fn coarse(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    let fields: Vec<_> = after_name.split(' ').collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Resident memory in MB; pages that processes share count once for each.
pub(crate) fn resident(processes: &[u32]) -> f64 {
    let kilobytes = processes.iter().map(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
    });
    kilobytes.sum::<f64>() * 1024.0 / 1e6
}
