//! One exchange: what is stored, what the endpoint or the file says, and the write that comes before any use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{Ended, Exchanges, Job, Unrenewed, Unsaved, Why};
use crate::actors::shared::Shared;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::credential::Credential;
use crate::provider::oauth::refresh::SCOPE;
use crate::routing::account::Ownership;
use crate::secret::Secret;
use crate::store::secrets::{self, NewSecrets};
use crate::store::{StoreError, accounts};

/// Pause between two attempts to write tokens (accounts §3.2).
const RETRY: Duration = Duration::from_secs(5);
/// The same while a stop waits for them.
const HURRIED_RETRY: Duration = Duration::from_millis(200);

/// What an exchange begins with.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Credential of now.
    pub credential: Arc<Credential>,
    /// Redeemed by the exchange.
    pub refresh_token: Option<Secret>,
    /// Generation in the store; less than the credential's while that one is not written.
    pub base: u64,
}

/// What an exchange brought.
#[derive(Debug)]
pub(super) enum Brought {
    /// New tokens, not written yet.
    Tokens(Box<New>),
    /// Somebody else wrote a newer generation.
    Newer(Arc<Credential>),
}

/// New tokens.
#[derive(Debug)]
pub(super) struct New {
    pub access_token: Secret,
    /// `None` = the old one stays.
    pub refresh_token: Option<Secret>,
    pub id_token: Option<Secret>,
    pub expires_at: Option<UnixMs>,
    pub scope: Option<String>,
}

/// A running exchange. When it ends, by whatever way, it is off the registry.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) job: Job,
    tell: watch::Sender<Option<Ended>>,
    wanted: Arc<AtomicUsize>,
    /// Still to be taken off the registry.
    listed: bool,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Exchange {
    pub(super) fn new(
        job: Job,
        tell: watch::Sender<Option<Ended>>,
        wanted: Arc<AtomicUsize>,
    ) -> Self {
        Self { job, tell, wanted, listed: true }
    }

    pub(super) async fn run(mut self) {
        let ended = self.exchange().await;
        let (id, provider) = (self.id(), &self.job.provider.id);
        match &ended {
            Ok(credential) => info!(
                account.id = %id, %provider, generation = credential.generation,
                expires_at = credential.expires_at, "account has a new token"
            ),
            Err(Unrenewed { why: Why::Removed, .. }) => {}
            Err(failed) => {
                warn!(account.id = %id, %provider, "token not refreshed: {}", failed.text);
            }
        }
        // Off the registry first: whoever is told may begin the next one.
        self.leave();
        self.tell.send_replace(Some(ended));
    }

    async fn exchange(&self) -> Ended {
        let held = self.held().await?;
        if held.credential.generation > self.job.known {
            return Ok(held.credential);
        }
        let brought = match self.job.account.ownership {
            Ownership::Follow => self.read_file(&held).await?,
            Ownership::Own | Ownership::Copy => self.redeem(&held).await?,
        };
        match brought {
            Brought::Tokens(new) => self.keep(&held, *new).await,
            Brought::Newer(credential) => Ok(credential),
        }
    }

    /// True while a request waits for the result and no stop has begun.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0 && !self.exchanges().hurry.is_cancelled()
    }

    /// Secrets of now: the store's, or those that could not be written yet.
    pub(super) async fn held(&self) -> Result<Held, Unrenewed> {
        let unsaved = self.exchanges().open().get(&self.id()).and_then(|open| open.unsaved.clone());
        if let Some(Unsaved { credential, refresh_token, base }) = unsaved {
            return Ok(Held { credential, refresh_token, base });
        }
        stored(&self.job.shared, self.id()).await
    }

    /// Writes new tokens and gives them out. The write comes first (SEC-OA-6); a disk that refuses it does not stop
    /// the account, and is tried again until it takes them.
    async fn keep(&self, held: &Held, new: New) -> Ended {
        let now = self.job.shared.clock.now_ms();
        let old = &held.credential;
        let mut extra = old.extra.clone();
        if let Some(scope) = &new.scope {
            extra.insert(SCOPE.to_owned(), Secret::new(scope.clone()));
        }
        let refresh_token = new.refresh_token.clone().or_else(|| held.refresh_token.clone());
        let credential = Arc::new(Credential {
            api_key: old.api_key.clone(),
            access_token: Some(new.access_token.clone()),
            extra,
            expires_at: new.expires_at,
            refreshed_at: Some(now),
            refreshable: refresh_token.is_some(),
            generation: old.generation.saturating_add(1),
        });
        let mut write = Write {
            shared: Arc::clone(&self.job.shared),
            id: self.id(),
            base: held.base,
            generation: credential.generation,
            secrets: Arc::new(NewSecrets {
                access_token: Some(new.access_token),
                refresh_token: refresh_token.clone(),
                id_token: new.id_token,
                extra: new.scope.map(|s| (SCOPE.to_owned(), Secret::new(s))).into_iter().collect(),
                expires_at: Some(new.expires_at),
                ..NewSecrets::default()
            }),
            at: now,
        };
        loop {
            match write.attempt().await {
                Written::Done => {
                    self.exchanges().change(self.id(), |open| open.unsaved = None);
                    return Ok(credential);
                }
                Written::Superseded => {
                    let now = stored(&self.job.shared, self.id()).await?;
                    if now.credential.access_token == old.access_token && now.base != write.base {
                        // The pair that was redeemed has just been written by its own retry.
                        write.base = now.base;
                        continue;
                    }
                    // A sign-in was faster: its tokens count, ours are forgotten.
                    self.exchanges().change(self.id(), |open| open.unsaved = None);
                    return Ok(now.credential);
                }
                Written::Removed => return Err(removed()),
                Written::Refused(why) => {
                    error!(
                        account.id = %self.id(), error = why,
                        "unsaved credentials: a new token could not be written and is kept in memory; make room on \
                         the disk and do not kill the process"
                    );
                    let unsaved = Unsaved {
                        credential: Arc::clone(&credential),
                        refresh_token,
                        base: write.base,
                    };
                    self.exchanges().change(self.id(), |open| open.unsaved = Some(unsaved));
                    actix_rt::spawn(write.until_written());
                    return Ok(credential);
                }
            }
        }
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.listed) {
            self.exchanges().change(self.id(), |open| open.running = None);
        }
    }

    pub(super) fn exchanges(&self) -> &Exchanges {
        &self.job.shared.exchanges
    }

    pub(super) fn id(&self) -> AccountId {
        self.job.account.id
    }
}

/// What the store holds of an account's secrets.
async fn stored(shared: &Arc<Shared>, id: AccountId) -> Result<Held, Unrenewed> {
    let store = shared.store.clone();
    let read = tokio::task::spawn_blocking(move || {
        store.read(|conn| {
            if accounts::find(conn, id)?.is_none() {
                return Err(StoreError::not_found("accounts", id.to_string()));
            }
            let credential = secrets::credential(conn, store.sealer(), id)?;
            Ok((credential, secrets::refresh_token(conn, store.sealer(), id)?))
        })
    });
    match read.await {
        Ok(Ok((credential, refresh_token))) => {
            let base = credential.generation;
            Ok(Held { credential: Arc::new(credential), refresh_token, base })
        }
        Ok(Err(StoreError::NotFound { .. })) => Err(removed()),
        Ok(Err(error)) => Err(unreadable(&error)),
        Err(error) => Err(unreadable(&error)),
    }
}

fn removed() -> Unrenewed {
    Unrenewed::new(Why::Removed, "the account was removed")
}

fn unreadable(error: &dyn std::error::Error) -> Unrenewed {
    Unrenewed::new(Why::Transient, format!("the account's secrets cannot be read: {error}"))
}

/// The write of one pair of tokens, under the generation it replaces.
#[derive(Clone, Debug)]
struct Write {
    shared: Arc<Shared>,
    id: AccountId,
    base: u64,
    generation: u64,
    secrets: Arc<NewSecrets>,
    at: UnixMs,
}

enum Written {
    Done,
    /// Another generation is stored.
    Superseded,
    Removed,
    Refused(String),
}

impl Write {
    async fn attempt(&self) -> Written {
        let write = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let store = &write.shared.store;
            store.write(|conn| {
                if accounts::find(conn, write.id)?.is_none() {
                    return Err(StoreError::not_found("accounts", write.id.to_string()));
                }
                let (from, to) = (write.base, write.generation);
                let sealer = store.sealer();
                secrets::replace(conn, sealer, write.id, from, to, &write.secrets, write.at)
            })?;
            write.shared.exchanges.note_written(write.id, write.generation);
            Ok::<_, StoreError>(())
        });
        match done.await {
            Ok(Ok(())) => Written::Done,
            Ok(Err(StoreError::Stale(_))) => Written::Superseded,
            Ok(Err(StoreError::NotFound { .. })) => Written::Removed,
            Ok(Err(error)) => Written::Refused(error.to_string()),
            Err(error) => Written::Refused(error.to_string()),
        }
    }

    /// Tries until the disk takes it, or until newer tokens make it needless.
    async fn until_written(self) {
        let exchanges = &self.shared.exchanges;
        loop {
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = exchanges.hurry.cancelled() => tokio::time::sleep(HURRIED_RETRY).await,
            }
            let is_newest = exchanges
                .unsaved(self.id)
                .is_some_and(|(newest, _)| newest.generation == self.generation);
            if !is_newest {
                return;
            }
            match self.attempt().await {
                Written::Refused(_) => {}
                Written::Done => {
                    info!(account.id = %self.id, "the account's new token is saved");
                    break;
                }
                Written::Superseded | Written::Removed => break,
            }
        }
        exchanges.change(self.id, |open| {
            drop(open.unsaved.take_if(|newest| newest.credential.generation == self.generation));
        });
    }
}
