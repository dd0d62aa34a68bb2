//! When a token is to be refreshed, and when again after a failure (accounts §3.2–3.4). Pure arithmetic.

use crate::clock::UnixMs;
use crate::routing::instant::{MINUTE, SECOND};

/// A token with less than this left is refreshed before it is used.
const SHORT_MS: i64 = MINUTE;
/// After a refresh that brought a token as short as the old one.
pub const SPACING_MS: i64 = 30 * SECOND;
/// Pauses after transient failures; the last one repeats.
const BACKOFF_MS: [i64; 3] = [MINUTE, 2 * MINUTE, 5 * MINUTE];
/// No pause is longer: backoff, what a token endpoint may ask for, and some slack.
const LONGEST_PAUSE_MS: i64 = 6 * MINUTE;
/// Pauses before the repetitions while somebody waits.
const REPETITION_MS: [i64; 3] = [SECOND, 2 * SECOND, 4 * SECOND];
/// Most that background refreshes are moved forward so that accounts do not stay in step.
const LONGEST_JITTER_MS: i64 = 5 * MINUTE;

/// An access token's times, Unix ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// Its end.
    pub expires_at: UnixMs,
    /// When it was had; `None` = not known.
    pub obtained_at: Option<UnixMs>,
}

/// How much of a token is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// More than the lead.
    Fresh,
    /// Less than the lead: time for a refresh that nobody waits for.
    Aging,
    /// Less than a minute: used only when no new one is to be had.
    Short,
    /// Nothing.
    Over,
}

impl Life {
    /// Refresh when less than this is left: never more than half of the token's whole life, else each request would
    /// refresh it.
    #[must_use]
    pub fn lead_ms(&self, wanted_ms: i64) -> i64 {
        let whole = self.obtained_at.map(|from| self.expires_at.saturating_sub(from));
        let half = whole.filter(|ms| *ms > 0).map_or(i64::MAX, |ms| ms / 2);
        wanted_ms.clamp(0, half)
    }

    /// How much is left at `now`, with the lead the provider wants.
    #[must_use]
    pub fn freshness(&self, now: UnixMs, wanted_ms: i64) -> Freshness {
        let left = self.expires_at.saturating_sub(now);
        if left <= 0 {
            Freshness::Over
        } else if left >= self.lead_ms(wanted_ms) && left > SHORT_MS {
            Freshness::Fresh
        } else if left > SHORT_MS {
            Freshness::Aging
        } else {
            Freshness::Short
        }
    }

    /// When the background refreshes it, as seen at `now`. `jitter` is any number.
    ///
    /// What is due already (after a start, a sign-in, a reconnect) is spread over part of what is left, except for
    /// a token in its last minute.
    #[must_use]
    pub fn due(&self, now: UnixMs, wanted_ms: i64, jitter: u32) -> UnixMs {
        let lead = self.lead_ms(wanted_ms);
        let span = (lead / 10).min(LONGEST_JITTER_MS);
        let due = self.expires_at.saturating_sub(lead).saturating_sub(within(span, jitter));
        if due > now {
            return due;
        }
        let left = self.expires_at.saturating_sub(now);
        if left <= SHORT_MS {
            return now;
        }
        now.saturating_add(within(((left - SHORT_MS) / 2).min(LONGEST_JITTER_MS), jitter))
    }
}

/// Pause after the `failures`-th transient failure in a row.
#[must_use]
pub fn backoff_ms(failures: u32) -> i64 {
    step(&BACKOFF_MS, failures.saturating_sub(1))
}

/// True for a next attempt that no pause reaches: it was set before the clock was set back (REL-CLK-1).
#[must_use]
pub fn is_of_another_clock(next_try: UnixMs, now: UnixMs) -> bool {
    next_try.saturating_sub(now) > LONGEST_PAUSE_MS
}

/// Pause before the repetition after the `failures`-th failure, with ±20 % of jitter; `None` = no further one.
#[must_use]
pub fn repetition_ms(failures: u32, jitter: u32) -> Option<i64> {
    let at = usize::try_from(failures.checked_sub(1)?).ok()?;
    let pause = *REPETITION_MS.get(at)?;
    let fifth = pause / 5;
    Some(pause - fifth + within(2 * fifth, jitter))
}

fn step(steps: &[i64], at: u32) -> i64 {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    steps.get(at).or(steps.last()).copied().unwrap_or(MINUTE)
}

/// 0 to `span`, both included.
fn within(span: i64, jitter: u32) -> i64 {
    i64::from(jitter) % span.max(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::instant::{DAY, HOUR};

    const NOW: UnixMs = 1_790_000_000_000;

    fn life(left: i64, whole: i64) -> Life {
        let expires_at = NOW + left;
        Life { expires_at, obtained_at: Some(expires_at - whole) }
    }

    #[test]
    fn the_lead_is_at_most_half_of_the_life() {
        let lead = 30 * MINUTE;
        let cases = [
            (8 * HOUR, 8 * HOUR, Freshness::Fresh),
            (31 * MINUTE, 8 * HOUR, Freshness::Fresh),
            (29 * MINUTE, 8 * HOUR, Freshness::Aging),
            (61 * SECOND, 8 * HOUR, Freshness::Aging),
            (60 * SECOND, 8 * HOUR, Freshness::Short),
            (1, 8 * HOUR, Freshness::Short),
            (0, 8 * HOUR, Freshness::Over),
            (-DAY, 8 * HOUR, Freshness::Over),
            // A token of ten minutes is not refreshed before each request.
            (9 * MINUTE, 10 * MINUTE, Freshness::Fresh),
            (4 * MINUTE, 10 * MINUTE, Freshness::Aging),
        ];
        for (left, whole, want) in cases {
            assert_eq!(life(left, whole).freshness(NOW, lead), want, "{left} of {whole}");
        }
        let unknown = Life { expires_at: NOW + 20 * MINUTE, obtained_at: None };
        assert_eq!(unknown.freshness(NOW, lead), Freshness::Aging);
        assert_eq!(unknown.freshness(NOW, 0), Freshness::Fresh, "the operator wants no lead");
    }

    #[test]
    fn background_refreshes_are_ahead_and_out_of_step() {
        let lead = 30 * MINUTE;
        let token = life(8 * HOUR, 8 * HOUR);
        for jitter in [0, 1, 12_345, u32::MAX] {
            let ahead = token.expires_at - token.due(NOW, lead, jitter);
            assert!((lead..=lead + 3 * MINUTE).contains(&ahead), "{ahead}");
        }
        assert_eq!(life(30 * SECOND, 8 * HOUR).due(NOW, lead, 99), NOW, "its last minute");
        assert_eq!(life(-HOUR, 8 * HOUR).due(NOW, lead, 99), NOW);
        // Due at a start: not all at once.
        let late = life(20 * MINUTE, 8 * HOUR);
        let spread: Vec<i64> = [0, 1 << 20, 1 << 28].map(|j| late.due(NOW, lead, j) - NOW).into();
        assert!(spread.iter().all(|wait| (0..=5 * MINUTE).contains(wait)), "{spread:?}");
        assert!(spread.iter().any(|wait| *wait != spread[0]), "{spread:?}");
    }

    #[test]
    fn pauses_after_failures() {
        let minutes: Vec<i64> = (1..=5).map(|n| backoff_ms(n) / MINUTE).collect();
        assert_eq!(minutes, [1, 2, 5, 5, 5]);
        for (failures, base) in [(1, 1_000), (2, 2_000), (3, 4_000)] {
            for jitter in [0, 399, u32::MAX] {
                let pause = repetition_ms(failures, jitter).unwrap();
                assert!((base * 4 / 5..=base * 6 / 5).contains(&pause), "{pause}");
            }
        }
        assert_eq!((repetition_ms(4, 0), repetition_ms(0, 0)), (None, None));
        assert!(!is_of_another_clock(NOW + backoff_ms(9), NOW) && !is_of_another_clock(0, NOW));
        assert!(is_of_another_clock(NOW + HOUR, NOW));
    }

    proptest! {
        #[test]
        fn due_is_never_after_the_end_of_a_token_that_lives(
            left in 1..(400 * DAY), whole in 1..(400 * DAY), lead in 0..(30 * DAY), jitter in any::<u32>(),
        ) {
            let token = life(left, whole.max(left));
            let due = token.due(NOW, lead, jitter);
            prop_assert!((NOW..=token.expires_at).contains(&due));
        }
    }
}
