//! What every suite shares: the real binary, a raw HTTP client, the wire formats' stories.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod closed;
pub(crate) mod database;
pub(crate) mod feed;
pub(crate) mod management;
pub(crate) mod oauth;
pub(crate) mod router;
pub(crate) mod story;
pub(crate) mod terminal;
pub(crate) mod tls;

use std::time::{Duration, Instant};

pub(crate) use browser::Browser;
pub(crate) use client::{Conn, Piece, Reply};
pub(crate) use router::{Router, Setup};
pub(crate) use story::Dialect;

/// Longest wait for anything that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Now, for measuring how long the router took.
#[expect(clippy::disallowed_methods, reason = "tests measure real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits for a condition; panics when `limit` has passed.
pub(crate) fn until<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs `case` for each item, `width` at a time, and panics with all failures together.
pub(crate) fn for_all<T: Sync>(
    items: &[T],
    width: usize,
    case: impl Fn(&T) -> Result<(), String> + Sync,
) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..width.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) =
                    items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(item)));
                    let failure = match run {
                        Ok(Ok(())) => continue,
                        Ok(Err(text)) => text,
                        Err(panic) => panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                            .unwrap_or_else(|| "panicked".to_owned()),
                    };
                    failures.lock().unwrap().push(failure);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        items.len(),
        failures.join("\n")
    );
}

/// `Err` with a text unless the claim holds; for cases that are collected by [`for_all`].
#[macro_export]
macro_rules! check {
    ($claim:expr, $($text:tt)+) => {
        if !$claim {
            return Err(format!($($text)+));
        }
    };
}
