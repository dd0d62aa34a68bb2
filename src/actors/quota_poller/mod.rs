//! Usage endpoints, looked at in the background and when somebody asks (accounts §4.4). Whatever they say or fail to
//! say, a request never waits for them and a failure changes nothing in routing.

mod asks;
mod cadence;
mod call;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::debug;

use crate::actors::desk::RouterDesk;
use crate::actors::quota_poller::asks::{Answer, Ask};
use crate::actors::quota_poller::cadence::{Book, Cx, LEAST_GAP_MS, due_at};
use crate::actors::quota_poller::call::{Caller, Done};
use crate::actors::router::{Pollable, PollableAccounts};
use crate::actors::shared::Shared;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::net::Clients;
use crate::provider::catalog::Provider;
use crate::provider::quota::usage::{Style, has_usage};

pub use asks::{PollRefused, QuotaPolls};

/// How often it is looked whose time has come.
const TICK: Duration = Duration::from_secs(15);
/// Looks at a time.
const AT_A_TIME: usize = 2;
/// Looks that wait.
const QUEUE: usize = 100;
/// Between two looks at one provider.
const SPACING: Duration = Duration::from_millis(1_500);
/// The same at Google.
const GOOGLE_SPACING: Duration = Duration::from_secs(12);
/// The router answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);

/// The actor. Lives on the control thread.
#[derive(Debug)]
pub struct QuotaPoller {
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    caller: Caller,
    background: bool,
    started_at: UnixMs,
    books: HashMap<AccountId, Book>,
    queue: VecDeque<Job>,
    /// Accounts that are looked at now.
    running: HashSet<AccountId>,
    /// When a provider may be asked again.
    free_at: HashMap<Arc<str>, Instant>,
    wake: Option<SpawnHandle>,
}

/// Ends the actor and what it waits for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// One look to be made.
#[derive(Debug)]
struct Job {
    account: Pollable,
    provider: Arc<Provider>,
    answers: Vec<oneshot::Sender<Answer>>,
}

impl QuotaPoller {
    /// Starts it on the calling thread's arbiter. Without `background` it looks only when it is asked.
    pub fn launch(shared: Arc<Shared>, desk: Arc<RouterDesk>, background: bool) -> Addr<Self> {
        let clients = Clients::new(Arc::clone(&shared.net));
        let started_at = shared.clock.now_ms();
        Self {
            caller: Caller { shared: Arc::clone(&shared), clients },
            shared,
            desk,
            background,
            started_at,
            books: HashMap::new(),
            queue: VecDeque::new(),
            running: HashSet::new(),
            free_at: HashMap::new(),
            wake: None,
        }
        .start()
    }

    /// Asks the router who there is, then does `then` with those that have a usage endpoint.
    fn with_accounts(
        &self,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Vec<Pollable>, &mut Context<Self>) + 'static,
    ) {
        let ask = self.desk.addr().send(PollableAccounts).timeout(ASK);
        ctx.spawn(ask.into_actor(self).map(move |accounts, act, ctx| {
            // A router that is restarting has no accounts at this moment: the next tick asks again.
            then(act, accounts.unwrap_or_default(), ctx);
        }));
    }

    /// Queues whose time has come.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.with_accounts(ctx, |act, accounts, ctx| {
            let snapshot = act.shared.snapshot.load_full();
            let now = act.shared.clock.now_ms();
            let known: HashSet<_> = accounts.iter().map(|a| a.config.id).collect();
            act.books.retain(|id, _| known.contains(id));
            for account in accounts {
                let provider = snapshot.catalog.by_id(&account.config.provider);
                let Some(provider) = provider.filter(|provider| has_usage(provider)) else {
                    continue;
                };
                let book = act.book(account.config.id);
                let due = due_at(
                    &book,
                    &Cx {
                        now,
                        started_at: act.started_at,
                        every: i64::try_from(snapshot.settings.quota_poll.as_millis())
                            .unwrap_or(i64::MAX),
                        last_used_at: account.last_used_at,
                        quota: account.quota.as_deref(),
                    },
                );
                if due <= now {
                    let provider = Arc::clone(provider);
                    act.enqueue(Job { account, provider, answers: Vec::new() });
                }
            }
            act.pump(ctx);
        });
    }

    fn book(&mut self, account: AccountId) -> Book {
        let jitter = self.shared.jitter();
        *self.books.entry(account).or_insert(Book { jitter, ..Book::default() })
    }

    /// Somebody wants to know now.
    fn asked(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        let wanted = ask.account;
        self.with_accounts(ctx, move |act, accounts, ctx| {
            let mut answers: Vec<_> = ask.answer.into_iter().collect();
            if let Err(why) = act.take(wanted, accounts, &mut answers) {
                for answer in answers {
                    // Whoever asked may be gone.
                    drop(answer.send(Err(why.clone())));
                }
            }
            act.pump(ctx);
        });
    }

    fn take(
        &mut self,
        wanted: AccountId,
        accounts: Vec<Pollable>,
        answers: &mut Vec<oneshot::Sender<Answer>>,
    ) -> Result<(), PollRefused> {
        let account = accounts.into_iter().find(|account| account.config.id == wanted);
        let account = account.ok_or(PollRefused::Unusable)?;
        let snapshot = self.shared.snapshot.load_full();
        let provider = snapshot.catalog.by_id(&account.config.provider);
        let provider =
            provider.filter(|provider| has_usage(provider)).ok_or(PollRefused::NoEndpoint)?;
        // One that waits already answers this question, too.
        if let Some(job) = self.queue.iter_mut().find(|job| job.account.config.id == wanted) {
            job.answers.append(answers);
            return Ok(());
        }
        let now = self.shared.clock.now_ms();
        let next = self.book(wanted).tried_at.map(|at| at.saturating_add(LEAST_GAP_MS));
        if let Some(next) = next.filter(|next| *next > now) {
            return Err(PollRefused::TooSoon { next });
        }
        if self.queue.len() >= QUEUE || self.running.contains(&wanted) {
            return Err(PollRefused::Busy);
        }
        let (provider, answers) = (Arc::clone(provider), std::mem::take(answers));
        self.queue.push_front(Job { account, provider, answers });
        Ok(())
    }

    fn enqueue(&mut self, job: Job) {
        let id = job.account.config.id;
        let waits = self.queue.iter().any(|known| known.account.config.id == id);
        if !waits && !self.running.contains(&id) && self.queue.len() < QUEUE {
            self.queue.push_back(job);
        }
    }

    /// Starts what may start.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if let Some(wake) = self.wake.take() {
            ctx.cancel_future(wake);
        }
        let now = self.shared.clock.now();
        while self.running.len() < AT_A_TIME {
            let free = |job: &Job| self.free_at.get(&job.provider.id).is_none_or(|at| *at <= now);
            let Some(job) = self.queue.iter().position(free).and_then(|at| self.queue.remove(at))
            else {
                break;
            };
            let google = Style::of(&job.provider).is_some_and(Style::is_google);
            let spacing = if google { GOOGLE_SPACING } else { SPACING };
            self.free_at.insert(Arc::clone(&job.provider.id), now + spacing);
            self.start(job, ctx);
        }
        self.free_at.retain(|_, at| *at > now);
        if self.running.len() < AT_A_TIME && !self.queue.is_empty() {
            let waits = self.queue.iter().filter_map(|job| self.free_at.get(&job.provider.id));
            if let Some(at) = waits.min() {
                let pause = at.saturating_duration_since(now);
                self.wake = Some(ctx.run_later(pause, |act, ctx| {
                    act.wake = None;
                    act.pump(ctx);
                }));
            }
        }
    }

    fn start(&mut self, job: Job, ctx: &mut Context<Self>) {
        let Job { account, provider, answers } = job;
        let id = account.config.id;
        self.running.insert(id);
        let caller = self.caller.clone();
        let look = async move { (caller.look(&provider, &account.addr).await, provider) };
        ctx.spawn(look.into_actor(self).map(move |(done, provider), act, ctx| {
            act.running.remove(&id);
            let (now, jitter) = (act.shared.clock.now_ms(), act.shared.jitter());
            if let Some(Done { looked, .. }) = &done {
                debug!(provider = %provider.id, account.id = %id, ?looked, "usage page");
                act.books.entry(id).or_default().note(*looked, now, jitter);
            }
            let document = done.and_then(|done| done.document);
            for answer in answers {
                // Whoever asked may be gone.
                drop(answer.send(document.clone().ok_or(PollRefused::Unusable)));
            }
            act.pump(ctx);
        }));
    }
}

impl Actor for QuotaPoller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(mut asks) = self.shared.quota_polls.take() {
            let asks = futures_util::stream::poll_fn(move |cx| asks.poll_recv(cx));
            ctx.add_stream(asks);
        }
        if self.background {
            ctx.run_interval(TICK, Self::tick);
        }
    }
}

impl StreamHandler<Ask> for QuotaPoller {
    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        // What only accounts want is work of its own accord.
        if self.background || ask.answer.is_some() {
            self.asked(ask, ctx);
        }
    }

    /// The queue never ends while the process shares it.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Stop> for QuotaPoller {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
