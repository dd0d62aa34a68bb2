//! One attempt: build the upstream request, send it, and find out whether its answer serves.

use std::cell::Cell;
use std::time::Instant;

use actix_web::http::Method;
use ninerouter_dialect::{SplicedBody, apply_edits, splice_model};

use crate::actors::lease::Lease;
use crate::clock::{Clock, UnixMs};
use crate::gateway::answer::{OpenStream, WholeAnswer};
use crate::gateway::blame::{Blame, not_built};
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::Failure;
use crate::gateway::opening::Opening;
use crate::net::{Destination, NetError, Outgoing, Reply, wire_headers};
use crate::provider::catalog::Endpoint;
use crate::provider::endpoint;
use crate::provider::request::{Call, Moment, ShapeCx, Shaped, shape};
use crate::routing::account::AccountKind;
use crate::routing::plan::PlannedEntry;

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
    /// Set when the body is edited beyond its model.
    pub patched: &'a Cell<bool>,
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
        let shaped = self.shape(memory.allows(&target.provider.id, &target.canonical))?;
        match self.call(&shaped).await {
            Err(failure) if shaped.hide_usage_chunk && names_stream_options(&failure) => {
                memory.refuse(&target.provider.id, &target.canonical);
                self.call(&self.shape(false)?).await
            }
            done => done,
        }
    }

    async fn call(&self, shaped: &Shaped) -> Result<Served, Box<Failure>> {
        self.patched.set(!shaped.edits.is_empty());
        let blame = self.blame();
        let reply = self.send(shaped).await.map_err(|error| blame.transport(error))?;
        let head_at = self.now();
        self.marks.head.set(Some(head_at));
        let opening = Opening { blame, shaped };
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

    fn blame(&self) -> Blame<'_> {
        Blame {
            exchange: self.exchange,
            target: &self.entry.target,
            oauth: self.lease.account.kind == AccountKind::OAuth,
        }
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

    fn shape(&self, injects: bool) -> Result<Shaped, Box<Failure>> {
        let (exchange, target) = (self.exchange, &self.entry.target);
        let endpoint = self
            .endpoint()
            .ok_or_else(|| not_built("the provider has no endpoint for this request".to_owned()))?;
        shape(&ShapeCx {
            provider: &target.provider,
            endpoint,
            facts: exchange.snapshot.catalog.model_facts(&target.provider, &target.model),
            upstream_model: &target.upstream_model,
            effort: target.effort,
            long_context: target.long_context,
            account: &self.lease.account,
            credential: &self.lease.credential,
            dialect: exchange.ask.dialect,
            call: Call::Generate,
            stream: exchange.ask.stream,
            client_headers: &|name| exchange.header(name),
            client_query: Some(exchange.ask.query.as_str()).filter(|query| !query.is_empty()),
            peek: &exchange.ask.peek,
            session_id: None,
            supports_stream_usage: injects,
            extra_headers: exchange.snapshot.extra_headers(&target.provider.id),
            moment: Moment {
                now: exchange.shared.clock.now_ms(),
                nonce: exchange.shared.nonce(),
                public_url: exchange.snapshot.settings.base_url.as_ref().map(url::Url::as_str),
                hostname: Some(&exchange.snapshot.fixed.found.host_name),
            },
        })
        .map_err(|error| not_built(error.to_string()))
    }

    async fn send(&self, shaped: &Shaped) -> Result<Reply, NetError> {
        let (exchange, target) = (self.exchange, &self.entry.target);
        let timeouts = &exchange.snapshot.settings.timeouts;
        let head_timeout = match (target.provider.local, exchange.ask.stream) {
            (true, _) => timeouts.local_first,
            (false, true) => timeouts.head_stream,
            (false, false) => timeouts.head,
        };
        let outgoing = Outgoing {
            method: Method::POST,
            url: shaped.url.clone(),
            headers: wire_headers(&shaped.headers),
            body: self.body(shaped)?,
            dest: Destination::of(&target.provider),
            head_timeout,
            send_stall: timeouts.send_stall,
        };
        let connected = || self.marks.connected.set(Some(self.now()));
        exchange.worker.clients.send_watched(outgoing, connected).await
    }

    /// The client's bytes with as few changes as the upstream needs (execution tiers A and B).
    fn body(&self, shaped: &Shaped) -> Result<SplicedBody, NetError> {
        let ask = &self.exchange.ask;
        if !shaped.edits.is_empty() {
            // The body was peeked before: an edit cannot fail on it.
            return apply_edits(&ask.body, &shaped.edits)
                .map_err(|_peeked_before| NetError::Unsendable("its body cannot be edited"));
        }
        Ok(match (&ask.peek.model, &shaped.body_model) {
            (Some(model), Some(new)) => splice_model(&ask.body, model, new),
            (None, _) | (_, None) => SplicedBody::whole(ask.body.clone()),
        })
    }
}

/// Validators answer 400 or 422 to a field they do not know.
fn names_stream_options(failure: &Failure) -> bool {
    matches!(failure.status, Some(400 | 422))
        && failure.raw.as_ref().is_some_and(|raw| {
            let named = |name: &[u8]| memchr::memmem::find(&raw.body, name).is_some();
            named(b"stream_options") || named(b"include_usage")
        })
}
