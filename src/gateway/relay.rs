//! The relay loop: checkout → send → classify → next attempt, or commit.
//!
//! Before the first content byte it may change account or entry; after it, never.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use ninerouter_dialect::ErrorKind;

use crate::actors::breakers::Ended;
use crate::actors::checkout::{Checked, Journey, Verdict};
use crate::actors::lease::{Lease, Outcome};
use crate::gateway::answer::{Answer, Committed, Route};
use crate::gateway::attempt::{Attempt, Marks, Served};
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::{Failure, Trouble};
use crate::gateway::finale;
use crate::gateway::record::Ending;
use crate::gateway::reply::Refusal;
use crate::gateway::retry::{self, Stumble};
use crate::id::AccountId;
use crate::provider::endpoint;
use crate::routing::account::{AccountConfig, AccountKind};
use crate::routing::affinity::SessionKeys;
use crate::routing::breaker::HostResult;
use crate::routing::classify::{Class, Classified, Next};
use crate::routing::plan::PlannedEntry;
use crate::store::usage::ExecTier;

/// Attempts of a request for a single model: no combo sets a ceiling.
const MAX_ATTEMPTS: u32 = 12;
/// Without a limit of its own a checkout waits this long (a full provider, a token refresh).
const PATIENCE: Duration = Duration::from_secs(30);

/// Relays one request, until it has an answer or the router stops.
pub(super) async fn relay(exchange: &mut Exchange, journey: Journey) -> Answer {
    let shared = Arc::clone(&exchange.shared);
    let mut relay = Relay {
        journey: Some(Box::new(journey)),
        stumbles: Vec::new(),
        attempts: 0,
        last_resort_used: false,
        rounds: 0,
    };
    let place = exchange.recorder.running().cloned();
    let cancelled = poll_fn(|cx| match &place {
        Some(request) => request.poll_cancelled(cx),
        None => Poll::Pending,
    });
    let done = {
        let running = std::pin::pin!(relay.run(exchange));
        let cut = std::pin::pin!(shared.drain.cut_token().cancelled());
        match select(running, select(cut, cancelled)).await {
            Either::Left((answer, _)) => Ok(answer),
            Either::Right((Either::Left(_), _)) => Err(Refusal::shutting_down()),
            Either::Right((Either::Right(_), _)) => Err(Refusal::cancelled()),
        }
    };
    done.unwrap_or_else(|refusal| {
        // What ran was dropped with its lease: no blame, no bill.
        exchange.running = None;
        Answer::refused(refusal)
    })
}

struct Relay {
    /// With the router while it is asked.
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
            if exchange.overdue().is_some() || self.attempts >= self.max_attempts() {
                return self.give_up(exchange);
            }
            let Some(journey) = self.journey.take() else { return self.give_up(exchange) };
            let deadline = exchange.until(PATIENCE);
            let worker = std::rc::Rc::clone(&exchange.worker);
            let Ok(Checked { journey, verdict }) = worker.checkout(journey, deadline).await else {
                return Answer::refused(
                    Refusal::new(ErrorKind::Unavailable, "the router is restarting; try again")
                        .code("router_overloaded")
                        .retry_after(1),
                );
            };
            exchange.recorder.through(&journey);
            self.journey = Some(journey);
            let step = match verdict {
                Verdict::Lease(lease) => self.attempt(exchange, *lease).await,
                Verdict::NoPlan(error) => Step::End(Answer::refused(finale::unresolved(&error))),
                Verdict::Busy if self.stumbles.is_empty() => {
                    Step::End(if exchange.overdue().is_some() {
                        self.give_up(exchange)
                    } else {
                        Answer::refused(
                            Refusal::new(
                                ErrorKind::RateLimit,
                                "every account is at its limit of concurrent requests; try again",
                            )
                            .code("router_busy")
                            .retry_after(1),
                        )
                    })
                }
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

    async fn attempt(&mut self, exchange: &mut Exchange, mut lease: Lease) -> Step {
        let Some((entry, position)) =
            self.journey.as_ref().and_then(|j| Some((Arc::clone(j.entry()?), j.position)))
        else {
            return Step::End(self.give_up(exchange));
        };
        let mut renewed = false;
        loop {
            self.attempts += 1;
            let marks = Marks::start(&exchange.shared.clock);
            let route = self.route(exchange, &entry, &lease);
            if !renewed {
                exchange.sets_aside_for(&route, lease.take_reservation());
            }
            exchange.recorder.attempt_started(&route, position, &marks);
            exchange.running = Some(route);
            let exec = Cell::new(ExecTier::A);
            let done = Attempt {
                exchange: &*exchange,
                entry: &entry,
                lease: &lease,
                marks: &marks,
                exec: &exec,
            }
            .run()
            .await;
            let refused = done.as_ref().is_err_and(|f| f.classified.class == Class::AuthExpired);
            if refused && !renewed && self.renew(exchange, &mut lease).await {
                renewed = true;
                if let Err(failure) = &done {
                    exchange.recorder.attempt_failed(failure, Next::SameAccount, &marks);
                }
                continue;
            }
            let Some(mut route) = exchange.running.take() else {
                return Step::End(self.give_up(exchange));
            };
            route.exec = exec.get();
            route.overage = lease.in_overage();
            return match done {
                Ok(Served::Whole(whole)) => {
                    self.served(exchange, &route, &marks);
                    let sent = u64::try_from(whole.body.len()).unwrap_or(u64::MAX);
                    exchange.settle(&route, &whole.summary, Ending::Complete, sent);
                    lease.report(Outcome::Success);
                    Step::End(Answer::Whole(whole, route))
                }
                Ok(Served::Stream(open)) => {
                    self.served(exchange, &route, &marks);
                    exchange.release_request();
                    let lease = Some(lease);
                    Step::End(Answer::Stream(Box::new(Committed { lease, route, open: *open })))
                }
                Err(failure) => self.stumbled(exchange, &entry, position, lease, *failure, &marks),
            };
        }
    }

    /// A token that was refused is replaced once per request, and the request repeated on the same account
    /// (accounts §3.5). False = there is no newer one.
    async fn renew(&self, exchange: &Exchange, lease: &mut Lease) -> bool {
        let now = exchange.shared.clock.now();
        let patience = exchange.until(PATIENCE).saturating_duration_since(now);
        lease.account.kind == AccountKind::OAuth && lease.renew(patience).await
    }

    fn route(&self, exchange: &Exchange, entry: &Arc<PlannedEntry>, lease: &Lease) -> Route {
        let own = entry.tier_override.or(lease.account.tier);
        let tier = exchange.snapshot.tier(&entry.target.provider, own);
        Route {
            entry: Arc::clone(entry),
            account: lease.account.id,
            label: lease.account.label.clone(),
            attempts: self.attempts,
            combo: self.journey.as_ref().and_then(|j| j.combo()).map(|c| Arc::clone(&c.name)),
            tier,
            exec: ExecTier::A,
            overage: false,
        }
    }

    /// The commit point: from here on nothing is switched.
    fn served(&self, exchange: &mut Exchange, route: &Route, marks: &Marks) {
        let shared = &exchange.shared;
        let target = &route.entry.target;
        shared.breakers.record(&target.provider.id, &target.canonical, Ended::Served);
        let Some(journey) = &self.journey else { return };
        for session in journey.session.iter() {
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
        marks: &Marks,
    ) -> Step {
        let target = &entry.target;
        let classified = &failure.classified;
        let account = lease.account.id;
        self.note_for_others(exchange, entry, account, &failure);
        if let Trouble::Proxy { down } = failure.trouble {
            self.proxy_failed(exchange, entry, &lease.account, down);
        }
        // The next account may cost the same provider's budget.
        exchange.guards.target_budget = None;
        // Before the next checkout, so that this lock is seen by this request (design §3).
        lease.report(match failure.trouble {
            Trouble::ClientsLimit => Outcome::Aborted,
            _ => Outcome::Failed(Box::new(classified.clone())),
        });
        let next = self.next(classified, position);
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
    /// Nobody else behind the same proxy is asked in vain: the next target's proxy differs (F63).
    fn proxy_failed(
        &mut self,
        exchange: &Exchange,
        entry: &PlannedEntry,
        account: &AccountConfig,
        everywhere: bool,
    ) {
        let (snapshot, target) = (&exchange.snapshot, &entry.target);
        let endpoint = endpoint::pick(
            &target.provider,
            target.provider.model(&target.model),
            exchange.ask.dialect,
            account.endpoint.as_deref(),
        );
        let hop = endpoint.and_then(|found| snapshot.hop(account, &target.provider, found));
        if let (Some(hop), Some(journey)) = (hop, &mut self.journey) {
            journey.hop_failed(hop, &target.provider.id, everywhere);
        }
    }

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
        let sessions = self.journey.as_ref().filter(|_| unbinds).map(|j| j.session);
        for session in sessions.into_iter().flat_map(SessionKeys::iter) {
            shared.affinity.unbind(session, &target.provider.id, &target.canonical, account);
        }
    }

    /// Nobody is left. One repetition on the last account, or one wait for a cool-down, may help.
    async fn exhausted(&mut self, exchange: &mut Exchange) -> Step {
        let last = self.stumbles.last().filter(|_| !self.last_resort_used);
        if let Some((last, pause)) = last.and_then(|last| Some((last, retry::repetition(last)?))) {
            let (entry, account) = (last.entry, last.account);
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

    /// Where the next attempt goes.
    fn next(&self, classified: &Classified, position: usize) -> Next {
        let combo = self.journey.as_ref().and_then(|j| j.combo());
        let policy_goes_on = combo.is_some_and(|combo| combo.fallback_on_policy);
        retry::next(classified, position, &self.stumbles, policy_goes_on)
    }

    /// The wait of the setting `wait_for_cooldown_s`: one more round when somebody recovers in time.
    fn cooldown(&self, exchange: &Exchange) -> Option<Duration> {
        let limit = exchange.snapshot.settings.wait_for_cooldown;
        if limit.is_zero() || self.rounds > 0 {
            return None;
        }
        let skips = self.journey.iter().flat_map(|j| j.skips.iter().filter_map(|s| s.until));
        let failures = self.stumbles.iter().filter_map(|s| s.failure.classified.until);
        let now = exchange.shared.clock.now_ms();
        let pause = retry::cooldown(skips.chain(failures), now, limit)?;
        exchange.has_time_for(pause).then_some(pause)
    }

    fn give_up(&mut self, exchange: &Exchange) -> Answer {
        let journey = self.journey.take();
        Answer::refused(match exchange.overdue() {
            Some(deadline) => {
                finale::overdue(exchange, deadline, journey.as_deref(), &self.stumbles)
            }
            None => finale::answer(exchange, journey.as_deref(), &self.stumbles),
        })
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
        Trouble::Proxy { .. } | Trouble::Blocked | Trouble::NotBuilt | Trouble::ClientsLimit => {
            return Ended::Abandoned;
        }
        Trouble::Answer | Trouble::BadAnswer => HostResult::Answered,
    };
    if failure.classified.class.feeds_breaker() { Ended::Failed { host } } else { Ended::Answered }
}
