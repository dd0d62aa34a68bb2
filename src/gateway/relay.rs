//! The relay loop: checkout → send → classify → next attempt, or commit.
//!
//! Before the first content byte it may change account or entry; after it, never.

use std::sync::Arc;
use std::time::Duration;

use ninerouter_dialect::ErrorKind;
use sha2::{Digest, Sha256};

use crate::actors::breakers::Ended;
use crate::actors::checkout::{Checked, Journey, Verdict};
use crate::actors::lease::{Lease, Outcome};
use crate::gateway::attempt::{Attempt, Attempted, Marks, OpenStream, WholeAnswer};
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::{Failure, Trouble};
use crate::gateway::finale;
use crate::gateway::record::Ending;
use crate::gateway::reply::Refusal;
use crate::id::AccountId;
use crate::routing::account::Tier;
use crate::routing::breaker::HostResult;
use crate::routing::classify::{Class, Next};
use crate::routing::plan::PlannedEntry;

/// Attempts of a request for a single model: no combo sets a ceiling.
const MAX_ATTEMPTS: u32 = 12;
/// A hint longer than this is not waited for (accounts §5.1).
const SHORT_HINT: Duration = Duration::from_secs(3);
/// Pause before the one repetition after a transient failure of the last candidate.
const AFTER_TRANSIENT: Duration = Duration::from_millis(500);
/// The same after an overload.
const AFTER_OVERLOAD: Duration = Duration::from_secs(1);
/// Locks end up to this much after the hint (accounts §5.6): a repetition waits for it too.
const LOCK_JITTER: Duration = Duration::from_millis(1_050);
/// Without a limit of its own a checkout waits this long (a full provider, a token refresh).
const PATIENCE: Duration = Duration::from_secs(30);

/// What the client gets.
#[derive(Debug)]
pub(super) enum Answer {
    /// A whole answer.
    Whole(Box<WholeAnswer>, Route),
    /// A stream past its commit point.
    Stream(Box<Committed>),
    /// An error.
    Refused(Box<Refusal>),
}

/// Where an answer came from, for headers and the usage row.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Entry that served.
    pub entry: Arc<PlannedEntry>,
    /// Account that served.
    pub account: AccountId,
    /// Its label.
    pub label: String,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// Combo, when one was asked for.
    pub combo: Option<Arc<str>>,
    /// Price class.
    pub tier: Tier,
    /// The body was patched, not only spliced.
    pub patched: bool,
}

impl Route {
    /// A mark of the account that tells accounts apart and nothing else (endpoints §1).
    #[must_use]
    pub(super) fn account_mark(&self) -> String {
        account_mark(self.account)
    }
}

/// See [`Route::account_mark`].
#[must_use]
pub(super) fn account_mark(account: AccountId) -> String {
    let digest = Sha256::digest(account.as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A committed stream with everything it must give back.
#[derive(Debug)]
pub(super) struct Committed {
    /// Permission, reported at the end.
    pub lease: Option<Lease>,
    /// Where it comes from.
    pub route: Route,
    /// The stream itself.
    pub open: OpenStream,
}

/// One failed attempt and where it happened.
#[derive(Debug)]
pub(super) struct Stumble {
    /// Place of the entry in the plan.
    pub entry: usize,
    /// `prefix/model`.
    pub target: String,
    /// Account that was used.
    pub account: AccountId,
    /// What happened.
    pub failure: Failure,
}

/// Relays one request.
pub(super) async fn relay(exchange: &mut Exchange, journey: Journey) -> Answer {
    let mut relay = Relay {
        journey: Some(Box::new(journey)),
        stumbles: Vec::new(),
        attempts: 0,
        last_resort_used: false,
        rounds: 0,
    };
    relay.run(exchange).await
}

struct Relay {
    journey: Option<Box<Journey>>,
    stumbles: Vec<Stumble>,
    attempts: u32,
    last_resort_used: bool,
    rounds: u32,
}

/// What the loop does after an attempt or a refusal.
enum Step {
    Again,
    End(Answer),
}

impl Relay {
    async fn run(&mut self, exchange: &mut Exchange) -> Answer {
        loop {
            if exchange.deadline.is_some_and(|at| exchange.shared.clock.now() >= at)
                || self.attempts >= self.max_attempts()
            {
                return self.give_up(exchange);
            }
            let Some(journey) = self.journey.take() else { return self.give_up(exchange) };
            let deadline = exchange.until(PATIENCE);
            let worker = std::rc::Rc::clone(&exchange.worker);
            let Ok(Checked { journey, verdict }) = worker.checkout(journey, deadline).await else {
                return refused(
                    Refusal::new(ErrorKind::Unavailable, "the router is restarting; try again")
                        .code("router_overloaded")
                        .retry_after(1),
                );
            };
            exchange.recorder.through(&journey);
            self.journey = Some(journey);
            let step = match verdict {
                Verdict::Lease(lease) => self.attempt(exchange, *lease).await,
                Verdict::NoPlan(error) => Step::End(refused(finale::unresolved(&error))),
                Verdict::Busy if self.stumbles.is_empty() => Step::End(refused(
                    Refusal::new(
                        ErrorKind::RateLimit,
                        "every account is at its limit of concurrent requests; try again",
                    )
                    .code("router_busy")
                    .retry_after(1),
                )),
                Verdict::Busy | Verdict::Exhausted => self.exhausted(exchange).await,
            };
            if let Step::End(answer) = step {
                return answer;
            }
        }
    }

    fn max_attempts(&self) -> u32 {
        let combo = self.journey.as_ref().and_then(|j| j.combo());
        combo.map_or(MAX_ATTEMPTS, |combo| combo.max_attempts)
    }

    async fn attempt(&mut self, exchange: &mut Exchange, lease: Lease) -> Step {
        let Some((entry, position)) =
            self.journey.as_ref().and_then(|j| Some((Arc::clone(j.entry()?), j.position)))
        else {
            return Step::End(self.give_up(exchange));
        };
        self.attempts += 1;
        let mut marks = Marks::start(&exchange.shared.clock);
        exchange.recorder.attempt_started(&entry, position, &lease, marks);
        let mut patched = false;
        let attempted = Attempt { exchange: &*exchange, entry: &entry, lease: &lease }
            .run(&mut marks, &mut patched)
            .await;
        let route = self.route(exchange, &entry, &lease, patched);
        match attempted {
            Attempted::Whole(whole) => {
                self.served(exchange, &route, marks);
                let sent = u64::try_from(whole.body.len()).unwrap_or(u64::MAX);
                exchange.settle(&route, &whole.summary, Ending::Complete, sent);
                lease.report(Outcome::Success);
                Step::End(Answer::Whole(whole, route))
            }
            Attempted::Stream(open) => {
                self.served(exchange, &route, marks);
                exchange.release_body();
                let lease = Some(lease);
                Step::End(Answer::Stream(Box::new(Committed { lease, route, open: *open })))
            }
            Attempted::Failed(failure) => {
                self.stumbled(exchange, &entry, position, lease, *failure, marks)
            }
        }
    }

    fn route(
        &self,
        exchange: &Exchange,
        entry: &Arc<PlannedEntry>,
        lease: &Lease,
        patched: bool,
    ) -> Route {
        let own = entry.tier_override.or(lease.account.tier);
        let tier = exchange.snapshot.tier(&entry.target.provider, own);
        Route {
            entry: Arc::clone(entry),
            account: lease.account.id,
            label: lease.account.label.clone(),
            attempts: self.attempts,
            combo: self.journey.as_ref().and_then(|j| j.combo()).map(|c| Arc::clone(&c.name)),
            tier,
            patched,
        }
    }

    /// The commit point: from here on nothing is switched.
    fn served(&self, exchange: &mut Exchange, route: &Route, marks: Marks) {
        let shared = &exchange.shared;
        let target = &route.entry.target;
        shared.breakers.record(&target.provider.id, &target.canonical, Ended::Served);
        let Some(journey) = &self.journey else { return };
        if let Some(session) = journey.session {
            let (provider, model) = (&target.provider.id, &target.canonical);
            let ttl = exchange.snapshot.affinity_ttl(provider);
            shared.affinity.bind(session, provider, model, route.account, ttl);
            if let (Some(combo), Some(entry)) = (journey.combo(), route.entry.entry_id) {
                let ttl = Duration::from_secs(combo.sticky_ttl_s.into());
                shared.affinity.bind_entry(session, combo.id, entry, ttl);
            }
        }
        exchange.recorder.committed(route, marks);
    }

    fn stumbled(
        &mut self,
        exchange: &mut Exchange,
        entry: &Arc<PlannedEntry>,
        position: usize,
        lease: Lease,
        failure: Failure,
        marks: Marks,
    ) -> Step {
        let target = &entry.target;
        let classified = &failure.classified;
        let account = lease.account.id;
        self.note_for_others(exchange, entry, account, &failure);
        // Before the next checkout, so that this lock is seen by this request (design §3).
        lease.report(Outcome::Failed(Box::new(classified.clone())));
        let next = self.next(classified.class, classified.next, position);
        exchange.recorder.attempt_failed(&failure, next, marks);
        let ends = next == Next::Return;
        let stumble = Stumble { entry: position, target: target.key.clone(), account, failure };
        if let Some(journey) = &mut self.journey {
            if stumble.failure.classified.class == Class::ContextTooLong {
                let window = target.provider.model(&target.model).and_then(|model| model.ctx);
                journey.context_over = journey.context_over.max(Some(window.unwrap_or(0)));
                journey.unknown_context_tried |= window.is_none();
            }
            if next == Next::NextEntry {
                journey.next_entry();
            }
        }
        self.stumbles.push(stumble);
        if ends { Step::End(self.give_up(exchange)) } else { Step::Again }
    }
}

impl Relay {
    /// What the failure tells everybody else: breakers and the conversation's binding.
    fn note_for_others(
        &self,
        exchange: &Exchange,
        entry: &PlannedEntry,
        account: AccountId,
        failure: &Failure,
    ) {
        let (shared, target) = (&exchange.shared, &entry.target);
        let class = failure.classified.class;
        let ended = breaker_view(failure);
        shared.breakers.record(&target.provider.id, &target.canonical, ended);
        let unbinds = match class {
            Class::QuotaExhausted
            | Class::RateLimited
            | Class::PaymentRequired
            | Class::AuthExpired
            | Class::AuthDead
            | Class::AccountBanned => true,
            // Transient failures and the client's own faults keep the binding (accounts §6.5).
            Class::Overloaded
            | Class::Transient
            | Class::ModelUnavailable
            | Class::BadRequest
            | Class::ContextTooLong
            | Class::ContentPolicy
            | Class::ClientNotPermitted
            | Class::Entitlement
            | Class::EndpointMismatch
            | Class::ClientCancelled
            | Class::Unknown => false,
        };
        if let (true, Some(session)) = (unbinds, self.journey.as_ref().and_then(|j| j.session)) {
            shared.affinity.unbind(session, &target.provider.id, &target.canonical, account);
        }
    }

    /// Where the next attempt goes: the class's column of accounts §5.1, with its counts.
    fn next(&self, class: Class, next: Next, position: usize) -> Next {
        let before = |class: Class| {
            self.stumbles
                .iter()
                .filter(|s| s.entry == position && s.failure.classified.class == class)
                .count()
        };
        let policy_goes_on =
            self.journey.as_ref().and_then(|j| j.combo()).is_some_and(|c| c.fallback_on_policy);
        match class {
            // At most one other account: the provider is full, not the account.
            Class::Overloaded | Class::Unknown if before(class) > 0 => Next::NextEntry,
            Class::ContentPolicy if policy_goes_on => Next::NextEntry,
            _ => match next {
                // The same account comes last, when nobody else is left: see `exhausted`.
                Next::SameAccount => Next::NextAccount,
                Next::NextAccount | Next::NextEntry | Next::Return => next,
            },
        }
    }

    /// Nobody is left. One repetition on the last account, or one wait for a cool-down, may help.
    async fn exhausted(&mut self, exchange: &mut Exchange) -> Step {
        if let Some((pause, entry, account)) = self.last_resort() {
            self.last_resort_used = true;
            if exchange.has_time_for(pause) {
                tokio::time::sleep(pause).await;
                if let Some(journey) = &mut self.journey {
                    journey.return_to(entry, account);
                    return Step::Again;
                }
            }
        }
        match self.cooldown(exchange) {
            Some(pause) => {
                self.rounds += 1;
                tokio::time::sleep(pause).await;
                if let Some(journey) = &mut self.journey {
                    journey.start_over();
                }
                Step::Again
            }
            None => Step::End(self.give_up(exchange)),
        }
    }

    /// The repetition that accounts §5.1 allows on the same account, kept for when it is the last
    /// candidate (§6.4: no sleep between entries).
    fn last_resort(&self) -> Option<(Duration, usize, AccountId)> {
        if self.last_resort_used {
            return None;
        }
        let last = self.stumbles.last()?;
        let failure = &last.failure;
        let pause = match failure.classified.class {
            Class::RateLimited => {
                let hint = Duration::from_millis(failure.classified.retry_same_after_ms?.into());
                (hint <= SHORT_HINT).then_some(hint + LOCK_JITTER)?
            }
            Class::Overloaded => AFTER_OVERLOAD,
            // REL-T-3: a time-out is never turned into a second charge.
            Class::Transient => match failure.trouble {
                Trouble::Answer | Trouble::Unreachable | Trouble::BadAnswer => AFTER_TRANSIENT,
                Trouble::Timeout | Trouble::Blocked | Trouble::NotBuilt => return None,
            },
            Class::AuthExpired
            | Class::AuthDead
            | Class::QuotaExhausted
            | Class::ModelUnavailable
            | Class::BadRequest
            | Class::ContextTooLong
            | Class::ContentPolicy
            | Class::ClientNotPermitted
            | Class::PaymentRequired
            | Class::AccountBanned
            | Class::Entitlement
            | Class::EndpointMismatch
            | Class::ClientCancelled
            | Class::Unknown => return None,
        };
        Some((pause, last.entry, last.account))
    }

    /// The wait of the setting `wait_for_cooldown_s`: one more round when somebody recovers in time.
    fn cooldown(&self, exchange: &Exchange) -> Option<Duration> {
        let limit = exchange.snapshot.settings.wait_for_cooldown;
        if limit.is_zero() || self.rounds > 0 {
            return None;
        }
        let now = exchange.shared.clock.now_ms();
        let skips = self.journey.iter().flat_map(|j| j.skips.iter().filter_map(|s| s.until));
        let failures = self.stumbles.iter().filter_map(|s| s.failure.classified.until);
        let earliest = skips.chain(failures).filter(|until| *until > now).min()?;
        let pause = Duration::from_millis((earliest - now).unsigned_abs()) + LOCK_JITTER;
        (pause <= limit + LOCK_JITTER && exchange.has_time_for(pause)).then_some(pause)
    }

    fn give_up(&mut self, exchange: &mut Exchange) -> Answer {
        let journey = self.journey.take();
        if let Some(journey) = &journey {
            exchange.recorder.skipped(journey);
        }
        refused(finale::answer(exchange, journey.as_deref(), &self.stumbles))
    }
}

/// What a failed attempt says of the upstream's health (REL-UP-8, accounts §5.6).
fn breaker_view(failure: &Failure) -> Ended {
    let host = match failure.trouble {
        Trouble::Unreachable | Trouble::Timeout => HostResult::TransportFailure,
        Trouble::BadAnswer if failure.status.is_none() => HostResult::TransportFailure,
        Trouble::Answer if failure.status.is_some_and(|status| status >= 500) => {
            HostResult::ServerError
        }
        Trouble::Blocked | Trouble::NotBuilt => return Ended::Abandoned,
        Trouble::Answer | Trouble::BadAnswer => HostResult::Answered,
    };
    if failure.classified.class.feeds_breaker() { Ended::Failed { host } } else { Ended::Answered }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(Box::new(refusal))
}
