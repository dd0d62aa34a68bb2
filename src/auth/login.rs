//! Signing in: the first run's ways in, the password, the password once more, another password (security §5).

use std::net::IpAddr;
use std::path::PathBuf;

use thiserror::Error;
use tracing::error;

use super::audit::{Event, EventName};
use super::login_limit::LoginLimit;
use super::password::{HashError, LONGEST, Match, Passwords, Unfit, check_new, is_same};
use super::session::{Issued, Newcomer, SessionError, SessionKeys, Sessions};
use super::setup_code::SetupCode;
use crate::clock::{Clock, UnixMs};
use crate::config::published::is_common_password;
use crate::secret::Secret;
use crate::store::auth_state::{self, AuthState};
use crate::store::{Store, StoreError};

/// What a router on loopback takes before a password was chosen (cli-and-deploy §5).
const DOCUMENTED: &str = "123456";

/// What signing in needs from the configuration of this start.
#[derive(Clone, Debug)]
pub struct LoginSecrets {
    /// Keys of tokens.
    pub keys: SessionKeys,
    /// `INITIAL_PASSWORD`.
    pub initial_password: Option<Secret>,
}

/// Who asks to be let in, and how he reached the router.
#[derive(Clone, Debug)]
pub struct Knock {
    /// Client address (SEC-IP-1): the limit's key.
    pub client: IpAddr,
    /// SEC-IP-9.
    pub is_local: bool,
    /// Only this machine can reach the router.
    pub is_loopback_only: bool,
    /// As sent.
    pub user_agent: String,
}

impl Knock {
    /// Who he is for a session of his.
    #[must_use]
    pub fn newcomer(&self, must_change: bool) -> Newcomer {
        Newcomer { ip: self.client.to_string(), user_agent: self.user_agent.clone(), must_change }
    }
}

/// What the sign-in form asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A password.
    Password,
    /// The set-up code of the server's log, and the first password.
    SetUpCode,
}

/// Why nobody was let in.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refused {
    /// Too many attempts; seconds to wait.
    #[error("too many attempts")]
    Limited(u32),
    /// Wrong password, wrong code, no password set.
    #[error("wrong password")]
    Wrong,
    /// Longer than any password: nothing was looked at.
    #[error("the password has more than 1024 bytes")]
    TooLong,
    /// The new password cannot be one.
    #[error("the new password {0}")]
    Unfit(#[from] Unfit),
    /// Too many are being checked.
    #[error("too many passwords are being checked; try again in a few seconds")]
    Busy,
    /// The database, the random numbers or the stored hash cannot be used.
    #[error("signing in is not possible now; see the server's log")]
    Unavailable,
    /// The session is over.
    #[error("the session is over; sign in again")]
    Over,
}

impl From<StoreError> for Refused {
    fn from(why: StoreError) -> Self {
        error!(error = %why, "signing in needs the database");
        Self::Unavailable
    }
}

impl From<SessionError> for Refused {
    fn from(why: SessionError) -> Self {
        error!(error = %why, "a session could not be made or changed");
        Self::Unavailable
    }
}

impl From<HashError> for Refused {
    fn from(why: HashError) -> Self {
        match why {
            HashError::Busy => Self::Busy,
            HashError::Unusable(why) => {
                error!(error = why, "the stored password cannot be used");
                Self::Unavailable
            }
        }
    }
}

/// Why somebody may set a password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The password was entered within five minutes.
    Sudo,
    /// The session began with a default password or a set-up code, and has no other right.
    FirstRun,
    /// This is the present password.
    Current(Secret),
    /// A command of the server's own user.
    Command,
}

/// Lets people in. One per process; cloning is not needed, everything shares it.
#[derive(Debug)]
pub struct Login {
    /// Signed-in browsers.
    pub sessions: Sessions,
    /// The limit on attempts.
    pub limit: LoginLimit,
    store: Store,
    passwords: Passwords,
    setup: SetupCode,
    initial: Option<Secret>,
}

/// How the first password is told, while none is stored.
enum FirstWay {
    /// `INITIAL_PASSWORD`; true = it is one everybody tries first.
    Initial(Secret, bool),
    /// The documented one.
    Documented,
    /// The set-up code.
    Code,
}

impl Login {
    /// Over a store; the set-up code's file lies in `data_dir`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, data_dir: PathBuf, secrets: &LoginSecrets) -> Self {
        Self {
            sessions: Sessions::new(store.clone(), clock.clone(), &secrets.keys),
            limit: LoginLimit::new(clock),
            passwords: Passwords::default(),
            setup: SetupCode::of(&data_dir),
            initial: secrets.initial_password.clone(),
            store,
        }
    }

    /// A password is stored.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn has_password(&self) -> Result<bool, Refused> {
        Ok(self.state().await?.password_hash.is_some())
    }

    /// What the form must ask for. A router that needs a set-up code has one from then on.
    ///
    /// # Errors
    /// The database cannot be read, or there are no random numbers.
    pub async fn entry(&self, is_loopback_only: bool) -> Result<Entry, Refused> {
        if self.state().await?.password_hash.is_some() {
            return Ok(Entry::Password);
        }
        match self.first_way(is_loopback_only) {
            FirstWay::Initial(..) | FirstWay::Documented => Ok(Entry::Password),
            FirstWay::Code => {
                // A few bytes of random numbers and one small file, once.
                self.setup.ensure().map_err(unavailable)?;
                Ok(Entry::SetUpCode)
            }
        }
    }

    /// Signs in with a password, or with the set-up code and perhaps the first password. The attempt counts before
    /// anything is looked at (SEC-LIM-1); whatever is wrong looks the same from outside (SEC-PW-3).
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn sign_in(
        &self,
        knock: &Knock,
        given: Secret,
        new: Option<Secret>,
        record: &dyn Fn(Event),
    ) -> Result<Issued, Refused> {
        self.count(knock, record)?;
        if given.expose().len() > LONGEST {
            return Err(Refused::TooLong);
        }
        if let Some(new) = &new {
            check_new(new)?;
        }
        let state = self.state().await?;
        let admitted = match state.password_hash {
            Some(hash) => self.by_hash(given, hash).await?,
            None => self.by_first_way(knock, given, record).await?,
        };
        let must_change = match admitted {
            Ok(must_change) => must_change,
            Err(reason) => {
                record(attempt(Event::failed(EventName::LoginAttempt), reason));
                return Err(Refused::Wrong);
            }
        };
        self.limit.clear(knock.client);
        record(attempt(Event::ok(EventName::LoginAttempt), "password"));
        let issued = match new.filter(|_| must_change) {
            Some(new) => {
                let hash = self.passwords.hash(new).await?;
                record(Event::ok(EventName::PasswordChanged).with("by", "set_up"));
                let who = Some(knock.newcomer(false));
                let begun = self.sessions.set_password(hash, who).await?;
                begun.ok_or(Refused::Unavailable)?
            }
            None => self.sessions.begin(knock.newcomer(must_change)).await?,
        };
        Ok(issued)
    }

    /// The password once more: the session moves to another id and may take `Sudo` routes for five minutes.
    ///
    /// # Errors
    /// See [`Refused`]. A session that began with a default password cannot have it (security §5.2).
    pub async fn enter_again(
        &self,
        knock: &Knock,
        session: &str,
        given: Secret,
        record: &dyn Fn(Event),
    ) -> Result<(Issued, UnixMs), Refused> {
        self.count(knock, record)?;
        let failed = || record(Event::failed(EventName::SudoFailed));
        if given.expose().len() > LONGEST {
            return Err(Refused::TooLong);
        }
        let hash = self.state().await?.password_hash;
        if !self.passwords.check(given, hash).await?.is_right() {
            failed();
            return Err(Refused::Wrong);
        }
        self.limit.clear(knock.client);
        let granted = self.sessions.grant_sudo(session).await?;
        let granted = granted.ok_or(Refused::Over)?;
        record(Event::ok(EventName::SudoGranted));
        Ok(granted)
    }

    /// Sets another password and ends every session. A browser gets a new one.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn change_password(
        &self,
        knock: &Knock,
        proof: Proof,
        new: Secret,
        record: &dyn Fn(Event),
    ) -> Result<Option<Issued>, Refused> {
        check_new(&new)?;
        let stored = self.state().await?.password_hash;
        let is_command = proof == Proof::Command;
        if let Proof::Current(current) = proof {
            self.count(knock, record)?;
            if current.expose().len() > LONGEST {
                return Err(Refused::TooLong);
            }
            if !self.passwords.check(current, stored.clone()).await?.is_right() {
                record(Event::failed(EventName::PasswordChanged).with("why", "wrong_password"));
                return Err(Refused::Wrong);
            }
            self.limit.clear(knock.client);
        }
        // A reset may choose the old one again: who forgot it cannot know.
        if !is_command
            && let Some(hash) = stored
            && self.passwords.check(new.clone(), Some(hash)).await?.is_right()
        {
            return Err(Unfit::Same.into());
        }
        let hash = self.passwords.hash(new).await?;
        let who = (!is_command).then(|| knock.newcomer(false));
        let issued = self.sessions.set_password(hash, who).await?;
        self.setup.spend();
        record(Event::ok(EventName::PasswordChanged));
        Ok(issued)
    }

    /// Forgets attempts and sessions that no longer count. Blocking.
    ///
    /// # Errors
    /// The database fails.
    pub fn sweep(&self) -> Result<(), StoreError> {
        self.limit.sweep();
        self.sessions.prune().map(|_removed| ())
    }

    /// `Ok` = let in; true = another password must be chosen. `Err` = why not, for the audit log.
    async fn by_hash(
        &self,
        given: Secret,
        hash: Secret,
    ) -> Result<Result<bool, &'static str>, Refused> {
        let found = self.passwords.check(given.clone(), Some(hash.clone())).await?;
        if !found.is_right() {
            return Ok(Err("wrong_password"));
        }
        // Stored before it was forbidden, or taken over from the environment (B3).
        let is_common = is_common_password(given.expose());
        if found == Match::Outdated {
            self.rehash(hash, given).await;
        }
        Ok(Ok(is_common))
    }

    /// A stronger hash is a convenience: failing at it refuses nobody.
    async fn rehash(&self, old: Secret, password: Secret) {
        let new = match self.passwords.hash(password).await {
            Ok(new) => new,
            Err(why) => return tracing::warn!(error = %why, "the password keeps its older hash"),
        };
        let written =
            self.blocking(move |store| store.write(|conn| auth_state::rehash(conn, &old, &new)));
        if let Err(why) = written.await {
            tracing::warn!(error = %why, "the password keeps its older hash");
        }
    }

    /// While no password is stored. Wrong or right, one hash is computed.
    async fn by_first_way(
        &self,
        knock: &Knock,
        given: Secret,
        record: &dyn Fn(Event),
    ) -> Result<Result<bool, &'static str>, Refused> {
        match self.first_way(knock.is_loopback_only) {
            FirstWay::Initial(initial, is_common) => {
                if !is_same(given.expose(), initial.expose()) {
                    self.passwords.check(given, None).await?;
                    return Ok(Err("wrong_password"));
                }
                let hash = self.passwords.hash(initial).await?;
                self.sessions.set_password(hash, None).await?;
                if is_common {
                    record(Event::ok(EventName::PasswordDefaultUsed).with("from", "environment"));
                }
                Ok(Ok(is_common))
            }
            FirstWay::Documented => {
                let is_right = knock.is_local && is_same(given.expose(), DOCUMENTED);
                self.passwords.check(given, None).await?;
                if !is_right {
                    return Ok(Err("no_password"));
                }
                record(Event::ok(EventName::PasswordDefaultUsed));
                Ok(Ok(true))
            }
            FirstWay::Code => {
                self.setup.ensure().map_err(unavailable)?;
                let is_right = self.setup.is_right(given.expose()).map_err(unavailable)?;
                self.passwords.check(given, None).await?;
                if !is_right {
                    record(Event::failed(EventName::SetupCodeFailed));
                    return Ok(Err("wrong_code"));
                }
                // Whoever comes in with it chooses the password; if he does not, the next visit makes another code.
                self.setup.spend();
                record(Event::ok(EventName::SetupCodeUsed));
                Ok(Ok(true))
            }
        }
    }

    /// Security §5.2. The documented password is never taken while others can reach the router.
    fn first_way(&self, is_loopback_only: bool) -> FirstWay {
        match &self.initial {
            Some(initial) => {
                let is_common = is_common_password(initial.expose());
                match is_common && !is_loopback_only {
                    false => FirstWay::Initial(initial.clone(), is_common),
                    true => FirstWay::Code,
                }
            }
            None if is_loopback_only => FirstWay::Documented,
            None => FirstWay::Code,
        }
    }

    fn count(&self, knock: &Knock, record: &dyn Fn(Event)) -> Result<(), Refused> {
        self.limit.count(knock.client, knock.is_local).map_err(|limited| {
            let event = Event::denied(EventName::LoginRateLimited);
            record(event.with("retry_after", limited.0));
            Refused::Limited(limited.0)
        })
    }

    async fn state(&self) -> Result<AuthState, Refused> {
        self.blocking(|store| store.read(auth_state::load)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => Ok(done?),
            Err(why) => Err(unavailable(why)),
        }
    }
}

fn unavailable(why: impl std::fmt::Display) -> Refused {
    error!(error = %why, "signing in is not possible");
    Refused::Unavailable
}

fn attempt(event: Event, reason: &str) -> Event {
    let success = event.outcome == super::audit::Outcome::Ok;
    event.with("success", success).with("reason", reason)
}

#[cfg(test)]
mod tests;
