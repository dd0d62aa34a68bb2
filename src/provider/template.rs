//! Placeholders in URLs and headers, and how their values are written where they stand.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Unreserved characters of RFC 3986 stay.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Model ids may hold slashes, versions after `@`, tags after `:`.
const MODEL: &AsciiSet = &SEGMENT.remove(b'/').remove(b'@').remove(b':');

/// Where a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Part of a host name.
    Host,
    /// One segment of a path, or a model id in a path.
    Path,
    /// A value in a query.
    Query,
    /// A header value.
    Header,
}

/// Why a template cannot be filled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unfilled {
    /// No value is known for that name.
    Missing(String),
    /// The value cannot stand there.
    Unfit(String),
}

/// Replaces each `{name}` by the value `get` knows.
pub(super) fn fill<'a>(
    template: &'a str,
    place: Place,
    get: &dyn Fn(&str) -> Option<Cow<'a, str>>,
) -> Result<Cow<'a, str>, Unfilled> {
    if !template.contains('{') {
        return Ok(Cow::Borrowed(template));
    }
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            return Err(Unfilled::Missing(after.to_owned()));
        };
        let value = get(name).ok_or_else(|| Unfilled::Missing(name.to_owned()))?;
        write(&mut out, name, &value, place)?;
        rest = tail;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn write(out: &mut String, name: &str, value: &str, place: Place) -> Result<(), Unfilled> {
    let unfit = || Unfilled::Unfit(name.to_owned());
    match place {
        Place::Host => {
            // `location_host` is empty, or a label with its dash; `resource_url` is a whole name
            let fits = match name {
                "resource_url" => is_host(value),
                "location_host" => value.is_empty() || is_label(value),
                _ => is_label(value),
            };
            if !fits {
                return Err(unfit());
            }
            out.push_str(value);
        }
        Place::Path => {
            // The URL parser resolves dot segments, percent-encoded ones too: such a value would
            // leave the path the catalog gives.
            if value.is_empty() || value.split('/').any(|s| matches!(s, "." | "..")) {
                return Err(unfit());
            }
            let set = if name == "model" { MODEL } else { SEGMENT };
            out.extend(utf8_percent_encode(value, set));
        }
        Place::Query => out.extend(utf8_percent_encode(value, SEGMENT)),
        Place::Header => out.push_str(value),
    }
    Ok(())
}

/// `^[a-z0-9-]{1,63}$`, as security §9.1 wants template segments of hosts.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// `^[a-z]{2}(-[a-z0-9]+)+-[0-9]$`: a region in the host name of AWS.
pub(super) fn is_aws_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [country, middle @ .., number] = parts.as_slice() else { return false };
    let word =
        |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_lowercase())
        && !middle.is_empty()
        && middle.iter().all(word)
        && number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &'static str, place: Place, value: &str) -> Result<String, Unfilled> {
        let get = |name: &str| (name != "none").then(|| Cow::Owned(value.to_owned()));
        fill(template, place, &get).map(Cow::into_owned)
    }

    #[test]
    fn values_are_written_for_their_place() {
        let ok = |t, p, v, want: &str| assert_eq!(filled(t, p, v).as_deref(), Ok(want), "{v}");
        ok("/d/{deployment}/x", Place::Path, "my model", "/d/my%20model/x");
        ok("/d/{deployment}/x", Place::Path, "a/b", "/d/a%2Fb/x");
        ok("/m/{model}:go", Place::Path, "a/b@1:free", "/m/a/b@1:free:go");
        ok("/m/{model}", Place::Path, "a?b#c%2e\\é", "/m/a%3Fb%23c%252e%5C%C3%A9");
        ok("v={api_version}", Place::Query, "a&b=c", "v=a%26b%3Dc");
        ok("{location_host}x", Place::Host, "", "x");
        ok("plain", Place::Path, "v", "plain");
    }

    #[test]
    fn values_that_would_change_the_destination_are_unfit() {
        let unfit = |t, p, v: &str| {
            assert!(matches!(filled(t, p, v), Err(Unfilled::Unfit(_))), "{v}");
        };
        for v in ["..", ".", "a/../b", "../x", "a/..", ""] {
            unfit("/m/{model}:go", Place::Path, v);
        }
        for v in ["", "a.b", "evil.com/", "a@b", "A", "a_b", &"a".repeat(64)] {
            unfit("x-{region}.example", Place::Host, v);
        }
        assert_eq!(filled("{none}", Place::Path, ""), Err(Unfilled::Missing("none".into())));
        assert_eq!(filled("a{b", Place::Path, ""), Err(Unfilled::Missing("b".into())));
    }

    #[test]
    fn aws_regions_follow_their_form() {
        for good in ["us-east-1", "eu-central-2", "us-gov-west-1"] {
            assert!(is_aws_region(good), "{good}");
        }
        for bad in ["us", "us-1", "useast-1", "us-east-10", "US-east-1", "us--1", "us-east-a", ""] {
            assert!(!is_aws_region(bad), "{bad}");
        }
    }
}
