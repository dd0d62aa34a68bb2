//! Changes that only a restart brings into effect, and how often the router may restart itself for them
//! (cli-and-deploy §7.5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::UnixMs;
use crate::config::options::Options;
use crate::secret::Secret;

/// Restarts within [`SPAN`] at most.
const MOST: usize = 3;
/// Five minutes.
const SPAN: i64 = 5 * 60_000;
/// In the data folder: a restart ends the memory of the process.
const FILE: &str = "restarts.json";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 4_096;

/// What differs from the start and waits for the next one.
#[must_use]
pub fn cold_changes(first: &Options, now: &Options) -> Vec<&'static str> {
    let text = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    let master_key = text(&first.secrets.master_key) != text(&now.secrets.master_key);
    let changed = [
        ("the address or port", first.listen != now.listen),
        ("the data folder", first.data_dir != now.data_dir),
        ("the number of workers", first.workers != now.workers),
        ("the master key", master_key),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(what, _)| what).collect()
}

/// True when something starts the router again after it ends: a service manager that is told how it stands, or
/// whoever set `NINEROUTER_AUTO_RESTART=1`.
#[must_use]
pub fn is_supervised(options: &Options) -> bool {
    options.service_manager || options.auto_restart
}

/// Counts the restarts that changes of the configuration caused, over the restarts themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restarts {
    file: PathBuf,
}

impl Restarts {
    /// Those of a data folder.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self { file: data_dir.join(FILE) }
    }

    /// Notes one more, if it may be: at most three in five minutes. Blocking.
    ///
    /// # Errors
    /// It cannot be noted; then it must not be, or nothing would end a loop.
    pub fn may_restart(&self, now: UnixMs) -> io::Result<bool> {
        let mut recent = self.recent(now);
        if recent.len() >= MOST {
            return Ok(false);
        }
        recent.push(now);
        let whole = self.file.with_extension("json.new");
        fs::write(&whole, serde_json::Value::from(recent).to_string())?;
        fs::rename(&whole, &self.file)?;
        Ok(true)
    }

    /// What cannot be read counts as nothing: it is written anew.
    fn recent(&self, now: UnixMs) -> Vec<UnixMs> {
        let small = fs::metadata(&self.file).is_ok_and(|file| file.len() <= MOST_BYTES);
        let text = if small { fs::read_to_string(&self.file).ok() } else { None };
        let all: Vec<UnixMs> =
            text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // One in the future belongs to another clock.
        all.into_iter().filter(|at| (0..SPAN).contains(&now.saturating_sub(*at))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_five_minutes_over_restarts_and_damage() {
        let dir = tempfile::tempdir().unwrap();
        let start = 1_800_000_000_000;
        // Each is another process.
        let may = |at| Restarts::of(dir.path()).may_restart(at).unwrap();
        assert!(may(start) && may(start + 1) && may(start + 60_000));
        assert!(!may(start + 61_000) && !may(start + SPAN - 1));
        assert!(may(start + SPAN), "the first is five minutes ago");
        assert!(may(start + SPAN + 1) && !may(start + SPAN + 2));
        assert!(may(start - 86_400_000), "the clock was set back");
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(may(start));
        let gone = Restarts::of(&dir.path().join("gone"));
        assert!(gone.may_restart(start).is_err());
    }
}
