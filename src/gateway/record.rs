//! The usage row of one request, filled on the way and handed to the Ledger exactly once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ninerouter_dialect::{Dialect, ErrorShape, TapSummary, Usage};
use tracing::{Level, debug};

use crate::actors::capture::Tape;
use crate::actors::checkout::Journey;
use crate::actors::live::follow::{Follower, Step};
use crate::actors::live::running::{Asked, Entrant, Place, RunningRequest};
use crate::actors::shared::Shared;
use crate::actors::snapshot::Billed;
use crate::auth::key::KeyRecord;
use crate::clock::UnixMs;
use crate::gateway::admission::{Door, Inside, Visitor};
use crate::gateway::answer::{Route, account_mark};
use crate::gateway::attempt::Marks;
use crate::gateway::exchange::Ask;
use crate::gateway::failure::Failure;
use crate::gateway::reply::Refusal;
use crate::gateway::taped;
use crate::gateway::tool::tool_of;
use crate::redact::redact_text;
use crate::routing::classify::Next;
use crate::routing::plan::PlannedEntry;
use crate::store::usage::{
    AttemptOutcome, AttemptRow, InboundDialect, RequestKind, RequestRow, RequestStatus, UsageRecord,
};

/// Attempt rows of one request; more are not written.
const MOST_ATTEMPTS: usize = 64;
/// Rows after which skips are left out, so that calls always have theirs.
const MOST_SKIPS: usize = 48;
/// Status of a request whose client went away; never sent.
const CLIENT_CLOSED: u16 = 499;
/// Characters of a model id in a log line.
const LOGGED_MODEL: usize = 200;

/// How a request that reached an upstream ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending<'a> {
    /// The client has the whole answer.
    Complete,
    /// The answer broke after the commit point.
    Broken(&'a Failure),
    /// The client went away.
    ClientLeft,
}

/// A usage row in the making. Dropped, it is written as it is: a client that left before any answer.
#[derive(Debug)]
pub(super) struct Recorder {
    shared: Arc<Shared>,
    row: RequestRow,
    attempts: Vec<AttemptRow>,
    /// Place among the requests that run, once it is known what is asked for.
    place: Option<Place>,
    key: Option<Arc<KeyRecord>>,
    /// Skips of the journey that have their rows.
    skips: usize,
    started: Instant,
    /// Its bodies, while they are captured.
    tape: Option<Tape>,
    /// Hears of each step.
    follower: Option<Follower>,
    written: bool,
}

/// Tokens of a text of this many bytes when nobody counted (translation §3.3): bytes / 3.6.
#[must_use]
pub(super) fn estimated_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(10).div_ceil(36)
}

impl Recorder {
    /// Begins a row for a request that has just come in.
    #[must_use]
    pub(super) fn begin(door: &Door) -> Self {
        let shared = Arc::clone(&door.worker.shared);
        let external = door.header("x-request-id").filter(|id| **id == *door.request_id);
        let row = RequestRow {
            id: if external.is_some() { own_id() } else { door.request_id.to_string() },
            ts: shared.clock.now_ms(),
            external_id: external.map(str::to_owned),
            tool: tool_of(door.header("user-agent")).to_owned(),
            entrypoint: door.matched.entrypoint.to_string(),
            status: RequestStatus::ClientCancelled,
            http_status: CLIENT_CLOSED,
            list_cost: Some(0),
            paid_cost: Some(0),
            ..RequestRow::default()
        };
        let started = shared.clock.now();
        let follower = match &door.visitor {
            Visitor::Client => None,
            Visitor::Operator { follower } => follower.clone(),
        };
        Self {
            shared,
            row,
            attempts: Vec::new(),
            place: None,
            key: None,
            skips: 0,
            started,
            tape: None,
            follower,
            written: false,
        }
    }

    /// The request was none that is counted: no row.
    pub(super) fn discard(&mut self) {
        self.written = true;
    }

    /// When the request came: monotonic, and Unix ms.
    #[must_use]
    pub(super) fn started(&self) -> (Instant, UnixMs) {
        (self.started, self.row.ts)
    }

    /// The caller is known.
    pub(super) fn admitted(&mut self, inside: &Inside) {
        self.row.client_ip = Some(inside.admitted.addr.client.to_string());
        if let Some(key) = inside.caller().key() {
            self.row.api_key_id = Some(key.id);
            self.row.api_key_name = Some(key.name.clone());
            self.key = Some(Arc::clone(key));
        }
    }

    /// The body is there.
    pub(super) fn sized(&mut self, bytes: usize) {
        self.row.bytes_in = u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Its bodies are captured from now on, when they are wanted.
    pub(super) fn captures(&mut self, door: &Door, body: &Bytes) {
        self.tape = self.shared.capture.tape(self.key.as_deref());
        if let Some(tape) = &self.tape {
            taped::client_request(tape, door, body);
        }
    }

    /// Its place among the requests that run; `None` = it has none.
    #[must_use]
    pub(super) fn running(&self) -> Option<&Arc<RunningRequest>> {
        self.place.as_ref().map(Place::request)
    }

    /// Where its bodies go; `None` = they are not captured.
    #[must_use]
    pub(super) fn tape(&self) -> Option<&Tape> {
        self.tape.as_ref()
    }

    /// Number of the attempt that is under way, from 1 on.
    #[must_use]
    pub(super) fn attempt_number(&self) -> u32 {
        self.row.attempts.into()
    }

    /// It is known what is asked for.
    pub(super) fn asked(&mut self, ask: &Ask) {
        self.row.dialect = match ask.dialect {
            Dialect::Chat => InboundDialect::Chat,
            Dialect::Resp => InboundDialect::Resp,
            Dialect::Anth => InboundDialect::Anth,
            Dialect::Gem => InboundDialect::Gem,
        };
        if ask.ollama.is_some() {
            self.row.dialect = InboundDialect::Ollama;
        }
        if ask.legacy_completion {
            self.row.kind = RequestKind::Completion;
        }
        self.row.stream = ask.stream;
        self.row.requested_model.clone_from(&ask.model);
        self.place = Some(self.shared.live.running().enter(Entrant {
            request_id: self.row.id.clone(),
            started_at: self.row.ts,
            tool: self.row.tool.clone(),
            key: self.key.take(),
            dialect: self.row.dialect,
            stream: self.row.stream,
            requested_model: self.row.requested_model.clone(),
        }));
    }

    /// So much of the answer has come: bytes of text, or the upstream's own count.
    pub(super) fn has_got(&self, summary: &TapSummary) {
        if let Some(place) = &self.place {
            let counted = summary.usage.map_or(0, |usage| usage.output);
            let text = usize::try_from(summary.content_bytes).unwrap_or(usize::MAX);
            place.got(counted.max(estimated_tokens(text)));
        }
    }

    /// The conversation, as a keyed hash: equal ids of two installations do not look alike.
    pub(super) fn session(&mut self, mac: [u8; 32]) {
        self.row.session_hash = Some(mac);
    }

    /// An attempt begins. If it is the last one, the row names it, whatever becomes of it.
    pub(super) fn attempt_started(&mut self, route: &Route, position: usize, marks: &Marks) {
        if self.row.attempts == 0 {
            self.row.queue_ms = Some(millis(self.started, marks.started));
        }
        self.row.attempts += 1;
        let target = &route.entry.target;
        self.row.provider = Some(target.provider.id.to_string());
        self.row.model = Some(target.upstream_model.clone());
        self.row.model_key = Some(target.key.clone());
        self.row.account_id = Some(route.account);
        self.row.account_label = Some(route.label.clone());
        self.row.tier = Some(route.tier);
        self.row.entry_index = Some(route.entry.index);
        self.row.fallback = self.row.attempts > 1 || route.entry.index > 0;
        if let Some(place) = &self.place {
            place.asks(Asked {
                entry: Arc::clone(&route.entry),
                account: route.account,
                label: route.label.clone(),
                attempt: self.row.attempts,
            });
        }
        let mut row = self.attempt(&route.entry, position, marks.at, AttemptOutcome::Aborted);
        row.account_id = Some(route.account);
        row.account_label = Some(route.label.clone());
        if self.attempts.is_empty() {
            // Most requests have one attempt; a list that grows by itself makes room for four.
            self.attempts.reserve_exact(1);
        }
        self.attempts.push(row);
        self.tell(Step::Began);
    }

    /// Whoever follows the request hears of its newest attempt.
    fn tell(&self, step: fn(AttemptRow) -> Step) {
        if let (Some(follower), Some(row)) = (&self.follower, self.attempts.last()) {
            follower.tell(step(row.clone()));
        }
    }

    fn attempt(
        &self,
        entry: &PlannedEntry,
        position: usize,
        ts: UnixMs,
        outcome: AttemptOutcome,
    ) -> AttemptRow {
        AttemptRow {
            n: u16::try_from(self.attempts.len() + 1).unwrap_or(u16::MAX),
            ts,
            target: entry.target.key.clone(),
            entry_index: u16::try_from(position).ok(),
            account_id: None,
            account_label: None,
            outcome,
            class: None,
            upstream_status: None,
            code: None,
            message: None,
            next: Next::Return,
            until: None,
            connect_ms: None,
            head_ms: None,
            first_ms: None,
            total_ms: None,
        }
    }

    /// The attempt failed.
    pub(super) fn attempt_failed(&mut self, failure: &Failure, next: Next, marks: &Marks) {
        let now = self.shared.clock.now();
        let Some(row) = self.attempts.last_mut() else { return };
        row.outcome = AttemptOutcome::Failed;
        row.class = Some(failure.classified.class);
        row.upstream_status = failure.status;
        row.code.clone_from(&failure.classified.code);
        row.message = Some(redact_text(&failure.classified.message).into_owned());
        row.next = next;
        row.until = failure.classified.until;
        times(row, marks, now);
        self.tell(Step::Ended);
    }

    /// The attempt serves: the commit point.
    pub(super) fn committed(&mut self, route: &Route, marks: &Marks) {
        self.row.exec_tier = Some(route.exec);
        self.row.ttft_ms = marks.first.get().map(|first| millis(self.started, first));
        if let Some(row) = self.attempts.last_mut() {
            row.outcome = AttemptOutcome::Ok;
            times(row, marks, self.shared.clock.now());
        }
        self.tell(Step::Ended);
    }

    /// The router answered: what was asked for may be a combo, and some of it may have been passed over
    /// without a call.
    pub(super) fn through(&mut self, journey: &Journey) {
        if let (None, Some(combo)) = (self.row.combo_id, journey.combo()) {
            self.row.combo_id = Some(combo.id);
            self.row.combo_name = Some(combo.name.to_string());
        }
        for skip in journey.skips.iter().skip(self.skips) {
            let Some(entry) = journey.plan.as_ref().and_then(|p| p.entries.get(skip.entry)) else {
                continue;
            };
            if self.attempts.len() >= MOST_SKIPS {
                break;
            }
            let mut row = self.attempt(entry, skip.entry, skip.at, AttemptOutcome::Skipped);
            row.account_id = skip.account;
            row.account_label.clone_from(&skip.label);
            row.message = Some(skip.reason.to_string());
            row.next = Next::NextEntry;
            row.until = skip.until;
            self.attempts.push(row);
            self.tell(Step::Ended);
        }
        self.skips = journey.skips.len();
    }

    /// The request ends with an error of ours, or with an upstream's that is handed on.
    /// `sent` bytes tell the client so.
    pub(super) fn refused(&mut self, refusal: &Refusal, shape: ErrorShape, sent: u64) {
        let status = refusal.http_status(shape);
        let turned_away = self.row.attempts == 0 && matches!(status, 401 | 403 | 429);
        self.row.bytes_out = sent;
        self.row.status = if turned_away { RequestStatus::Rejected } else { RequestStatus::Error };
        self.row.http_status = status;
        self.row.error_code = refusal.error.code.as_deref().map(str::to_owned);
        self.row.error_class = refusal.class.map(|class| class.as_str().to_owned());
        self.write();
    }

    /// The request ends with usage to account for.
    pub(super) fn settled(&mut self, ending: Ending<'_>, usage: &Usage, bytes_out: u64) {
        self.row.input_tokens = usage.input;
        self.row.cached_tokens = usage.cached;
        self.row.cache_write_5m_tokens = usage.cache_write_5m;
        self.row.cache_write_1h_tokens = usage.cache_write_1h;
        self.row.output_tokens = usage.output;
        self.row.reasoning_tokens = usage.reasoning;
        self.row.estimated = !usage.exact;
        self.row.bytes_out = bytes_out;
        match ending {
            Ending::Complete => {
                self.row.status = RequestStatus::Ok;
                self.row.http_status = 200;
            }
            Ending::Broken(failure) => {
                self.row.status = RequestStatus::Error;
                self.row.http_status = 200;
                self.row.incomplete = true;
                self.row.error_class = Some(failure.classified.class.as_str().to_owned());
                self.row.error_code.clone_from(&failure.classified.code);
                if let Some(row) = self.attempts.last_mut() {
                    row.outcome = AttemptOutcome::Failed;
                    row.class = Some(failure.classified.class);
                    row.code.clone_from(&failure.classified.code);
                    row.message = Some(redact_text(&failure.classified.message).into_owned());
                }
                self.tell(Step::Ended);
            }
            Ending::ClientLeft => {
                self.row.status = RequestStatus::ClientCancelled;
                self.row.http_status = CLIENT_CLOSED;
                self.row.incomplete = true;
            }
        }
        self.write();
    }

    /// What it cost.
    pub(super) fn priced(&mut self, cost: Billed, overage: bool) {
        self.row.list_cost = cost.list;
        self.row.paid_cost = cost.paid;
        self.row.price_source = cost.source;
        self.row.notional = cost.notional;
        self.row.overage = overage;
    }

    fn write(&mut self) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        self.row.total_ms = Some(millis(self.started, self.shared.clock.now()));
        let mut attempts = std::mem::take(&mut self.attempts);
        attempts.truncate(MOST_ATTEMPTS);
        let mut request = std::mem::take(&mut self.row);
        if let Some(tape) = self.tape.take() {
            let (kept, bytes) = tape.ended(&request.id, request.ts, request.status);
            request.captured = kept;
            request.body_bytes = if kept { bytes } else { 0 };
        }
        log(&request);
        // Before anything set aside for it is given back.
        self.shared.budgets.charge(&request, self.shared.clock.now_ms());
        self.place = None;
        let record = UsageRecord { request, attempts };
        if let Some(follower) = self.follower.take() {
            follower.tell(Step::Over(Box::new(record.clone())));
        }
        self.shared.live.publish_request(|| Arc::new(record.clone()));
        self.shared.ledger.record(record);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.write();
    }
}

/// One line per request, for whoever looks at the log at level `debug`.
fn log(row: &RequestRow) {
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let model: String = row.requested_model.chars().take(LOGGED_MODEL).collect();
    let id = row.external_id.as_deref().unwrap_or(&row.id);
    let mark = row.account_id.map(account_mark);
    debug!(
        request.id = %id,
        entrypoint = %row.entrypoint,
        status = row.http_status,
        %model,
        target = row.model_key.as_deref().unwrap_or_default(),
        account = mark.as_deref().unwrap_or_default(),
        attempts = row.attempts,
        code = row.error_code.as_deref().unwrap_or_default(),
        ms = row.total_ms.unwrap_or_default(),
        "request finished"
    );
}

fn own_id() -> String {
    crate::id::request::request_id(None)
}

fn millis(from: Instant, to: Instant) -> u32 {
    u32::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u32::MAX)
}

fn times(row: &mut AttemptRow, marks: &Marks, now: Instant) {
    let since_start = |at: Option<Instant>| at.map(|at| millis(marks.started, at));
    row.connect_ms = since_start(marks.connected.get());
    row.head_ms = since_start(marks.head.get());
    row.first_ms = since_start(marks.first.get());
    row.total_ms = Some(millis(marks.started, now));
}
