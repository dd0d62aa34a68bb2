//! `POST /api/translate`: what a request or an answer becomes in another dialect. Nothing is sent, fetched or kept.

mod place;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod write;

use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::{TranslateError, Warning};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::dialect;
use crate::api::error::ApiError;
use crate::api::{Api, blocking};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    direction: Direction,
    from: String,
    to: String,
    model: Option<String>,
    body: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Request,
    Response,
}

/// What is to be translated.
#[derive(Debug)]
struct Question {
    from: Dialect,
    to: Dialect,
    /// The model it is meant for; `None` = the one the body names.
    model: Option<String>,
    /// JSON, or a stream as text.
    text: String,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    url: Option<String>,
    /// Names and values; no value is a secret.
    headers: Vec<(String, String)>,
    /// JSON as an object, a stream as text.
    body: Option<Value>,
    notes: Vec<Note>,
    fault: Option<Fault>,
}

/// Something that did not survive unchanged, or that people should know of the result.
#[derive(Debug)]
struct Note {
    kind: &'static str,
    field: String,
    text: String,
}

impl Note {
    fn about(field: &str, text: impl Into<String>) -> Self {
        Self { kind: "info", field: field.to_owned(), text: text.into() }
    }
}

impl From<&Warning> for Note {
    fn from(warning: &Warning) -> Self {
        Self {
            kind: warning.kind.as_str(),
            field: warning.field.to_string(),
            text: warning.note.to_string(),
        }
    }
}

/// Why there is no result, or not all of it.
#[derive(Debug, Default)]
struct Fault {
    message: String,
    /// Member of the body that is at fault.
    field: Option<String>,
    /// Where its text is no JSON: line and column, from 1.
    at: Option<(usize, usize)>,
}

impl Fault {
    fn saying(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl From<TranslateError> for Fault {
    fn from(error: TranslateError) -> Self {
        let said = error.to_api_error(String::new());
        Self { message: said.message, field: said.param, at: None }
    }
}

impl Outcome {
    fn failed(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn object(self, to: Dialect) -> Value {
        let notes: Vec<Value> = self
            .notes
            .into_iter()
            .map(|note| json!({"kind": note.kind, "field": note.field, "note": note.text}))
            .collect();
        let mut object = json!({"dialect": dialect::name(to), "body": self.body, "notes": notes});
        let Some(members) = object.as_object_mut() else { return object };
        if let Some(url) = self.url {
            let headers: Map<String, Value> =
                self.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            members.insert("url".to_owned(), url.into());
            members.insert("headers".to_owned(), headers.into());
        }
        if let Some(Fault { message, field, at }) = self.fault {
            let mut fault = json!({"message": message});
            if let Some(members) = fault.as_object_mut() {
                if let Some(field) = field {
                    members.insert("field".to_owned(), field.into());
                }
                if let Some((line, column)) = at {
                    members.insert("line".to_owned(), line.into());
                    members.insert("column".to_owned(), column.into());
                }
            }
            members.insert("error".to_owned(), fault);
        }
        object
    }
}

pub(super) async fn translate(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let ask: Ask = call.typed()?;
    let question = Question {
        from: dialect::named("from", &ask.from)?,
        to: dialect::named("to", &ask.to)?,
        model: ask.model.filter(|model| !model.trim().is_empty()),
        text: match ask.body {
            Value::String(text) => text,
            object @ Value::Object(_) => object.to_string(),
            _ => return Err(ApiError::invalid("body", "must be a JSON object, or a text")),
        },
    };
    let to = question.to;
    let shared = api.shared().clone();
    // Megabytes take a while: not on the thread that serves others.
    let outcome = blocking(move || {
        let snapshot = shared.snapshot.load_full();
        Ok(match ask.direction {
            Direction::Request => {
                request::translated(&question, &snapshot, &shared.moment(&snapshot))
            }
            Direction::Response => {
                response::translated(&question, &snapshot, shared.clock.now_ms())
            }
        })
    });
    Ok(Reply::ok(outcome.await?.object(to)))
}
