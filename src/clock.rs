//! The one source of time: wall clock (Unix ms) and monotonic clock, injectable in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Unix milliseconds UTC, the unit of every stored instant.
pub type UnixMs = i64;

/// A clock that is either the system's or moved by hand.
///
/// Cloning is cheap; clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock for tests: stands still until [`Clock::advance`] is called.
    Manual(Arc<Manual>),
}

/// State of a manual clock.
#[derive(Debug)]
pub struct Manual {
    wall_ms: AtomicI64,
    mono_ms: AtomicI64,
    base: Instant,
}

impl Clock {
    /// A clock that starts at `wall_ms` and moves only by [`Clock::advance`].
    #[must_use]
    pub fn manual(wall_ms: UnixMs) -> Self {
        Self::Manual(Arc::new(Manual {
            wall_ms: AtomicI64::new(wall_ms),
            mono_ms: AtomicI64::new(0),
            base: system_instant(),
        }))
    }

    /// Now, as Unix milliseconds UTC.
    #[must_use]
    pub fn now_ms(&self) -> UnixMs {
        match self {
            Self::System => system_ms(),
            Self::Manual(m) => m.wall_ms.load(Ordering::Relaxed),
        }
    }

    /// Now, on the monotonic clock: for waiting and for durations.
    #[must_use]
    pub fn now(&self) -> Instant {
        match self {
            Self::System => system_instant(),
            Self::Manual(m) => {
                let ms = u64::try_from(m.mono_ms.load(Ordering::Relaxed)).unwrap_or(0);
                m.base + Duration::from_millis(ms)
            }
        }
    }

    /// Moves a manual clock forward (wall and monotonic). No effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(m) = self {
            let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            m.wall_ms.fetch_add(ms, Ordering::Relaxed);
            m.mono_ms.fetch_add(ms, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
fn system_instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
fn system_ms() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_000);
        let start = clock.now();
        assert_eq!(clock.now_ms(), 1_000);
        clock.clone().advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_250);
        assert_eq!(clock.now().duration_since(start), Duration::from_millis(250));
    }
}
