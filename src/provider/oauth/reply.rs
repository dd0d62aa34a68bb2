//! The answer of a token endpoint: typed fields, or none at all (SEC-OA-5).

use serde_json::{Map, Value};

use crate::clock::UnixMs;
use crate::provider::oauth::claims;
use crate::routing::instant::{DAY, MINUTE};
use crate::secret::Secret;

/// Longest answer of a token endpoint, bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// No token is believed to live shorter …
const SHORTEST_MS: i64 = MINUTE;
/// … or longer than this.
const LONGEST_MS: i64 = 400 * DAY;

/// New tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokens {
    /// Bearer token; never empty.
    pub access_token: Secret,
    /// `None` = the old one stays; an empty one counts as none.
    pub refresh_token: Option<Secret>,
    /// Identity token.
    pub id_token: Option<Secret>,
    /// End of the access token, Unix ms; `None` = nobody knows.
    pub expires_at: Option<UnixMs>,
    /// Scope as granted, when it is said.
    pub scope: Option<String>,
}

/// Why an answer holds no tokens. The text never quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTokens {
    /// A page, a list, cut JSON, or too much of it.
    #[error("the token endpoint did not answer with a JSON object")]
    NotAnObject,
    /// No usable `access_token`.
    #[error("the token endpoint's answer holds no access token")]
    NoAccessToken,
    /// A token that is no text.
    #[error("the token endpoint's answer holds a `{0}` of the wrong type")]
    WrongType(&'static str),
}

/// Reads tokens from an answer that arrived at `now`. Without `expires_in` the end comes from the token itself
/// (a JWT's `exp`), else from `default_life_ms`.
///
/// # Errors
/// See [`NotTokens`].
pub fn parse(body: &[u8], now: UnixMs, default_life_ms: Option<i64>) -> Result<Tokens, NotTokens> {
    let object = object(body)?;
    let access_token = text(&object, "access_token")?.ok_or(NotTokens::NoAccessToken)?;
    let said = object.get("expires_in").and_then(seconds);
    let life_ms = said.map(|seconds| seconds.saturating_mul(1_000));
    let life_ms = life_ms
        .or_else(|| Some(claims::expiry(access_token.expose())?.saturating_sub(now)))
        .or(default_life_ms);
    let scope = object.get("scope").and_then(Value::as_str).filter(|s| !s.trim().is_empty());
    Ok(Tokens {
        refresh_token: text(&object, "refresh_token")?,
        id_token: text(&object, "id_token")?,
        expires_at: life_ms.map(|ms| now.saturating_add(ms.clamp(SHORTEST_MS, LONGEST_MS))),
        scope: scope.map(str::to_owned),
        access_token,
    })
}

/// The object that an answer is, within its bounds.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, NotTokens> {
    if body.len() > MAX_BODY {
        return Err(NotTokens::NotAnObject);
    }
    // The parser's own message may quote a token.
    serde_json::from_slice(body).map_err(|_quotes| NotTokens::NotAnObject)
}

/// A member that is a text or absent; blank and null count as absent.
fn text(object: &Map<String, Value>, name: &'static str) -> Result<Option<Secret>, NotTokens> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Secret::new(text.clone()))),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(NotTokens::WrongType(name))
        }
    }
}

/// Whole seconds of a number, or of a text that is one. Anything else says nothing.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|n| n.is_finite()).map(whole)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float saturates, and the value is clamped after"
)]
#[expect(clippy::as_conversions, reason = "no other conversion of a float")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::routing::instant::HOUR;

    const NOW: UnixMs = 1_790_000_000_000;

    fn life(expires_in: Value) -> Option<i64> {
        let body = json!({"access_token": "A", "expires_in": expires_in}).to_string();
        Some(parse(body.as_bytes(), NOW, Some(8 * HOUR)).unwrap().expires_at? - NOW)
    }

    #[test]
    fn an_ordinary_answer_is_read() {
        let body = json!({"token_type": "Bearer", "access_token": "A", "refresh_token": "R",
            "expires_in": 28800, "scope": "user:profile", "account": {"uuid": "u"}});
        let read = parse(body.to_string().as_bytes(), NOW, None).unwrap();
        assert_eq!(read.access_token.expose(), "A");
        assert_eq!(read.refresh_token.unwrap().expose(), "R");
        assert_eq!(read.expires_at, Some(NOW + 8 * HOUR));
        assert_eq!(read.scope.as_deref(), Some("user:profile"));
    }

    #[test]
    fn the_life_of_a_token_is_read_in_every_spelling_and_clamped() {
        assert_eq!(life(json!(3600)), Some(HOUR));
        assert_eq!(life(json!("3600")), Some(HOUR));
        assert_eq!(life(json!(3600.9)), Some(HOUR));
        assert_eq!(life(json!(" 60.0 ")), Some(MINUTE));
        for short in [json!(0), json!(-1), json!(1), json!("-1e300")] {
            assert_eq!(life(short), Some(MINUTE));
        }
        for long in [json!(1e300), json!(u64::MAX), json!(i64::MAX)] {
            assert_eq!(life(long), Some(400 * DAY));
        }
        for nothing in
            [json!(null), json!("soon"), json!({}), json!([3600]), json!(true), json!("NaN")]
        {
            assert_eq!(life(nothing), Some(8 * HOUR), "the provider's default");
        }
    }

    #[test]
    fn without_a_life_the_token_itself_says_it_or_nobody() {
        use base64::Engine as _;
        let payload = json!({"exp": NOW / 1_000 + 7_200}).to_string();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload);
        let body = json!({"access_token": format!("e30.{payload}.x")}).to_string();
        let read = |default| parse(body.as_bytes(), NOW, default).unwrap().expires_at;
        assert_eq!(read(Some(HOUR)), Some(NOW + 2 * HOUR));
        let opaque = parse(br#"{"access_token":"A"}"#, NOW, None).unwrap();
        assert_eq!(opaque.expires_at, None);
    }

    #[test]
    fn an_empty_refresh_token_counts_as_none_and_a_wrong_type_as_no_answer() {
        for body in [
            r#"{"access_token":"A","refresh_token":""}"#,
            r#"{"access_token":"A","refresh_token":null}"#,
        ] {
            assert_eq!(parse(body.as_bytes(), NOW, None).unwrap().refresh_token, None);
        }
        for (body, want) in [
            ("", NotTokens::NotAnObject),
            ("<html>", NotTokens::NotAnObject),
            (r#"["access_token"]"#, NotTokens::NotAnObject),
            (r#"{"access_token":"A""#, NotTokens::NotAnObject),
            ("{}", NotTokens::NoAccessToken),
            (r#"{"access_token":" "}"#, NotTokens::NoAccessToken),
            (r#"{"access_token":7}"#, NotTokens::WrongType("access_token")),
            (
                r#"{"access_token":"A","refresh_token":["R"]}"#,
                NotTokens::WrongType("refresh_token"),
            ),
        ] {
            assert_eq!(parse(body.as_bytes(), NOW, None), Err(want), "{body}");
        }
        let huge = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(MAX_BODY));
        assert_eq!(parse(huge.as_bytes(), NOW, None), Err(NotTokens::NotAnObject));
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_leaves_the_bounds(body in proptest::collection::vec(any::<u8>(), 0..200), n in any::<f64>()) {
            drop(parse(&body, NOW, None));
            let body = json!({"access_token": "A", "expires_in": n}).to_string();
            if let Some(end) = parse(body.as_bytes(), NOW, None).unwrap().expires_at {
                prop_assert!((NOW + SHORTEST_MS..=NOW + LONGEST_MS).contains(&end));
            }
        }
    }
}
