//! `POST /api/combos/{id}/test`: a real request to a combo, its attempts told as they go, then what came of it.

use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use ninerouter_dialect::Dialect;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::actors::live::follow::{Follower, Step};
use crate::api::Api;
use crate::api::call::{Body, Call, Reply};
use crate::api::dialect;
use crate::api::error::ApiError;
use crate::api::merge::members;
use crate::api::own::{OwnReply, OwnRequest, endpoint};
use crate::api::requests::object;
use crate::id::ComboId;
use crate::id::request::request_id;
use crate::redact::redact_json;
use crate::store::combos;
use crate::store::usage::{AttemptRow, Listed, RequestStatus, StoredAttempt, UsageRecord};

/// What is asked when nothing else is.
const MESSAGE: &str = "Reply with the word: ready";
/// Longest message, bytes.
const LONGEST: usize = 16 << 10;
/// Bytes of the answer that are shown.
const SHOWN: usize = 64 << 10;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    dialect: Option<String>,
    message: Option<String>,
    stream: bool,
}

pub(super) async fn test(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ComboId = call.id("combo")?;
    let wish: Wish = call.typed()?;
    let dialect = wish.dialect.as_deref();
    let dialect = dialect.map_or(Ok(Dialect::Chat), |word| dialect::named("dialect", word))?;
    let message = wish.message.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let message = message.unwrap_or(MESSAGE);
    if message.len() > LONGEST {
        return Err(ApiError::invalid("message", format!("is longer than {LONGEST} bytes")));
    }
    let row = api.read(move |conn| combos::find(conn, id)).await?;
    let row = row.ok_or_else(|| ApiError::not_found("combo", call.param("id")))?;
    if !row.combo.enabled {
        let message =
            "the combo is switched off: a request for it finds nothing; switch it on first";
        return Err(ApiError::new(409, "conflict", message));
    }
    let (target, body) = question(dialect, &row.combo.name, message, wish.stream);
    let (follower, steps) = Follower::new();
    let request_id = request_id(None);
    let answer = api.public()?.send(OwnRequest {
        id: request_id.clone(),
        target,
        headers: vec![OwnRequest::agent()],
        body: Bytes::from(body.to_string()),
        client: call.caller.client_ip,
        follower: Some(follower),
    });
    let begun = event("request", &json!({"request_id": request_id}));
    let work = Box::pin(async move { Answered::read(answer.await).await });
    let trial = Trial { work: Some(work), answered: None, steps, over: None };
    let told = stream::unfold(Some(trial), |trial| async move {
        let trial = trial?;
        Some(trial.next().await)
    });
    let parts = Box::pin(stream::iter([begun]).chain(told));
    let body = Body::Stream { content_type: "text/event-stream", name: None, parts };
    Ok(Reply { body, ..Reply::ok(Value::Null) })
}

/// Path and body of a small request.
fn question(dialect: Dialect, model: &str, message: &str, stream: bool) -> (String, Value) {
    let turns = json!([{"role": "user", "content": message}]);
    let body = match dialect {
        Dialect::Chat => json!({"model": model, "messages": turns, "stream": stream}),
        Dialect::Resp => json!({"model": model, "input": message, "stream": stream}),
        Dialect::Anth => {
            json!({"model": model, "max_tokens": 1_024, "messages": turns, "stream": stream})
        }
        Dialect::Gem => json!({"contents": [{"role": "user", "parts": [{"text": message}]}]}),
    };
    (endpoint(dialect, model, stream), body)
}

/// The whole answer, or as much of it as is shown.
#[derive(Debug)]
struct Answered {
    status: u16,
    body: BytesMut,
    cut: bool,
}

impl Answered {
    async fn read(reply: OwnReply) -> Self {
        let OwnReply { status, mut parts, .. } = reply;
        let mut answered = Self { status, body: BytesMut::new(), cut: false };
        // To its end: what is not shown is part of the test all the same.
        while let Some(part) = parts.next().await {
            let Ok(part) = part else {
                answered.cut = true;
                break;
            };
            let room = SHOWN.saturating_sub(answered.body.len());
            answered.cut |= part.len() > room;
            answered.body.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
        }
        answered
    }

    fn shown(&self) -> Value {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
            Ok(_) | Err(_) => String::from_utf8_lossy(&self.body).into(),
        }
    }
}

/// A test under way. Whoever leaves cancels it: the request lives in here.
struct Trial {
    work: Option<Pin<Box<dyn Future<Output = Answered>>>>,
    answered: Option<Answered>,
    steps: Receiver<Step>,
    over: Option<Box<UsageRecord>>,
}

impl Trial {
    /// The next event; the last one comes with no more to follow.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        loop {
            let step = match &mut self.work {
                Some(work) => tokio::select! {
                    biased;
                    Some(step) = self.steps.recv() => Some(step),
                    answered = work => {
                        self.answered = Some(answered);
                        self.work = None;
                        continue;
                    }
                },
                // The request is over: what it told is there already.
                None => self.steps.try_recv().ok(),
            };
            match step {
                Some(Step::Began(row)) => return (attempt(&row, Some("running")), Some(self)),
                Some(Step::Ended(row)) => return (attempt(&row, None), Some(self)),
                Some(Step::Over(record)) => self.over = Some(record),
                None => return (self.result(), None),
            }
        }
    }

    fn result(&self) -> Bytes {
        // Of a stream the head says little: the row knows whether the answer came whole.
        let record = self.over.as_deref();
        let row = record.map(|record| object(&Listed::from(record)));
        let answered = self.answered.as_ref();
        let result = json!({
            "ok": record.is_some_and(|record| record.request.status == RequestStatus::Ok),
            "http_status": answered.map(|answered| answered.status),
            "request": row,
            "answer": answered.map(|answered| redact_json(answered.shown())),
            "cut": answered.is_some_and(|answered| answered.cut),
        });
        event("result", &result)
    }
}

/// An attempt as the request log shows it; `outcome` in place of its own while it is not known.
fn attempt(row: &AttemptRow, outcome: Option<&str>) -> Bytes {
    let mut row = members(serde_json::to_value(StoredAttempt::of("", row)).unwrap_or_default());
    if let Some(outcome) = outcome {
        row.insert("outcome".to_owned(), outcome.into());
    }
    event("attempt", &row.into())
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
