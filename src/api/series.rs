//! What was used over time: buckets of an hour or a day, by one dimension, for charts.

use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::usage::{FILTER, labels, named};
use crate::clock::UnixMs;
use crate::store::usage::{self, Dimension, Point};

const HOUR_MS: i64 = 3_600_000;
/// Spans up to this are shown by the hour when nothing else is asked for.
const SHORT: i64 = 48 * HOUR_MS;
/// Buckets of a reply at most.
const MOST: usize = 1_000;
/// Groups that have a colour of their own; colours repeat beyond.
const COLOURS: usize = 8;

pub(super) async fn series(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &["bucket", "group"]].concat())?;
    let filter = api.usage_filter(&call)?;
    let zone = api.shared().snapshot.load().settings.timezone.clone();
    let daily = match call.query("bucket") {
        None => filter.to.saturating_sub(filter.from) > SHORT,
        Some("hour") => false,
        Some("day") => true,
        Some(_) => return Err(ApiError::invalid("bucket", "expected hour or day")),
    };
    let starts = starts(filter.from, filter.to, daily, &zone);
    if starts.len() > MOST {
        let why = format!("gives more than {MOST} buckets; ask for days, or for a shorter span");
        return Err(ApiError::invalid("bucket", why));
    }
    let word = call.query("group").unwrap_or("provider");
    let dimension = match word {
        "error_class" => None,
        word => Some(Dimension::parse(word).ok_or_else(|| {
            let known = "expected provider, model, account, key, combo, tool, tier or error_class";
            ApiError::invalid("group", known)
        })?),
    };
    let places = starts.clone();
    let (groups, names) = api
        .read(move |conn| {
            let place =
                |hour: UnixMs| places.partition_point(|start| *start <= hour).checked_sub(1);
            Ok(match dimension {
                Some(dimension) => {
                    let names = labels(conn, dimension)?;
                    (usage::series(conn, &filter, dimension, places.len(), place)?, names)
                }
                None => {
                    let groups = usage::error_series(conn, &filter, places.len(), place)?;
                    (groups, Default::default())
                }
            })
        })
        .await?;
    let snapshot = api.shared().snapshot.load();
    let mut groups: Vec<((String, String), Vec<Point>)> = groups.into_iter().collect();
    let weight = |points: &[Point]| points.iter().map(|point| point.tokens).sum::<i64>();
    groups.sort_by_key(|(id, points)| (std::cmp::Reverse(weight(points)), id.clone()));
    let about = |(at, (id, _)): (usize, &((String, String), Vec<Point>))| {
        let (id, label) = match dimension {
            Some(dimension) => named(dimension, id, &names, &snapshot),
            None => (id.0.clone(), id.0.clone()),
        };
        json!({"id": id, "label": label, "color": at % COLOURS + 1})
    };
    let about: Vec<Value> = groups.iter().enumerate().map(about).collect();
    let values = |of: fn(&Point) -> i64| -> Value {
        groups
            .iter()
            .map(|(_, points)| points.iter().map(of).collect::<Vec<_>>())
            .collect::<Vec<_>>()
            .into()
    };
    let idle = |at: &usize| {
        groups.iter().all(|(_, points)| points.get(*at).is_none_or(|p| p.requests == 0))
    };
    let no_data: Vec<usize> = (0..starts.len()).filter(idle).collect();
    Ok(Reply::ok(json!({
        "bucket": if daily { "day" } else { "hour" },
        "buckets": starts,
        "groups": about,
        "values": {
            "requests": values(|point| point.requests),
            "tokens": values(|point| point.tokens),
            "paid_umicro": values(|point| point.paid_umicro),
            "list_umicro": values(|point| point.list_umicro),
        },
        "no_data": no_data,
    })))
}

/// Where the buckets of a span begin: whole hours, or midnights of the zone. One more than is allowed at most.
fn starts(from: UnixMs, to: UnixMs, daily: bool, zone: &TimeZone) -> Vec<UnixMs> {
    let mut starts = Vec::new();
    if !daily {
        let mut at = from.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        while at < to && starts.len() <= MOST {
            starts.push(at);
            at = at.saturating_add(HOUR_MS);
        }
        return starts;
    }
    let Ok(instant) = jiff::Timestamp::from_millisecond(from) else { return starts };
    let mut day = zone.to_datetime(instant).date();
    while starts.len() <= MOST {
        // A zone may skip midnight: then the first instant after it.
        let begin = zone.to_ambiguous_zoned(day.at(0, 0, 0, 0)).compatible();
        let Ok(begin) = begin.map(|zoned| zoned.timestamp().as_millisecond()) else { break };
        if begin >= to {
            break;
        }
        starts.push(begin);
        let Ok(next) = day.checked_add(1.day()) else { break };
        day = next;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone_and_hours_are_whole() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        // The clock goes back in the night to the 25th.
        let days = starts(ms("2026-10-24T10:00:00Z"), ms("2026-10-26T10:00:00Z"), true, &berlin);
        let want = ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"].map(ms);
        assert_eq!(days, want);
        let hours = starts(ms("2026-10-24T10:20:00Z"), ms("2026-10-24T12:00:00Z"), false, &berlin);
        assert_eq!(hours, ["2026-10-24T10:00:00Z", "2026-10-24T11:00:00Z"].map(ms));
        assert_eq!(starts(0, i64::MAX, false, &berlin).len(), MOST + 1);
    }
}
