//! New tokens for an account: one refresh at a time, whoever wants it (accounts §3.2, §3.5).
//!
//! The exchange itself is a task of [`Exchanges`](crate::actors::exchanges::Exchanges) and outlives this actor; what
//! waits here is answered when the actor has taken its result.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::auth::{Readiness, Way};
use super::{Account, Acquired, Denied};
use crate::actors::exchanges::{Ended, Job, Joined, Unrenewed, Want, Why};
use crate::actors::lease::Lease;
use crate::clock::UnixMs;
use crate::provider::credential::Credential;
use crate::routing::account::{AccountKind, Ownership};
use crate::routing::choose::Ineligible;
use crate::routing::classify::Class;
use crate::routing::freshness;
use crate::routing::ladder::FailureMemory;
use crate::routing::lock::Scope;
use crate::routing::target::Target;
use crate::store::hot_state::StoredAuth;

/// The upstream refused the token of this generation. Answered at once with a newer one, when there is one already or
/// on the way.
#[derive(Debug, Message)]
#[rtype(result = "Renewal")]
pub struct AuthFailed {
    /// The lease it happened under; `None` = a call outside of any lease.
    pub lease: Option<u64>,
    /// Generation of the credential that was refused.
    pub generation: u64,
}

/// What becomes of a refused token.
#[derive(Debug)]
pub enum Renewal {
    /// A newer one.
    Now(Arc<Credential>),
    /// It is being refreshed.
    Later(oneshot::Receiver<Option<Arc<Credential>>>),
    /// There is no newer one.
    None,
}

impl Renewal {
    /// The newer credential, when there is one in time.
    pub async fn wait(self, patience: std::time::Duration) -> Option<Arc<Credential>> {
        match self {
            Self::Now(credential) => Some(credential),
            Self::Later(answer) => tokio::time::timeout(patience, answer).await.ok()?.ok()?,
            Self::None => None,
        }
    }
}

/// Asks for a new token: when one is due, or with `force` now. For people.
#[derive(Debug, Message)]
#[rtype(result = "Result<Renewed, Unrenewed>")]
pub struct RefreshNow {
    /// Also when none is due, and during a pause after failures.
    pub force: bool,
}

/// Leaves `dead` for one attempt: a refresh, or, without a way to a new token, the next request (accounts §3.4).
#[derive(Debug, Message)]
#[rtype(result = "Result<Renewed, Unrenewed>")]
pub struct TryAgain;

/// The background's turn: refreshes when that is due. Answered when it is over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RefreshDue;

/// Takes locks away: all of them, or that of one scope. Answers how many.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct ClearLocks {
    /// `None` = every scope.
    pub scope: Option<Scope>,
}

/// A credential that serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renewed {
    /// End of the access token, Unix ms.
    pub expires_at: Option<UnixMs>,
    /// Its generation.
    pub generation: u64,
    /// False when the old one was good enough.
    pub changed: bool,
}

/// Who waits for a new token.
#[derive(Debug)]
enum Waiter {
    Lease {
        target: Arc<Target>,
        answer: oneshot::Sender<Result<Lease, Denied>>,
        _want: Want,
    },
    Refused {
        lease: Option<u64>,
        generation: u64,
        answer: oneshot::Sender<Option<Arc<Credential>>>,
        _want: Want,
    },
}

/// Why no refresh is begun for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Rest {
    /// The last one brought a token as short as the one before.
    #[default]
    Spacing,
    /// The last one failed.
    Backoff,
    /// The endpoint asked for it: not even people break it.
    Throttled,
}

/// The way to a next token, and how it stands.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// `None` = the token ends with its time.
    pub way: Option<Way>,
    /// Joined by this actor.
    running: Option<Joined>,
    waiters: Vec<Waiter>,
    /// No refresh before this instant, Unix ms; 0 = none is held back.
    pub not_before: UnixMs,
    /// Why.
    rest: Rest,
    /// Transient failures in a row.
    pub failures: u32,
    /// Generation whose access token an upstream refused.
    refused: Option<u64>,
    /// Next background refresh, Unix ms; the router reads it.
    pub due: Rc<Cell<Option<UnixMs>>>,
}

impl Renewals {
    pub(super) fn new(due: Rc<Cell<Option<UnixMs>>>) -> Self {
        Self { due, ..Self::default() }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn is_refused(&self, generation: u64) -> bool {
        self.refused == Some(generation)
    }

    /// Why no refresh is begun now.
    pub(super) fn rests(&self, now: UnixMs) -> Option<Rest> {
        let rests = self.not_before > now && !freshness::is_of_another_clock(self.not_before, now);
        (rests && self.running.is_none()).then_some(self.rest)
    }

    pub(super) fn rest_until(&mut self, until: UnixMs, rest: Rest) {
        (self.not_before, self.rest) = (until, rest);
    }

    /// A new token owes nothing.
    pub(super) fn start_over(&mut self) {
        self.failures = 0;
        self.refused = None;
        self.rest_until(0, Rest::Spacing);
    }

    /// Nobody gets anything of this account any more.
    pub(super) fn retire(&mut self) {
        self.waiters.clear();
        self.due.set(None);
    }

    /// Requests that hold a place while they wait.
    pub(super) fn places(&self) -> usize {
        let holds = |waiter: &&Waiter| match waiter {
            Waiter::Lease { answer, .. } => !answer.is_closed(),
            Waiter::Refused { .. } => false,
        };
        self.waiters.iter().filter(holds).count()
    }
}

impl Account {
    /// Gives a lease, at once or when there is a new token.
    pub(super) fn acquire(
        &mut self,
        target: Arc<Target>,
        ctx: &mut Context<Self>,
    ) -> Result<Acquired, Denied> {
        let now = self.shared.clock.now_ms();
        self.judge(now, &target)?;
        match self.readiness(now) {
            Readiness::Ready => self.grant(now, target, ctx.address()).map(Acquired::Lease),
            Readiness::Aging => {
                self.begin(ctx);
                self.grant(now, target, ctx.address()).map(Acquired::Lease)
            }
            Readiness::Short => {
                let Some(want) = self.begin(ctx).map(Joined::want) else {
                    return Err(self.expired(None, ctx));
                };
                let (answer, later) = oneshot::channel();
                self.renewal.waiters.push(Waiter::Lease { target, answer, _want: want });
                self.count_places();
                Ok(Acquired::Later(later))
            }
            Readiness::Expired(next_try) => Err(self.expired(next_try, ctx)),
            Readiness::Finished => {
                self.finish_sign_in(ctx);
                Err(Denied::Ineligible(Ineligible::Dead))
            }
        }
    }

    fn expired(&mut self, next_try: Option<UnixMs>, ctx: &mut Context<Self>) -> Denied {
        let auth = StoredAuth::Expired { next_try };
        if self.hot.auth != auth {
            self.set_auth(auth, ctx);
        }
        Denied::Ineligible(Ineligible::ExpiredToken { next_try })
    }

    /// The access token of a finished sign-in ran out, or was refused.
    fn finish_sign_in(&mut self, ctx: &mut Context<Self>) {
        if let StoredAuth::Expiring { reason, .. } = &self.hot.auth {
            let reason = reason.clone();
            self.die(&reason, ctx);
        }
    }

    /// Joins the account's exchange, or begins it. `None` = there is no way to a new token.
    pub(super) fn begin(&mut self, ctx: &mut Context<Self>) -> Option<&Joined> {
        if self.renewal.running.is_none() {
            let job = Job {
                shared: Arc::clone(&self.shared),
                clients: self.clients.clone(),
                account: Arc::clone(&self.config),
                provider: Arc::clone(&self.renewal.way.as_ref()?.provider),
                known: self.generation(),
            };
            let joined = self.shared.exchanges.join_or_begin(job);
            self.follow_exchange(joined, ctx);
        }
        self.renewal.running.as_ref()
    }

    /// Takes the result of a running exchange when it is there.
    pub(super) fn follow_exchange(&mut self, joined: Joined, ctx: &mut Context<Self>) {
        self.renewal.running = Some(joined.clone());
        self.plan_refresh();
        self.show();
        ctx.spawn(joined.ended().into_actor(self).map(|ended, act, ctx| act.ended(ended, ctx)));
    }

    fn ended(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        self.renewal.running = None;
        if self.retired {
            self.renewal.waiters.clear();
            return;
        }
        match ended {
            Ok(credential) if credential.generation <= self.generation() => {
                self.plan_refresh();
                self.show();
            }
            Ok(credential) if self.shared.exchanges.brought(self.id, credential.generation) => {
                self.adopt(credential, ctx);
            }
            // A sign-in was faster than the exchange.
            Ok(credential) => {
                self.take_sign_in(Some(credential));
                self.set_auth(StoredAuth::Ok, ctx);
                self.renew_quota();
            }
            Err(failed) => self.not_renewed(&failed, ctx),
        }
        self.answer_waiters(ctx);
    }

    /// Answers everybody who waited for a token, from the state of now.
    pub(super) fn answer_waiters(&mut self, ctx: &mut Context<Self>) {
        let waiters = std::mem::take(&mut self.renewal.waiters);
        if waiters.is_empty() {
            return;
        }
        self.count_places();
        for waiter in waiters {
            match waiter {
                Waiter::Lease { target, answer, .. } if !answer.is_closed() => {
                    let lease = self.grant_with_what_is_left(target, ctx);
                    // A lease nobody takes any more reports itself.
                    drop(answer.send(lease));
                }
                Waiter::Lease { .. } => {}
                Waiter::Refused { lease, generation, answer, .. } => {
                    drop(answer.send(self.newer_than(generation, lease)));
                }
            }
        }
        self.nudge();
    }

    /// After a refresh, also after one that failed: a token that is not over yet is used.
    fn grant_with_what_is_left(
        &mut self,
        target: Arc<Target>,
        ctx: &mut Context<Self>,
    ) -> Result<Lease, Denied> {
        let now = self.shared.clock.now_ms();
        self.judge(now, &target)?;
        let lives = self.life().is_none_or(|life| life.expires_at > now);
        if lives && !self.renewal.is_refused(self.generation()) {
            return self.grant(now, target, ctx.address());
        }
        let next_try = Some(self.renewal.not_before).filter(|_| self.renewal.way.is_some());
        Err(Denied::Ineligible(Ineligible::ExpiredToken { next_try }))
    }

    /// A credential newer than the one that was refused; the lease goes on with it.
    fn newer_than(&mut self, generation: u64, lease: Option<u64>) -> Option<Arc<Credential>> {
        let credential = self.credential.clone().filter(|own| own.generation > generation)?;
        if let Some(held) = lease.and_then(|id| self.leases.get_mut(&id)) {
            held.generation = credential.generation;
        }
        Some(credential)
    }

    fn token_refused(&mut self, msg: &AuthFailed, ctx: &mut Context<Self>) -> Renewal {
        if self.retired || msg.generation > self.generation() {
            return Renewal::None;
        }
        // Somebody else's refresh was faster.
        if let Some(newer) = self.newer_than(msg.generation, msg.lease) {
            return Renewal::Now(newer);
        }
        self.finish_sign_in(ctx);
        if matches!(self.hot.auth, StoredAuth::Dead { .. }) {
            return Renewal::None;
        }
        let rests = self.renewal.rests(self.shared.clock.now_ms());
        let file = self.config.ownership == Ownership::Follow;
        if !file && matches!(rests, Some(Rest::Backoff | Rest::Throttled)) {
            return Renewal::None;
        }
        self.renewal.refused = Some(msg.generation);
        let Some(want) = self.begin(ctx).map(Joined::want) else { return Renewal::None };
        let (answer, later) = oneshot::channel();
        let AuthFailed { lease, generation } = *msg;
        self.renewal.waiters.push(Waiter::Refused { lease, generation, answer, _want: want });
        Renewal::Later(later)
    }

    /// Begins a refresh for somebody who is told how it ended.
    fn renew(&mut self, ctx: &mut Context<Self>) -> ResponseFuture<Result<Renewed, Unrenewed>> {
        let joined = self.begin(ctx).cloned();
        Box::pin(async move {
            // Failures are not repeated at once: people see them, and ask again if they like.
            let Some(joined) = joined else { return Err(no_way()) };
            joined.ended().await.map(|credential| Renewed {
                expires_at: credential.expires_at,
                generation: credential.generation,
                changed: true,
            })
        })
    }

    fn unchanged(&self) -> Renewed {
        let expires_at = self.life().map(|life| life.expires_at);
        Renewed { expires_at, generation: self.generation(), changed: false }
    }
}

fn no_way() -> Unrenewed {
    let text = "the account's token is not refreshed: it has no refresh token, or refreshing is switched off";
    Unrenewed::new(Why::NoWay, text)
}

fn at_once<T: 'static>(answer: T) -> ResponseFuture<T> {
    Box::pin(std::future::ready(answer))
}

impl Handler<AuthFailed> for Account {
    type Result = MessageResult<AuthFailed>;

    fn handle(&mut self, msg: AuthFailed, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.token_refused(&msg, ctx))
    }
}

impl Handler<RefreshNow> for Account {
    type Result = ResponseFuture<Result<Renewed, Unrenewed>>;

    fn handle(&mut self, msg: RefreshNow, ctx: &mut Self::Context) -> Self::Result {
        let now = self.shared.clock.now_ms();
        if self.retired || self.renewal.way.is_none() {
            return at_once(Err(no_way()));
        }
        if let StoredAuth::Dead { reason, .. } = &self.hot.auth {
            let text = format!("the account is dead ({reason}); sign in again, or try again");
            return at_once(Err(Unrenewed::new(Why::Dead("dead"), text)));
        }
        if self.renewal.rests(now) == Some(Rest::Throttled) {
            let until = self.renewal.not_before;
            let text = "the token endpoint asked for a pause; try again later";
            return at_once(Err(Unrenewed::new(Why::Throttled(until), text)));
        }
        let due = matches!(self.readiness(now), Readiness::Aging | Readiness::Short);
        if !msg.force && !due {
            return at_once(Ok(self.unchanged()));
        }
        self.renew(ctx)
    }
}

impl Handler<TryAgain> for Account {
    type Result = ResponseFuture<Result<Renewed, Unrenewed>>;

    fn handle(&mut self, _: TryAgain, ctx: &mut Self::Context) -> Self::Result {
        if self.retired || self.credential.is_none() {
            let text = "the account's secrets cannot be read; give it a new credential";
            return at_once(Err(Unrenewed::new(Why::Dead("secrets_unreadable"), text)));
        }
        if self.renewal.way.is_some() && self.config.kind == AccountKind::OAuth {
            self.renewal.not_before = 0;
            return self.renew(ctx);
        }
        // What a refused key has against it stays remembered: the next refusal is final again.
        self.table.borrow_mut().update(self.id, |view| {
            view.locks.retain(|lock| !matches!(lock.class, Class::AuthDead | Class::AuthExpired));
        });
        self.set_auth(StoredAuth::Ok, ctx);
        at_once(Ok(self.unchanged()))
    }
}

impl Handler<RefreshDue> for Account {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: RefreshDue, ctx: &mut Self::Context) -> Self::Result {
        let now = self.shared.clock.now_ms();
        if self.retired || self.renewal.due.get().is_none_or(|due| due > now) {
            return at_once(());
        }
        let Some(joined) = self.begin(ctx).cloned() else {
            self.renewal.due.set(None);
            return at_once(());
        };
        Box::pin(async move { drop(joined.ended().await) })
    }
}

impl Handler<ClearLocks> for Account {
    type Result = usize;

    fn handle(&mut self, msg: ClearLocks, ctx: &mut Self::Context) -> usize {
        if self.retired {
            return 0;
        }
        let mut cleared = 0;
        self.table.borrow_mut().update(self.id, |view| {
            let before = view.locks.len();
            view.locks.retain(|lock| msg.scope.as_ref().is_some_and(|scope| lock.scope != *scope));
            cleared = before - view.locks.len();
        });
        self.memory = FailureMemory::default();
        self.forget_quota(msg.scope.as_ref());
        self.change(|_| {});
        self.save(ctx, true);
        cleared
    }
}
