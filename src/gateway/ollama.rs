//! Ollama's own API for clients: chat at the edge, answers in lines (endpoints §4.9).

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Payload;
use bytes::Bytes;
use ninerouter_dialect::ErrorKind;
use ninerouter_dialect::ollama::{
    AnswerStream, Form, ListedModel, Moment, loaded, show, shown_model, tags, to_answer,
};
use serde_json::json;

use crate::actors::listing::Listed;
use crate::actors::shared::Shared;
use crate::actors::snapshot::Snapshot;
use crate::auth;
use crate::clock::UnixMs;
use crate::gateway::admission::{self, Door, Inside};
use crate::gateway::edge::{EVENT, Rewrite};
use crate::gateway::exchange::Exchange;
use crate::gateway::finale;
use crate::gateway::inference::read_body;
use crate::gateway::models::{CREATED_RFC3339, listed, unknown};
use crate::gateway::reply::{self, Refusal};
use crate::gateway::route::Endpoint;
use crate::gateway::stream::Cut;
use crate::provider::catalog::Cap;
use crate::routing::resolve::{Resolved, resolve};

const NS_PER_MS: u64 = 1_000_000;

/// What an answer in Ollama's form needs to know of its request.
pub(super) struct Teller {
    form: Form,
    model: String,
    shared: Arc<Shared>,
    started_at: UnixMs,
}

impl Teller {
    /// For a request that came by one of Ollama's paths.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        Some(Self {
            form: exchange.ask.ollama?,
            model: exchange.ask.model.clone(),
            shared: Arc::clone(&exchange.shared),
            started_at: exchange.started_at,
        })
    }

    /// A whole chat answer; as it is when it is none.
    pub(super) fn whole(&self, body: Bytes) -> Bytes {
        let answer = self.at(|at| to_answer(self.form, &self.model, &body, at));
        answer.map_or(body, Bytes::from)
    }

    fn at<T>(&self, f: impl FnOnce(&Moment<'_>) -> T) -> T {
        let now = self.shared.clock.now_ms();
        let stamp = jiff::Timestamp::from_millisecond(now).unwrap_or_default().to_string();
        let elapsed = u64::try_from(now.saturating_sub(self.started_at)).unwrap_or_default();
        f(&Moment { stamp: &stamp, elapsed_ns: elapsed.saturating_mul(NS_PER_MS) })
    }
}

/// Turns a chat stream into lines.
pub(super) struct Lines {
    stream: AnswerStream,
    teller: Teller,
}

impl Lines {
    /// Lines for `teller`'s request.
    pub(super) fn new(teller: Teller) -> Self {
        Self { stream: AnswerStream::new(teller.form, teller.model.clone(), EVENT), teller }
    }
}

impl Rewrite for Lines {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Cut> {
        let Self { stream, teller } = self;
        teller.at(|at| stream.push(chunk, at, out));
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let Self { stream, teller } = self;
        teller.at(|at| stream.finish(at, out));
    }
}

/// Answers what clients look up before they ask.
///
/// # Errors
/// The refusal to render in the endpoint's shape.
pub(super) async fn serve(door: Door, payload: Payload) -> Result<HttpResponse, Box<Refusal>> {
    let inside = admission::admit(&door)?;
    let answer = match &door.matched.endpoint {
        Endpoint::OllamaVersion => json!({ "version": "0.0.0" }),
        Endpoint::OllamaPs => json!({ "models": [] }),
        Endpoint::OllamaShow => {
            let held = read_body(&door, payload, &inside).await?;
            let Some(id) = shown_model(&held.bytes) else {
                let refusal = Refusal::new(ErrorKind::InvalidRequest, "the body names no model");
                return Err(Box::new(refusal.param("model")));
            };
            let models = listed(&door, &inside).await?;
            let found = models.iter().find(|model| model.id == id).ok_or_else(|| unknown(&id))?;
            show(&described(found, &inside.snapshot), CREATED_RFC3339)
        }
        _ => {
            let models = listed(&door, &inside).await?;
            let all: Vec<_> = models.iter().map(undescribed).collect();
            tags(&all, CREATED_RFC3339)
        }
    };
    Ok(reply::json(200, &door.request_id, answer.to_string()))
}

/// Answers a request that a model be made ready, or let go: here there is nothing to load, but a name nobody serves,
/// or the caller may not use, is refused as it would be by the question that follows.
pub(super) fn ready(
    door: &Door,
    inside: &Inside,
    form: Form,
    model: &str,
    unload: bool,
) -> Result<HttpResponse, Box<Refusal>> {
    let snapshot = &inside.snapshot;
    let fallback = snapshot.settings.unknown_model_provider.as_deref();
    if let Err(error) = resolve(model, &snapshot.names, &snapshot.catalog, fallback) {
        return Err(Box::new(finale::unresolved(&error)));
    }
    if inside.caller().key().is_some_and(|key| !snapshot.may_ask_for(key, model)) {
        return Err(Box::new(Refusal::from(auth::refusal::Refusal::ModelNotAllowed(
            model.to_owned(),
        ))));
    }
    let stamp = jiff::Timestamp::from_millisecond(door.worker.shared.clock.now_ms())
        .unwrap_or_default()
        .to_string();
    let body = loaded(form, model, unload, &Moment { stamp: &stamp, elapsed_ns: 0 });
    Ok(reply::json(200, &door.request_id, body))
}

fn undescribed(model: &Listed) -> ListedModel<'_> {
    ListedModel {
        id: &model.id,
        owner: &model.owner,
        context: model.context,
        tools: true,
        vision: false,
        thinking: false,
    }
}

/// A model with its abilities. Those of a combo are its entries' own.
fn described<'a>(model: &'a Listed, snapshot: &Snapshot) -> ListedModel<'a> {
    let bare = undescribed(model);
    let resolved = resolve(&model.id, &snapshot.names, &snapshot.catalog, None);
    let Ok(Resolved::Target(target)) = resolved else { return bare };
    let Some(facts) = snapshot.catalog.model_facts(&target.provider, &target.model) else {
        return bare;
    };
    ListedModel {
        tools: !facts.listed || facts.caps.has(Cap::Tools),
        vision: facts.caps.has(Cap::Vision),
        thinking: facts.caps.has(Cap::Thinking),
        ..bare
    }
}
