//! An upstream's answer, whole or streamed, as a client of another dialect would get it.

use bytes::Bytes;
use ninerouter_dialect::ir::{Failure, Reasoning, Request, Summary};
use ninerouter_dialect::translate::{
    ReplyPlan, Source, StreamTranslator, failure_for_client, translate_response,
};
use ninerouter_dialect::{Dialect, Framing, StreamEnd, error_body};
use serde_json::Value;

use super::{Fault, Note, Outcome, Question, place};
use crate::actors::snapshot::Snapshot;
use crate::clock::UnixMs;
use crate::provider::endpoint::candidates;
use crate::provider::translation::Upstream;
use crate::routing::resolve::{Resolved, resolve};

/// Longest event, bytes: no longer than the text it comes in.
const LONGEST_EVENT: usize = 16 << 20;

pub(super) fn translated(ask: &Question, snapshot: &Snapshot, now: UnixMs) -> Outcome {
    let text = ask.text.trim_start_matches('\u{feff}');
    let framing = match text.trim_start().as_bytes().first() {
        Some(b'{') => None,
        // Gemini streams an array where nobody asks for events.
        Some(b'[') if ask.from == Dialect::Gem => Some(Framing::JsonArray),
        _ => Some(Framing::Sse),
    };
    let fault = match framing {
        None | Some(Framing::JsonArray) => place::of_json(text),
        Some(Framing::Sse) => place::of_events(text),
    };
    if let Some(fault) = fault {
        return Outcome::failed(fault);
    }
    if framing == Some(Framing::Sse) && !text.lines().any(|line| line.starts_with("data:")) {
        return Outcome::failed(Fault {
            at: Some((1, 1)),
            ..Fault::saying("this is neither a JSON object nor a stream of server-sent events")
        });
    }
    if ask.from == ask.to {
        let body = match framing {
            None => serde_json::from_str(text).unwrap_or_default(),
            Some(_) => Value::from(text),
        };
        let note =
            Note::about("", "both sides speak this dialect: the answer is handed on as it comes");
        return Outcome { body: Some(body), notes: vec![note], ..Outcome::default() };
    }
    let mut source = source(ask, snapshot);
    let plan = plan(ask, named_in(text, framing), framing.is_some(), now);
    match framing {
        None => whole(text, &source, &plan),
        Some(framing) => {
            source.framing = framing;
            streamed(text, source, plan)
        }
    }
}

fn whole(text: &str, source: &Source, plan: &ReplyPlan) -> Outcome {
    match translate_response(text.as_bytes(), source, plan) {
        Ok(translated) => Outcome { body: Some(json(&translated.body)), ..Outcome::default() },
        Err(failure) => {
            let told = failure_for_client(&failure, String::new());
            let body = json(&error_body(plan.client.into(), &told));
            match failure {
                // The answer is an error: that is what the client gets.
                Failure::Upstream(_) => {
                    let note = Note::about("", "the answer is an error of the upstream");
                    Outcome { body: Some(body), notes: vec![note], ..Outcome::default() }
                }
                _ => Outcome {
                    body: Some(body),
                    ..Outcome::failed(Fault::saying(failure.to_string()))
                },
            }
        }
    }
}

fn streamed(text: &str, source: Source, plan: ReplyPlan) -> Outcome {
    let mut translator = StreamTranslator::new(source, plan, Framing::Sse, LONGEST_EVENT);
    let mut out: Vec<Bytes> = Vec::new();
    let mut failure = translator.push(text.as_bytes(), &mut out).err();
    if failure.is_none() && translator.finish(&mut out) != StreamEnd::Complete {
        failure = translator.failure().cloned();
    }
    if let Some(failure) = &failure {
        translator.fail(&failure_for_client(failure, String::new()), &mut out);
    }
    let body = String::from_utf8_lossy(&out.concat()).into_owned();
    let fault = failure.map(|failure| Fault::saying(failure.to_string()));
    Outcome { body: Some(body.into()), fault, ..Outcome::default() }
}

/// What is known of the upstream.
fn source(ask: &Question, snapshot: &Snapshot) -> Source {
    let known = || {
        let model = ask.model.as_deref()?;
        let unknown = snapshot.settings.unknown_model_provider.as_deref();
        let resolved = resolve(model, &snapshot.names, &snapshot.catalog, unknown).ok()?;
        let Resolved::Target(target) = resolved else { return None };
        let provider = &target.provider;
        let endpoints = candidates(provider, provider.model(&target.model), None);
        let speaks = |e: &&&_| e_speaks(e, ask.from);
        let endpoint = endpoints.iter().find(speaks)?;
        let facts = snapshot.catalog.model_facts(provider, &target.model);
        Some(Upstream::at(provider, endpoint, &target.upstream_model, facts)?.source())
    };
    known().unwrap_or_else(|| Source::new(ask.from))
}

fn e_speaks(endpoint: &crate::provider::catalog::Endpoint, dialect: Dialect) -> bool {
    endpoint.dialect() == Some(dialect)
}

/// A client that wants to see all there is.
fn plan(ask: &Question, named: Option<String>, stream: bool, now: UnixMs) -> ReplyPlan {
    let model = ask.model.clone().or(named).unwrap_or_default();
    let request = Request {
        model: model.into(),
        stream,
        include_usage: true,
        reasoning: Reasoning { effort: None, summary: Summary::Auto, include_encrypted: true },
        ..Request::default()
    };
    let created = u64::try_from(now.div_euclid(1_000)).unwrap_or(0);
    let mut plan = ReplyPlan::new(ask.to, &request, created);
    (plan.shows_thinking, plan.shows_encrypted) = (true, true);
    plan
}

/// The model that the answer names.
fn named_in(text: &str, framing: Option<Framing>) -> Option<String> {
    let name = |value: &Value| {
        let places =
            ["/model", "/modelVersion", "/message/model", "/response/model", "/0/modelVersion"];
        places.iter().find_map(|place| Some(value.pointer(place)?.as_str()?.to_owned()))
    };
    match framing {
        None | Some(Framing::JsonArray) => name(&serde_json::from_str(text).ok()?),
        Some(Framing::Sse) => {
            let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            data.take(4).find_map(|data| name(&serde_json::from_str(data).ok()?))
        }
    }
}

fn json(body: &[u8]) -> Value {
    // It was written here.
    serde_json::from_slice(body).unwrap_or_default()
}
