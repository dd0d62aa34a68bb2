//! The API key candidates of a request, in the order in which they are tried (SEC-AK-4).

use std::borrow::Cow;

use actix_web::http::header::HeaderMap;
use percent_encoding::percent_decode_str;

/// At most this many are tried.
const MOST: usize = 3;

/// What a request offers as key.
#[derive(Debug, Default)]
pub struct Candidates<'a> {
    keys: [Option<Cow<'a, str>>; MOST],
    /// Something stood where a key stands, be it readable or not.
    pub offered: bool,
    /// `?key=` was among it.
    pub in_query: bool,
}

impl<'a> Candidates<'a> {
    /// Collects the candidates. `query` is given only where `?key=` may hold a key.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, query: Option<&'a str>) -> Self {
        let mut found = Self::default();
        let [authorization, others @ ..] = at_places(headers);
        found.offer(authorization.and_then(bearer));
        for value in others {
            found.offer(value.and_then(single));
        }
        if let Some(key) = query.and_then(query_key) {
            found.in_query = true;
            found.offer(Some(Offer::of(key)));
        }
        found
    }

    /// The readable ones, best first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().flatten().map(AsRef::as_ref)
    }

    fn offer(&mut self, offer: Option<Offer<'a>>) {
        let Some(offer) = offer else { return };
        self.offered = true;
        if let Offer::Readable(text) = offer
            && let Some(free) = self.keys.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(text);
        }
    }
}

/// A value at a place of keys.
enum Offer<'a> {
    Readable(Cow<'a, str>),
    /// Too short, too long, not printable ASCII, or given twice: it cannot be a key.
    Unreadable,
}

impl<'a> Offer<'a> {
    fn of(text: Cow<'a, str>) -> Self {
        let is_key = (8..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if is_key { Self::Readable(text) } else { Self::Unreadable }
    }
}

/// Headers that may hold a key, best first.
const PLACES: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];

/// The one value of a header. Bytes that are not ASCII read as an unusable text, as does a header given twice.
type Place<'a> = Result<&'a str, Unusable>;

#[derive(Clone, Copy)]
struct Unusable;

/// What stands in each of [`PLACES`], in one look through the head.
fn at_places(headers: &HeaderMap) -> [Option<Place<'_>>; PLACES.len()] {
    let mut found = [None; PLACES.len()];
    for (name, value) in headers {
        let slots = PLACES.iter().zip(&mut found);
        for (_, slot) in slots.filter(|(place, _)| **place == name.as_str()) {
            let value = value.to_str().map_err(|_not_ascii| Unusable);
            *slot = Some(if slot.is_none() { value } else { Err(Unusable) });
        }
    }
    found
}

fn bearer(value: Place<'_>) -> Option<Offer<'_>> {
    let Ok(value) = value else { return Some(Offer::Unreadable) };
    let (scheme, key) = value.trim().split_once(' ')?;
    let key = key.trim();
    // Another scheme, or a bare `Bearer`, offers no key at all.
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty())
        .then(|| Offer::of(Cow::Borrowed(key)))
}

fn single(value: Place<'_>) -> Option<Offer<'_>> {
    match value {
        Ok(value) if value.trim().is_empty() => None,
        Ok(value) => Some(Offer::of(Cow::Borrowed(value.trim()))),
        Err(Unusable) => Some(Offer::Unreadable),
    }
}

/// The value of `key` in a query, percent-decoded once. The first one counts.
fn query_key(query: &str) -> Option<Cow<'_, str>> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
    let text = percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed("\u{fffd}"));
    (!text.is_empty()).then_some(text)
}

/// `query` without the `key` parameter: what may be logged or forwarded (SEC-AK-4).
#[must_use]
pub fn query_without_key(query: &str) -> Cow<'_, str> {
    let is_key = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _value)| name);
        // `k%65y` is `key` as well for whoever decodes it later.
        percent_decode_str(name).eq("key".bytes())
    };
    if !query.split('&').any(|pair| is_key(&pair)) {
        return Cow::Borrowed(query);
    }
    Cow::Owned(query.split('&').filter(|pair| !is_key(pair)).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
pub(super) mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    pub(in crate::auth) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        map
    }

    fn keys(lines: &[(&str, &str)], query: Option<&str>) -> Vec<String> {
        let headers = headers(lines);
        Candidates::of(&headers, query).iter().map(str::to_owned).collect()
    }

    #[test]
    fn e001_each_place_and_form_is_read() {
        for line in [
            ("authorization", "Bearer key-text-1"),
            ("authorization", "bearer key-text-1"),
            ("authorization", "BEARER    key-text-1  "),
            ("x-api-key", "key-text-1"),
            ("x-goog-api-key", "key-text-1"),
            ("api-key", " key-text-1 "),
        ] {
            assert_eq!(keys(&[line], None), ["key-text-1"], "{line:?}");
        }
        assert_eq!(keys(&[], Some("alt=sse&key=key%2Dtext-1")), ["key-text-1"]);
        assert_eq!(keys(&[], Some("alt=sse&monkey=key-text-1")), [""; 0]);
    }

    #[test]
    fn order_is_fixed_and_three_are_tried() {
        let all = [
            ("api-key", "key-text-4"),
            ("x-goog-api-key", "key-text-3"),
            ("x-api-key", "key-text-2"),
            ("authorization", "Bearer key-text-1"),
        ];
        assert_eq!(keys(&all, Some("key=key-text-5")), ["key-text-1", "key-text-2", "key-text-3"]);
        assert_eq!(keys(&all[..1], Some("key=key-text-5")), ["key-text-4", "key-text-5"]);
    }

    #[test]
    fn t_ak_03_what_cannot_be_a_key_is_offered_but_never_tried() {
        let long = format!("Bearer {}", "x".repeat(257));
        let huge = format!("Bearer {}", "x".repeat(1 << 20));
        for lines in [
            vec![("authorization", "Bearer ' OR '1'='1")],
            vec![("authorization", "Bearer short")],
            vec![("authorization", "Bearer schlüssel-text")],
            vec![("authorization", long.as_str())],
            vec![("authorization", huge.as_str())],
            vec![("authorization", "Bearer key-text-1"), ("authorization", "Bearer key-text-1")],
            vec![("x-api-key", "key-text-1"), ("x-api-key", "key-text-2")],
        ] {
            let headers = headers(&lines);
            let found = Candidates::of(&headers, None);
            assert!(found.offered);
            assert_eq!(found.iter().count(), 0, "{:?}", lines[0].1.get(..40));
        }
        let headers = headers(&[("authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", "  ")]);
        assert!(!Candidates::of(&headers, None).offered);
        assert!(Candidates::of(&headers, Some("key=%00%00%00%00%00%00%00%00")).offered);
    }

    #[test]
    fn the_key_is_taken_out_of_a_query() {
        for (query, want) in [
            ("alt=sse", "alt=sse"),
            ("key=secret", ""),
            ("alt=sse&key=secret&x=1", "alt=sse&x=1"),
            ("k%65y=secret&x=1&key", "x=1"),
            ("monkey=1", "monkey=1"),
        ] {
            assert_eq!(query_without_key(query), want, "{query}");
        }
    }
}
