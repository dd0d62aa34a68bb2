//! Sending a request of the log once more, from its captured body: as it was, or to another target.

use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::bodies::captured;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::own::{OwnRequest, in_path};
use crate::api::{Api, blocking};
use crate::id::request::request_id;
use crate::redact::{holds_media_mark, is_redacted};
use crate::routing::resolve::resolve;

/// Headers that belong to the connection they came by, or that name the request: the copy has its own.
const OWN_HEADERS: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    /// `prefix/model`, a combo or an alias; absent = what the request asked for.
    target: Option<String>,
}

/// The request as it is sent again.
#[derive(Debug)]
struct Again {
    target: String,
    headers: Vec<(String, String)>,
    body: Value,
    /// Some of it is not what the client sent, but what was kept of that.
    redacted: bool,
}

/// Answers at once; what becomes of the copy is told by its own row.
pub(super) async fn replay(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let wish: Wish = call.typed()?;
    let (row, _) = api.find_request(&call).await?;
    if let Some(target) = &wish.target {
        let snapshot = api.shared().snapshot.load();
        let unknown = snapshot.settings.unknown_model_provider.as_deref();
        resolve(target, &snapshot.names, &snapshot.catalog, unknown)
            .map_err(|why| ApiError::invalid("target", why.to_string()))?;
    }
    let (data_dir, original) = (api.data_dir(), row.id.clone());
    let found = blocking(move || captured(&data_dir, &row)).await?;
    let mut again = Again::of(found.as_ref())?;
    if let Some(target) = wish.target {
        again.redirect(target);
    }
    let public = api.public()?;
    let id = request_id(None);
    let answer = public.send(OwnRequest {
        id: id.clone(),
        target: again.target,
        headers: again.headers,
        body: Bytes::from(again.body.to_string()),
        client: call.caller.client_ip,
        follower: None,
    });
    // Nobody waits for the answer: its reader is its row, and the capture if one runs.
    actix_rt::spawn(async move {
        let mut parts = answer.await.parts;
        while parts.next().await.is_some_and(|part| part.is_ok()) {}
    });
    let told = json!({"request_id": id, "replays": original, "redacted": again.redacted});
    Ok(Reply { status: 202, ..Reply::ok(told) })
}

impl Again {
    /// From what was captured of the client's request.
    fn of(found: Option<&Value>) -> Result<Self, ApiError> {
        let impossible = |why: &str| Err(ApiError::new(409, "conflict", why));
        let parts = found.and_then(|found| found.get("parts")?.as_array());
        let sent = parts.and_then(|parts| {
            parts.iter().find(|part| part.get("part").is_some_and(|name| name == "client_request"))
        });
        let Some(sent) = sent else {
            return impossible(
                "the body of this request is not kept, so it cannot be sent again; capture bodies first \
                 (`POST /api/capture`, or `capture_bodies` of the key), and have the client repeat it",
            );
        };
        let Some(body @ Value::Object(_)) = sent.get("body") else {
            return impossible(
                "the body of this request was too large to be kept whole, or is no JSON; have the client repeat it",
            );
        };
        if holds_media_mark(body) {
            return impossible(
                "this request holds pictures, sounds or files, which are not kept; have the client repeat it",
            );
        }
        let line = sent.get("line").and_then(Value::as_str).unwrap_or_default();
        let target = line.split_once(' ').map_or("", |(_method, target)| target).to_owned();
        let headers = sent.get("headers").and_then(Value::as_array);
        let headers = headers.into_iter().flatten().filter_map(header).collect();
        Ok(Self { target, headers, body: body.clone(), redacted: is_redacted(body) })
    }

    /// To another model: in the path where its dialect has it there, else in the body.
    fn redirect(&mut self, model: String) {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (self.target.as_str(), String::new()),
        };
        let place = path.rsplit_once(':').and_then(|(before, action)| {
            let (base, _model) = before.split_once("/models/")?;
            action.ends_with("enerateContent").then_some((base, action))
        });
        match (place, &mut self.body) {
            (Some((base, action)), _) => {
                let model = in_path(&model);
                self.target = format!("{base}/models/{model}:{action}{query}");
            }
            (None, Value::Object(members)) => {
                members.insert("model".to_owned(), model.into());
            }
            (None, _) => {}
        }
    }
}

/// A captured header that means the same in the copy. A credential was not kept, and the copy needs none.
fn header(pair: &Value) -> Option<(String, String)> {
    let name = pair.get(0)?.as_str()?;
    let value = pair.get(1)?;
    let own = OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own));
    (!own && !is_redacted(value)).then_some(())?;
    Some((name.to_owned(), value.as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &str, body: Value) -> Value {
        json!({"v": 1, "parts": [
            {"part": "client_request", "attempt": 0, "line": line, "body": body, "headers": [
                ["Host", "router"], ["authorization", "[redacted:24:0a1b2c3d]"],
                ["Anthropic-Beta", "x"], ["x-request-id", "7"], ["content-length", "9"],
            ]},
            {"part": "client_response", "attempt": 0, "line": "200", "headers": [], "body": {}},
        ]})
    }

    #[test]
    fn a_copy_has_the_clients_headers_without_credentials() {
        let found = kept("POST /v1/messages?beta=true", json!({"model": "a/b"}));
        let again = Again::of(Some(&found)).unwrap();
        assert_eq!(again.target, "/v1/messages?beta=true");
        assert_eq!(again.headers, [("Anthropic-Beta".to_owned(), "x".to_owned())]);
        assert!(!again.redacted);
    }

    #[test]
    fn another_target_goes_where_the_dialect_has_it() {
        for (line, body, path, model) in [
            (
                "POST /v1/chat/completions",
                json!({"model": "a/b"}),
                "/v1/chat/completions",
                "c/d:free",
            ),
            (
                "POST /openai/deployments/x/chat/completions",
                json!({}),
                "/openai/deployments/x/chat/completions",
                "c/d:free",
            ),
            (
                "POST /v1beta/models/a/b:streamGenerateContent?alt=sse",
                json!({"contents": []}),
                "/v1beta/models/c/d%3Afree:streamGenerateContent?alt=sse",
                "",
            ),
        ] {
            let mut again = Again::of(Some(&kept(line, body))).unwrap();
            again.redirect("c/d:free".to_owned());
            assert_eq!(again.target, path);
            assert_eq!(again.body.get("model").and_then(Value::as_str).unwrap_or_default(), model);
        }
    }

    #[test]
    fn what_is_not_kept_whole_is_not_sent_again() {
        let media = json!({"image": {"type": "image/png", "len": 9_000, "hash": "0a1b2c3d"}});
        for (found, says) in [
            (None, "is not kept"),
            (Some(json!({"parts": []})), "is not kept"),
            (Some(kept("POST /v1/x", json!("{\"cut\":"))), "too large"),
            (Some(kept("POST /v1/x", media)), "pictures"),
        ] {
            let refused = Again::of(found.as_ref()).unwrap_err();
            assert_eq!(refused.status, 409);
            assert!(refused.message.contains(says), "{}", refused.message);
        }
        let secret = json!({"model": "a/b", "messages": ["the key [redacted] and more"]});
        assert!(Again::of(Some(&kept("POST /v1/x", secret))).unwrap().redacted);
    }
}
