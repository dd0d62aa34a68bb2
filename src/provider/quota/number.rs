//! Numbers, instants and words of vendors' JSON, whatever they are written as. Nothing here fails: nonsense is `None`.

use serde_json::Value;

use crate::clock::UnixMs;
use crate::routing::instant;

/// A number, or a number written as a text; finite, any sign.
pub(super) fn signed(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_end_matches('%').trim_end().parse().ok(),
        // protobuf wrappers
        Value::Object(wrapped) => {
            wrapped.get("val").or_else(|| wrapped.get("value")).and_then(signed)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    };
    number.filter(|n| n.is_finite())
}

/// The same, not below 0.
pub(super) fn number(value: &Value) -> Option<f64> {
    signed(value).filter(|n| *n >= 0.0)
}

/// An instant, Unix ms; see [`instant::point`].
pub(super) fn when(value: &Value, now: UnixMs) -> Option<UnixMs> {
    match value {
        Value::String(text) => instant::point(text, now),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => instant::point(&whole.to_string(), now),
            None => instant::point(&format!("{:.3}", number.as_f64()?), now),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number of seconds, for lengths.
pub(super) fn seconds(value: &Value) -> Option<u64> {
    whole(number(value)?)
}

/// A float without its fraction, when it is a sane count.
pub(super) fn whole(number: f64) -> Option<u64> {
    const MOST: f64 = 1e15;
    if !(0.0..=MOST).contains(&number) {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

/// A text that says something.
pub(super) fn words(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// A switch; texts count, too.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Null | Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// The first member that is there and says something by `read`.
pub(super) fn first<'v, T>(
    object: &'v Value,
    names: &[&str],
    read: impl Fn(&'v Value) -> Option<T>,
) -> Option<T> {
    names.iter().find_map(|name| read(object.get(name)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let table = [
            (json!(12), Some(12.0)),
            (json!(12.5), Some(12.5)),
            (json!("12.5"), Some(12.5)),
            (json!(" 40% "), Some(40.0)),
            (json!({"val": "7"}), Some(7.0)),
            (json!(-1), None),
            (json!("-1"), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!("1e400"), None),
            (json!("many"), None),
            (json!(""), None),
            (json!(null), None),
            (json!(true), None),
            (json!([1]), None),
            (json!({}), None),
        ];
        for (value, want) in table {
            assert_eq!(number(&value), want, "{value}");
        }
        assert_eq!(signed(&json!("-3.5")), Some(-3.5));
    }

    #[test]
    fn counts_have_no_fraction_and_an_end() {
        assert_eq!(whole(604_800.0), Some(604_800));
        assert_eq!(whole(0.4), Some(0));
        assert_eq!(whole(1e16), None);
        assert_eq!(whole(-1.0), None);
        assert_eq!(whole(f64::NAN), None);
    }

    #[test]
    fn instants_are_texts_or_numbers() {
        const NOW: UnixMs = 1_782_907_200_000;
        let table = [
            (json!(1_782_907_260), Some(NOW + 60_000)),
            (json!(1_782_907_260.0), Some(NOW + 60_000)),
            (json!(1_782_907_260_000_i64), Some(NOW + 60_000)),
            (json!("1782907260"), Some(NOW + 60_000)),
            (json!("2026-07-01T12:01:00Z"), Some(NOW + 60_000)),
            (json!(-5), None),
            (json!(1e300), None),
            (json!(null), None),
            (json!(true), None),
        ];
        for (value, want) in table {
            assert_eq!(when(&value, NOW), want, "{value}");
        }
    }
}
