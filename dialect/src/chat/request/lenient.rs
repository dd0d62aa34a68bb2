//! Reads fields that clients spell in their own ways: the wrong type in an optional field is a field
//! that is not there, and a warning.

use std::borrow::Cow;

use crate::ir::{CacheMark, CacheTtl, RawJson, Str};
use crate::json;
use crate::translate::{WarningKind, Warnings};

/// Reads values and notes what could not be read.
pub(super) struct Lenient<'w> {
    pub(super) warnings: &'w mut Warnings,
}

impl Lenient<'_> {
    /// A value by `read`; `null` is no value.
    pub(super) fn take<T>(
        &mut self,
        field: &str,
        raw: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if raw == "null" {
            return None;
        }
        let value = read(raw);
        if value.is_none() {
            self.warnings.push(WarningKind::Dropped, field.to_owned(), "not of the expected type");
        }
        value
    }

    /// Notes a field that is left out.
    pub(super) fn drop(&mut self, field: impl Into<Str>, why: &'static str) {
        self.warnings.push(WarningKind::Dropped, field, why);
    }
}

/// A string.
pub(super) fn text(raw: &str) -> Option<Str> {
    json::string(raw).map(|text| match text {
        Cow::Borrowed(text) => Str::from(text),
        Cow::Owned(text) => Str::from(text),
    })
}

/// A string that says something.
pub(super) fn word(raw: &str) -> Option<Str> {
    text(raw).filter(|text| !text.trim().is_empty())
}

/// A truth value.
pub(super) fn boolean(raw: &str) -> Option<bool> {
    raw.parse().ok()
}

/// A number in any spelling; strings of digits count.
pub(super) fn number(raw: &str) -> Option<f64> {
    let spelled = json::string(raw);
    let number: f64 = spelled.as_deref().unwrap_or(raw).trim().parse().ok()?;
    number.is_finite().then_some(number)
}

/// A whole number that is not negative.
pub(super) fn count(raw: &str) -> Option<u32> {
    let number = number(raw).filter(|number| *number >= 0.0)?;
    // Integral by now, so the decimal spelling parses as an integer.
    Some(format!("{:.0}", number.floor()).parse().unwrap_or(u32::MAX))
}

/// A whole number.
pub(super) fn integer(raw: &str) -> Option<i64> {
    raw.parse().ok().or_else(|| format!("{:.0}", number(raw)?.trunc()).parse().ok())
}

/// Any value, as written.
pub(super) fn raw_json(raw: &str) -> Option<RawJson> {
    RawJson::parse(raw).ok()
}

/// An object, as written.
pub(super) fn object(raw: &str) -> Option<RawJson> {
    if json::is_object(raw) { raw_json(raw) } else { None }
}

/// A caching mark; any object is one.
pub(super) fn cache_mark(raw: &str) -> Option<CacheMark> {
    let hour = json::member(raw, "ttl") == Some("\"1h\"");
    let ttl = if hour { CacheTtl::Hour1 } else { CacheTtl::Minutes5 };
    object(raw).map(|raw| CacheMark { ttl, raw: Some(raw) })
}
