//! Model lists of upstreams: fetched in the background, kept in the store, never waited for (providers §6).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use futures_util::future::join;
use ninerouter_dialect::SplicedBody;
use tracing::{debug, warn};

use crate::actors::account::Show;
use crate::actors::desk::RouterDesk;
use crate::actors::router::{Find, UsableAccounts};
use crate::actors::shared::Shared;
use crate::actors::snapshot::AccountSource;
use crate::id::AccountId;
use crate::net::{
    Clients, Destination, Initiator, Method, NetError, Outgoing, Purpose, wire_headers,
};
use crate::provider::beside::BesideCx;
use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::provider::models::{
    ListRequest, LiveModel, MAX_MODELS, MAX_PAGES, NotAList, has_list, list_request, next_page,
    parse,
};
use crate::provider::request::ShapeError;
use crate::routing::account::AccountConfig;
use crate::routing::live::{LiveList, LiveModels};
use crate::store::models::{LiveRow, live_lists, replace_live};
use crate::store::{Store, StoreError};

/// A list is fetched again after this; up to a tenth more, so that restarts do not stay in step.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
/// The same for providers on the operator's own machines (endpoints §4.5).
const LOCAL_PERIOD: Duration = Duration::from_secs(10 * 60);
/// After a failure; local providers are asked again after their ordinary period.
const RETRY: Duration = Duration::from_secs(60 * 60);
/// After a token that is being refreshed.
const NO_TOKEN: Duration = Duration::from_secs(60);
/// A whole list, all pages (security §17).
const PATIENCE: Duration = Duration::from_secs(15);
/// A whole list of a local provider (endpoints §4.5).
const LOCAL_PATIENCE: Duration = Duration::from_millis(2_500);
/// One page.
const MAX_BODY: usize = 4 << 20;
/// Accounts of one provider that are asked: pools of hundreds of keys see one and the same list.
const ACCOUNTS_PER_PROVIDER: usize = 16;
/// The first round waits this long and up to five times as long: starting clients come first.
const SETTLE: Duration = Duration::from_millis(200);
/// Longest pause before a fetch.
const GAP: Duration = Duration::from_millis(250);
/// When the router did not answer, the next round begins after this.
const NO_ROUTER: Duration = Duration::from_secs(60);
/// The router answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);

/// The actor. Lives on the control thread.
#[derive(Debug)]
pub struct Discovery {
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    clients: Clients,
    due: HashMap<AccountId, Instant>,
    timer: Option<SpawnHandle>,
    busy: bool,
    /// Everything is due when the round under way ends.
    again: bool,
    /// Another round follows the one under way.
    look: bool,
}

/// Fetches every list now: the configuration changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Refresh;

/// Fetches the lists of accounts that are new, beside those whose time has come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Look;

/// Ends the actor and what it waits for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// One list to fetch.
#[derive(Clone, Debug)]
struct Job {
    provider: Arc<Provider>,
    account: Arc<AccountConfig>,
    /// Accounts of the provider whose lists count.
    peers: Arc<HashSet<String>>,
}

/// How one fetch ended.
#[derive(Debug)]
struct Done {
    account: AccountId,
    local: bool,
    served: bool,
    /// For a new token.
    waits: bool,
}

/// Why a list was not had. The last good one stays.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No token, or one that is being refreshed.
    #[error("the account has no valid token now")]
    NoCredential,
    /// The upstream is too slow.
    #[error("no answer in time")]
    Timeout,
    /// The upstream refuses.
    #[error("status {0}")]
    Status(u16),
    /// The upstream answers with something else.
    #[error(transparent)]
    NotAList(#[from] NotAList),
    /// The upstream is not reached.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The account lacks a value that the call needs.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The list cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process ends.
    #[error("the task was cancelled")]
    Cancelled(#[from] tokio::task::JoinError),
}

/// Fetches the list of one account now, whatever is due, and takes it into use. Returns how many models it names; 0 for
/// an account without a list.
///
/// `peers` are the ids of all accounts of the provider whose lists count.
///
/// # Errors
/// See [`Failure`].
pub async fn fetch_now(
    shared: &Arc<Shared>,
    desk: &Arc<RouterDesk>,
    clients: &Clients,
    provider: Arc<Provider>,
    account: Arc<AccountConfig>,
    peers: Arc<HashSet<String>>,
) -> Result<usize, Failure> {
    let (shared, desk, clients) = (Arc::clone(shared), Arc::clone(desk), clients.clone());
    Fetcher { shared, desk, clients }.job(&Job { provider, account, peers }).await
}

/// The lists of the last run, by provider: those of accounts that still exist. Blocking.
///
/// A store that cannot be read gives none: they are fetched again.
#[must_use]
pub fn stored(store: &Store, accounts: &[AccountSource]) -> HashMap<Arc<str>, Arc<LiveList>> {
    let rows = store.read(|conn| live_lists(conn, None)).unwrap_or_else(|error| {
        warn!(%error, "the model lists of the last run cannot be read");
        Vec::new()
    });
    let mut owners: HashMap<String, &Arc<str>> = HashMap::new();
    for source in accounts.iter().filter(|a| a.view.config.enabled) {
        owners.insert(source.view.config.id.to_string(), &source.view.config.provider);
    }
    let mut by_provider: HashMap<Arc<str>, Vec<LiveModel>> = HashMap::new();
    for (provider, account, row) in rows {
        if let Some(owner) = owners.get(&account).filter(|owner| owner.as_ref() == provider) {
            let model = LiveModel::of_stored(row.model, &row.facts);
            by_provider.entry(Arc::clone(owner)).or_default().push(model);
        }
    }
    by_provider.into_iter().map(|(id, models)| (id, Arc::new(LiveList::new(models)))).collect()
}

/// A state that begins with the lists of the last run. Blocking.
#[must_use]
pub fn restored(store: &Store, accounts: &[AccountSource]) -> LiveModels {
    let models = LiveModels::default();
    models.replace(stored(store, accounts));
    models
}

impl Discovery {
    /// Starts it on the calling thread's arbiter.
    #[must_use]
    pub fn launch(shared: Arc<Shared>, desk: Arc<RouterDesk>) -> Addr<Self> {
        let clients = Clients::new(Arc::clone(&shared.net));
        let due = HashMap::new();
        Self { shared, desk, clients, due, timer: None, busy: false, again: false, look: false }
            .start()
    }

    /// Fetches what is due, and sees to the next round.
    fn round(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if std::mem::replace(&mut self.busy, true) {
            return;
        }
        let ask = self.desk.addr().send(UsableAccounts).timeout(ASK);
        let round = ask.into_actor(self).then(|answer, act, _| {
            // A router that is restarting has no accounts at this moment: the next round asks again.
            let jobs = answer.map(|accounts| act.jobs(accounts));
            let fetcher = Fetcher {
                shared: Arc::clone(&act.shared),
                desk: Arc::clone(&act.desk),
                clients: act.clients.clone(),
            };
            async move {
                match jobs {
                    Ok(jobs) => Some(fetcher.work(jobs).await),
                    Err(_no_router) => None,
                }
            }
            .into_actor(act)
        });
        ctx.spawn(round.map(|done, act, ctx| act.finish(done, ctx)));
    }

    /// One job per account whose list is due, at most so many per provider.
    fn jobs(&mut self, accounts: Vec<Arc<AccountConfig>>) -> VecDeque<Job> {
        let snapshot = self.shared.snapshot.load();
        let now = self.shared.clock.now();
        let mut by_provider: HashMap<Arc<str>, Vec<Arc<AccountConfig>>> = HashMap::new();
        for account in accounts {
            by_provider.entry(Arc::clone(&account.provider)).or_default().push(account);
        }
        let mut jobs = Vec::new();
        let mut known = HashSet::new();
        for (id, mut accounts) in by_provider {
            let Some(provider) = snapshot.catalog.by_id(&id).filter(|p| has_list(p)) else {
                continue;
            };
            let peers = Arc::new(accounts.iter().map(|account| account.id.to_string()).collect());
            accounts.truncate(ACCOUNTS_PER_PROVIDER);
            known.extend(accounts.iter().map(|account| account.id));
            let due =
                accounts.into_iter().filter(|a| self.due.get(&a.id).is_none_or(|at| *at <= now));
            jobs.extend(due.map(|account| Job {
                provider: Arc::clone(provider),
                account,
                peers: Arc::clone(&peers),
            }));
        }
        self.due.retain(|id, _| known.contains(id));
        // By id, which is by age: no provider's accounts are asked in one run.
        jobs.sort_by_key(|job| job.account.id);
        jobs.into()
    }

    fn finish(&mut self, done: Option<Vec<Done>>, ctx: &mut Context<Self>) {
        self.busy = false;
        let now = self.shared.clock.now();
        let answered = done.is_some();
        for done in done.unwrap_or_default() {
            let period = match (done.local, done.served) {
                (_, false) if done.waits => NO_TOKEN,
                (true, _) => LOCAL_PERIOD,
                (false, true) => PERIOD,
                (false, false) => RETRY,
            };
            self.due.insert(done.account, now + stretched(period, self.shared.jitter()));
        }
        if std::mem::take(&mut self.again) {
            self.due.clear();
            self.look = false;
            self.round(ctx);
            return;
        }
        if std::mem::take(&mut self.look) {
            self.round(ctx);
            return;
        }
        let next = match self.due.values().min() {
            Some(at) if answered => at.saturating_duration_since(now),
            // Nobody has a list: a changed configuration starts the next round.
            None if answered => return,
            Some(_) | None => NO_ROUTER,
        };
        self.timer = Some(ctx.run_later(next, Self::round));
    }
}

/// A period and up to a tenth more.
fn stretched(period: Duration, jitter: u32) -> Duration {
    period + period / 10_000 * (jitter % 1_000)
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let settle = SETTLE + SETTLE * (self.shared.jitter() % 5);
        self.timer = Some(ctx.run_later(settle, Self::round));
    }
}

impl Handler<Refresh> for Discovery {
    type Result = ();

    fn handle(&mut self, _: Refresh, ctx: &mut Self::Context) {
        self.due.clear();
        // A running round may have read the old configuration.
        self.again = self.busy;
        self.round(ctx);
    }
}

impl Handler<Look> for Discovery {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        // A round under way knows nothing of what has just come; the next one begins when it ends.
        if self.busy {
            self.look = true;
        } else {
            self.round(ctx);
        }
    }
}

impl Handler<Stop> for Discovery {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// What fetching needs; independent of the actor, which answers meanwhile.
#[derive(Debug)]
struct Fetcher {
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    clients: Clients,
}

impl Fetcher {
    /// Works the jobs off, two at a time.
    async fn work(&self, jobs: VecDeque<Job>) -> Vec<Done> {
        let (jobs, done) = (RefCell::new(jobs), RefCell::default());
        join(self.worker(&jobs, &done), self.worker(&jobs, &done)).await;
        done.into_inner()
    }

    async fn worker(&self, jobs: &RefCell<VecDeque<Job>>, done: &RefCell<Vec<Done>>) {
        loop {
            let next = jobs.borrow_mut().pop_front();
            let Some(job) = next else { return };
            tokio::time::sleep(GAP / 100 * (self.shared.jitter() % 100)).await;
            let outcome = self.job(&job).await;
            let waits = matches!(outcome, Err(Failure::NoCredential));
            if let Err(why) = &outcome {
                debug!(provider = %job.provider.id, account.id = %job.account.id, %why, "model list not fetched");
            }
            let (account, local) = (job.account.id, job.provider.local);
            done.borrow_mut().push(Done { account, local, served: outcome.is_ok(), waits });
        }
    }

    /// Returns how many models the list names.
    async fn job(&self, job: &Job) -> Result<usize, Failure> {
        let credential = self.credential(job.account.id).await.ok_or(Failure::NoCredential)?;
        let request = {
            let snapshot = self.shared.snapshot.load();
            list_request(&BesideCx {
                provider: &job.provider,
                account: &job.account,
                credential: &credential,
                extra_headers: snapshot.extra_headers(&job.provider.id),
                moment: self.shared.moment(&snapshot),
            })?
        };
        let Some(request) = request else { return Ok(0) };
        let patience = if job.provider.local { LOCAL_PATIENCE } else { PATIENCE };
        let models = tokio::time::timeout(patience, self.pages(job, &request, patience))
            .await
            .map_err(|_elapsed| Failure::Timeout)??;
        let count = models.len();
        self.keep(job, models).await?;
        Ok(count)
    }

    /// The account's credential of now. Its actor knows whether its token lives.
    async fn credential(&self, account: AccountId) -> Option<Arc<Credential>> {
        let addr = self.desk.addr().send(Find { account }).timeout(ASK).await.ok().flatten()?;
        let shown = addr.send(Show).timeout(ASK).await.ok().flatten()?;
        Some(shown.credential)
    }

    /// The whole list, page by page.
    async fn pages(
        &self,
        job: &Job,
        request: &ListRequest,
        patience: Duration,
    ) -> Result<Vec<LiveModel>, Failure> {
        let mut seen = HashSet::new();
        let mut models = Vec::new();
        let mut url = Some(request.url.clone());
        for _ in 0..MAX_PAGES {
            let Some(this) = url.take() else { break };
            let body = self.page(job, request, this, patience).await?;
            let style = request.style;
            // 4 MiB of JSON would hold up the router, which shares this thread.
            let page = tokio::task::spawn_blocking(move || parse(style, &body)).await??;
            let before = models.len();
            let room = MAX_MODELS.saturating_sub(before);
            let fresh = page.models.into_iter().filter(|model| seen.insert(model.id.clone()));
            models.extend(fresh.take(room));
            // A page without anything new is a circle.
            if models.len() > before && models.len() < MAX_MODELS {
                url = page.next.and_then(|next| next_page(&request.url, &next));
            }
        }
        Ok(models)
    }

    async fn page(
        &self,
        job: &Job,
        request: &ListRequest,
        url: String,
        patience: Duration,
    ) -> Result<Bytes, Failure> {
        let out = Outgoing {
            method: Method::GET,
            url,
            headers: wire_headers(&request.headers),
            body: SplicedBody::whole(Bytes::new()),
            dest: Destination::of(&job.provider),
            route: self.shared.snapshot.load().route(&job.account.proxy, &job.provider),
            head_timeout: patience,
            send_stall: patience,
            initiator: Initiator::of(Purpose::Models, &job.provider.id),
        };
        let reply = self.clients.send(out).await?;
        match reply.status {
            200..=299 => Ok(reply.body.collect(MAX_BODY, patience).await?),
            status => Err(Failure::Status(status)),
        }
    }

    /// Stores the list, and shows it together with those of the provider's other accounts.
    async fn keep(&self, job: &Job, models: Vec<LiveModel>) -> Result<(), Failure> {
        let (shared, job) = (Arc::clone(&self.shared), job.clone());
        let kept = move || -> Result<(), StoreError> {
            let rows: Vec<_> = models
                .iter()
                .map(|m| crate::store::models::LiveModel { model: m.id.clone(), facts: m.facts() })
                .collect();
            let (provider, account) = (&job.provider.id, job.account.id.to_string());
            let now = shared.clock.now_ms();
            shared.store.write(|conn| replace_live(conn, provider, &account, &rows, now))?;
            let all = shared.store.read(|conn| live_lists(conn, Some(provider)))?;
            let counts = |row: &LiveRow| job.peers.contains(&row.1);
            let models = all.into_iter().filter(counts);
            let models = models.map(|(_, _, row)| LiveModel::of_stored(row.model, &row.facts));
            shared.live_models.set(provider, LiveList::new(models));
            Ok(())
        };
        Ok(tokio::task::spawn_blocking(kept).await??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_stretched_by_a_tenth_at_most() {
        assert_eq!(stretched(PERIOD, 0), PERIOD);
        for jitter in [1, 999, 1_000, u32::MAX] {
            let stretched = stretched(PERIOD, jitter);
            assert!(stretched >= PERIOD && stretched < PERIOD + PERIOD / 10, "{stretched:?}");
        }
    }
}
