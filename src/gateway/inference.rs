//! Inference endpoints: chat completions, completions, responses, messages, Gemini generation.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::Payload;
use bytes::Bytes;
use ninerouter_dialect::ollama::{Asked, Form, to_chat};
use ninerouter_dialect::{
    BodyEdit, CompletionStream, Dialect, ErrorKind, ErrorShape, Framing, Peek, PeekError,
    SplicedBody, apply_edits, chat_to_completion, completion_to_chat, needs, peek, session_hints,
    strip_bom,
};

use crate::actors::capture::Tape;
use crate::actors::checkout::Journey;
use crate::actors::snapshot::Usable;
use crate::auth::admit::Caller;
use crate::auth::candidate::query_without_key;
use crate::gateway::admission::{self, Door, Inside};
use crate::gateway::answer::{Answer, Route};
use crate::gateway::body::{self, HeldBody};
use crate::gateway::early::{EarlyBody, Running};
use crate::gateway::edge::{EVENT, Rewritten};
use crate::gateway::exchange::{Ask, Exchange, Guards};
use crate::gateway::finale;
use crate::gateway::models::text;
use crate::gateway::noted::Witness;
use crate::gateway::ollama::{self, Lines, Teller};
use crate::gateway::record::Recorder;
use crate::gateway::relay::relay;
use crate::gateway::reply::{self, Refusal};
use crate::gateway::route::{Endpoint, GemAction};
use crate::gateway::spending;
use crate::gateway::stream::{Cut, StreamBody};
use crate::gateway::taped;
use crate::routing::affinity::{SessionKey, SessionKeys, session_keys};
use crate::routing::combo::Entry;
use crate::routing::resolve::{Resolved, resolve};
use crate::store::usage::ExecTier;

const ATTEMPTS: HeaderName = HeaderName::from_static("x-ninerouter-attempts");
const PROVIDER: HeaderName = HeaderName::from_static("x-ninerouter-provider");
const MODEL: HeaderName = HeaderName::from_static("x-ninerouter-model");
const ACCOUNT: HeaderName = HeaderName::from_static("x-ninerouter-account");
const COMBO: HeaderName = HeaderName::from_static("x-ninerouter-combo");

/// Reads, routes and relays one request.
pub(super) async fn serve(door: Door, payload: Payload) -> HttpResponse {
    let mut recorder = Recorder::begin(&door);
    match prepare(&door, payload, &mut recorder).await {
        Ok(Prepared::Answered(response)) => {
            recorder.discard();
            response
        }
        Ok(Prepared::Ask(prepared)) => {
            let (ask, inside, guards, journey) = *prepared;
            let limit = journey.combo().and_then(|combo| combo.deadline_ms);
            let limit = limit.map(|ms| Duration::from_millis(ms.into()));
            let exchange = Exchange::new(door, ask, inside, guards, recorder, limit);
            run(Box::new(exchange), journey).await
        }
        Err(refusal) => {
            Witness::of(&door).note(&refusal);
            refused(&mut recorder, *refusal, door.matched.shape, &door.request_id)
        }
    }
}

/// Renders a refusal and writes the usage row.
fn refused(
    recorder: &mut Recorder,
    refusal: Refusal,
    shape: ErrorShape,
    request_id: &str,
) -> HttpResponse {
    let body = refusal.body(shape, request_id);
    let tape = recorder.tape().cloned();
    recorder.refused(&refusal, shape, u64::try_from(body.len()).unwrap_or(u64::MAX));
    taped::client_response(tape.as_ref(), refusal.render_with(shape, request_id, body))
}

/// What is left to do for a request that may go on.
enum Prepared {
    /// To ask an upstream.
    Ask(Box<(Ask, Inside, Guards, Journey)>),
    /// Nothing: no upstream is needed.
    Answered(HttpResponse),
}

/// The order of checks of endpoints §4.1: overload, credentials, size, body, JSON, model, permissions.
async fn prepare(
    door: &Door,
    payload: Payload,
    recorder: &mut Recorder,
) -> Result<Prepared, Box<Refusal>> {
    let inside = admission::admit(door)?;
    recorder.admitted(&inside);
    let held = read_body(door, payload, &inside).await?;
    recorder.sized(held.bytes.len());
    recorder.captures(door, &held.bytes);
    let snapshot = &inside.snapshot;
    let (ask, portion) = match understand(door, held)? {
        Understood::Ask(ask, portion) => (*ask, portion),
        Understood::Ready { form, model, unload } => {
            return ollama::ready(door, &inside, form, &model, unload).map(Prepared::Answered);
        }
    };
    recorder.asked(&ask);
    let unknown = snapshot.settings.unknown_model_provider.as_deref();
    let resolved = resolve(&ask.model, &snapshot.names, &snapshot.catalog, unknown)
        .map_err(|error| Box::new(finale::unresolved(&error)))?;
    let key = inside.caller().key();
    let mut journey = Journey::new(resolved, ask.dialect, session(door, &ask, inside.caller()));
    if let Some(session) = journey.session.primary {
        recorder.session(snapshot.keys.session_mac(&session.0));
    }
    if is_filtered(&journey.resolved) {
        journey.needs = needs(ask.dialect, &ask.body, &ask.peek);
    }
    if let Some(key) = key {
        permit(key, &ask, &mut journey, snapshot)?;
    }
    journey.estimate = ask.size();
    let shared = &door.worker.shared;
    let (key, budget) = spending::set_aside(shared, snapshot, key, &journey)?;
    let guards = Guards { body: Some(portion), key, budget, target_budget: None };
    Ok(Prepared::Ask(Box::new((ask, inside, guards, journey))))
}

pub(super) async fn read_body(
    door: &Door,
    payload: Payload,
    inside: &Inside,
) -> Result<HeldBody, Box<Refusal>> {
    let limit = u64::try_from(inside.snapshot.settings.limits.body).unwrap_or(u64::MAX);
    let declared = door.header("content-length").and_then(|v| v.parse().ok());
    let mut codings = door.http.headers().get_all("content-encoding");
    let coding = match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(one), None) => Some(one.to_str().unwrap_or("unreadable")),
        (Some(_), Some(_)) => Some("stacked"),
    };
    let coding = coding.map(str::trim).filter(|c| !c.eq_ignore_ascii_case("identity"));
    let shared = &door.worker.shared;
    body::read(payload, declared, coding, limit, &shared.bodies, &shared.clock)
        .await
        .map_err(|error| Box::new(Refusal::from(error)))
}

/// What a body says.
enum Understood {
    /// An answer is wanted.
    Ask(Box<Ask>, crate::auth::load::Portion),
    /// A client of Ollama wants a model made ready, or let go.
    Ready { form: Form, model: String, unload: bool },
}

/// One pass over the body: what is asked for, in which dialect.
fn understand(door: &Door, held: HeldBody) -> Result<Understood, Box<Refusal>> {
    let mut bytes = strip_bom(held.bytes);
    let endpoint = &door.matched.endpoint;
    let legacy = *endpoint == Endpoint::Completions;
    if legacy {
        bytes = completion_to_chat(&bytes).map_err(bad)?;
    }
    let mut ollama = None;
    if let Endpoint::OllamaAnswer(form) = endpoint {
        bytes = match to_chat(*form, &bytes).map_err(bad)? {
            Asked::Answer(chat) => chat,
            Asked::Ready { model, unload } => {
                return Ok(Understood::Ready { form: *form, model, unload });
            }
        };
        ollama = Some(*form);
    }
    let mut dialect = match endpoint {
        Endpoint::Responses => Dialect::Resp,
        Endpoint::Messages => Dialect::Anth,
        Endpoint::GemAction { .. } => Dialect::Gem,
        _ => Dialect::Chat,
    };
    let mut found = peek(dialect, &bytes).map_err(bad)?;
    if found.input_instead_of_messages {
        // Some clients post Responses bodies to the chat endpoint and parse a Responses reply.
        dialect = Dialect::Resp;
        found = peek(dialect, &bytes).map_err(bad)?;
    }
    if let (Some(model), false) = (&door.matched.default_model, found.model_present) {
        let edit = BodyEdit::Set { key: "model".into(), json: json_string(model) };
        bytes = joined(apply_edits(&bytes, &[edit]).map_err(bad)?);
        found = peek(dialect, &bytes).map_err(bad)?;
    }
    let (model, stream, framing) = wanted(door, dialect, &found)?;
    found.require_turns(dialect).map_err(bad)?;
    let ask = Ask {
        dialect,
        shape: door.matched.shape,
        framing,
        stream,
        model,
        body_bytes: bytes.len(),
        body: bytes,
        peek: found,
        legacy_completion: legacy,
        ollama,
        query: query_without_key(door.http.query_string()).into_owned(),
    };
    Ok(Understood::Ask(Box::new(ask), held.permit))
}

/// Model, streaming and framing: from the body, for Gemini from the path and the query.
fn wanted(
    door: &Door,
    dialect: Dialect,
    found: &Peek,
) -> Result<(String, bool, Framing), Box<Refusal>> {
    if let Endpoint::GemAction { model, action } = &door.matched.endpoint {
        if model.trim().is_empty() {
            return Err(Box::new(
                Refusal::new(ErrorKind::InvalidRequest, "the path names no model").param("model"),
            ));
        }
        let sse = text(door.http.query_string(), "alt").is_some_and(|alt| alt == "sse");
        let framing = if sse { Framing::Sse } else { Framing::JsonArray };
        return Ok((model.clone(), *action == GemAction::Stream, framing));
    }
    let model = found.require_model().map_err(bad)?;
    debug_assert!(dialect != Dialect::Gem, "Gemini requests come by path");
    Ok((model.value.clone(), found.stream, Framing::Sse))
}

pub(super) fn bad(error: PeekError) -> Box<Refusal> {
    let mut refusal = Refusal::new(ErrorKind::InvalidRequest, "");
    refusal.error = error.to_api_error("");
    Box::new(refusal)
}

/// A body in one piece.
pub(super) fn joined(body: SplicedBody) -> Bytes {
    let mut parts = body.parts;
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            let mut whole = bytes::BytesMut::new();
            parts.iter().chain(last.iter()).for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    }
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The keys of the conversation this request belongs to (accounts §6.5), per key.
fn session(door: &Door, ask: &Ask, caller: &Caller) -> SessionKeys {
    let key = caller.key().map(|key| key.id);
    if let Some(previous) = &ask.peek.previous_response_id {
        // An opaque item of one account: only that account knows it.
        return SessionKeys::only(SessionKey::of_response(key, previous));
    }
    let hints = session_hints(ask.dialect, &ask.body, &ask.peek);
    session_keys(&|name| door.header(name), &hints, key)
}

/// Only a combo that leads to more than one model has an order to change (accounts §6.3).
fn is_filtered(resolved: &Resolved) -> bool {
    match resolved {
        Resolved::Target(_) => false,
        Resolved::Combo { combo, .. } => {
            // A name without prefix may be a combo with entries of its own.
            let several = |entries: &[Entry]| {
                entries.len() > 1 || entries.iter().any(|entry| !entry.target.contains('/'))
            };
            combo.capability_filter && several(&combo.entries)
        }
    }
}

/// What the caller's key may not use is refused, or skipped when the settings say so (SEC-AK-5).
fn permit(
    key: &Arc<crate::auth::key::KeyRecord>,
    ask: &Ask,
    journey: &mut Journey,
    snapshot: &crate::actors::snapshot::Snapshot,
) -> Result<(), Box<Refusal>> {
    let denied = || {
        let denial = crate::auth::refusal::Refusal::ModelNotAllowed(ask.model.clone());
        Err(Box::new(Refusal::from(denial)))
    };
    match &journey.resolved {
        Resolved::Target(target) => {
            if !key.may_use(&target.provider.id, &target.key, None) {
                return denied();
            }
        }
        Resolved::Combo { combo, .. } => {
            if !key.may_use_combo(Some(&combo.name)) {
                return denied();
            }
            match snapshot.usable(key, &journey.resolved) {
                Some(Usable::All) => {}
                Some(Usable::Some) => journey.key = Some(Arc::clone(key)),
                None => return denied(),
            }
        }
    }
    Ok(())
}

async fn run(exchange: Box<Exchange>, journey: Journey) -> HttpResponse {
    let (dialect, framing) = (exchange.ask.dialect, exchange.ask.framing);
    let (stream, edge) = (exchange.ask.stream, Edge::of(&exchange));
    let timeouts = exchange.snapshot.settings.timeouts;
    let request_id = Arc::clone(&exchange.request_id);
    let tape = exchange.recorder.tape().cloned();
    let mut running: Running = Box::pin(async move {
        let mut exchange = exchange;
        let answer = relay(&mut exchange, journey).await;
        (exchange, answer)
    });
    if !stream {
        let (exchange, answer) = running.await;
        return respond(exchange, answer, tape.as_ref());
    }
    match early(&mut running, timeouts.early_head).await {
        Some((exchange, answer)) => respond(exchange, answer, tape.as_ref()),
        None => {
            let body = EarlyBody::new(running, dialect, framing, timeouts.keep_alive);
            let mut head = reply::stream_head(200, &request_id, dialect, framing);
            taped::client_response(tape.as_ref(), finish_stream(&mut head, body, edge))
        }
    }
}

/// What becomes of an answer on its last step.
enum Edge {
    /// Nothing.
    Plain,
    /// A chat answer becomes one of the legacy endpoint.
    Legacy,
    /// A chat answer becomes one of Ollama's.
    Ollama(Teller),
}

impl Edge {
    fn of(exchange: &Exchange) -> Self {
        match Teller::of(exchange) {
            Some(teller) => Self::Ollama(teller),
            None if exchange.ask.legacy_completion => Self::Legacy,
            None => Self::Plain,
        }
    }

    /// A whole answer; as it is when it cannot be mapped.
    fn whole(&self, body: Bytes) -> Bytes {
        match self {
            Self::Plain => body,
            Self::Legacy => chat_to_completion(&body).map_or(body, Bytes::from),
            Self::Ollama(teller) => teller.whole(body),
        }
    }
}

async fn early(running: &mut Running, patience: Duration) -> Option<(Box<Exchange>, Answer)> {
    tokio::time::timeout(patience, running).await.ok()
}

fn respond(mut exchange: Box<Exchange>, answer: Answer, tape: Option<&Tape>) -> HttpResponse {
    let response = match answer {
        Answer::Whole(whole, route) => {
            let mut head = reply::start(whole.status, &exchange.request_id);
            head.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
            pass_headers(&mut head, &whole.headers, &route);
            routing_headers(&mut head, &exchange, &route);
            head.body(Edge::of(&exchange).whole(whole.body))
        }
        Answer::Stream(committed) => {
            let ask = &exchange.ask;
            let status = committed.open.status;
            let mut head =
                reply::stream_head(status, &exchange.request_id, ask.dialect, ask.framing);
            pass_headers(&mut head, &committed.open.headers, &committed.route);
            routing_headers(&mut head, &exchange, &committed.route);
            let edge = Edge::of(&exchange);
            finish_stream(&mut head, StreamBody::new(exchange, *committed, 0), edge)
        }
        Answer::Refused(refusal) => {
            let (shape, request_id) = (exchange.ask.shape, Arc::clone(&exchange.request_id));
            return refused(&mut exchange.recorder, *refusal, shape, &request_id);
        }
    };
    taped::client_response(tape, response)
}

fn finish_stream<B>(head: &mut actix_web::HttpResponseBuilder, body: B, edge: Edge) -> HttpResponse
where
    B: MessageBody<Error = Cut> + Unpin + 'static,
{
    match edge {
        Edge::Plain => head.body(BoxBody::new(body)),
        Edge::Legacy => head.body(BoxBody::new(Rewritten::new(body, CompletionStream::new(EVENT)))),
        Edge::Ollama(teller) => {
            head.insert_header(("content-type", "application/x-ndjson"));
            head.body(BoxBody::new(Rewritten::new(body, Lines::new(teller))))
        }
    }
}

/// An upstream's words about itself mean nothing to a client of another dialect (endpoints §7).
fn pass_headers(
    head: &mut actix_web::HttpResponseBuilder,
    upstream: &actix_web::http::header::HeaderMap,
    route: &Route,
) {
    if route.exec != ExecTier::C {
        reply::pass_headers(head, upstream.iter());
    }
}

/// Who served, for people who look (endpoints §1). Printable ASCII only; no account name, no key.
fn routing_headers(head: &mut actix_web::HttpResponseBuilder, exchange: &Exchange, route: &Route) {
    if !exchange.snapshot.settings.routing_headers {
        return;
    }
    let target = &route.entry.target;
    head.insert_header((ATTEMPTS, HeaderValue::from(route.attempts)));
    let mut text = |name: HeaderName, value: &str| {
        if value.bytes().all(|b| matches!(b, 0x20..=0x7e))
            && let Ok(value) = HeaderValue::from_str(value)
        {
            head.insert_header((name, value));
        }
    };
    text(PROVIDER, &target.provider.id);
    text(MODEL, &target.key);
    if let Some(combo) = &route.combo {
        text(COMBO, combo);
    }
    if let Some(mark) = exchange.worker.mark(route.account) {
        head.insert_header((ACCOUNT, mark));
    }
}
