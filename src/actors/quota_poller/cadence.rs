//! When an account's usage is looked at next (accounts §4.4). Pure arithmetic over what is known of it.

use crate::clock::UnixMs;
use crate::provider::quota::document::{Document, Source};
use crate::provider::quota::window::Rhythm;
use crate::routing::instant::{DAY, HOUR, MINUTE, SECOND};
use crate::routing::lock::Scope;

/// Between two looks that somebody asked for.
pub(super) const LEAST_GAP_MS: i64 = 30 * SECOND;
/// An account that nobody used for that long is idle …
const IDLE_AFTER_MS: i64 = DAY;
/// … and looked at this seldom.
const IDLE_EVERY_MS: i64 = 6 * HOUR;
/// Pauses after the usage page itself was throttled; the last one repeats.
const THROTTLED_MS: [i64; 3] = [15 * MINUTE, HOUR, 6 * HOUR];
/// First pause after a failure, doubled each time …
const FAILED_MS: i64 = MINUTE;
/// … up to this.
const FAILED_MOST_MS: i64 = HOUR;
/// Accounts of which nothing is known are looked at within this time of the start.
const FIRST_WITHIN_MS: i64 = MINUTE;
/// No burst at the start.
const SETTLE_MS: i64 = 5 * SECOND;

/// What one account's looks brought so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Book {
    /// Last look, whatever it brought, Unix ms.
    pub(super) tried_at: Option<UnixMs>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Refusals because of too many looks, in a row.
    pub(super) throttled: u32,
    /// Spreads the accounts; drawn anew after each look.
    pub(super) jitter: u32,
}

impl Book {
    /// Files a look.
    pub(super) fn note(&mut self, looked: Looked, now: UnixMs, jitter: u32) {
        self.tried_at = Some(now);
        self.jitter = jitter;
        (self.failures, self.throttled) = match looked {
            Looked::Read => (0, 0),
            Looked::Failed => (self.failures.saturating_add(1), 0),
            Looked::Throttled => (self.failures, self.throttled.saturating_add(1)),
        };
    }
}

/// What a look brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Looked {
    /// A usage page.
    Read,
    /// Something else.
    Failed,
    /// 429.
    Throttled,
}

/// What decides beside the book.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cx<'a> {
    pub(super) now: UnixMs,
    /// When this process began, Unix ms.
    pub(super) started_at: UnixMs,
    /// Setting `quota.poll_minutes`, ms.
    pub(super) every: i64,
    /// Last lease, Unix ms; 0 = never.
    pub(super) last_used_at: UnixMs,
    pub(super) quota: Option<&'a Document>,
}

/// When the next look is due, Unix ms.
pub(super) fn due_at(book: &Book, cx: &Cx<'_>) -> UnixMs {
    if let Some(tried_at) = book.tried_at {
        if book.throttled > 0 {
            let step = usize::try_from(book.throttled.saturating_sub(1)).unwrap_or(usize::MAX);
            let pause = THROTTLED_MS.get(step).or(THROTTLED_MS.last()).copied();
            return tried_at
                .saturating_add(around(pause.unwrap_or(HOUR), book.jitter).max(15 * MINUTE));
        }
        if book.failures > 0 {
            let doublings = book.failures.saturating_sub(1).min(16);
            let pause = FAILED_MS.saturating_mul(1 << doublings).min(FAILED_MOST_MS);
            return tried_at.saturating_add(pause);
        }
    }
    if let Some(reset) = cx.quota.and_then(|quota| spent_until(quota, cx.now)) {
        return reset.saturating_add(5 * SECOND + i64::from(book.jitter) % (55 * SECOND + 1));
    }
    let idle = cx.now.saturating_sub(cx.last_used_at) > IDLE_AFTER_MS;
    let every = if idle { cx.every.max(IDLE_EVERY_MS) } else { cx.every };
    // What headers told lately need not be asked for.
    match book.tried_at.max(told_at(cx.quota)) {
        Some(last) => last.saturating_add(around(every, book.jitter)),
        None => {
            let within = FIRST_WITHIN_MS.min(cx.every).max(1);
            cx.started_at.saturating_add(SETTLE_MS + i64::from(book.jitter) % within)
        }
    }
}

/// A fifth less up to a fifth more.
fn around(period: i64, jitter: u32) -> i64 {
    let fifth = (period / 5).max(1);
    period - fifth + i64::from(jitter) % (2 * fifth)
}

/// When windows of the plan were last told, by whomever.
fn told_at(quota: Option<&Document>) -> Option<UnixMs> {
    let windows = quota?.windows.iter();
    let told = windows.filter(|w| w.rhythm == Rhythm::Plan && w.source != Source::Error);
    told.map(|window| window.observed_at).max()
}

/// The reset for which the whole account waits; until then looking tells nothing new.
fn spent_until(quota: &Document, now: UnixMs) -> Option<UnixMs> {
    let spent = quota.windows.iter().filter(|w| w.scope == Scope::All && w.is_spent(now));
    spent.filter(|window| window.rhythm == Rhythm::Plan).filter_map(|w| w.resets_at).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AccountId;
    use crate::provider::quota::Window;

    const NOW: UnixMs = 1_790_000_000_000;
    const EVERY: i64 = 15 * MINUTE;

    fn cx(quota: Option<&Document>) -> Cx<'_> {
        Cx { now: NOW, started_at: NOW, every: EVERY, last_used_at: NOW, quota }
    }

    fn document(window: Window) -> Document {
        let mut document = Document::empty(AccountId::new(), "claude");
        document.windows.push(window);
        document
    }

    fn session(used: f64, observed_at: UnixMs) -> Window {
        let window = Window::new("5h", "Session", Scope::All).percent(Some(used));
        Window { observed_at, ..window.resets(Some(NOW + HOUR)) }
    }

    #[test]
    fn looks_keep_the_interval_within_a_fifth() {
        for jitter in [0, 7, 123_456, u32::MAX] {
            let book = Book { tried_at: Some(NOW), jitter, ..Book::default() };
            let pause = due_at(&book, &cx(None)) - NOW;
            assert!((12 * MINUTE..18 * MINUTE).contains(&pause), "{pause}");
        }
    }

    #[test]
    fn the_first_looks_are_spread() {
        for jitter in [0, 59_999, u32::MAX] {
            let book = Book { jitter, ..Book::default() };
            let pause = due_at(&book, &cx(None)) - NOW;
            assert!((5 * SECOND..65 * SECOND).contains(&pause), "{pause}");
        }
    }

    #[test]
    fn what_headers_told_is_not_asked_for() {
        let book = Book { tried_at: Some(NOW - HOUR), ..Book::default() };
        let told = document(session(40.0, NOW - MINUTE));
        assert_eq!(due_at(&book, &cx(Some(&told))), NOW - MINUTE + 12 * MINUTE);
        let minutes = Window { rhythm: Rhythm::Throttle, ..session(1.0, NOW) };
        let due = due_at(&book, &cx(Some(&document(minutes))));
        assert!(due < NOW, "rate limits are no answer to how much of the plan is left");
    }

    #[test]
    fn an_account_without_quota_is_looked_at_after_its_reset() {
        let book = Book { tried_at: Some(NOW), jitter: 7, ..Book::default() };
        let spent = document(session(100.0, NOW));
        let due = due_at(&book, &cx(Some(&spent)));
        assert!((5 * SECOND..=60 * SECOND).contains(&(due - NOW - HOUR)), "{due}");
        let family = Window { scope: Scope::Family("opus".into()), ..session(100.0, NOW) };
        assert!(due_at(&book, &cx(Some(&document(family)))) < NOW + 18 * MINUTE);
    }

    #[test]
    fn idle_accounts_are_looked_at_every_six_hours() {
        let book = Book { tried_at: Some(NOW), ..Book::default() };
        let idle = Cx { last_used_at: NOW - DAY - 1, ..cx(None) };
        assert!(due_at(&book, &idle) >= NOW + 6 * HOUR - 6 * HOUR / 5);
    }

    #[test]
    fn failures_and_throttles_back_off() {
        let mut book = Book::default();
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            book.note(Looked::Failed, NOW, 0);
            assert_eq!(due_at(&book, &cx(None)), NOW + minutes * MINUTE);
        }
        for (pause, jitter) in
            [(15 * MINUTE, 0), (48 * MINUTE, 0), (288 * MINUTE, 0), (288 * MINUTE, 0)]
        {
            book.note(Looked::Throttled, NOW, jitter);
            assert_eq!(due_at(&book, &cx(None)), NOW + pause);
        }
        book.note(Looked::Read, NOW, 0);
        assert_eq!((book.failures, book.throttled), (0, 0));
    }
}
