//! Instants an upstream names for its recovery, read from text within sane bounds (accounts §4.3, REL-UP-5).

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{self, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

use crate::clock::UnixMs;

/// One second, in milliseconds.
pub const SECOND: i64 = 1_000;
/// One minute, in milliseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour, in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// One day of 24 hours, in milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// 2000-01-01T00:00:00Z. REL-UP-5: an instant before it is nonsense.
const YEAR_2000: UnixMs = 946_684_800_000;
/// REL-UP-5: an instant further ahead than this is nonsense.
const FURTHEST: i64 = 400 * DAY;

/// A vendor's local clock by which it resets daily windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zone {
    /// America/Los_Angeles (Google), with daylight saving time.
    LosAngeles,
    /// Asia/Shanghai (Z.ai, Qwen): UTC+8, no daylight saving time.
    Shanghai,
}

impl Zone {
    fn time_zone(self) -> TimeZone {
        // The bundled database: the answer must not depend on the machine's tzdata, which a
        // container may lack.
        static LOS_ANGELES: LazyLock<TimeZone> = LazyLock::new(|| {
            TimeZoneDatabase::bundled()
                .get("America/Los_Angeles")
                .unwrap_or_else(|_| TimeZone::fixed(tz::offset(-8)))
        });
        match self {
            Self::LosAngeles => LOS_ANGELES.clone(),
            Self::Shanghai => TimeZone::fixed(tz::offset(8)),
        }
    }
}

/// `until` when it is a usable instant, moved to at least one second ahead; `None` for nonsense.
///
/// REL-UP-5: zero, negative, past, before 2000 and more than 400 days ahead all mean "no hint".
#[must_use]
pub fn sane(until: UnixMs, now: UnixMs) -> Option<UnixMs> {
    let ahead = until.checked_sub(now)?;
    if until < YEAR_2000 || ahead <= 0 || ahead > FURTHEST {
        return None;
    }
    Some(until.max(now.checked_add(SECOND)?))
}

/// The instant `delay_ms` from now, when sane.
#[must_use]
pub fn after(delay_ms: i64, now: UnixMs) -> Option<UnixMs> {
    sane(now.checked_add(delay_ms)?, now)
}

/// A `retry-after` value: decimal seconds, an HTTP date, or RFC 3339. `0` is no hint.
#[must_use]
pub fn retry_after(value: &str, now: UnixMs) -> Option<UnixMs> {
    let value = value.trim();
    match decimal(value, SECOND) {
        Some(delay) => after(delay, now),
        None => sane(date(value)?, now),
    }
}

/// A reset value of unknown form: an epoch of any unit, delta seconds, a Go duration, or a date.
#[must_use]
pub fn reset(value: &str, now: UnixMs) -> Option<UnixMs> {
    let value = value.trim();
    let until = match decimal(value, SECOND) {
        // No epoch of a reset is that small.
        Some(delay) if delay < YEAR_2000 => now.checked_add(delay)?,
        Some(_) | None => written(value, now)?,
    };
    sane(until, now)
}

/// An instant of a vendor's document (accounts §4.1): an epoch in seconds, milliseconds, microseconds or nanoseconds by
/// its magnitude, a date, a duration from now (`1h2m3.5s`, `in 90 seconds`). One that has passed is given too;
/// before 2000 or more than 400 days ahead is nonsense.
#[must_use]
pub fn point(value: &str, now: UnixMs) -> Option<UnixMs> {
    let at = written(value.trim(), now)?;
    (at >= YEAR_2000 && at.checked_sub(now)? <= FURTHEST).then_some(at)
}

fn written(value: &str, now: UnixMs) -> Option<UnixMs> {
    if let Some(at) = epoch(value) {
        return Some(at);
    }
    let lower = value.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("in "));
    let rest = if lower { value.get(3..)? } else { value };
    match duration(rest) {
        Some(delay) => now.checked_add(delay),
        None => date(value),
    }
}

/// Below 10¹² it counts seconds, below 10¹⁵ milliseconds, below 10¹⁸ microseconds, else nanoseconds.
fn epoch(value: &str) -> Option<UnixMs> {
    let digits = value.find('.').unwrap_or(value.len());
    let unit_nanos = match digits {
        ..=12 => 1_000 * NANOS_PER_MS,
        13..=15 => NANOS_PER_MS,
        16..=18 => 1_000,
        _ => 1,
    };
    scaled(value, unit_nanos)
}

/// RFC 3339, RFC 1123 as in HTTP, or a day (its midnight UTC). A time without a zone is UTC.
#[must_use]
pub fn date(value: &str) -> Option<UnixMs> {
    let value = value.trim();
    if let Ok(instant) = value.parse::<Timestamp>() {
        return Some(instant.as_millisecond());
    }
    if let Ok(http) = jiff::fmt::rfc2822::parse(value) {
        let http: Zoned = http;
        return Some(http.timestamp().as_millisecond());
    }
    let civil: DateTime = value.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Milliseconds of a whole duration text: `6m0s`, `1.2s`, `20ms`, `2h7m23s`, `3 minutes`.
#[must_use]
pub fn duration(text: &str) -> Option<i64> {
    match leading_duration(text.trim()) {
        Some((ms, "")) => Some(ms),
        _ => None,
    }
}

/// Milliseconds of the duration that follows the first of `marks` found in `text` (both lower case).
#[must_use]
pub fn duration_after(text: &str, marks: &[&str]) -> Option<i64> {
    marks
        .iter()
        .find_map(|mark| {
            text.split(mark).skip(1).find_map(|rest| leading_duration(rest.trim_start()))
        })
        .map(|(ms, _)| ms)
}

/// `number` (digits with an optional fraction, no sign, no exponent) times `unit_ms`, rounded up to a millisecond.
#[must_use]
pub fn decimal(number: &str, unit_ms: i64) -> Option<i64> {
    scaled(number, i128::from(unit_ms).checked_mul(NANOS_PER_MS)?)
}

/// The next midnight of `zone` after `now`. A day of a clock change has 23 or 25 hours.
#[must_use]
pub fn next_midnight(zone: Zone, now: UnixMs) -> Option<UnixMs> {
    let here = Timestamp::from_millisecond(now).ok()?.to_zoned(zone.time_zone());
    let tomorrow = here.date().tomorrow().ok()?.to_zoned(zone.time_zone()).ok()?;
    Some(tomorrow.timestamp().as_millisecond())
}

/// 00:00 UTC of the first day of the next month.
#[must_use]
pub fn next_month_utc(now: UnixMs) -> Option<UnixMs> {
    let today = Timestamp::from_millisecond(now).ok()?.to_zoned(TimeZone::UTC).date();
    let first = today.last_of_month().tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(first.timestamp().as_millisecond())
}

/// The instant of a `YYYY-MM-DD HH:MM:SS` in `text`, read as the clock of `zone`. The last one wins.
#[must_use]
pub fn civil_in_text(text: &str, zone: Zone) -> Option<UnixMs> {
    const LENGTH: usize = "2026-08-25 07:41:44".len();
    let at = |start: usize| -> Option<DateTime> {
        let candidate = text.get(start..start.checked_add(LENGTH)?)?;
        candidate.starts_with(|c: char| c.is_ascii_digit()).then(|| candidate.parse().ok())?
    };
    let last = (0..text.len()).rev().find_map(at)?;
    Some(last.to_zoned(zone.time_zone()).ok()?.timestamp().as_millisecond())
}

const NANOS_PER_MS: i128 = 1_000_000;

/// Units in the order they must be tried: longer spellings before their prefixes.
const UNITS: [(&str, i128); 25] = [
    ("milliseconds", NANOS_PER_MS),
    ("millisecond", NANOS_PER_MS),
    ("microseconds", 1_000),
    ("minutes", 60_000 * NANOS_PER_MS),
    ("minute", 60_000 * NANOS_PER_MS),
    ("mins", 60_000 * NANOS_PER_MS),
    ("min", 60_000 * NANOS_PER_MS),
    ("ms", NANOS_PER_MS),
    ("m", 60_000 * NANOS_PER_MS),
    ("seconds", 1_000 * NANOS_PER_MS),
    ("second", 1_000 * NANOS_PER_MS),
    ("secs", 1_000 * NANOS_PER_MS),
    ("sec", 1_000 * NANOS_PER_MS),
    ("s", 1_000 * NANOS_PER_MS),
    ("hours", 3_600_000 * NANOS_PER_MS),
    ("hour", 3_600_000 * NANOS_PER_MS),
    ("hrs", 3_600_000 * NANOS_PER_MS),
    ("h", 3_600_000 * NANOS_PER_MS),
    ("days", 86_400_000 * NANOS_PER_MS),
    ("day", 86_400_000 * NANOS_PER_MS),
    ("d", 86_400_000 * NANOS_PER_MS),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

/// Reads as many `number unit` pairs as `text` starts with; gives the rest of the text back.
fn leading_duration(text: &str) -> Option<(i64, &str)> {
    let mut total: Option<i128> = None;
    let mut rest = text;
    while let Some((nanos, tail)) = leading_pair(rest) {
        total = Some(total.unwrap_or(0).checked_add(nanos)?);
        rest = tail;
        let next = tail.trim_start_matches([' ', ',']);
        if next.starts_with(|c: char| c.is_ascii_digit()) {
            rest = next;
        }
    }
    Some((to_ms(total?)?, rest))
}

fn leading_pair(text: &str) -> Option<(i128, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, tail) = text.split_at_checked(end)?;
    let tail = tail.strip_prefix(' ').unwrap_or(tail);
    let (unit, rest) =
        UNITS.iter().find_map(|(name, nanos)| Some((*nanos, tail.strip_prefix(name)?)))?;
    // `5 stars` is no duration: after a unit comes another number, or no letter.
    if rest.starts_with(|c: char| c.is_alphabetic()) {
        return None;
    }
    Some((nanos(number, unit)?, rest))
}

fn scaled(number: &str, unit_nanos: i128) -> Option<i64> {
    to_ms(nanos(number, unit_nanos)?)
}

/// Fixed-point arithmetic: floats would round `1.1` s to 1101 ms and need lossy casts.
fn nanos(number: &str, unit_nanos: i128) -> Option<i128> {
    const FRACTION_DIGITS: u32 = 9;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut value: i128 = whole.parse().ok()?;
    let mut places = fraction.bytes().chain(std::iter::repeat(b'0'));
    for _ in 0..FRACTION_DIGITS {
        let digit = i128::from(places.next()?.checked_sub(b'0')?);
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    value.checked_mul(unit_nanos)?.checked_div(10_i128.pow(FRACTION_DIGITS))
}

fn to_ms(nanos: i128) -> Option<i64> {
    let up = nanos.checked_add(NANOS_PER_MS.checked_sub(1)?)?;
    i64::try_from(up.checked_div(NANOS_PER_MS)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-07-01T12:00:00Z
    const NOW: UnixMs = 1_782_907_200_000;

    fn at(text: &str) -> UnixMs {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn durations_are_read_in_every_spelling() {
        let table = [
            ("6m0s", Some(360_000)),
            ("1.2s", Some(1_200)),
            ("20ms", Some(20)),
            ("2h7m23s", Some(7_643_000)),
            ("31s", Some(31_000)),
            ("3.000000001s", Some(3_001)),
            ("1.1s", Some(1_100)),
            ("500µs", Some(1)),
            ("1ns", Some(1)),
            ("3 minutes", Some(180_000)),
            ("1 hour 5 minutes", Some(3_900_000)),
            ("2 hours, 1 minute", Some(7_260_000)),
            ("1d2h", Some(93_600_000)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("5", None),
            ("-5s", None),
            ("5 stars", None),
            ("1.2.3s", None),
            ("5s later", None),
            ("99999999999999999999s", None),
        ];
        for (text, want) in table {
            assert_eq!(duration(text), want, "{text}");
        }
    }

    #[test]
    fn f20_retry_after_is_used_or_left_to_the_ladder() {
        let table = [
            ("7", Some(NOW + 7_000)),
            (" 7 ", Some(NOW + 7_000)),
            ("1.5", Some(NOW + 1_500)),
            ("0.2", Some(NOW + 1_000)),
            ("Wed, 01 Jul 2026 12:01:00 GMT", Some(NOW + 60_000)),
            ("2026-07-01T12:01:00Z", Some(NOW + 60_000)),
            ("2026-07-01T14:01:00+02:00", Some(NOW + 60_000)),
            ("0", None),
            ("-5", None),
            ("1e9", None),
            ("1000000000", None),
            ("1800000000", None),
            ("Wed, 01 Jul 2026 11:59:00 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("soon", None),
            ("", None),
            ("34560000", Some(NOW + 34_560_000_000)),
            ("34560001", None),
        ];
        for (value, want) in table {
            assert_eq!(retry_after(value, NOW), want, "{value}");
        }
    }

    #[test]
    fn a_reset_is_read_by_its_magnitude() {
        let table = [
            ("1782907260", Some(NOW + 60_000)),
            ("1782907260000", Some(NOW + 60_000)),
            ("1782907260.5", Some(NOW + 60_500)),
            ("60", Some(NOW + 60_000)),
            ("1m0s", Some(NOW + 60_000)),
            ("2026-07-01T12:01:00Z", Some(NOW + 60_000)),
            ("0", None),
            ("1600000000", None),
            ("9999999999999999", None),
        ];
        for (value, want) in table {
            assert_eq!(reset(value, NOW), want, "{value}");
        }
    }

    #[test]
    fn an_instant_of_a_document_is_read_in_every_spelling() {
        let table = [
            // 2026-07-01T12:01:00Z in seconds, ms, µs, ns
            ("1782907260", Some(NOW + 60_000)),
            ("1782907260.25", Some(NOW + 60_250)),
            ("1782907260000", Some(NOW + 60_000)),
            ("1782907260000000", Some(NOW + 60_000)),
            ("1782907260000000000", Some(NOW + 60_000)),
            ("2026-07-01T12:01:00Z", Some(NOW + 60_000)),
            ("2026-07-01T12:01:00.1234567+00:00", Some(NOW + 60_123)),
            ("2026-07-01T14:01:00+02:00", Some(NOW + 60_000)),
            ("2026-07-01T12:01:00", Some(NOW + 60_000)),
            ("Wed, 01 Jul 2026 12:01:00 GMT", Some(NOW + 60_000)),
            ("2026-07-02", Some(NOW + 12 * HOUR)),
            ("1h2m3.5s", Some(NOW + HOUR + 2 * MINUTE + 3_500)),
            ("120ms", Some(NOW + 120)),
            ("3.5s", Some(NOW + 3_500)),
            ("in 90 seconds", Some(NOW + 90_000)),
            ("In 5 minutes", Some(NOW + 5 * MINUTE)),
            // the past is an answer, too
            ("1782907140", Some(NOW - 60_000)),
            ("2026-06-30", Some(NOW - 36 * HOUR)),
            // nonsense
            ("0", None),
            ("60", None),
            ("-1782907260", None),
            ("946684799", None),
            ("1999-12-31T23:59:59Z", None),
            ("2027-12-31T00:00:00Z", None),
            ("9999999999999999999", None),
            ("1e9", None),
            ("NaN", None),
            ("in a while", None),
            ("soon", None),
            ("in ", None),
            ("", None),
        ];
        for (value, want) in table {
            assert_eq!(point(value, NOW), want, "{value}");
        }
    }

    #[test]
    fn midnight_in_los_angeles_follows_daylight_saving_time() {
        let table = [
            ("2026-07-01T12:00:00Z", "2026-07-02T07:00:00Z"),
            ("2026-01-15T12:00:00Z", "2026-01-16T08:00:00Z"),
            // Clocks go forward on 2026-03-08: the day has 23 hours.
            ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"),
            // Clocks go back on 2026-11-01: the day has 25 hours.
            ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
        ];
        for (now, want) in table {
            assert_eq!(next_midnight(Zone::LosAngeles, at(now)), Some(at(want)), "{now}");
        }
        let spring = next_midnight(Zone::LosAngeles, at("2026-03-08T08:00:00Z")).unwrap();
        assert_eq!(spring - at("2026-03-08T08:00:00Z"), 23 * HOUR);
        let autumn = next_midnight(Zone::LosAngeles, at("2026-11-01T07:00:00Z")).unwrap();
        assert_eq!(autumn - at("2026-11-01T07:00:00Z"), 25 * HOUR);
    }

    #[test]
    fn shanghai_midnight_and_text_are_utc_plus_eight() {
        assert_eq!(
            next_midnight(Zone::Shanghai, at("2026-07-01T12:00:00Z")),
            Some(at("2026-07-01T16:00:00Z"))
        );
        let text = "usage limit, reset at 2026-08-25 07:41:44 (重置)";
        assert_eq!(civil_in_text(text, Zone::Shanghai), Some(at("2026-08-24T23:41:44Z")));
        assert_eq!(civil_in_text("重置时间 2026-08", Zone::Shanghai), None);
        assert_eq!(civil_in_text("2026-13-45 99:99:99", Zone::Shanghai), None);
    }

    #[test]
    fn the_next_month_starts_at_midnight_utc() {
        let table = [
            ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02-28T10:00:00Z", "2028-03-01T00:00:00Z"),
        ];
        for (now, want) in table {
            assert_eq!(next_month_utc(at(now)), Some(at(want)), "{now}");
        }
    }

    #[test]
    fn a_duration_in_a_sentence_is_found_after_its_mark() {
        let marks = ["try again in ", "reset after "];
        let table = [
            ("rate limit reached. please try again in 6.5s. visit …", Some(6_500)),
            ("quota will reset after 2h7m23s.", Some(7_643_000)),
            ("please try again in 1h2m3s", Some(3_723_000)),
            ("try again in a while", None),
            ("nothing", None),
        ];
        for (text, want) in table {
            assert_eq!(duration_after(text, &marks), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic_or_leave_the_bounds(text in ".{0,40}", now in YEAR_2000..4_000_000_000_000_i64) {
            for until in [retry_after(&text, now), reset(&text, now)].into_iter().flatten() {
                prop_assert!(until >= now + SECOND && until - now <= FURTHEST);
            }
            let _ = (duration(&text), civil_in_text(&text, Zone::Shanghai), date(&text));
            if let Some(at) = point(&text, now) {
                prop_assert!(at >= YEAR_2000 && at - now <= FURTHEST);
            }
        }

        #[test]
        fn every_number_of_seconds_is_in_bounds_or_no_hint(seconds in any::<u64>()) {
            if let Some(until) = retry_after(&seconds.to_string(), NOW) {
                prop_assert!(until >= NOW + SECOND && until - NOW <= FURTHEST);
            }
        }
    }
}
