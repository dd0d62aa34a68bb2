//! Running token exchanges, by account. An exchange outlives the request that wanted it, the actor that began it and
//! the router: a refresh token is redeemed once, and what it bought is stored (accounts §3.2).
//!
//! Everything runs on the control thread; the registry itself may be looked at from anywhere.

mod follow;
mod redeem;
mod run;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::actors::exchanges::run::Exchange;
use crate::actors::shared::Shared;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::net::Clients;
use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::routing::account::AccountConfig;
use crate::secret::Secret;

/// Why there is no newer credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// It may work later.
    Transient,
    /// The endpoint is not to be called before this instant, Unix ms.
    Throttled(UnixMs),
    /// Only a sign-in helps; the word is the reason of `dead`.
    Dead(&'static str),
    /// The followed file holds nothing newer.
    FileIsStale,
    /// There is nothing to redeem.
    NoWay,
    /// The account was removed.
    Removed,
}

/// A refresh that brought nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unrenewed {
    /// What follows.
    pub why: Why,
    /// Status of the endpoint, when it answered.
    pub status: Option<u16>,
    /// Cause and remedy, for the operator. Never holds a token.
    pub text: String,
}

impl Unrenewed {
    pub(crate) fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, status: None, text: text.into() }
    }
}

/// How an exchange ended.
pub type Ended = Result<Arc<Credential>, Unrenewed>;

/// What an exchange is about.
#[derive(Clone, Debug)]
pub struct Job {
    /// Process-wide state.
    pub shared: Arc<Shared>,
    /// Clients of the control thread.
    pub clients: Clients,
    /// The account.
    pub account: Arc<AccountConfig>,
    /// Its provider.
    pub provider: Arc<Provider>,
    /// Generation that is not good enough any more.
    pub known: u64,
}

/// A running exchange, as whoever wants its result sees it.
#[derive(Clone, Debug)]
pub struct Joined {
    result: watch::Receiver<Option<Ended>>,
    wanted: Arc<AtomicUsize>,
}

impl Joined {
    /// Waits for the end.
    pub async fn ended(mut self) -> Ended {
        match self.result.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| Err(broken_off())),
            Err(_task_is_gone) => Err(broken_off()),
        }
    }

    /// Says that a request waits, for as long as the guard lives: failures are then repeated at once.
    #[must_use]
    pub fn want(&self) -> Want {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Want(Arc::clone(&self.wanted))
    }
}

/// A request that waits for an exchange.
#[derive(Debug)]
pub struct Want(Arc<AtomicUsize>);

impl Drop for Want {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn broken_off() -> Unrenewed {
    Unrenewed::new(Why::Transient, "the token exchange broke off; it is tried again")
}

/// Tokens that could not be written yet. Whoever needs the account's secrets takes these.
#[derive(Clone, Debug)]
struct Unsaved {
    credential: Arc<Credential>,
    refresh_token: Option<Secret>,
    /// Generation in the store that they replace.
    base: u64,
}

#[derive(Debug, Default)]
struct Open {
    running: Option<Joined>,
    unsaved: Option<Unsaved>,
}

impl Open {
    fn is_over(&self) -> bool {
        self.running.is_none() && self.unsaved.is_none()
    }
}

/// The registry. One per process.
#[derive(Debug, Default)]
pub struct Exchanges {
    open: Mutex<HashMap<AccountId, Open>>,
    /// Last generation that an exchange wrote: a newer one in the store is somebody's sign-in.
    written: Mutex<HashMap<AccountId, u64>>,
    ended: Notify,
    hurry: CancellationToken,
}

impl Exchanges {
    /// Joins the exchange of an account, or begins it on the calling thread, which must be the control thread.
    #[must_use]
    pub fn join_or_begin(&self, job: Job) -> Joined {
        let id = job.account.id;
        let (tell, result) = watch::channel(None);
        let joined = {
            let mut open = self.open();
            let entry = open.entry(id).or_default();
            if let Some(running) = &entry.running {
                return running.clone();
            }
            let joined = Joined { result, wanted: Arc::default() };
            entry.running = Some(joined.clone());
            joined
        };
        let exchange = Exchange::new(job, tell, Arc::clone(&joined.wanted));
        // Owned by the registry; neither an actor nor a request can end it.
        actix_rt::spawn(exchange.run());
        joined
    }

    /// The exchange of an account that runs now.
    #[must_use]
    pub fn running(&self, id: AccountId) -> Option<Joined> {
        self.open().get(&id).and_then(|open| open.running.clone())
    }

    /// The credential of an account that is not written yet, and the generation it replaces.
    #[must_use]
    pub fn unsaved(&self, id: AccountId) -> Option<(Arc<Credential>, u64)> {
        let open = self.open();
        let unsaved = open.get(&id)?.unsaved.as_ref()?;
        Some((Arc::clone(&unsaved.credential), unsaved.base))
    }

    /// True when that generation came from an exchange of this process; else somebody signed in.
    #[must_use]
    pub fn brought(&self, id: AccountId, generation: u64) -> bool {
        let unsaved =
            || self.unsaved(id).is_some_and(|(newest, _)| newest.generation == generation);
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&id) == Some(&generation) || unsaved()
    }

    fn note_written(&self, id: AccountId, generation: u64) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(id, generation);
    }

    /// Forgets an account that is no more.
    pub fn forget(&self, id: AccountId) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Accounts whose newest tokens are in memory only.
    #[must_use]
    pub fn unsaved_accounts(&self) -> Vec<AccountId> {
        let open = self.open();
        open.iter().filter(|(_, open)| open.unsaved.is_some()).map(|(id, _)| *id).collect()
    }

    /// A stop waits: what runs ends, and what is not written is tried more often. False when something is still
    /// open at `deadline`.
    pub async fn settle(&self, deadline: Instant) -> bool {
        self.hurry.cancel();
        let over = async {
            loop {
                let ended = self.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                if self.open().is_empty() {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout_at(deadline.into(), over).await.is_ok()
    }

    /// Changes an account's entry; one that is over goes.
    fn change(&self, id: AccountId, change: impl FnOnce(&mut Open)) {
        let mut open = self.open();
        let entry = open.entry(id).or_default();
        change(entry);
        if entry.is_over() {
            open.remove(&id);
            self.ended.notify_waiters();
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<AccountId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
