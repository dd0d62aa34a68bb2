//! How observations change a document (accounts §4.1): newer wins per window, and what errors said is not undone by a
//! usage page that lags.

use crate::clock::UnixMs;
use crate::provider::quota::document::{Document, Source};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Window};
use crate::routing::instant::{DAY, MINUTE};
use crate::routing::lock::{Lock, Scope};

/// Usage pages lag behind by up to this.
const LAG_MS: i64 = 2 * MINUTE;
/// Windows of one account at most: model names come from clients.
const MOST: usize = 256;

/// What an observation changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// Nothing: it was old news.
    None,
    /// Details; losing them in a crash costs nothing.
    Small,
    /// Something worth a write: a window of the plan is new, stands otherwise, resets at another time, or moved by a
    /// percent.
    Notable,
}

/// Takes an observation into the document.
pub fn merge(document: &mut Document, reading: Reading, now: UnixMs) -> Change {
    let mut change = Change::None;
    let count = document.windows.len();
    let Reading { source, observed_at, plan, windows, credits, overage: _ } = reading;
    if source == Source::Endpoint && !windows.is_empty() {
        // A usage page names every window: what it no longer names is gone, what errors said is answered.
        document.windows.retain(|old| match old.source {
            Source::Endpoint => {
                old.observed_at > observed_at || windows.iter().any(|new| is_same(old, new))
            }
            Source::Error => !shows_room(&windows, observed_at, &old.scope, old.observed_at),
            Source::Headers | Source::Estimate => true,
        });
    }
    if document.windows.len() != count {
        change = Change::Notable;
    }
    for new in windows {
        match document.windows.iter_mut().find(|old| is_same(old, &new)) {
            Some(old) if wins(&new, old, now) => {
                let new = succeeding(new, old, now);
                change = change.max(weight(old, &new));
                *old = new;
            }
            Some(_) => {}
            None => {
                let momentary = new.is_momentary();
                change = change.max(if momentary { Change::Small } else { Change::Notable });
                document.windows.push(new);
            }
        }
    }
    prune(&mut document.windows, now);
    if observed_at >= document.observed_at {
        (document.source, document.observed_at) = (source, observed_at);
        let other = document.stale
            || document.message.is_some()
            || plan.as_ref().is_some_and(|plan| document.plan.as_ref() != Some(plan))
            || credits.as_ref().is_some_and(|credits| document.credits.as_ref() != Some(credits));
        change = change.max(if other { Change::Notable } else { Change::Small });
        (document.stale, document.message) = (false, None);
        document.plan = plan.or_else(|| document.plan.take());
        document.credits = credits.or_else(|| document.credits.take());
    }
    change
}

fn weight(old: &Window, new: &Window) -> Change {
    let moved = match (old.percent, new.percent) {
        (Some(old), Some(new)) => (old - new).abs() >= 1.0,
        (old, new) => old != new,
    };
    let differs = old.status != new.status
        || old.resets_at != new.resets_at
        || old.overage != new.overage
        || moved;
    if differs && !new.is_momentary() { Change::Notable } else { Change::Small }
}

fn is_same(old: &Window, new: &Window) -> bool {
    old.name == new.name && old.scope == new.scope
}

fn wins(new: &Window, old: &Window, now: UnixMs) -> bool {
    let lags = new.source == Source::Endpoint
        && old.source == Source::Error
        && old.status == Status::Exhausted
        && old.resets_at.is_some_and(|at| at > now)
        && new.status != Status::Exhausted
        && new.observed_at < old.observed_at.saturating_add(LAG_MS);
    new.observed_at >= old.observed_at && !lags
}

/// The new window; what it does not tell is still true.
fn succeeding(new: Window, old: &Window, now: UnixMs) -> Window {
    Window {
        resets_at: new.resets_at.or(old.resets_at.filter(|at| *at > now)),
        window_seconds: new.window_seconds.or(old.window_seconds),
        ..new
    }
}

/// Forgets windows that are long over.
fn prune(windows: &mut Vec<Window>, now: UnixMs) {
    windows.retain(|window| {
        let keeps = if window.is_momentary() || window.source == Source::Error { 0 } else { DAY };
        window.resets_at.is_none_or(|at| at.saturating_add(keeps) > now)
    });
    if windows.len() > MOST {
        windows.sort_by_key(|window| (window.is_momentary(), -window.observed_at));
        windows.truncate(MOST);
    }
}

/// Whether what a usage page says of `scope` shows more than 5 % left in every window, and is newer than what was known
/// at `since`.
fn shows_room(windows: &[Window], observed_at: UnixMs, scope: &Scope, since: UnixMs) -> bool {
    let mut told = windows.iter().filter(|window| window.scope == *scope).peekable();
    observed_at >= since.saturating_add(LAG_MS)
        && told.peek().is_some()
        && told.all(|w| matches!(w.status, Status::Ok | Status::Low))
}

/// Whether an observation proves that the window behind a quota lock has room again (accounts §5.6).
#[must_use]
pub fn opens(reading: &Reading, lock: &Lock) -> bool {
    reading.source == Source::Endpoint
        && shows_room(&reading.windows, reading.observed_at, &lock.scope, lock.set_at)
}

/// Notes that an error called `scope` used up. Does nothing when a window of that scope says so already.
pub fn exhausted(document: &mut Document, scope: &Scope, until: Option<UnixMs>, now: UnixMs) {
    let known = |w: &Window| w.scope == *scope && w.source != Source::Error && w.is_spent(now);
    if document.windows.iter().any(known) {
        return;
    }
    let told = Window {
        observed_at: now,
        source: Source::Error,
        ..Window::new("limit", "Limit told by an error", scope.clone())
            .resets(until)
            .exhausted_if(true)
    };
    document.windows.retain(|old| !is_same(old, &told));
    document.windows.push(told);
    (document.source, document.observed_at) = (Source::Error, now.max(document.observed_at));
}

/// What a served request proves of the windows that cover it. True when something changed.
///
/// `granted_at` is when that request began: what was told later is news it knows nothing of. Scopes whose exhaustion
/// only an error had told are put into `freed`: their locks are refuted, too.
pub fn served(
    document: &mut Document,
    covers: impl Fn(&Scope) -> bool,
    granted_at: UnixMs,
    now: UnixMs,
    freed: &mut Vec<Scope>,
) -> bool {
    let mut changed = false;
    document.windows.retain_mut(|window| {
        if window.status != Status::Exhausted || !covers(&window.scope) {
            return true;
        }
        if window.observed_at >= granted_at {
            return true;
        }
        if window.source == Source::Error {
            freed.push(window.scope.clone());
            changed = true;
            return false;
        }
        // Beyond the plan it is served as well: that refutes nothing.
        if window.has_reset(now) || (window.resets_at.is_none() && !window.overage) {
            window.forget();
            changed = true;
        }
        true
    });
    changed
}

/// Nobody believes what was told of `scope` any more (`None` = of anything): the operator cleared it.
pub fn forget(document: &mut Document, scope: Option<&Scope>) {
    document.windows.retain_mut(|window| {
        if scope.is_some_and(|scope| *scope != window.scope) || window.status != Status::Exhausted {
            return true;
        }
        window.forget();
        window.source != Source::Error
    });
}

/// The usage endpoint could not be read. Numbers stay; they are marked as old.
pub fn failed(document: &mut Document, message: &str, refused: bool) {
    document.stale = true;
    document.message = Some(message.to_owned());
    if refused {
        // The credential may not read it: what it once said is no longer watched (accounts §4.4).
        for window in document.windows.iter_mut().filter(|w| w.source == Source::Endpoint) {
            window.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AccountId;
    use crate::routing::classify::Class;

    const NOW: UnixMs = 1_790_000_000_000;
    const HOUR: i64 = 60 * MINUTE;

    fn reading(source: Source, at: UnixMs, windows: Vec<Window>) -> Reading {
        let mut reading = Reading::new(source, at);
        reading.take(windows);
        reading
    }

    fn five_hours(used: f64) -> Window {
        Window::new("5h", "Session", Scope::All).percent(Some(used)).resets(Some(NOW + HOUR))
    }

    fn document() -> Document {
        Document::empty(AccountId::new(), "claude")
    }

    fn only(document: &Document) -> &Window {
        assert_eq!(document.windows.len(), 1, "{:?}", document.windows);
        &document.windows[0]
    }

    #[test]
    fn newer_wins_per_window() {
        let mut doc = document();
        let week = Window::new("7d", "Week", Scope::All).percent(Some(10.0));
        let first = reading(Source::Headers, NOW, vec![five_hours(50.0), week]);
        assert_eq!(merge(&mut doc, first, NOW), Change::Notable);
        // A slow poll that was asked earlier brings nothing for what is known, only what is new.
        let opus = Window::new("7d_opus", "Opus", Scope::Family("opus".into())).percent(Some(5.0));
        let slow = reading(Source::Endpoint, NOW - 1, vec![five_hours(1.0), opus]);
        assert_eq!(merge(&mut doc, slow, NOW), Change::Notable);
        let percents: Vec<_> = doc.windows.iter().map(|w| (&*w.name, w.percent)).collect();
        assert_eq!(percents, [("5h", Some(50.0)), ("7d", Some(10.0)), ("7d_opus", Some(5.0))]);
        assert_eq!((doc.source, doc.observed_at), (Source::Headers, NOW));
        let newer = reading(Source::Endpoint, NOW + 1, vec![five_hours(2.0)]);
        assert_eq!(merge(&mut doc, newer, NOW + 1), Change::Notable);
        assert_eq!(doc.windows[0].percent, Some(2.0));
        assert_eq!((doc.source, doc.observed_at), (Source::Endpoint, NOW + 1));
        // The page no longer names the family window; the week came from headers and stays.
        assert_eq!(doc.windows.iter().map(|w| &*w.name).collect::<Vec<_>>(), ["5h", "7d"]);
    }

    #[test]
    fn small_moves_are_not_worth_a_write() {
        let table = [
            (five_hours(50.4), Change::Small),
            (five_hours(51.0), Change::Notable),
            (five_hours(50.0).resets(Some(NOW + 2 * HOUR)), Change::Notable),
            (five_hours(50.0).exhausted_if(true), Change::Notable),
        ];
        for (next, want) in table {
            let mut doc = document();
            merge(&mut doc, reading(Source::Headers, NOW, vec![five_hours(50.0)]), NOW);
            let told = format!("{next:?}");
            assert_eq!(
                merge(&mut doc, reading(Source::Headers, NOW + 1, vec![next]), NOW),
                want,
                "{told}"
            );
        }
        let mut doc = document();
        merge(&mut doc, reading(Source::Headers, NOW, vec![five_hours(50.0)]), NOW);
        let old = reading(Source::Headers, NOW - 1, vec![five_hours(1.0)]);
        assert_eq!(merge(&mut doc, old, NOW), Change::None);
    }

    #[test]
    fn a_reading_without_reset_or_length_keeps_what_was_known() {
        let mut doc = document();
        merge(
            &mut doc,
            reading(Source::Endpoint, NOW, vec![five_hours(1.0).lasts(Some(18_000))]),
            NOW,
        );
        let bare = Window::new("5h", "Session", Scope::All).percent(Some(3.0));
        merge(&mut doc, reading(Source::Headers, NOW + 1, vec![bare]), NOW + 1);
        let window = only(&doc);
        assert_eq!((window.resets_at, window.window_seconds), (Some(NOW + HOUR), Some(18_000)));
    }

    #[test]
    fn a_lagging_page_does_not_undo_what_an_error_said() {
        for (later, gone) in [(-1, false), (0, false), (LAG_MS - 1, false), (LAG_MS, true)] {
            let mut doc = document();
            exhausted(&mut doc, &Scope::All, Some(NOW + HOUR), NOW);
            let page = reading(Source::Endpoint, NOW + later, vec![five_hours(40.0)]);
            merge(&mut doc, page, NOW + later);
            let told = doc.windows.iter().any(|w| w.source == Source::Error);
            assert_eq!(told, !gone, "{later}");
        }
        let mut doc = document();
        exhausted(&mut doc, &Scope::All, Some(NOW + HOUR), NOW);
        merge(&mut doc, reading(Source::Endpoint, NOW + HOUR / 2, vec![five_hours(96.0)]), NOW);
        assert_eq!(doc.windows.len(), 2, "less than 5 % left proves nothing");
    }

    #[test]
    fn an_error_adds_nothing_to_a_window_that_says_so() {
        let mut doc = document();
        merge(&mut doc, reading(Source::Headers, NOW, vec![five_hours(100.0)]), NOW);
        exhausted(&mut doc, &Scope::All, Some(NOW + HOUR), NOW);
        assert_eq!(only(&doc).name, "5h");
        exhausted(&mut doc, &Scope::Family("opus".into()), None, NOW);
        assert_eq!(doc.windows.len(), 2);
    }

    #[test]
    fn success_refutes_errors_and_opens_windows_that_have_reset() {
        let opus = Scope::Family("opus".into());
        let mut doc = document();
        merge(&mut doc, reading(Source::Headers, NOW, vec![five_hours(100.0)]), NOW);
        exhausted(&mut doc, &opus, Some(NOW + HOUR), NOW);
        let mut freed = Vec::new();
        // Begun before the news: proves nothing.
        assert!(!served(&mut doc, |_| true, NOW, NOW + 5, &mut freed));
        // Another family: proves nothing of opus; the session's reset is ahead.
        assert!(!served(&mut doc, |s| *s == Scope::All, NOW + 1, NOW + 5, &mut freed));
        assert!(served(&mut doc, |s| *s == opus, NOW + 1, NOW + 5, &mut freed));
        assert_eq!(freed, [opus]);
        assert_eq!(only(&doc).status, Status::Exhausted);
        assert!(served(&mut doc, |_| true, NOW + HOUR, NOW + HOUR, &mut Vec::new()));
        assert_eq!(only(&doc).status, Status::Unknown);
    }

    #[test]
    fn a_page_opens_a_lock_only_with_room_in_every_window_of_its_scope() {
        let lock = Lock {
            scope: Scope::All,
            until: NOW + HOUR,
            reason: "quota exhausted".into(),
            class: Class::QuotaExhausted,
            level: 0,
            set_at: NOW,
        };
        let week = |used| Window::new("7d", "Week", Scope::All).percent(Some(used));
        let opus = Window::new("7d_opus", "Opus", Scope::Family("opus".into())).percent(Some(1.0));
        let table = [
            (Source::Endpoint, LAG_MS, vec![five_hours(40.0), week(94.9)], true),
            (Source::Endpoint, LAG_MS - 1, vec![five_hours(40.0), week(10.0)], false),
            (Source::Endpoint, LAG_MS, vec![five_hours(40.0), week(95.0)], false),
            (Source::Endpoint, LAG_MS, vec![five_hours(40.0), week(100.0)], false),
            (Source::Endpoint, LAG_MS, vec![five_hours(1.0).percent(None)], false),
            (Source::Endpoint, LAG_MS, vec![opus], false),
            (Source::Headers, LAG_MS, vec![five_hours(40.0)], false),
        ];
        for (source, later, windows, want) in table {
            let reading = reading(source, NOW + later, windows);
            assert_eq!(opens(&reading, &lock), want, "{reading:?}");
        }
    }

    #[test]
    fn windows_that_are_over_are_forgotten() {
        let mut doc = document();
        let mut minute =
            Window::new("requests", "Requests", Scope::Model("m".into())).resets(Some(NOW + 1_000));
        minute.rhythm = crate::provider::quota::window::Rhythm::Throttle;
        merge(&mut doc, reading(Source::Headers, NOW, vec![minute, five_hours(3.0)]), NOW);
        assert_eq!(doc.windows.len(), 2);
        let later = NOW + HOUR + DAY - 1;
        let plan = Window::new("7d", "Week", Scope::All).percent(Some(1.0));
        merge(&mut doc, reading(Source::Headers, later, vec![plan.clone()]), later);
        assert_eq!(doc.windows.iter().map(|w| &*w.name).collect::<Vec<_>>(), ["5h", "7d"]);
        merge(&mut doc, reading(Source::Headers, later + 1, vec![plan]), later + 1);
        assert_eq!(only(&doc).name, "7d");
    }

    #[test]
    fn a_failed_look_keeps_the_numbers_unless_the_credential_may_not_look() {
        let mut doc = document();
        merge(&mut doc, reading(Source::Endpoint, NOW, vec![five_hours(100.0)]), NOW);
        failed(&mut doc, "status 503", false);
        assert!(doc.stale);
        assert_eq!(only(&doc).percent, Some(100.0));
        failed(&mut doc, "status 403", true);
        assert_eq!((only(&doc).percent, only(&doc).status), (None, Status::Unknown));
        merge(&mut doc, reading(Source::Headers, NOW + 1, vec![five_hours(1.0)]), NOW + 1);
        assert_eq!((doc.stale, doc.message), (false, None));
    }
}
