//! Instants as people read them: relative in the text, exact in the title, and machine-readable.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::format::span;

/// The present, and the zone in which the operator reads times.
#[derive(Clone, Debug)]
pub struct Now {
    /// Unix milliseconds.
    pub unix_ms: i64,
    /// Zone of Settings → General.
    pub zone: TimeZone,
}

/// An instant ready to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    /// RFC 3339, UTC.
    pub iso: String,
    /// In the operator's zone.
    pub local: String,
    /// What is written.
    pub text: String,
    /// How the script keeps the text true.
    pub course: Course,
}

/// How the text of a moment changes as time goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Course {
    /// `12 s ago`, counted up.
    Ago,
    /// `in 2 h 05 m`, counted down.
    Until,
    /// Not at all.
    Fixed,
}

impl Now {
    /// A past instant: `12 s ago`.
    #[must_use]
    pub fn ago(&self, unix_ms: i64) -> Moment {
        let text = match self.unix_ms.saturating_sub(unix_ms) / 1_000 {
            ..1 => "just now".to_owned(),
            seconds => format!("{} ago", span(seconds)),
        };
        self.moment(unix_ms, text, Course::Ago)
    }

    /// An instant to come: `in 2 h 05 m`.
    #[must_use]
    pub fn until(&self, unix_ms: i64) -> Moment {
        let text = match unix_ms.saturating_sub(self.unix_ms) / 1_000 {
            ..1 => "now".to_owned(),
            seconds => format!("in {}", span(seconds)),
        };
        self.moment(unix_ms, text, Course::Until)
    }

    /// Date and time of day: `2026-11-30 14:05`.
    #[must_use]
    pub fn date(&self, unix_ms: i64) -> Moment {
        self.moment(unix_ms, self.written(unix_ms, "%Y-%m-%d %H:%M"), Course::Fixed)
    }

    /// Time of day alone: `14:05:07`.
    #[must_use]
    pub fn clock(&self, unix_ms: i64) -> Moment {
        self.moment(unix_ms, self.written(unix_ms, "%H:%M:%S"), Course::Fixed)
    }

    fn moment(&self, unix_ms: i64, text: String, course: Course) -> Moment {
        Moment {
            iso: instant(unix_ms).to_string(),
            local: self.written(unix_ms, "%Y-%m-%d %H:%M:%S %Z"),
            text,
            course,
        }
    }

    fn written(&self, unix_ms: i64, format: &str) -> String {
        instant(unix_ms).to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

/// Years beyond the calendar's end are shown as its end.
fn instant(unix_ms: i64) -> Timestamp {
    let end = if unix_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(unix_ms).unwrap_or(end)
}

/// A `<time>`.
#[must_use]
pub fn time(moment: &Moment) -> Markup {
    html! {
        time datetime=(moment.iso) title=(moment.local)
            data-ago[moment.course == Course::Ago] data-until[moment.course == Course::Until]
            { (moment.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now { unix_ms: 1_796_000_000_000, zone: TimeZone::UTC }
    }

    #[test]
    fn text_title_and_instant_agree() {
        let moment = now().until(1_796_000_000_000 + 7_500_000);
        assert_eq!(moment.text, "in 2 h 05 m");
        assert_eq!(
            (moment.iso.as_str(), moment.local.as_str()),
            ("2026-11-30T02:58:20Z", "2026-11-30 02:58:20 UTC")
        );
        assert_eq!(now().ago(1_796_000_000_000 - 12_000).text, "12 s ago");
        assert_eq!(now().ago(1_796_000_000_500).text, "just now");
        assert_eq!(now().clock(1_796_000_000_000).text, "00:53:20");
        assert_eq!(
            time(&moment).into_string(),
            "<time datetime=\"2026-11-30T02:58:20Z\" title=\"2026-11-30 02:58:20 UTC\" data-until>in 2 h 05 m</time>"
        );
    }

    #[test]
    fn no_instant_is_out_of_range() {
        for ms in [i64::MIN, i64::MAX] {
            assert!(!now().date(ms).text.is_empty() && !now().until(ms).text.is_empty());
        }
    }
}
