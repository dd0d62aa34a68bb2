//! The newest lines of the log, for whoever watches: a bounded ring and a broadcast.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::clock::UnixMs;
use crate::log::{LogLevel, LogLine};

/// Lines that are kept, and bytes they may take together.
const LINES: usize = 2_000;
const BYTES: usize = 2 << 20;
/// Lines a watcher may be behind before it loses the oldest.
const BEHIND: usize = 1_024;

/// Which lines are wanted; `None` takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// At least as grave.
    pub level: Option<LogLevel>,
    /// Part of the message, a field or the component, without regard to case.
    pub text: Option<String>,
    /// Beginning of the component.
    pub component: Option<String>,
    /// From this instant on, Unix ms.
    pub from: Option<UnixMs>,
    /// Before this instant, Unix ms.
    pub to: Option<UnixMs>,
    /// Before this line.
    pub before: Option<u64>,
}

impl Wanted {
    /// True for a line that fits.
    #[must_use]
    pub fn takes(&self, line: &LogLine) -> bool {
        self.level.is_none_or(|level| line.level <= level)
            && self.from.is_none_or(|from| line.ts >= from)
            && self.to.is_none_or(|to| line.ts < to)
            && self.before.is_none_or(|id| line.id < id)
            && self.component.as_ref().is_none_or(|name| line.component.starts_with(name.as_str()))
            && self.text.as_ref().is_none_or(|text| holds(line, &text.to_lowercase()))
    }
}

fn holds(line: &LogLine, text: &str) -> bool {
    let has = |place: &str| place.to_lowercase().contains(text);
    has(&line.message)
        || has(&line.component)
        || line.fields.iter().any(|(name, value)| match value {
            serde_json::Value::String(value) => has(value) || has(&format!("{name}={value}")),
            other => has(&format!("{name}={other}")),
        })
}

/// The ring. Numbers of lines go up by one and are never used again.
pub struct Console {
    ring: Mutex<Ring>,
    sender: Sender<Arc<LogLine>>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    newest: u64,
}

impl Default for Console {
    fn default() -> Self {
        Self { ring: Mutex::default(), sender: broadcast::channel(BEHIND).0 }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("newest", &self.newest()).finish_non_exhaustive()
    }
}

impl Console {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line and gives it its number.
    pub(super) fn push(&self, mut line: LogLine) {
        let mut ring = self.ring();
        ring.newest += 1;
        line.id = ring.newest;
        let line = Arc::new(line);
        ring.bytes += line.size();
        ring.lines.push_back(Arc::clone(&line));
        while ring.lines.len() > LINES || (ring.bytes > BYTES && ring.lines.len() > 1) {
            if let Some(old) = ring.lines.pop_front() {
                ring.bytes = ring.bytes.saturating_sub(old.size());
            }
        }
        // Under the lock: watchers get lines in the order of their numbers. Nobody may be watching.
        drop(self.sender.send(line));
    }

    /// Every line from now on. A watcher that is slow loses the oldest, and is told how many.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<Arc<LogLine>> {
        self.sender.subscribe()
    }

    /// Number of the newest line; 0 = there was none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.ring().newest
    }

    /// Lines behind number `id`, the oldest first, at most `at_most`.
    #[must_use]
    pub fn after(&self, id: u64, at_most: usize) -> Vec<Arc<LogLine>> {
        let ring = self.ring();
        let start = ring.lines.partition_point(|line| line.id <= id);
        ring.lines.iter().skip(start).take(at_most).cloned().collect()
    }

    /// The newest lines that are wanted, the newest first, at most `at_most`.
    #[must_use]
    pub fn find(&self, wanted: &Wanted, at_most: usize) -> Vec<Arc<LogLine>> {
        let all: Vec<_> = self.ring().lines.iter().cloned().collect();
        all.into_iter().rev().filter(|line| wanted.takes(line)).take(at_most).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(message: &str, level: LogLevel) -> LogLine {
        LogLine {
            id: 0,
            ts: 5,
            level,
            component: "gateway::relay".to_owned(),
            message: message.to_owned(),
            fields: json!({"account": "Work", "n": 7}).as_object().unwrap().clone(),
        }
    }

    #[test]
    fn the_ring_is_bounded_in_lines_and_in_bytes() {
        let console = Console::default();
        for n in 0..LINES + 10 {
            console.push(line(&n.to_string(), LogLevel::Info));
        }
        assert_eq!(console.newest(), 2_010);
        let all = console.after(0, usize::MAX);
        assert_eq!((all.len(), all[0].id), (LINES, 11));
        assert_eq!(console.after(2_008, 1)[0].id, 2_009);
        for _ in 0..100 {
            console.push(line(&"x".repeat(60_000), LogLevel::Info));
        }
        let kept = console.after(0, usize::MAX);
        assert!(kept.iter().map(|line| line.size()).sum::<usize>() <= BYTES);
        assert!(kept.len() > 20);
    }

    #[test]
    fn lines_are_found_by_level_text_and_component() {
        let console = Console::default();
        console.push(line("one", LogLevel::Error));
        console.push(line("two", LogLevel::Info));
        let find = |wanted: Wanted| -> Vec<String> {
            console.find(&wanted, 10).iter().map(|line| line.message.clone()).collect()
        };
        assert_eq!(find(Wanted::default()), ["two", "one"]);
        assert_eq!(find(Wanted { level: Some(LogLevel::Warn), ..Wanted::default() }), ["one"]);
        for (text, hits) in [("work", 2), ("ACCOUNT=WORK", 2), ("n=7", 2), ("one", 1), ("zzz", 0)] {
            let wanted = Wanted { text: Some(text.to_owned()), ..Wanted::default() };
            assert_eq!(find(wanted).len(), hits, "{text}");
        }
        let wanted =
            Wanted { component: Some("gate".to_owned()), before: Some(2), ..Wanted::default() };
        assert_eq!(find(wanted), ["one"]);
    }

    #[test]
    fn watchers_get_lines_in_order() {
        let console = Console::default();
        let mut seat = console.subscribe();
        console.push(line("one", LogLevel::Info));
        console.push(line("two", LogLevel::Info));
        assert_eq!(seat.try_recv().unwrap().id, 1);
        assert_eq!(seat.try_recv().unwrap().message, "two");
    }
}
