//! One quota window: how much of it is used, when it begins anew, what it covers.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::provider::quota::document::Source;
use crate::provider::quota::pace::{self, Pace};
use crate::routing::lock::Scope;

/// What a window counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Percent alone; the vendor tells no counts.
    Percent,
    /// Requests.
    Requests,
    /// Tokens.
    Tokens,
    /// The vendor's own credits.
    Credits,
    /// US dollars.
    Usd,
    /// Yuan.
    Cny,
}

/// How a window stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody knows.
    Unknown,
    /// Less than 80 % used.
    Ok,
    /// 80 % used or more.
    Low,
    /// 95 % used or more.
    Critical,
    /// Used up, or the vendor says so.
    Exhausted,
}

impl Status {
    /// The status of so many percent used.
    #[must_use]
    pub fn of(percent: Option<f64>) -> Self {
        match percent {
            None => Self::Unknown,
            Some(p) if p >= 100.0 => Self::Exhausted,
            Some(p) if p >= 95.0 => Self::Critical,
            Some(p) if p >= 80.0 => Self::Low,
            Some(_) => Self::Ok,
        }
    }
}

/// How strictly a window that is used up keeps requests away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rhythm {
    /// An allowance of the plan: used up means refused until the reset.
    #[default]
    Plan,
    /// A throttle that refills while it is used (`x-ratelimit-*`): used up means that others are asked first. The reset
    /// it names is when it is *full* again.
    Throttle,
}

/// One window.
#[derive(Clone, PartialEq, Debug)]
pub struct Window {
    /// Short name: `5h`, `7d`, `7d_opus`, `requests` …; unique together with `scope`.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// What is kept away when it is used up.
    pub scope: Scope,
    /// What it counts.
    pub unit: Unit,
    /// Used, in `unit`.
    pub used: Option<f64>,
    /// Allowance, in `unit`.
    pub limit: Option<f64>,
    /// Percent used, 0…100 and finite.
    pub percent: Option<f64>,
    /// Next reset, Unix ms. It may have passed: then nobody knows how the window stands.
    pub resets_at: Option<UnixMs>,
    /// Length.
    pub window_seconds: Option<u64>,
    /// It has no end.
    pub unlimited: bool,
    /// How it stands.
    pub status: Status,
    /// Beyond it the vendor serves on and bills for it (accounts §4.6).
    pub overage: bool,
    /// Plan or throttle.
    pub rhythm: Rhythm,
    /// When it was seen, Unix ms.
    pub observed_at: UnixMs,
    /// Who told it.
    pub source: Source,
}

impl Window {
    /// A window nobody has said anything of yet; the reading it is put into dates it.
    #[must_use]
    pub fn new(name: impl Into<String>, label: impl Into<String>, scope: Scope) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            scope,
            unit: Unit::Percent,
            used: None,
            limit: None,
            percent: None,
            resets_at: None,
            window_seconds: None,
            unlimited: false,
            status: Status::Unknown,
            overage: false,
            rhythm: Rhythm::Plan,
            observed_at: 0,
            source: Source::Headers,
        }
    }

    /// With so many percent used. Nonsense leaves it unknown.
    #[must_use]
    pub fn percent(mut self, used: Option<f64>) -> Self {
        self.percent = used.filter(|p| p.is_finite()).map(|p| p.clamp(0.0, 100.0));
        if self.unit == Unit::Percent && self.percent.is_some() {
            (self.used, self.limit) = (self.percent, Some(100.0));
        }
        self.status = Status::of(self.percent);
        self
    }

    /// With counts. An allowance of 0 says nothing by itself: only the vendor's word makes it used up.
    #[must_use]
    pub fn counted(mut self, unit: Unit, used: Option<f64>, limit: Option<f64>) -> Self {
        let sane = |n: &f64| n.is_finite() && *n >= 0.0;
        (self.unit, self.used, self.limit) = (unit, used.filter(sane), limit.filter(sane));
        let share = match (self.used, self.limit) {
            (Some(used), Some(limit)) if limit > 0.0 => Some(used / limit * 100.0),
            _ => None,
        };
        self.percent(share)
    }

    /// With a reset.
    #[must_use]
    pub fn resets(mut self, at: Option<UnixMs>) -> Self {
        self.resets_at = at;
        self
    }

    /// With a length.
    #[must_use]
    pub fn lasts(mut self, seconds: Option<u64>) -> Self {
        self.window_seconds = seconds.filter(|s| *s > 0);
        self
    }

    /// Without an end.
    #[must_use]
    pub fn endless(mut self, unlimited: bool) -> Self {
        if unlimited {
            self.unlimited = true;
            (self.used, self.limit, self.percent) = (None, None, None);
            self.status = Status::Ok;
        }
        self
    }

    /// The vendor's own word: used up, whatever the numbers say.
    #[must_use]
    pub fn exhausted_if(mut self, told: bool) -> Self {
        if told {
            self.status = Status::Exhausted;
        }
        self
    }

    /// True while it keeps requests away, or would: used up, and its reset has not passed.
    #[must_use]
    pub fn is_spent(&self, now: UnixMs) -> bool {
        self.status == Status::Exhausted && self.resets_at.is_none_or(|at| at > now)
    }

    /// True when the reset has passed since it was seen: its numbers are history.
    #[must_use]
    pub fn has_reset(&self, now: UnixMs) -> bool {
        self.resets_at.is_some_and(|at| at <= now)
    }

    /// Forgets what it said: it has begun anew, or its word is no longer believed.
    pub fn forget(&mut self) {
        (self.used, self.percent, self.overage) = (None, None, false);
        self.status = Status::Unknown;
    }

    /// Percent left, rounded up; `None` = unknown.
    #[must_use]
    pub fn percent_left(&self) -> Option<u8> {
        if self.unlimited {
            return Some(100);
        }
        if self.status == Status::Exhausted {
            return Some(0);
        }
        let used = self.percent?;
        // A whole number of percent is left when at most its complement is used.
        (0..=100_u8).find(|left| used >= 100.0 - f64::from(*left))
    }

    /// Whether it is used faster than time passes; `None` when its length or reset is unknown.
    #[must_use]
    pub fn pace(&self) -> Option<Pace> {
        pace::of(self)
    }

    /// A window that is too short-lived to be worth a write (accounts §4.3, last line).
    #[must_use]
    pub fn is_momentary(&self) -> bool {
        const HOUR_S: u64 = 3_600;
        self.rhythm == Rhythm::Throttle && self.window_seconds.is_none_or(|s| s < HOUR_S)
    }
}

/// Name and label of a window of that many seconds, by its length: `5h`, `7d`, `30d`, else minutes.
#[must_use]
pub fn named_by_length(seconds: u64) -> (String, String) {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        // a calendar month has 28 to 31 days
        s if (28 * DAY..=31 * DAY).contains(&s) => ("30d".to_owned(), "Month".to_owned()),
        s if s == 7 * DAY => ("7d".to_owned(), "Week (7 d)".to_owned()),
        s if s >= DAY && s.is_multiple_of(DAY) => {
            let days = s / DAY;
            (format!("{days}d"), format!("{days} days"))
        }
        s if s >= HOUR && s.is_multiple_of(HOUR) => {
            let hours = s / HOUR;
            (format!("{hours}h"), format!("Session ({hours} h)"))
        }
        s => {
            let minutes = s.div_ceil(MINUTE);
            (format!("{minutes}m"), format!("{minutes} minutes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_follows_the_thresholds() {
        let table = [
            (None, Status::Unknown),
            (Some(0.0), Status::Ok),
            (Some(79.9), Status::Ok),
            (Some(80.0), Status::Low),
            (Some(94.9), Status::Low),
            (Some(95.0), Status::Critical),
            (Some(99.9), Status::Critical),
            (Some(100.0), Status::Exhausted),
        ];
        for (percent, want) in table {
            assert_eq!(Status::of(percent), want, "{percent:?}");
        }
    }

    #[test]
    fn percent_is_finite_and_between_0_and_100() {
        let window = || Window::new("5h", "Session", Scope::All);
        let table = [
            (Some(42.0), Some(42.0)),
            (Some(-3.0), Some(0.0)),
            (Some(104.0), Some(100.0)),
            (Some(f64::NAN), None),
            (Some(f64::INFINITY), None),
            (None, None),
        ];
        for (given, want) in table {
            assert_eq!(window().percent(given).percent, want, "{given:?}");
        }
        assert_eq!(window().percent(Some(42.0)).limit, Some(100.0));
    }

    #[test]
    fn an_allowance_of_nothing_is_unknown_until_the_vendor_says_so() {
        let window =
            Window::new("m", "Month", Scope::All).counted(Unit::Requests, Some(0.0), Some(0.0));
        assert_eq!((window.percent, window.status), (None, Status::Unknown));
        assert_eq!(window.exhausted_if(true).status, Status::Exhausted);
    }

    #[test]
    fn what_is_left_is_rounded_up() {
        let left = |used| Window::new("5h", "", Scope::All).percent(Some(used)).percent_left();
        assert_eq!(left(0.0), Some(100));
        assert_eq!(left(89.5), Some(11));
        assert_eq!(left(90.0), Some(10));
        assert_eq!(left(99.9), Some(1));
        assert_eq!(left(100.0), Some(0));
    }

    #[test]
    fn windows_are_named_by_their_length() {
        let table = [
            (18_000, "5h"),
            (604_800, "7d"),
            (86_400, "1d"),
            (30 * 86_400, "30d"),
            (31 * 86_400, "30d"),
            (43_200 * 60, "30d"),
            (3_600, "1h"),
            (5_400, "90m"),
            (60, "1m"),
        ];
        for (seconds, want) in table {
            assert_eq!(named_by_length(seconds).0, want, "{seconds}");
        }
    }
}
