//! One call: what a transport hands in, what a handler sees of it, and the reply.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::error::{ApiError, shown};
use crate::auth::audit::Caller;
use crate::auth::session::SessionChange;

/// A call as a transport gives it: the admin socket, a command without a server, a session, a page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Body; empty = none.
    pub body: Vec<u8>,
    /// `If-Match`, without quotes.
    pub if_match: Option<String>,
    /// `Last-Event-ID`: how far the caller has read a feed.
    pub last_event_id: Option<String>,
    /// Who calls.
    pub caller: Caller,
}

impl Request {
    /// A call without a body.
    #[must_use]
    pub fn new(method: &str, target: &str, caller: Caller) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, caller, ..Self::default() }
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn with(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self
    }
}

/// A body in parts, as it comes to be. It ends with the caller: dropped, it stops.
pub type Parts = Pin<Box<dyn Stream<Item = Bytes>>>;

/// What an answer carries.
pub enum Body {
    /// Nothing.
    None,
    /// An object.
    Json(Value),
    /// A file.
    File {
        /// Media type.
        content_type: &'static str,
        /// Name that a browser saves it under; `None` = shown, not saved.
        name: Option<String>,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Something that goes on: events, long lists.
    Stream {
        /// Media type.
        content_type: &'static str,
        /// Name that a browser saves it under; `None` = shown, not saved.
        name: Option<String>,
        /// Its parts.
        parts: Parts,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Json(value) => f.debug_tuple("Json").field(value).finish(),
            Self::File { content_type, name, bytes } => f
                .debug_struct("File")
                .field("content_type", content_type)
                .field("name", name)
                .field("length", &bytes.len())
                .finish(),
            Self::Stream { content_type, name, .. } => f
                .debug_struct("Stream")
                .field("content_type", content_type)
                .field("name", name)
                .finish_non_exhaustive(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// What it carries.
    pub body: Body,
    /// `Allow`, of a 405.
    pub allow: Option<String>,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u64>,
    /// The caller's session began, moved to another id, or ended: the transport tells the browser.
    pub session: Option<SessionChange>,
}

impl Reply {
    /// 200 with an object.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body: Body::Json(body),
            allow: None,
            retry_after_s: None,
            session: None,
        }
    }

    /// 201 with the object that was made.
    #[must_use]
    pub fn created(body: Value) -> Self {
        Self { status: 201, ..Self::ok(body) }
    }

    /// 204.
    #[must_use]
    pub fn gone() -> Self {
        Self { status: 204, body: Body::None, allow: None, retry_after_s: None, session: None }
    }

    /// 200 with something that goes on, saved under `name`.
    #[must_use]
    pub fn stream(content_type: &'static str, name: &str, parts: Parts) -> Self {
        let body = Body::Stream { content_type, name: Some(name.to_owned()), parts };
        Self { status: 200, body, ..Self::gone() }
    }

    /// 200 with a file, saved under `name`.
    #[must_use]
    pub fn file(content_type: &'static str, name: String, bytes: Bytes) -> Self {
        let body = Body::File { content_type, name: Some(name), bytes };
        Self { status: 200, body, ..Self::gone() }
    }

    /// A refusal.
    #[must_use]
    pub fn refused(error: &ApiError, request_id: &str) -> Self {
        let allow = error.details.more.get("allow").and_then(Value::as_str).map(str::to_owned);
        let retry_after_s = error.details.more.get("retry_after_s").and_then(Value::as_u64);
        let body = Body::Json(error.to_json(request_id));
        Self { status: error.status, body, allow, retry_after_s, session: None }
    }

    /// With a session that changed.
    #[must_use]
    pub fn session(mut self, change: SessionChange) -> Self {
        self.session = Some(change);
        self
    }

    /// The object it carries, if it carries one.
    #[must_use]
    pub fn into_json(self) -> Option<Value> {
        match self.body {
            Body::Json(value) => Some(value),
            Body::None | Body::File { .. } | Body::Stream { .. } => None,
        }
    }
}

/// A call whose route is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Call {
    /// Values of the pattern's places.
    pub params: BTreeMap<&'static str, String>,
    /// Query, decoded; of a repeated name the last counts.
    pub query: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
    /// `If-Match`, without quotes.
    pub if_match: Option<String>,
    /// `Last-Event-ID`: how far the caller has read a feed.
    pub last_event_id: Option<String>,
    /// Who calls.
    pub caller: Caller,
}

impl Call {
    /// Value of a place of the route's pattern.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// The id in the path.
    ///
    /// # Errors
    /// 404 when it is none.
    pub fn id<T: std::str::FromStr>(&self, what: &str) -> Result<T, ApiError> {
        let text = self.param("id");
        text.parse().map_err(|_no_id| ApiError::not_found(what, text))
    }

    /// A member of the query; empty counts as absent.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A switch of the query: `true`/`1` or `false`/`0`.
    ///
    /// # Errors
    /// 422 for other texts.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.query(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(ApiError::invalid(name, "must be true or false")),
        }
    }

    /// Refuses members of the query that the route does not know: a misspelt filter must not show everything.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn only_query(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.query.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let known = known.join(", ");
                let known = if known.is_empty() { "none".to_owned() } else { known };
                let message = format!("unknown query member `{}`; known: {known}", shown(name));
                Err(ApiError::unknown_field(&shown(name), message))
            }
        }
    }

    /// The body as a typed object. No body counts as `{}`.
    ///
    /// # Errors
    /// 400 when it is no JSON or has an unknown member, 422 when a value does not fit.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        typed(self.object()?)
    }

    /// The body as an object. No body counts as `{}`.
    ///
    /// # Errors
    /// 400 when it is no JSON object.
    pub fn object(&self) -> Result<Map<String, Value>, ApiError> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(ApiError::invalid_json("the body must be a JSON object")),
            Err(error) => {
                // The parser's own text may quote the body.
                let place = format!("line {}, column {}", error.line(), error.column());
                Err(ApiError::invalid_json(format!("the body is not valid JSON ({place})")))
            }
        }
    }

    /// The `rev` the caller has seen: of `body` (it is taken out), else of `If-Match`. `None` = last write wins.
    ///
    /// # Errors
    /// 422 when it is no number.
    pub fn rev(&self, body: &mut Map<String, Value>) -> Result<Option<i64>, ApiError> {
        let bad = || ApiError::invalid("rev", "must be the number that the object carries");
        match body.remove("rev") {
            None | Some(Value::Null) => match self.if_match.as_deref() {
                None | Some("*") => Ok(None),
                Some(text) => text.parse().map(Some).map_err(|_no_number| bad()),
            },
            Some(value) => value.as_i64().map(Some).ok_or_else(bad),
        }
    }
}

/// An object as a typed one.
///
/// # Errors
/// 400 when it has an unknown member, 422 when a value does not fit.
pub(super) fn typed<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        // Neither text repeats a value: a body may hold a key.
        let what = error.inner().to_string();
        if let Some(rest) = what.strip_prefix("unknown field `") {
            let name = rest.split('`').next().unwrap_or_default();
            let place = match path.as_str() {
                "" => name.to_owned(),
                path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
                path => format!("{path}.{name}"),
            };
            return ApiError::unknown_field(
                &shown(&place),
                format!("unknown member `{}`", shown(&place)),
            );
        }
        if let Some(rest) = what.strip_prefix("missing field `") {
            let name = rest.split('`').next().unwrap_or_default();
            return ApiError::invalid(name, "is missing");
        }
        let expected = what.split_once("expected ").map_or("another value", |(_, rest)| rest);
        ApiError::invalid(&path, format!("expected {expected}"))
    })
}

/// A part of a path or a query, decoded.
///
/// # Errors
/// 400 when it is not UTF-8 or holds control characters.
pub(super) fn decoded(text: &str) -> Result<String, ApiError> {
    let bad = || ApiError::new(400, "invalid_path", "the path or query is not readable text");
    let text = percent_decode_str(text).decode_utf8().map_err(|_not_utf8| bad())?;
    if text.chars().any(char::is_control) { Err(bad()) } else { Ok(text.into_owned()) }
}

/// The members of a query.
///
/// # Errors
/// As [`decoded`].
pub(super) fn parse_query(query: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| decoded(&text.replace('+', " "));
        Ok((plain(name)?, plain(value)?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the way in is looked at")]
    struct Outer {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the way in is looked at")]
    struct Inner {
        n: Option<u8>,
    }

    fn refused(body: &str) -> (u16, &'static str, String) {
        let call = Call { body: body.as_bytes().to_vec(), ..Call::default() };
        let error = call.typed::<Outer>().unwrap_err();
        (
            error.status,
            error.code,
            error.details.fields.keys().cloned().collect::<Vec<_>>().join(","),
        )
    }

    #[test]
    fn a_bad_body_names_the_path_and_never_the_value() {
        for (body, want) in [
            ("{", (400, "invalid_json", "")),
            ("[]", (400, "invalid_json", "")),
            ("{}", (422, "validation_failed", "name")),
            (r#"{"name":"x","nmae":1}"#, (400, "unknown_field", "nmae")),
            (r#"{"name":"x","inner":{"m":1}}"#, (400, "unknown_field", "inner.m")),
            (r#"{"name":7}"#, (422, "validation_failed", "name")),
            (r#"{"name":"x","inner":{"n":"sk-secret"}}"#, (422, "validation_failed", "inner.n")),
        ] {
            let (status, code, fields) = refused(body);
            assert_eq!((status, code, fields.as_str()), want, "{body}");
        }
        let call =
            Call { body: br#"{"name":"x","inner":{"n":"sk-secret"}}"#.to_vec(), ..Call::default() };
        assert!(!format!("{:?}", call.typed::<Outer>().unwrap_err()).contains("sk-secret"));
    }

    #[test]
    fn rev_comes_from_the_body_or_from_if_match() {
        let mut call = Call::default();
        let mut body = Map::from_iter([("rev".to_owned(), 3.into())]);
        assert_eq!(call.rev(&mut body), Ok(Some(3)));
        assert!(body.is_empty());
        assert_eq!(call.rev(&mut body), Ok(None));
        call.if_match = Some("7".into());
        assert_eq!(call.rev(&mut body), Ok(Some(7)));
        call.if_match = Some("x".into());
        assert_eq!(call.rev(&mut body).unwrap_err().status, 422);
    }

    #[test]
    fn queries_are_decoded_and_unknown_members_refused() {
        let query = parse_query("q=a%20b+c&limit=5&").unwrap();
        let call = Call { query, ..Call::default() };
        assert_eq!((call.query("q"), call.query("limit")), (Some("a b c"), Some("5")));
        assert_eq!(call.only_query(&["q"]).unwrap_err().code, "unknown_field");
        assert!(parse_query("q=%00").is_err() && parse_query("q=%ff").is_err());
    }
}
