//! Asking an address whether it is an LLM API, before a node is saved (providers §4).

use bytes::Bytes;
use ninerouter_dialect::{Dialect, Peek, apply_edits, peek};
use serde_json::{Value, json};

use crate::provider::beside::{self, BesideCx};
use crate::provider::head::headers;
use crate::provider::models::{ListStyle, list_request, parse};
use crate::provider::request::{ShapeError, shape};
use crate::provider::trial::{said, smallest};
use crate::provider::url::url;
use crate::provider::value::Values;

/// Ids of a list that are handed on.
const MODELS: usize = 200;

/// A call that shows what an address is.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// POST with a body, else GET.
    pub body: Option<Bytes>,
    /// Whole URL.
    pub url: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Question {
    // URL and header values hold the credential
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("body", &self.body.is_some()).finish_non_exhaustive()
    }
}

/// What an answer shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The address answers as an API, and takes the credential.
    Valid {
        /// Ids of its list.
        models: Vec<String>,
        /// Numbers of an embedding.
        dimensions: Option<usize>,
    },
    /// It refuses the credential.
    Unauthorized,
    /// It takes the credential, and does not have the model.
    ModelRejected,
    /// It fails by itself.
    ServerError,
    /// It has no such path, or what it says is no answer of an API.
    NotThere,
    /// It wants the other name for the token limit (`max_completion_tokens`).
    OtherTokenName,
}

/// The list of models, where the node has one.
///
/// # Errors
/// When the node's values cannot be part of a request.
pub fn list(cx: &BesideCx<'_>) -> Result<Option<Question>, ShapeError> {
    let list = list_request(cx)?;
    Ok(list.map(|list| Question { body: None, url: list.url, headers: list.headers }))
}

/// The smallest real call of a model. `completion_tokens` = the token limit under its newer name.
///
/// # Errors
/// As [`list`].
pub fn call(
    cx: &BesideCx<'_>,
    model: &str,
    completion_tokens: bool,
) -> Result<Question, ShapeError> {
    let Some(endpoint) = cx.provider.endpoints.first() else { return embedding(cx, model) };
    let dialect = endpoint.speaks().map_or(Dialect::Chat, |(dialect, _)| dialect);
    let body = match (dialect, completion_tokens) {
        (Dialect::Chat, true) => {
            let ping = json!([{"role": "user", "content": "ping"}]);
            let body = json!({"model": model, "messages": ping, "max_completion_tokens": 1});
            body.to_string().into()
        }
        _ => smallest(dialect, model),
    };
    // A body of ours can be read.
    let peek = peek(dialect, &body).unwrap_or_default();
    let shaped = shape(&cx.shape(endpoint, dialect, model, &peek))?;
    let body = match apply_edits(&body, &shaped.edits) {
        Ok(edited) => edited.parts.concat().into(),
        Err(_unreadable) => body,
    };
    Ok(Question { body: Some(body), url: shaped.url, headers: shaped.headers })
}

fn embedding(cx: &BesideCx<'_>, model: &str) -> Result<Question, ShapeError> {
    let template = cx.provider.apis.embeddings.as_deref().unwrap_or_default();
    let (endpoint, _) = beside::endpoint(cx.provider, template);
    let peek = Peek::default();
    let shape = cx.shape(&endpoint, Dialect::Chat, model, &peek);
    let values = Values::of(&shape);
    let (url, _) = url(&shape, &values)?;
    let headers = headers(&shape, &values, &[])?;
    let body = json!({"model": model, "input": "ping"}).to_string();
    Ok(Question { body: Some(body.into()), url, headers })
}

/// What the answer to [`list`] shows.
#[must_use]
pub fn read_list(status: u16, body: &[u8]) -> Finding {
    match status {
        401 | 403 => Finding::Unauthorized,
        // A page that answers 200 to everything is no API.
        200..=299 => match parse(ListStyle::default(), body) {
            Ok(page) => Finding::Valid {
                models: page.models.into_iter().map(|model| model.id).take(MODELS).collect(),
                dimensions: None,
            },
            Err(_not_a_list) => Finding::NotThere,
        },
        // Both mean that the key got past the door.
        402 | 429 => Finding::Valid { models: Vec::new(), dimensions: None },
        500..=599 => Finding::ServerError,
        _ if is_unknown_key(status, body) => Finding::Unauthorized,
        _ => Finding::NotThere,
    }
}

/// What the answer to [`call`] of `model` shows.
#[must_use]
pub fn read_call(status: u16, body: &[u8], model: &str) -> Finding {
    let says = |word: &str| memchr::memmem::find(body, word.as_bytes()).is_some();
    match status {
        401 | 403 => Finding::Unauthorized,
        _ if is_unknown_key(status, body) => Finding::Unauthorized,
        200..=299 => match serde_json::from_slice::<Value>(body) {
            Ok(answer @ Value::Object(_)) => {
                Finding::Valid { models: Vec::new(), dimensions: dimensions(&answer) }
            }
            Ok(_) | Err(_) => Finding::NotThere,
        },
        // Both mean that the key got past the door.
        402 | 429 => Finding::Valid { models: Vec::new(), dimensions: None },
        400 if says("max_completion_tokens") => Finding::OtherTokenName,
        400 | 404 | 422 if says(model) || says("model") => Finding::ModelRejected,
        500..=599 => Finding::ServerError,
        _ => Finding::NotThere,
    }
}

/// The upstream's own words, short and without secrets.
#[must_use]
pub fn words(body: &[u8]) -> Option<String> {
    said(body)
}

/// Google says 400 for a key it does not know.
fn is_unknown_key(status: u16, body: &[u8]) -> bool {
    status == 400 && memchr::memmem::find(body, b"API_KEY_INVALID").is_some()
}

fn dimensions(answer: &Value) -> Option<usize> {
    answer.pointer("/data/0/embedding").and_then(Value::as_array).map(Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::credential::Credential;
    use crate::provider::node::{ModelSource, NetworkPolicy, Node, NodeType};
    use crate::provider::request::Moment;
    use crate::routing::account::{AccountConfig, AccountKind};
    use crate::secret::Secret;

    fn asked<T>(node_type: NodeType, ask: impl FnOnce(&BesideCx<'_>) -> T) -> T {
        let provider = Node {
            id: "x".into(),
            node_type,
            name: "x".into(),
            prefix: "x".into(),
            base_url: "https://h.example/v1".into(),
            auth_style: None,
            headers: Vec::new(),
            network: NetworkPolicy::Public,
            insecure_http: false,
            h2: false,
            model_source: ModelSource::Fetch,
        }
        .to_provider();
        let account = AccountConfig::new(provider.id.clone(), AccountKind::ApiKey, "a".into());
        let key = Some(Secret::new("sk-live-1".into()));
        let credential = Credential { api_key: key, ..Credential::default() };
        ask(&BesideCx {
            provider: &provider,
            account: &account,
            credential: &credential,
            extra_headers: &[],
            moment: Moment::default(),
        })
    }

    #[test]
    fn each_type_is_asked_at_its_own_path_with_its_own_body() {
        for (node_type, path, member) in [
            (NodeType::OpenAiChat, "/v1/chat/completions", "messages"),
            (NodeType::OpenAiResponses, "/v1/responses", "input"),
            (NodeType::Anthropic, "/v1/messages", "messages"),
            (NodeType::Gemini, "/v1/models/m:generateContent", "contents"),
            (NodeType::Embedding, "/v1/embeddings", "input"),
        ] {
            let question = asked(node_type, |cx| call(cx, "m", false)).unwrap();
            assert_eq!(question.url, format!("https://h.example{path}"), "{node_type:?}");
            let body: Value = serde_json::from_slice(question.body.as_ref().unwrap()).unwrap();
            assert!(body.get(member).is_some(), "{node_type:?}: {body}");
            assert!(question.headers.iter().any(|(_, value)| value.contains("sk-live-1")));
            assert!(!format!("{question:?}").contains("sk-live-1"));
            let list = asked(node_type, list).unwrap().unwrap();
            let (address, _query) = list.url.split_once('?').unwrap_or((&list.url, ""));
            assert_eq!((address, list.body), ("https://h.example/v1/models", None));
        }
    }

    #[test]
    fn the_other_token_name_replaces_the_first() {
        let question = asked(NodeType::OpenAiChat, |cx| call(cx, "m", true)).unwrap();
        let body: Value = serde_json::from_slice(question.body.as_ref().unwrap()).unwrap();
        assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(1), None));
    }

    #[test]
    fn lists_are_lists_and_web_pages_are_not() {
        let models = |finding| match finding {
            Finding::Valid { models, .. } => models,
            other => panic!("{other:?}"),
        };
        assert_eq!(models(read_list(200, br#"{"data":[{"id":"a"}]}"#)), ["a"]);
        assert_eq!(models(read_list(200, br#"[{"id":"a"}]"#)), ["a"]);
        assert_eq!(read_list(200, b"<html>"), Finding::NotThere);
        assert_eq!(read_list(401, b""), Finding::Unauthorized);
        assert_eq!(read_list(404, b""), Finding::NotThere);
        assert_eq!(read_list(503, b""), Finding::ServerError);
        assert_eq!(read_list(400, br#"{"reason":"API_KEY_INVALID"}"#), Finding::Unauthorized);
    }

    #[test]
    fn answers_to_a_call_are_read_by_the_table_of_the_specification() {
        let valid = Finding::Valid { models: Vec::new(), dimensions: None };
        for (status, body, want) in [
            (200, "{}", valid.clone()),
            (200, "<html>", Finding::NotThere),
            (429, "", valid),
            (403, "", Finding::Unauthorized),
            (400, r#"{"error":"use max_completion_tokens"}"#, Finding::OtherTokenName),
            (404, r#"{"error":"no model m"}"#, Finding::ModelRejected),
            (404, "nothing here", Finding::NotThere),
            (502, "", Finding::ServerError),
        ] {
            assert_eq!(read_call(status, body.as_bytes(), "gpt-x"), want, "{status} {body}");
        }
        let body = br#"{"data":[{"embedding":[0.1,0.2,0.3]}]}"#;
        let found = read_call(200, body, "m");
        assert_eq!(found, Finding::Valid { models: Vec::new(), dimensions: Some(3) });
    }
}
