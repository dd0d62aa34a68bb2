//! Pace: whether a window is used faster than its time passes, and when it would run out.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::provider::quota::window::{Status, Window};

/// Whether a window's allowance lasts until its reset, as seen when the window was last observed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// Percent of the window's time that had passed, 0…100.
    pub elapsed_percent: f64,
    /// Percent used minus percent of time passed: above 0 it is used faster than the clock runs.
    pub ahead_percent: f64,
    /// When it will be used up if use goes on like this, Unix ms; `null` when it lasts until the reset.
    pub runs_out_at: Option<UnixMs>,
}

/// Below this share of the window a projection is noise.
const EARLIEST_PERCENT: f64 = 1.0;

/// The pace of a window with a known length, reset and use. A window that is used up, or endless, has none.
pub(super) fn of(window: &Window) -> Option<Pace> {
    let resets_at = window.resets_at?;
    let length_ms = i64::try_from(window.window_seconds?).ok()?.checked_mul(1_000)?;
    let used =
        window.percent.filter(|_| !window.unlimited && window.status != Status::Exhausted)?;
    let begun = resets_at.checked_sub(length_ms)?;
    let passed = window.observed_at.checked_sub(begun)?.clamp(0, length_ms);
    let elapsed = ratio(passed, length_ms)? * 100.0;
    let runs_out_at = (used > elapsed && elapsed >= EARLIEST_PERCENT)
        .then(|| begun.checked_add(scaled(passed, 100.0 / used)?))
        .flatten()
        .filter(|at| *at < resets_at);
    Some(Pace {
        elapsed_percent: tenths(elapsed),
        ahead_percent: tenths(used - elapsed),
        runs_out_at,
    })
}

/// Milliseconds fit a float exactly for 285 000 years.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "below 2^53")]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "saturates; below 2^53"
)]
fn scaled(ms: i64, by: f64) -> Option<i64> {
    let scaled = ms as f64 * by;
    scaled.is_finite().then_some(scaled.round() as i64)
}

fn tenths(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::lock::Scope;

    const HOUR: i64 = 3_600_000;
    const RESET: UnixMs = 1_790_000_000_000;

    fn window(used: f64, passed_hours: i64) -> Window {
        let mut window = Window::new("5h", "Session (5 h)", Scope::All)
            .percent(Some(used))
            .resets(Some(RESET))
            .lasts(Some(18_000));
        window.observed_at = RESET - (5 - passed_hours) * HOUR;
        window
    }

    #[test]
    fn half_used_after_a_fifth_of_the_time_runs_out_at_two_fifths() {
        let pace = of(&window(50.0, 1)).unwrap();
        assert_eq!((pace.elapsed_percent, pace.ahead_percent), (20.0, 30.0));
        assert_eq!(pace.runs_out_at, Some(RESET - 3 * HOUR));
    }

    #[test]
    fn slower_than_the_clock_lasts() {
        let pace = of(&window(40.0, 4)).unwrap();
        assert_eq!((pace.ahead_percent, pace.runs_out_at), (-40.0, None));
        assert_eq!(of(&window(80.0, 4)).unwrap().runs_out_at, None, "even");
    }

    #[test]
    fn the_first_minutes_project_nothing() {
        let mut early = window(3.0, 0);
        early.observed_at += 60_000;
        let pace = of(&early).unwrap();
        assert!(pace.ahead_percent > 2.0);
        assert_eq!(pace.runs_out_at, None);
    }

    #[test]
    fn unknown_parts_have_no_pace() {
        let known = window(50.0, 1);
        assert_eq!(of(&Window { resets_at: None, ..known.clone() }), None);
        assert_eq!(of(&Window { window_seconds: None, ..known.clone() }), None);
        assert_eq!(of(&known.clone().percent(None)), None);
        assert_eq!(of(&known.clone().percent(Some(100.0))), None, "it has run out already");
        assert_eq!(of(&Window { window_seconds: Some(u64::MAX), ..known }), None);
    }
}
