//! One client request on its way: facts that every stage of the relay reads.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use bytes::Bytes;
use ninerouter_dialect::ollama::Form;
use ninerouter_dialect::translate::{Note, TranslateError};
use ninerouter_dialect::{Dialect, ErrorShape, Framing, Peek, StreamError, TapSummary, Usage};

use crate::actors::budgets::{Estimate, Reservation};
use crate::actors::shared::Shared;
use crate::actors::snapshot::Snapshot;
use crate::auth::admit::Caller;
use crate::auth::limits::KeyPermit;
use crate::auth::load::Portion;
use crate::clock::UnixMs;
use crate::gateway::admission::{Door, Inside, Names};
use crate::gateway::answer::Route;
use crate::gateway::blame::Blame;
use crate::gateway::broken::Broken;
use crate::gateway::deadline::{CLIENT_HEADER, Deadline};
use crate::gateway::failure::Failure;
use crate::gateway::media::Media;
use crate::gateway::record::{Ending, Recorder, estimated_tokens};
use crate::gateway::translation::Decoded;
use crate::gateway::worker::Worker;
use crate::provider::credential::Credential;
use crate::routing::affinity::SessionKey;
use crate::store::usage::ExecTier;

/// What the client asked for, after admission.
pub(super) struct Ask {
    /// Wire format of request and answer.
    pub dialect: Dialect,
    /// Shape of errors.
    pub shape: ErrorShape,
    /// Framing of a streamed answer.
    pub framing: Framing,
    /// Streamed answer wanted.
    pub stream: bool,
    /// Model id as the client wrote it.
    pub model: String,
    /// The request's body, decoded. Empty after the commit point.
    pub body: Bytes,
    /// Its size.
    pub body_bytes: usize,
    /// What one pass over the body found.
    pub peek: Peek,
    /// Legacy `/v1/completions`: the answer is mapped back at the edge.
    pub legacy_completion: bool,
    /// Ollama's API: the request became chat and the answer is mapped back at the edge.
    pub ollama: Option<Form>,
    /// Query string of the client without credentials.
    pub query: String,
}

impl Ask {
    /// How large the request is taken to be: its length, and what it may get at most (accounts §6.8).
    pub(super) fn size(&self) -> Estimate {
        const ANSWER: u64 = 4_096;
        Estimate {
            input: estimated_tokens(self.body_bytes),
            output: self.peek.max_tokens.unwrap_or(ANSWER).min(ANSWER),
        }
    }

    /// Whether the client speaks another language than [`Ask::dialect`].
    pub(super) fn is_mapped(&self) -> bool {
        self.legacy_completion || self.ollama.is_some()
    }
}

/// A request on its way.
pub(super) struct Exchange {
    /// Shared state of the process.
    pub shared: Arc<Shared>,
    /// This worker's clients and the router's address.
    pub worker: Rc<Worker>,
    /// Configuration as it was when the request came.
    pub snapshot: Arc<Snapshot>,
    /// Head of the client's request, until the commit point.
    pub http: Option<HttpRequest>,
    /// Names of its headers.
    pub names: Names,
    /// `x-request-id` of the answer.
    pub request_id: Arc<str>,
    /// Who asks.
    pub caller: Caller,
    /// What is asked.
    pub ask: Ask,
    /// The same in the neutral form, once an attempt needed it.
    pub decoded: OnceCell<Result<Decoded, TranslateError>>,
    /// What it names by address and an attempt needed as bytes.
    pub media: Media,
    /// When the request came, Unix ms.
    pub started_at: UnixMs,
    /// Nothing waits beyond this for the first content.
    pub deadline: Option<Deadline>,
    /// Where the attempt that is under way leads.
    pub running: Option<Route>,
    /// Usage row in the making; written when dropped.
    pub recorder: Recorder,
    /// Guards that free their places when the request is over.
    pub guards: Guards,
    /// Place among all requests in flight.
    pub _place: Portion,
}

impl std::fmt::Debug for Ask {
    /// Without the body: a prompt has no place in a log (SEC-LOG-1).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask")
            .field("dialect", &self.dialect)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("body_bytes", &self.body_bytes)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Exchange {
    /// Without headers: they hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("request_id", &self.request_id)
            .field("ask", &self.ask)
            .finish_non_exhaustive()
    }
}

/// Guards of one request.
#[derive(Debug)]
pub(super) struct Guards {
    /// Bytes of the body; given back at the commit point.
    pub body: Option<Portion>,
    /// Limits of the caller's key.
    pub key: Option<KeyPermit>,
    /// Set aside in the budgets of everything, of the key and of the combo.
    pub budget: Option<Reservation>,
    /// Set aside in the budgets of the provider and the account that are asked now.
    pub target_budget: Option<Reservation>,
}

impl Exchange {
    /// A request that may be relayed; `combo_limit` is its combo's own limit of time.
    #[must_use]
    pub(super) fn new(
        door: Door,
        ask: Ask,
        inside: Inside,
        guards: Guards,
        recorder: Recorder,
        combo_limit: Option<Duration>,
    ) -> Self {
        let (started, started_at) = recorder.started();
        let total = inside.snapshot.settings.timeouts.request_total;
        let deadline = Deadline::of(started, door.header(CLIENT_HEADER), combo_limit, total);
        let Door { worker, http, names, request_id, .. } = door;
        let shared = Arc::clone(&worker.shared);
        Self {
            caller: inside.admitted.caller,
            _place: inside.place,
            snapshot: inside.snapshot,
            deadline,
            shared,
            worker,
            http: Some(http),
            names,
            request_id,
            ask,
            decoded: OnceCell::new(),
            media: Media::default(),
            started_at,
            running: None,
            recorder,
            guards,
        }
    }

    /// First value of a client header, when it is text.
    #[must_use]
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.names.text(self.http.as_ref()?.headers(), name)
    }

    /// The earlier of `limit` from now and the request's own deadline.
    #[must_use]
    pub(super) fn until(&self, limit: Duration) -> Instant {
        let at = self.shared.clock.now() + limit;
        self.deadline.map_or(at, |deadline| at.min(deadline.at))
    }

    /// Whether a pause fits before the deadline.
    #[must_use]
    pub(super) fn has_time_for(&self, pause: Duration) -> bool {
        self.deadline.is_none_or(|deadline| self.shared.clock.now() + pause < deadline.at)
    }

    /// The limit, once it has passed.
    #[must_use]
    pub(super) fn overdue(&self) -> Option<Deadline> {
        self.deadline.filter(|deadline| self.shared.clock.now() >= deadline.at)
    }

    /// Keeps what a later request of this caller needs of the reasoning (translation §2.7).
    pub(super) fn remember(&self, notes: Vec<Note>) {
        let key = self.caller.key().map(|key| key.id);
        self.worker.signatures.record(key, notes);
    }

    /// The commit point: nothing is replayed any more, the client's request is let go.
    pub(super) fn release_request(&mut self) {
        self.http = None;
        self.ask.body = Bytes::new();
        self.decoded = OnceCell::new();
        self.media = Media::default();
        self.guards.body = None;
    }

    /// An attempt begins: what it may cost counts as spent until it is known what it did cost.
    pub(super) fn sets_aside_for(&mut self, route: &Route, reserved: Option<Reservation>) {
        self.guards.target_budget = reserved;
        let permit = self.guards.key.as_mut().filter(|permit| permit.counts_money());
        if permit.is_none() && self.guards.budget.is_none() {
            return;
        }
        let (target, size) = (&route.entry.target, self.ask.size());
        if let Some(permit) = permit {
            permit.re_estimate(self.snapshot.price(target, route.tier, size).paid.unwrap_or(0));
        }
        if let Some(budget) = &mut self.guards.budget {
            budget.re_estimate(self.snapshot.estimate(target, route.tier, size));
        }
    }

    /// Accounts for a request that reached an upstream: usage, cost, limits, affinity, row.
    pub(super) fn settle(
        &mut self,
        route: &Route,
        summary: &TapSummary,
        ending: Ending<'_>,
        sent: u64,
    ) {
        let usage = summary.usage.unwrap_or_else(|| self.estimate(summary));
        let target = &route.entry.target;
        let bill = self.snapshot.bill(target, route.tier, &usage, summary.cost_usd, route.overage);
        self.recorder.priced(bill, route.overage);
        if let Some(permit) = self.guards.key.take() {
            let tokens = usage.input.saturating_add(usage.output);
            permit.settle(tokens, bill.paid.unwrap_or(0), self.shared.clock.now_ms());
        }
        let known_id = summary.response_id.as_ref().filter(|_| route.exec != ExecTier::C);
        if let (Dialect::Resp, Some(id)) = (self.ask.dialect, known_id) {
            // Only this account knows the reply's id (accounts §6.5).
            let key = self.caller.key().map(|key| key.id);
            let (provider, model) = (&target.provider.id, &target.canonical);
            let session = SessionKey::of_response(key, id);
            let ttl = self.snapshot.affinity_ttl(provider);
            self.shared.affinity.bind(session, provider, model, route.account, ttl);
        }
        self.recorder.settled(ending, &usage, sent);
        // The row is charged: what was set aside for it is free again.
        (self.guards.budget, self.guards.target_budget) = (None, None);
    }

    /// What nobody counted (translation §3.3).
    fn estimate(&self, summary: &TapSummary) -> Usage {
        let answer = usize::try_from(summary.content_bytes).unwrap_or(usize::MAX);
        Usage {
            input: estimated_tokens(self.ask.body_bytes),
            output: estimated_tokens(answer),
            exact: false,
            ..Usage::default()
        }
    }

    /// What a break after the commit point means for the account.
    #[must_use]
    pub(super) fn broke(
        &self,
        route: &Route,
        credential: Option<&Credential>,
        why: Broken,
        event: Option<&StreamError>,
    ) -> Failure {
        let target = &route.entry.target;
        // Whether the credential can be refreshed matters before the commit point alone.
        let blame = Blame { exchange: self, target, oauth: false, credential };
        *blame.broke(why, event)
    }
}

impl Drop for Exchange {
    /// The client left in the middle of an attempt: the upstream bills what it was sent (REL-CAN-4).
    fn drop(&mut self) {
        if let Some(route) = self.running.take() {
            self.settle(&route, &TapSummary::default(), Ending::ClientLeft, 0);
        }
    }
}
