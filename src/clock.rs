//! The one source of time: wall clock (Unix ms) and monotonic clock, injectable in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Unix milliseconds UTC, the unit of every stored instant.
pub type UnixMs = i64;

/// The wall clock is looked at this often by whoever waits for an instant: it may be set, and a sleep counts no time in
/// which the machine slept.
const LOOK: Duration = Duration::from_secs(1);

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
    moved: watch::Sender<()>,
}

impl Clock {
    /// A clock that starts at `wall_ms` and moves only by [`Clock::advance`].
    #[must_use]
    pub fn manual(wall_ms: UnixMs) -> Self {
        Self::Manual(Arc::new(Manual {
            wall_ms: AtomicI64::new(wall_ms),
            mono_ms: AtomicI64::new(0),
            base: system_instant(),
            moved: watch::Sender::default(),
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

    /// Waits until the wall clock shows `at` or later.
    pub async fn until(&self, at: UnixMs) {
        let mut moved = match self {
            Self::System => None,
            Self::Manual(manual) => Some(manual.moved.subscribe()),
        };
        loop {
            let left = u64::try_from(at.saturating_sub(self.now_ms())).unwrap_or(0);
            if left == 0 {
                return;
            }
            match &mut moved {
                None => tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await,
                // The sender is in `self`: it is there.
                Some(moved) => drop(moved.changed().await),
            }
        }
    }

    /// Sets a manual wall clock forward or back, as an operator does, or a machine that slept: monotonic time does not
    /// move. No effect on the system clock.
    pub fn set_wall(&self, by_ms: i64) {
        if let Self::Manual(m) = self {
            m.wall_ms.fetch_add(by_ms, Ordering::Relaxed);
            m.moved.send_replace(());
        }
    }

    /// Moves a manual clock forward (wall and monotonic). No effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(m) = self {
            let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            m.wall_ms.fetch_add(ms, Ordering::Relaxed);
            m.mono_ms.fetch_add(ms, Ordering::Relaxed);
            m.moved.send_replace(());
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
        clock.set_wall(-1_000);
        assert_eq!(clock.now_ms(), 250);
        assert_eq!(clock.now().duration_since(start), Duration::from_millis(250));
    }

    #[tokio::test]
    async fn whoever_waits_for_an_instant_goes_on_when_it_has_come() {
        let clock = Clock::manual(1_000);
        clock.until(1_000).await;
        let moving = clock.clone();
        let mover = std::thread::spawn(move || {
            for _ in 0..2 {
                moving.advance(Duration::from_secs(1));
            }
        });
        clock.until(3_000).await;
        assert_eq!(clock.now_ms(), 3_000);
        mover.join().unwrap();
        let system = Clock::System;
        let at = system.now_ms() + 5;
        system.until(at).await;
        assert!(system.now_ms() >= at);
    }
}
