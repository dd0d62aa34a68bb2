//! Budgets: how much may be spent by what, in which window (accounts §6.8). Vocabulary and calendar; the counters
//! are `actors::budgets`.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::clock::UnixMs;
use crate::id::{AccountId, BudgetId, ComboId, KeyId};
use crate::routing::instant::{HOUR, MINUTE};

/// A spending limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Key under which it is stored.
    pub id: BudgetId,
    /// Whose spending counts.
    pub scope: BudgetScope,
    /// Over which time.
    pub window: BudgetWindow,
    /// How much; at least one limit is there.
    pub limits: BudgetLimits,
    /// IANA name of the zone of its calendar; `None` = the setting `timezone`.
    pub tz: Option<String>,
    /// What happens when it is reached.
    pub action: BudgetAction,
    /// Percents of a limit that are told when they are crossed, ascending.
    pub notify_at: Vec<u8>,
    /// Counted and acted on.
    pub enabled: bool,
}

/// Whose spending a budget counts. At most one budget per scope and window.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum BudgetScope {
    /// Everything that passes the router.
    All,
    /// A provider: catalog id, or node id.
    Provider(String),
    /// An account.
    Account(AccountId),
    /// Requests for a combo by its name or an alias of it.
    Combo(ComboId),
    /// An API key of the router.
    ApiKey(KeyId),
}

/// The time over which a budget counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BudgetWindow {
    /// The last five hours.
    FiveHours,
    /// A local day.
    Day,
    /// A local week; it begins on Monday.
    Week,
    /// A local month.
    Month,
    /// For ever.
    Total,
}

/// What a budget limits. `None` = not limited by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BudgetLimits {
    /// Micro-USD.
    pub umicro: Option<i64>,
    /// Tokens, input and output.
    pub tokens: Option<i64>,
    /// Requests that reached an upstream.
    pub requests: Option<i64>,
}

/// What happens when a budget is reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BudgetAction {
    /// Nothing more is sent until the window ends.
    #[default]
    Block,
    /// People are told.
    Warn,
}

/// What was spent, or is set aside for running requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Micro-USD; 0 where nobody knows the price.
    pub umicro: i64,
    /// Tokens, input and output.
    pub tokens: i64,
    /// Requests.
    pub requests: i64,
}

/// Percents that are told when a budget names none.
pub const NOTIFY_AT: [u8; 3] = [50, 80, 100];
/// Length of the rolling window.
pub const FIVE_HOURS: i64 = 5 * HOUR;
/// Spending in the rolling window is kept by minute.
pub const BUCKET: i64 = MINUTE;

impl BudgetScope {
    /// The word of the scope.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Provider(_) => "provider",
            Self::Account(_) => "account",
            Self::Combo(_) => "combo",
            Self::ApiKey(_) => "api_key",
        }
    }

    /// The id within the scope; empty for all.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Provider(id) => id.clone(),
            Self::Account(id) => id.to_string(),
            Self::Combo(id) => id.to_string(),
            Self::ApiKey(id) => id.to_string(),
        }
    }

    /// The scope of its word and id; `None` for anything else.
    #[must_use]
    pub fn parse(word: &str, id: &str) -> Option<Self> {
        match word {
            "all" => id.is_empty().then_some(Self::All),
            "provider" => (!id.is_empty()).then(|| Self::Provider(id.to_owned())),
            "account" => id.parse().ok().map(Self::Account),
            "combo" => id.parse().ok().map(Self::Combo),
            "api_key" => id.parse().ok().map(Self::ApiKey),
            _ => None,
        }
    }
}

impl fmt::Display for BudgetScope {
    /// For people: `provider glm`. Of other scopes the kind alone, since an id tells nobody anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Provider(id) => write!(f, "provider {id}"),
            Self::Account(_) => f.write_str("an account"),
            Self::Combo(_) => f.write_str("a combo"),
            Self::ApiKey(_) => f.write_str("an API key"),
        }
    }
}

impl BudgetWindow {
    /// The window of its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "5h" => Some(Self::FiveHours),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            "total" => Some(Self::Total),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FiveHours => "5h",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The calendar window around `now`: from the first instant of a local date to that of another, however long the
    /// days between them are. `None` = not of the calendar.
    #[must_use]
    pub fn calendar(self, now: UnixMs, zone: &TimeZone) -> Option<Range<UnixMs>> {
        let instant = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = zone.to_datetime(instant).date();
        let weekday = i64::from(today.weekday().to_monday_zero_offset());
        let (first, length) = match self {
            Self::FiveHours | Self::Total => return None,
            Self::Day => (today, 1.day()),
            Self::Week => (today.checked_sub(weekday.days()).unwrap_or(today), 1.week()),
            Self::Month => (today.first_of_month(), 1.month()),
        };
        let start = start_of(first, zone).unwrap_or(now).min(now);
        let next = first.checked_add(length).ok().and_then(|date| start_of(date, zone));
        // Out of the calendar's range only: then it never ends.
        let end = next.unwrap_or(UnixMs::MAX);
        Some(start..end.max(now.saturating_add(1)))
    }
}

/// The first instant of a local date. Where a zone skips midnight, the one after the gap.
fn start_of(date: Date, zone: &TimeZone) -> Option<UnixMs> {
    let midnight = zone.to_ambiguous_zoned(date.at(0, 0, 0, 0)).compatible().ok()?;
    Some(midnight.timestamp().as_millisecond())
}

impl BudgetAction {
    /// The action of its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "block" => Some(Self::Block),
            "warn" => Some(Self::Warn),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
        }
    }
}

impl BudgetLimits {
    /// True when some limit is used up by `used`.
    #[must_use]
    pub fn are_reached(&self, used: Amount) -> bool {
        self.pairs(used).any(|(limit, used)| used >= limit)
    }

    /// How much of the tightest limit is used, in whole percent.
    #[must_use]
    pub fn percent(&self, used: Amount) -> u32 {
        let percent = |(limit, used): (i64, i64)| {
            if limit <= 0 {
                return 100;
            }
            let percent = i128::from(used.max(0)) * 100 / i128::from(limit);
            u32::try_from(percent).unwrap_or(u32::MAX)
        };
        self.pairs(used).map(percent).max().unwrap_or(0)
    }

    fn pairs(&self, used: Amount) -> impl Iterator<Item = (i64, i64)> {
        let all = [
            (self.umicro, used.umicro),
            (self.tokens, used.tokens),
            (self.requests, used.requests),
        ];
        all.into_iter().filter_map(|(limit, used)| limit.map(|limit| (limit, used)))
    }
}

impl Amount {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            umicro: self.umicro.saturating_add(more.umicro),
            tokens: self.tokens.saturating_add(more.tokens),
            requests: self.requests.saturating_add(more.requests),
        }
    }

    /// Without `less`, never below 0.
    #[must_use]
    pub fn minus(self, less: Self) -> Self {
        Self {
            umicro: self.umicro.saturating_sub(less.umicro).max(0),
            tokens: self.tokens.saturating_sub(less.tokens).max(0),
            requests: self.requests.saturating_sub(less.requests).max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UnixMs {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn calendar_windows_follow_the_local_calendar_across_clock_changes() {
        use BudgetWindow::{Day, Month, Week};
        for (window, zone, now, start, end) in [
            // Summer time ends: the day has 25 hours.
            (
                Day,
                "Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            // It begins: 23 hours.
            (
                Day,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                Week,
                "Europe/Berlin",
                "2026-10-25T22:59:59Z",
                "2026-10-18T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (Week, "UTC", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
            (
                Month,
                "Europe/Berlin",
                "2026-10-31T22:59:59Z",
                "2026-09-30T22:00:00Z",
                "2026-10-31T23:00:00Z",
            ),
            (
                Month,
                "Europe/Berlin",
                "2026-10-31T23:00:00Z",
                "2026-10-31T23:00:00Z",
                "2026-11-30T23:00:00Z",
            ),
            (Month, "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            // Half an hour, and a zone that has no midnight on the day its summer time begins.
            (
                Day,
                "Asia/Kolkata",
                "2026-11-29T18:29:59Z",
                "2026-11-28T18:30:00Z",
                "2026-11-29T18:30:00Z",
            ),
            (
                Day,
                "Africa/Cairo",
                "2026-04-24T12:00:00Z",
                "2026-04-23T22:00:00Z",
                "2026-04-24T21:00:00Z",
            ),
            // Midnight comes twice: the day begins with the first.
            (
                Day,
                "America/Havana",
                "2026-11-01T05:30:00Z",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
        ] {
            let zone_rules = TimeZone::get(zone).unwrap();
            let got = window.calendar(ms(now), &zone_rules);
            assert_eq!(got, Some(ms(start)..ms(end)), "{window:?} {zone} {now}");
        }
        assert_eq!(BudgetWindow::FiveHours.calendar(0, &TimeZone::UTC), None);
        assert_eq!(BudgetWindow::Total.calendar(0, &TimeZone::UTC), None);
    }

    #[test]
    fn one_calendar_window_begins_where_the_one_before_ends() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for window in [BudgetWindow::Day, BudgetWindow::Week, BudgetWindow::Month] {
            let mut now = ms("2026-01-01T00:00:00Z");
            for _ in 0..400 {
                let here = window.calendar(now, &zone).unwrap();
                assert!(here.contains(&now));
                assert_eq!(window.calendar(here.end - 1, &zone), Some(here.clone()));
                assert_eq!(window.calendar(here.end, &zone).map(|next| next.start), Some(here.end));
                now = here.end;
            }
        }
    }

    #[test]
    fn the_tightest_limit_decides() {
        let limits = BudgetLimits { umicro: Some(1_000), tokens: None, requests: Some(10) };
        let used = |umicro, requests| Amount { umicro, tokens: 1 << 40, requests };
        assert_eq!(limits.percent(used(500, 8)), 80);
        assert!(!limits.are_reached(used(999, 9)));
        assert!(limits.are_reached(used(999, 10)));
        assert!(limits.are_reached(used(1_000, 0)));
        assert_eq!(BudgetLimits { umicro: Some(0), ..limits }.percent(used(0, 0)), 100);
        assert_eq!(BudgetLimits::default().percent(used(5, 5)), 0);
    }

    #[test]
    fn words_read_back() {
        use BudgetScope::{Account, All, ApiKey, Combo, Provider};
        for scope in [
            All,
            Provider("glm".into()),
            Account(AccountId::new()),
            Combo(ComboId::new()),
            ApiKey(KeyId::new()),
        ] {
            assert_eq!(BudgetScope::parse(scope.as_str(), &scope.id()), Some(scope.clone()));
        }
        for (word, id) in [("all", "x"), ("provider", ""), ("account", "me"), ("team", "x")] {
            assert_eq!(BudgetScope::parse(word, id), None, "{word} {id}");
        }
        for word in ["5h", "day", "week", "month", "total"] {
            assert_eq!(BudgetWindow::parse(word).map(BudgetWindow::as_str), Some(word));
        }
        for word in ["block", "warn"] {
            assert_eq!(BudgetAction::parse(word).map(BudgetAction::as_str), Some(word));
        }
    }
}
