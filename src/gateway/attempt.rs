//! One attempt: build the upstream request, send it, and find out whether its answer serves.

use std::cell::Cell;
use std::time::Instant;

use actix_web::http::Method;
use ninerouter_dialect::{Dialect, SplicedBody, apply_edits, splice_model};

use crate::actors::lease::Lease;
use crate::clock::{Clock, UnixMs};
use crate::gateway::answer::{OpenStream, WholeAnswer};
use crate::gateway::blame::{Blame, not_built};
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::Failure;
use crate::gateway::opening::Opening;
use crate::gateway::taped;
use crate::gateway::translation::{Outbound, outbound};
use crate::net::{Destination, Initiator, NetError, Outgoing, Purpose, Reply, Route, wire_headers};
use crate::provider::catalog::Endpoint;
use crate::provider::endpoint;
use crate::provider::quota::headers::{HeadersCx, Told};
use crate::provider::request::{Call, ShapeCx, Shaped, shape};
use crate::routing::account::AccountKind;
use crate::routing::plan::PlannedEntry;
use crate::store::usage::ExecTier;

/// An answer that serves.
#[derive(Debug)]
pub(super) enum Served {
    /// A whole answer.
    Whole(Box<WholeAnswer>),
    /// A stream.
    Stream(Box<OpenStream>),
}

/// Marks of time of one attempt, for the usage row.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// Start, wall time.
    pub at: UnixMs,
    /// Start.
    pub started: Instant,
    /// A connection was there.
    pub connected: Cell<Option<Instant>>,
    /// Response head.
    pub head: Cell<Option<Instant>>,
    /// First content.
    pub first: Cell<Option<Instant>>,
}

impl Marks {
    /// An attempt that starts now.
    #[must_use]
    pub(super) fn start(clock: &Clock) -> Self {
        Self {
            at: clock.now_ms(),
            started: clock.now(),
            connected: Cell::new(None),
            head: Cell::new(None),
            first: Cell::new(None),
        }
    }
}

/// Everything one attempt needs.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    /// The client's request.
    pub exchange: &'a Exchange,
    /// Entry of the plan.
    pub entry: &'a PlannedEntry,
    /// Permission and credential.
    pub lease: &'a Lease,
    /// Filled on the way.
    pub marks: &'a Marks,
    /// Filled on the way: what was done to the body.
    pub exec: &'a Cell<ExecTier>,
}

impl Attempt<'_> {
    /// Runs the attempt until it is clear whether it serves, or until the request's limit.
    ///
    /// # Errors
    /// The failure; the client has seen nothing of it.
    pub(super) async fn run(&self) -> Result<Served, Box<Failure>> {
        match self.exchange.deadline {
            None => self.tries().await,
            Some(deadline) => tokio::time::timeout_at(deadline.at.into(), self.tries())
                .await
                .unwrap_or_else(|_elapsed| Err(self.blame().overdue(deadline))),
        }
    }

    /// Once, and once more without a field of ours that the upstream refuses (translation §1.3).
    async fn tries(&self) -> Result<Served, Box<Failure>> {
        let memory = &self.exchange.shared.stream_usage;
        let target = &self.entry.target;
        let endpoint = self
            .endpoint()
            .ok_or_else(|| not_built("the provider has no endpoint for this request".to_owned()))?;
        let out = outbound(self.exchange, target, endpoint, &self.route()).await?;
        let allowed = memory.allows(&target.provider.id, &target.canonical);
        let shaped = self.shape(endpoint, &out, allowed)?;
        let mut done = self.call(endpoint, &out, &shaped).await;
        if let Err(failure) = &done
            && shaped.hide_usage_chunk
            && names_stream_options(failure)
        {
            memory.refuse(&target.provider.id, &target.canonical);
            let without = self.shape(endpoint, &out, false)?;
            done = self.call(endpoint, &out, &without).await;
        }
        if out.way_back.is_some() {
            // The client does not speak the upstream's dialect.
            done = done.map_err(|failure| Box::new(Failure { raw: None, ..*failure }));
        }
        done
    }

    async fn call(
        &self,
        endpoint: &Endpoint,
        out: &Outbound<'_>,
        shaped: &Shaped,
    ) -> Result<Served, Box<Failure>> {
        self.exec.set(match (&out.way_back, shaped.edits.is_empty()) {
            (Some(_), _) => ExecTier::C,
            (None, false) => ExecTier::B,
            (None, true) => ExecTier::A,
        });
        let blame = self.blame();
        let mut reply = self.send(out, shaped).await.map_err(|error| blame.transport(error))?;
        if let Some(tape) = self.exchange.recorder.tape() {
            reply = taped::upstream_response(tape, self.number(), reply);
        }
        let head_at = self.now();
        self.marks.head.set(Some(head_at));
        self.note_quota(&reply);
        let opening = Opening { blame, shaped, endpoint, out };
        let served = match reply.status {
            200..=299 if self.exchange.ask.stream => {
                Served::Stream(opening.stream(reply, head_at).await?)
            }
            200..=299 => Served::Whole(opening.whole(reply).await?),
            300..=399 => return Err(blame.redirected(reply.status)),
            _ => return Err(blame.refused(reply).await),
        };
        self.marks.first.set(Some(self.now()));
        Ok(served)
    }

    /// What the answer's headers tell of quota, before its body (accounts §4.3). Costs a look at the names when they
    /// tell nothing.
    fn note_quota(&self, reply: &Reply) {
        let headers = reply.headers.iter();
        let texts = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let Some(told) = Told::of(texts) else { return };
        let target = &self.entry.target;
        let cx = HeadersCx {
            now: self.exchange.shared.clock.now_ms(),
            status: reply.status,
            family: target.provider.family,
            model: &target.canonical,
        };
        if let Some(reading) = told.read(&cx) {
            self.lease.observe(reading);
        }
    }

    fn blame(&self) -> Blame<'_> {
        Blame {
            exchange: self.exchange,
            target: &self.entry.target,
            oauth: self.lease.account.kind == AccountKind::OAuth,
            credential: Some(&self.lease.credential),
        }
    }

    /// The way out, the same for all that this attempt sends.
    fn route(&self) -> Route {
        let provider = &self.entry.target.provider;
        self.exchange.snapshot.route(&self.lease.account.proxy, provider)
    }

    /// Which attempt of the request this is, from 1 on.
    fn number(&self) -> u32 {
        self.exchange.recorder.attempt_number()
    }

    fn now(&self) -> Instant {
        self.exchange.shared.clock.now()
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        let target = &self.entry.target;
        endpoint::pick(
            &target.provider,
            target.provider.model(&target.model),
            self.exchange.ask.dialect,
            self.lease.account.endpoint.as_deref(),
        )
    }

    fn shape(
        &self,
        endpoint: &Endpoint,
        out: &Outbound<'_>,
        injects: bool,
    ) -> Result<Shaped, Box<Failure>> {
        let (exchange, target) = (self.exchange, &self.entry.target);
        let translated = out.way_back.is_some();
        let query = match (translated, out.dialect) {
            (false, _) => Some(exchange.ask.query.as_str()).filter(|query| !query.is_empty()),
            // What the decoder reads.
            (true, Dialect::Gem) => Some("alt=sse"),
            (true, Dialect::Chat | Dialect::Resp | Dialect::Anth) => None,
        };
        shape(&ShapeCx {
            provider: &target.provider,
            endpoint,
            facts: exchange.snapshot.catalog.model_facts(&target.provider, &target.model),
            upstream_model: &target.upstream_model,
            // A translated body has it already.
            effort: target.effort.filter(|_| !translated),
            long_context: target.long_context,
            account: &self.lease.account,
            credential: &self.lease.credential,
            dialect: out.dialect,
            betas: &out.betas,
            call: Call::Generate,
            stream: out.stream,
            client_headers: &|name| exchange.header(name),
            client_query: query,
            peek: &out.peek,
            session_id: None,
            supports_stream_usage: injects,
            extra_headers: exchange.snapshot.extra_headers(&target.provider.id),
            moment: exchange.shared.moment(&exchange.snapshot),
        })
        .map_err(|error| not_built(error.to_string()))
    }

    async fn send(&self, out: &Outbound<'_>, shaped: &Shaped) -> Result<Reply, NetError> {
        let (exchange, target) = (self.exchange, &self.entry.target);
        let timeouts = &exchange.snapshot.settings.timeouts;
        let head_timeout = match (target.provider.local, out.stream) {
            (true, _) => timeouts.local_first,
            (false, true) => timeouts.head_stream,
            (false, false) => timeouts.head,
        };
        let outgoing = Outgoing {
            method: Method::POST,
            url: shaped.url.clone(),
            headers: wire_headers(&shaped.headers),
            body: body(out, shaped)?,
            dest: Destination::of(&target.provider),
            route: self.route(),
            head_timeout,
            send_stall: timeouts.send_stall,
            initiator: Initiator::of(Purpose::Inference, &target.provider.id)
                .within(&exchange.request_id),
        };
        if let Some(tape) = exchange.recorder.tape() {
            taped::upstream_request(tape, self.number(), &outgoing);
        }
        let connected = || self.marks.connected.set(Some(self.now()));
        exchange.worker.clients.send_watched(outgoing, connected).await
    }
}

/// The bytes with as few further changes as the upstream needs (execution tiers A and B).
fn body(out: &Outbound<'_>, shaped: &Shaped) -> Result<SplicedBody, NetError> {
    if !shaped.edits.is_empty() {
        // The body was peeked before: an edit cannot fail on it.
        return apply_edits(&out.body, &shaped.edits)
            .map_err(|_peeked_before| NetError::Unsendable("its body cannot be edited"));
    }
    Ok(match (&out.peek.model, &shaped.body_model) {
        (Some(model), Some(new)) => splice_model(&out.body, model, new),
        (None, _) | (_, None) => SplicedBody::whole(out.body.clone()),
    })
}

/// Validators answer 400 or 422 to a field they do not know.
fn names_stream_options(failure: &Failure) -> bool {
    matches!(failure.status, Some(400 | 422))
        && failure.raw.as_ref().is_some_and(|raw| {
            let named = |name: &[u8]| memchr::memmem::find(&raw.body, name).is_some();
            named(b"stream_options") || named(b"include_usage")
        })
}
