//! Signed-in browsers: sessions begin, are found again, move on to another id, and end (SEC-SES-1 to SEC-SES-5).

mod agent;
pub mod cookie;
mod token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tracing::warn;

use self::token::{Claim, Sid, Tokens, sid_hash};
use super::audit::Session;
use super::csrf::CsrfKey;
use crate::clock::{Clock, UnixMs};
use crate::secret::Secret;
use crate::store::sessions::{self, SessionRow};
use crate::store::{Store, StoreError, auth_state};

pub use self::token::BadToken;

/// A session nobody uses ends after this.
pub const IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// Every session ends after this.
const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The password counts as freshly entered for this long.
pub const SUDO: Duration = Duration::from_secs(5 * 60);
/// What was read of a session is believed for this long: so late, at most, an end is noticed.
const BELIEVED: Duration = Duration::from_secs(5);
/// `last_seen_at` is written when it is this old.
const TOUCH_MS: i64 = 60_000;
/// A token is replaced when it is this old.
const RENEW_MS: i64 = 12 * 60 * 60 * 1_000;
/// Live sessions; the one that was idle longest makes room.
const MOST: usize = 50;
/// Cookies of a request that are looked at.
const CANDIDATES: usize = 4;
/// Sessions whose rows are kept in memory.
const CACHED: u64 = 256;

/// Keys of tokens, from the master key or the environment (security §4.1).
#[derive(Clone)]
pub struct SessionKeys {
    /// Signs.
    pub current: [u8; 32],
    /// Of `JWT_SECRET_PREVIOUS`.
    pub previous: Option<[u8; 32]>,
    /// Of CSRF tokens.
    pub csrf: [u8; 32],
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKeys([redacted])")
    }
}

/// Who signs in, as far as a session remembers it.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Client address.
    pub ip: String,
    /// As sent.
    pub user_agent: String,
    /// A default password or a set-up code was used: another password must be chosen.
    pub must_change: bool,
}

/// A token for the browser to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// For the cookie.
    pub token: Secret,
    /// How long the cookie may live.
    pub life: Duration,
    /// The session it stands for.
    pub session: Session,
}

/// What a reply does to the browser's session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionChange {
    /// It began, or goes on under another id.
    Began(Issued),
    /// It is over.
    Ended,
}

/// A request's session.
#[derive(Clone, Debug)]
pub struct Live {
    /// What the caller of the API is known by.
    pub session: Session,
    /// A younger token, when the present one is old.
    pub renewed: Option<Issued>,
}

/// Why a request has no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NoSession {
    /// It brought no cookie.
    #[error("no_cookie")]
    NoCookie,
    /// No cookie of ours.
    #[error("{0}")]
    BadToken(BadToken),
    /// Its session was ended.
    #[error("ended")]
    Ended,
    /// Idle for too long, or too old.
    #[error("expired")]
    Expired,
}

/// Sessions cannot be read or written.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random numbers, or no signature.
    #[error("a session cannot be made: {0}")]
    Unusable(&'static str),
    /// The work was lost.
    #[error("a session could not be looked up")]
    Lost,
}

/// A session as the operator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Names it.
    pub id: Arc<str>,
    /// The rest.
    pub row: SessionRow,
}

/// What was last read of a session.
#[derive(Clone)]
struct Known {
    row: Option<Arc<SessionRow>>,
    generation: i64,
    read_at: Instant,
}

/// All sessions of the router. Cloning shares them.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    tokens: Tokens,
    csrf: CsrfKey,
    known: Cache<[u8; 32], Known>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// The sessions in a store.
    #[must_use]
    pub fn new(store: Store, clock: Clock, keys: &SessionKeys) -> Self {
        let previous = keys.previous.as_ref().map(<[u8; 32]>::as_slice);
        Self(Arc::new(Inner {
            tokens: Tokens::new(&keys.current, previous, clock.now_ms()),
            csrf: CsrfKey::new(keys.csrf),
            known: Cache::new(CACHED),
            store,
            clock,
        }))
    }

    /// Makes and checks the tokens of forms.
    #[must_use]
    pub fn csrf(&self) -> &CsrfKey {
        &self.0.csrf
    }

    /// The session of a request, by the cookies it brought. The first that is valid counts (T-SES-05).
    ///
    /// # Errors
    /// The outer one: sessions cannot be read. The inner one: the request has none.
    pub async fn find<'a>(
        &self,
        cookies: impl Iterator<Item = &'a str>,
    ) -> Result<Result<Live, NoSession>, SessionError> {
        let mut why = NoSession::NoCookie;
        for cookie in cookies.take(CANDIDATES) {
            match self.find_one(cookie).await? {
                Ok(live) => return Ok(Ok(live)),
                Err(fault) => why = fault,
            }
        }
        Ok(Err(why))
    }

    async fn find_one(&self, cookie: &str) -> Result<Result<Live, NoSession>, SessionError> {
        let inner = &self.0;
        let now = inner.clock.now_ms();
        let claim = match inner.tokens.read(cookie, now) {
            Ok(claim) => claim,
            Err(BadToken::Expired) => return Ok(Err(NoSession::Expired)),
            Err(why) => return Ok(Err(NoSession::BadToken(why))),
        };
        let known = self.known(sid_hash(&claim.sid)).await?;
        let Some(row) = &known.row else { return Ok(Err(NoSession::Ended)) };
        let over = claim.generation != known.generation || row.generation != known.generation;
        if over || row.revoked_at.is_some() {
            return Ok(Err(NoSession::Ended));
        }
        if now >= row.expires_at || now >= row.last_seen_at.saturating_add(ms(IDLE)) {
            return Ok(Err(NoSession::Expired));
        }
        self.touch(row, now);
        let session = inner.session(row, &claim.sid, now);
        let renewed = if now.saturating_sub(claim.issued_at) >= RENEW_MS {
            inner.issue(row, &claim.sid, now)
        } else {
            None
        };
        Ok(Ok(Live { session, renewed }))
    }

    /// Begins a session. Rows nobody can use are removed, and the one idle longest when there are too many.
    ///
    /// # Errors
    /// It cannot be made or stored.
    pub async fn begin(&self, who: Newcomer) -> Result<Issued, SessionError> {
        self.work(move |inner| {
            let now = inner.clock.now_ms();
            inner.store.write(|conn| {
                let generation = auth_state::load(conn)?.session_gen;
                sessions::prune(conn, now, now - ms(IDLE), generation)?;
                let live = sessions::list(conn)?;
                for longest_idle in live.iter().skip(MOST - 1) {
                    sessions::delete(conn, &longest_idle.sid_hash)?;
                    inner.known.invalidate(&longest_idle.sid_hash);
                }
                let (sid, row) = fresh(&who, generation, now)?;
                sessions::insert(conn, &row)?;
                Ok((sid, row))
            })
        })
        .await
        .and_then(|(sid, row)| self.issued(&sid, &row))
    }

    /// The password was entered again: the session moves to another id and may take `Sudo` routes for a while.
    ///
    /// # Errors
    /// The session is gone (`None`), or cannot be stored.
    pub async fn grant_sudo(&self, id: &str) -> Result<Option<(Issued, UnixMs)>, SessionError> {
        let id = id.to_owned();
        let moved = self
            .work(move |inner| {
                let now = inner.clock.now_ms();
                inner.store.write(|conn| {
                    let Some(old) = by_id(conn, &id)? else { return Ok(None) };
                    let until = now + ms(SUDO);
                    let (sid, salt) = random()?;
                    let row = SessionRow {
                        sid_hash: sid_hash(&sid),
                        csrf_salt: salt,
                        sudo_until: Some(until),
                        last_seen_at: now,
                        ..old.clone()
                    };
                    sessions::delete(conn, &old.sid_hash)?;
                    sessions::insert(conn, &row)?;
                    inner.known.invalidate(&old.sid_hash);
                    Ok(Some((sid, row, until)))
                })
            })
            .await?;
        moved.map(|(sid, row, until)| Ok((self.issued(&sid, &row)?, until))).transpose()
    }

    /// Sets another password: every session ends, and `who` gets a new one.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn set_password(
        &self,
        hash: Secret,
        who: Option<Newcomer>,
    ) -> Result<Option<Issued>, SessionError> {
        let begun = self
            .work(move |inner| {
                let now = inner.clock.now_ms();
                inner.store.write(|conn| {
                    auth_state::set_password(conn, &hash, now)?;
                    let generation = auth_state::next_generation(conn)?;
                    sessions::prune(conn, now, now - ms(IDLE), generation)?;
                    inner.known.invalidate_all();
                    let Some(who) = who else { return Ok(None) };
                    let (sid, row) = fresh(&who, generation, now)?;
                    sessions::insert(conn, &row)?;
                    Ok(Some((sid, row)))
                })
            })
            .await?;
        begun.map(|(sid, row)| self.issued(&sid, &row)).transpose()
    }

    /// Signs one out.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn end(&self, id: &str) -> Result<bool, SessionError> {
        let id = id.to_owned();
        self.work(move |inner| {
            inner.store.write(|conn| {
                let Some(row) = by_id(conn, &id)? else { return Ok(false) };
                inner.known.invalidate(&row.sid_hash);
                sessions::delete(conn, &row.sid_hash)
            })
        })
        .await
    }

    /// Signs everybody out.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn end_all(&self) -> Result<(), SessionError> {
        self.work(|inner| {
            let now = inner.clock.now_ms();
            inner.store.write(|conn| {
                let generation = auth_state::next_generation(conn)?;
                inner.known.invalidate_all();
                sessions::prune(conn, now, now - ms(IDLE), generation)?;
                Ok(())
            })
        })
        .await
    }

    /// Ends another session. False = there is none of this id.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn revoke(&self, id: &str) -> Result<bool, SessionError> {
        let id = id.to_owned();
        self.work(move |inner| {
            let now = inner.clock.now_ms();
            inner.store.write(|conn| {
                let Some(row) = by_id(conn, &id)? else { return Ok(false) };
                inner.known.invalidate(&row.sid_hash);
                sessions::revoke(conn, &row.sid_hash, now)
            })
        })
        .await
    }

    /// Live sessions, the last used first.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn list(&self) -> Result<Vec<Listed>, SessionError> {
        self.work(|inner| {
            let now = inner.clock.now_ms();
            inner.store.read(|conn| {
                let generation = auth_state::load(conn)?.session_gen;
                let live = sessions::list(conn)?.into_iter().filter(|row| {
                    row.revoked_at.is_none()
                        && row.generation == generation
                        && now < row.expires_at
                        && now < row.last_seen_at.saturating_add(ms(IDLE))
                });
                Ok(live.map(|row| Listed { id: public_id(&row.sid_hash), row }).collect())
            })
        })
        .await
    }

    /// Removes rows that nobody can use any more. Blocking.
    ///
    /// # Errors
    /// The database fails.
    pub fn prune(&self) -> Result<usize, StoreError> {
        let now = self.0.clock.now_ms();
        self.0.store.write(|conn| {
            let generation = auth_state::load(conn)?.session_gen;
            sessions::prune(conn, now, now - ms(IDLE), generation)
        })
    }

    /// The row of a session, from memory when it was read lately.
    async fn known(&self, hash: [u8; 32]) -> Result<Known, SessionError> {
        let inner = &self.0;
        let before = inner.known.get(&hash);
        if let Some(known) = &before
            && inner.clock.now().saturating_duration_since(known.read_at) < BELIEVED
        {
            return Ok(known.clone());
        }
        let read_at = inner.clock.now();
        let mut read = self
            .work(move |inner| {
                inner.store.read(|conn| {
                    let generation = auth_state::load(conn)?.session_gen;
                    let row = sessions::find(conn, &hash)?.map(Arc::new);
                    Ok(Known { row, generation, read_at })
                })
            })
            .await?;
        // A later use may be on its way to the database.
        let seen = before.and_then(|known| known.row).map_or(0, |row| row.last_seen_at);
        if let Some(row) = read.row.as_mut().filter(|row| row.last_seen_at < seen) {
            *row = Arc::new(SessionRow { last_seen_at: seen, ..SessionRow::clone(row) });
        }
        if read.row.is_some() {
            inner.known.insert(hash, read.clone());
        }
        Ok(read)
    }

    /// Notes the request, to the minute. The request does not wait for it, nor fail with it.
    fn touch(&self, row: &Arc<SessionRow>, now: UnixMs) {
        if now.saturating_sub(row.last_seen_at) < TOUCH_MS {
            return;
        }
        let inner = Arc::clone(&self.0);
        let hash = row.sid_hash;
        // Seen at once, so that a page's many requests write once.
        if let Some(known) = inner.known.get(&hash) {
            let row = Arc::new(SessionRow { last_seen_at: now, ..SessionRow::clone(row) });
            inner.known.insert(hash, Known { row: Some(row), ..known });
        }
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.store.write(|conn| sessions::touch(conn, &hash, now)) {
                warn!(%error, "the last use of a session is not stored");
            }
        }));
    }

    fn issued(&self, sid: &Sid, row: &SessionRow) -> Result<Issued, SessionError> {
        let now = self.0.clock.now_ms();
        self.0.issue(row, sid, now).ok_or(SessionError::Unusable("its token cannot be signed"))
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|why| {
            warn!(%why, "work on a session ended before its time");
            SessionError::Lost
        })?
        .map_err(SessionError::from)
    }
}

impl Inner {
    fn issue(&self, row: &SessionRow, sid: &Sid, now: UnixMs) -> Option<Issued> {
        let ends = now.saturating_add(ms(IDLE)).min(row.expires_at);
        let claim = Claim { sid: *sid, issued_at: now, generation: row.generation };
        let token = self.tokens.issue(&claim, ends)?;
        let life = Duration::from_millis(u64::try_from(ends.saturating_sub(now)).unwrap_or(0));
        Some(Issued { token, life, session: self.session(row, sid, now) })
    }

    fn session(&self, row: &SessionRow, sid: &Sid, now: UnixMs) -> Session {
        Session {
            id: public_id(&row.sid_hash),
            csrf: self.csrf.session_token(sid, &row.csrf_salt),
            is_sudo: row.sudo_until.is_some_and(|until| now < until),
            must_change: row.must_change,
        }
    }
}

fn fresh(who: &Newcomer, generation: i64, now: UnixMs) -> Result<(Sid, SessionRow), StoreError> {
    let (sid, csrf_salt) = random()?;
    let row = SessionRow {
        sid_hash: sid_hash(&sid),
        created_at: now,
        last_seen_at: now,
        expires_at: now.saturating_add(ms(ABSOLUTE)),
        generation,
        csrf_salt,
        ip: who.ip.clone(),
        ua_hash: Sha256::digest(who.user_agent.as_bytes()).into(),
        ua_family: agent::family(&who.user_agent),
        must_change: who.must_change,
        sudo_until: None,
        revoked_at: None,
    };
    Ok((sid, row))
}

fn random() -> Result<(Sid, [u8; 16]), StoreError> {
    let (mut sid, mut salt) = ([0; 16], [0; 16]);
    getrandom::fill(&mut sid)?;
    getrandom::fill(&mut salt)?;
    Ok((sid, salt))
}

/// The row a public id names. Fifty rows: looking at all of them costs nothing.
fn by_id(conn: &mut crate::store::Connection, id: &str) -> Result<Option<SessionRow>, StoreError> {
    let rows = sessions::list(conn)?;
    Ok(rows.into_iter().find(|row| *public_id(&row.sid_hash) == *id))
}

/// First 16 hex digits of the hash.
fn public_id(hash: &[u8; 32]) -> Arc<str> {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
