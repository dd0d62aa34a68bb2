//! Execution tier C: a request in the dialect of the upstream, and what the way back needs
//! (translation §1.2).

use std::borrow::Cow;

use bytes::Bytes;
use ninerouter_dialect::ir::Request;
use ninerouter_dialect::translate::{
    PrepareCx, Prepared, ReplyPlan, RequestTranslator, Source, TranslateError,
};
use ninerouter_dialect::{Dialect, Peek, estimate_tokens, peek};
use tracing::debug;

use crate::gateway::blame::{not_built, unfetched, untranslatable};
use crate::gateway::exchange::{Ask, Exchange};
use crate::gateway::failure::Failure;
use crate::gateway::media::FetchCx;
use crate::gateway::record::estimated_tokens;
use crate::net::content::ContentRules;
use crate::net::{Initiator, Purpose, Route};
use crate::provider::catalog::Endpoint;
use crate::provider::translation::Upstream;
use crate::routing::target::Target;

/// A request as it is sent, before the provider's own edits.
#[derive(Debug)]
pub(super) struct Outbound<'a> {
    /// Its dialect.
    pub dialect: Dialect,
    /// Its body.
    pub body: Bytes,
    /// What one pass over the body found.
    pub peek: Cow<'a, Peek>,
    /// The upstream is asked to stream.
    pub stream: bool,
    /// Tokens that the body needs in `anthropic-beta`.
    pub betas: Vec<&'static str>,
    /// How the answer is put into the client's dialect; `None` = it is handed on as it comes.
    pub way_back: Option<WayBack>,
}

/// How an answer is put into the client's dialect.
#[derive(Clone, Debug)]
pub(super) struct WayBack {
    /// What it is read as.
    pub source: Source,
    /// How it is told.
    pub plan: ReplyPlan,
}

/// The client's request, decoded once for all attempts that translate it.
#[derive(Debug)]
pub(super) struct Decoded {
    translator: RequestTranslator,
    estimated_input: u64,
}

impl Decoded {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it is no request of the client's dialect.
    pub(super) fn of(ask: &Ask) -> Result<Self, TranslateError> {
        let mut translator = RequestTranslator::decode(ask.dialect, &ask.body)?;
        let request = translator.request_mut();
        // Gemini's path names it, and a path of ours may set a default.
        request.model = ask.model.clone().into();
        let estimated_input = match ask.dialect {
            // The only one whose streams begin with a count.
            Dialect::Anth => estimate_tokens(ask.dialect, &ask.body).ok(),
            Dialect::Chat | Dialect::Resp | Dialect::Gem => None,
        };
        let estimated_input = estimated_input.unwrap_or_else(|| estimated_tokens(ask.body_bytes));
        Ok(Self { translator, estimated_input })
    }
}

/// One attempt's request in the dialect of `endpoint`: the client's own bytes where it speaks that.
///
/// # Errors
/// When the request cannot be said in that dialect, or the endpoint speaks none of them.
pub(super) async fn outbound<'a>(
    exchange: &'a Exchange,
    target: &Target,
    endpoint: &Endpoint,
    route: &Route,
) -> Result<Outbound<'a>, Box<Failure>> {
    let ask = &exchange.ask;
    let stream = ask.stream || endpoint.force_stream;
    // What became chat at the edge holds what chat upstreams may refuse.
    let as_it_came = ask.ollama.is_none();
    if as_it_came && endpoint.dialect() == Some(ask.dialect) {
        return Ok(Outbound {
            dialect: ask.dialect,
            body: ask.body.clone(),
            peek: Cow::Borrowed(&ask.peek),
            stream,
            betas: Vec::new(),
            way_back: None,
        });
    }
    let upstream = upstream(exchange, target, endpoint)
        .ok_or_else(|| not_built("the provider's protocol is not supported yet".to_owned()))?;
    let Decoded { translator, estimated_input } = decoded(exchange)?;
    let memory = exchange.worker.signatures.reader(exchange.caller.key().map(|key| key.id));
    let cx = PrepareCx {
        signatures: &memory,
        now: seconds(exchange),
        estimated_input: *estimated_input,
    };
    let asks = |request: &mut Request| {
        request.stream = stream;
        // The id's suffix outranks the body.
        request.reasoning.effort = target.effort.or(request.reasoning.effort);
    };
    let prepared = translator.prepare_with(&upstream.target(), &cx, asks);
    let mut prepared = prepared.map_err(untranslatable)?;
    Box::pin(fetch_media(exchange, &mut prepared, route)).await?;
    let encoded = prepared.encode().map_err(untranslatable)?;
    for warning in &encoded.warnings {
        let (kind, field, note) = (warning.kind.as_str(), &*warning.field, &*warning.note);
        debug!(request.id = %exchange.request_id, kind, field, note, "request changed by translation");
    }
    let body = Bytes::from(encoded.body);
    let peek = peek(upstream.dialect, &body).map_err(|error| not_built(error.to_string()))?;
    Ok(Outbound {
        dialect: upstream.dialect,
        body,
        peek: Cow::Owned(peek),
        stream,
        betas: encoded.betas,
        way_back: Some(WayBack { source: upstream.source(), plan: encoded.plan }),
    })
}

/// Puts bytes in the place of addresses that the target does not read itself (translation §2.9).
async fn fetch_media(
    exchange: &Exchange,
    prepared: &mut Prepared,
    route: &Route,
) -> Result<(), Box<Failure>> {
    let shared = &exchange.shared;
    let initiator = Initiator::new(Purpose::Media).within(&exchange.request_id);
    let cx = FetchCx {
        net: &shared.net,
        rules: &ContentRules::new(exchange.snapshot.settings.allow_http_content),
        route,
        memory: &shared.bodies,
        clock: &shared.clock,
        deadline: exchange.deadline.map(|deadline| deadline.at),
        initiator: &initiator,
    };
    exchange.media.provide(prepared, &cx).await.map_err(|refusal| unfetched(*refusal))
}

/// The way back of a request that was sent as it came, when its answer comes in another form than asked
/// for: whole instead of streamed, or the reverse.
///
/// # Errors
/// When the request does not parse as one of its dialect; its answer cannot be put into another form then.
pub(super) fn same_dialect(
    exchange: &Exchange,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<WayBack, Box<Failure>> {
    let unspoken = || not_built("the provider's protocol is not supported yet".to_owned());
    let upstream = upstream(exchange, target, endpoint).ok_or_else(unspoken)?;
    let request = decoded(exchange)?.translator.request();
    let mut plan = ReplyPlan::new(exchange.ask.dialect, request, seconds(exchange));
    // It is the upstream's own answer: the client gets all of it.
    (plan.shows_thinking, plan.shows_encrypted) = (true, true);
    Ok(WayBack { source: upstream.source(), plan })
}

fn upstream<'a>(
    exchange: &'a Exchange,
    target: &'a Target,
    endpoint: &Endpoint,
) -> Option<Upstream<'a>> {
    let facts = exchange.snapshot.catalog.model_facts(&target.provider, &target.model);
    Upstream::at(&target.provider, endpoint, &target.upstream_model, facts)
}

fn decoded(exchange: &Exchange) -> Result<&Decoded, Box<Failure>> {
    let decoded = exchange.decoded.get_or_init(|| Decoded::of(&exchange.ask));
    decoded.as_ref().map_err(|error| untranslatable(error.clone()))
}

fn seconds(exchange: &Exchange) -> u64 {
    u64::try_from(exchange.shared.clock.now_ms().div_euclid(1_000)).unwrap_or(0)
}
