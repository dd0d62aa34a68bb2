//! The span of time a list or a sum is asked for: `period`, or `from` and `to` (`api.md` §5).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::clock::UnixMs;
use crate::store::usage::Period;

/// Its members of the query.
pub(super) const SPAN: [&str; 3] = ["period", "from", "to"];
/// Hourly sums are kept so long (storage §5).
const KEPT_DAYS: i64 = 400;
const DAY_MS: i64 = 86_400_000;
/// First instant that is later than any a caller can mean: year 10000. Differences of instants before it fit.
const LATEST: UnixMs = 253_402_300_800_000;

/// The same for a list whose every row is kept as it is: without a span all of it.
///
/// # Errors
/// 422 when it cannot be read.
pub(super) fn span_or_all(
    call: &Call,
    now: UnixMs,
    zone: &TimeZone,
) -> Result<(Option<UnixMs>, Option<UnixMs>), ApiError> {
    if SPAN.iter().all(|name| call.query(name).is_none()) {
        return Ok((None, None));
    }
    let (from, to) = span(call, now, zone)?;
    // What comes in while the list is read belongs to it, unless an end was named.
    Ok((Some(from), call.query("to").map(|_| to)))
}

/// An instant of the query: Unix milliseconds, or RFC 3339.
///
/// # Errors
/// 422 when it is neither.
pub(super) fn instant(call: &Call, name: &str) -> Result<Option<UnixMs>, ApiError> {
    let read = |text: &str| {
        text.parse::<i64>()
            .ok()
            .or_else(|| text.parse::<Timestamp>().ok().map(|instant| instant.as_millisecond()))
    };
    let bad = || {
        let why = "expected Unix milliseconds or an RFC 3339 instant, from 1970 to 9999";
        ApiError::invalid(name, why)
    };
    let within = |at: &UnixMs| (0..LATEST).contains(at);
    call.query(name).map(|text| read(text).filter(within).ok_or_else(bad)).transpose()
}

/// Begin and end of what is asked for; whole hours are what is stored.
pub(super) fn span(
    call: &Call,
    now: UnixMs,
    zone: &TimeZone,
) -> Result<(UnixMs, UnixMs), ApiError> {
    let (from, to) = (instant(call, "from")?, instant(call, "to")?);
    if from.is_some() || to.is_some() {
        if call.query("period").is_some() {
            return Err(ApiError::invalid("period", "stands beside `from` or `to`; keep one"));
        }
        let (from, to) = (from.unwrap_or(now - KEPT_DAYS * DAY_MS), to.unwrap_or(now));
        return if from < to {
            Ok((from, to))
        } else {
            Err(ApiError::invalid("to", "must be later than `from`"))
        };
    }
    let word = call.query("period").unwrap_or("7d");
    if let Some(period) = Period::parse(word) {
        return Ok((period.start(now, zone), now));
    }
    match word {
        "90d" => Ok((now - 90 * DAY_MS, now)),
        "all" => Ok((now - KEPT_DAYS * DAY_MS, now)),
        "last_month" => {
            let this = Period::Month.start(now, zone);
            Ok((month_before(this, zone).unwrap_or(this), this))
        }
        _ => Err(ApiError::invalid(
            "period",
            "expected today, 24h, 7d, 30d, 90d, month, last_month or all",
        )),
    }
}

/// The first of the month before the one that begins at `start`.
fn month_before(start: UnixMs, zone: &TimeZone) -> Option<UnixMs> {
    let first: DateTime = zone.to_datetime(Timestamp::from_millisecond(start).ok()?);
    let before = first.date().checked_sub(1.month()).ok()?;
    let begin = zone.to_ambiguous_zoned(before.at(0, 0, 0, 0)).compatible().ok()?;
    Some(begin.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &[(&str, &str)]) -> Result<(UnixMs, UnixMs), ApiError> {
        let query = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        span(&Call { query, ..Call::default() }, ms("2026-03-30T12:34:56Z"), &berlin)
    }

    fn ms(text: &str) -> UnixMs {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn spans_begin_where_they_say() {
        let month = of(&[("period", "month")]).unwrap();
        assert_eq!(month.0, ms("2026-02-28T23:00:00Z"));
        let last = of(&[("period", "last_month")]).unwrap();
        assert_eq!(last, (ms("2026-01-31T23:00:00Z"), month.0));
        let own = of(&[("from", "2026-03-01T00:00:00Z"), ("to", "1774800000000")]).unwrap();
        assert_eq!(own, (ms("2026-03-01T00:00:00Z"), 1_774_800_000_000));
        for bad in [
            &[("period", "year")][..],
            &[("from", "yesterday")],
            &[("from", "5"), ("to", "4")],
            &[("from", "5"), ("period", "7d")],
            &[("from", "-9223372036854775808")],
            &[("from", "-1")],
            &[("to", "253402300800000")],
        ] {
            assert_eq!(of(bad).unwrap_err().status, 422, "{bad:?}");
        }
    }
}
