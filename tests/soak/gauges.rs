//! What a process holds, as the system and the router tell it.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Router, admin};

/// Threads of the blocking pool come and go.
pub(crate) const SPARE_THREADS: usize = 24;
/// Memory may drift by this share after the warm-up.
const ALLOWED: f64 = 0.05;
/// Caches, pools and rings fill up for so long at least.
const LEAST_WARM_UP: Duration = Duration::from_secs(90);

/// Reads a router's gauges.
pub(crate) struct Gauge {
    process: PathBuf,
    socket: PathBuf,
}

/// One look.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) files: usize,
    pub(crate) threads: usize,
    pub(crate) in_flight: u64,
    pub(crate) answered: u64,
    /// Answered requests without a row yet.
    pub(crate) behind: u64,
}

impl Sample {
    pub(crate) const HEAD: &str =
        "     time   resident KiB   files   threads   in flight   answered   rows behind";
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8.1}s {:14} {:7} {:9} {:11} {:10} {:13}",
            self.at.as_secs_f64(),
            self.resident_kib,
            self.files,
            self.threads,
            self.in_flight,
            self.answered,
            self.behind
        )
    }
}

impl Gauge {
    pub(crate) fn new(router: &Router) -> Self {
        let process = PathBuf::from(format!("/proc/{}", router.pid().as_raw_nonzero()));
        Self { process, socket: router.data_dir().join("admin.sock") }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let status = admin::call(&self.socket, "GET", "/api/status", None).json();
        let accounts = admin::call(&self.socket, "GET", "/api/accounts?limit=500", None).json();
        let leases = accounts["data"].as_array().map_or(&[][..], Vec::as_slice).iter();
        let leases: u64 = leases.filter_map(|account| account["state"]["in_flight"].as_u64()).sum();
        // A lease that leaks outlives its request.
        status["in_flight"].as_u64().unwrap_or(u64::MAX).max(leases)
    }

    pub(crate) fn sample(&self, at: Duration, answered: u64, rows: u64) -> Sample {
        let status = fs::read_to_string(self.process.join("status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let files = fs::read_dir(self.process.join("fd")).unwrap().count();
        Sample {
            at,
            resident_kib: number("VmRSS:"),
            files,
            threads: usize::try_from(number("Threads:")).unwrap(),
            in_flight: self.in_flight(),
            answered,
            behind: answered.saturating_sub(rows),
        }
    }
}

/// How memory went after the warm-up.
#[derive(Debug)]
pub(crate) struct Drift {
    begin_kib: u64,
    end_kib: u64,
}

impl Drift {
    fn share(&self) -> f64 {
        let kib = |n: u64| f64::from(u32::try_from(n).unwrap());
        kib(self.end_kib) / kib(self.begin_kib) - 1.0
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.share() <= ALLOWED
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.share() * 100.0;
        write!(
            f,
            "{} KiB after the warm-up, {} KiB at the end, {share:+.1} %",
            self.begin_kib, self.end_kib
        )
    }
}

/// Compares the first samples after the warm-up with the last ones, by their medians.
pub(crate) fn drift(samples: &[Sample], length: Duration) -> Drift {
    let warm_up = (length / 4).max(LEAST_WARM_UP).min(length / 2);
    let first = samples.iter().position(|sample| sample.at >= warm_up);
    let after = &samples[first.unwrap_or(samples.len() - 1)..];
    let part = after.len().div_ceil(3);
    Drift { begin_kib: median(&after[..part]), end_kib: median(&after[after.len() - part..]) }
}

fn median(samples: &[Sample]) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(|sample| sample.resident_kib).collect();
    values.sort_unstable();
    values[values.len() / 2]
}
