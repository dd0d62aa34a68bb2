//! Table `oauth_flows`: sign-ins under way (SEC-OA-1). The state is stored as a hash, what buys tokens is sealed.

mod device;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::UnixMs;
use crate::id::{AccountId, FlowId};
use crate::provider::oauth::connect::DeviceCode;
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::accounts;
use crate::store::column::{self, Cell};
use crate::store::error::StoreError;
use crate::store::schema::oauth_flows as table;
use crate::store::seal::{Place, Sealer};
pub use device::{Awaited, all_awaited, awaited, set_device};

const TABLE: &str = "oauth_flows";
/// An ended sign-in can be asked for this long.
const KEPT_MS: i64 = 2 * 60 * 1000;

/// How far a sign-in is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowStatus {
    /// Waits for the browser.
    Pending,
    /// A code is being exchanged.
    Exchanging,
    /// There is an account.
    Done,
    /// It failed; the message says why.
    Error,
    /// The operator ended it, or another one took its place.
    Cancelled,
    /// Nobody came in time.
    Expired,
}

column::names!(FlowStatus, status_text, status_from, {
    Pending => "pending",
    Exchanging => "exchanging",
    Done => "done",
    Error => "error",
    Cancelled => "cancelled",
    Expired => "expired",
});

impl FlowStatus {
    /// As in the column and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        status_text(self)
    }
}

/// What was asked for when a sign-in began, and what its exchange needs. Sealed as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowOptions {
    /// As in the authorize address.
    pub state: Secret,
    /// Name of a new account.
    pub label: Option<String>,
    /// The way calls of the account go out; `None` = not chosen.
    pub proxy: Option<ProxyChoice>,
    /// A reconnected account may become another identity.
    pub replace: bool,
    /// OAuth client of the account's own; `None` = the provider's.
    pub client_id: Option<String>,
}

/// A sign-in that begins.
#[derive(Clone, Debug)]
pub struct NewFlow {
    /// Its id.
    pub id: FlowId,
    /// Catalog id.
    pub provider: String,
    /// The account that is signed in to again.
    pub account_id: Option<AccountId>,
    /// Name of the redirect mode.
    pub mode: &'static str,
    /// Of PKCE.
    pub verifier: Secret,
    /// The rest that is sealed.
    pub options: FlowOptions,
    /// Where the browser comes back; `None` = it does not, a code is entered elsewhere.
    pub redirect_uri: Option<String>,
    /// The code that is entered elsewhere.
    pub device: Option<DeviceCode>,
    /// Scopes asked for.
    pub scopes: String,
    /// Unix ms.
    pub created_at: UnixMs,
    /// Unix ms.
    pub expires_at: UnixMs,
}

/// A sign-in as stored, without what is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRow {
    /// Its id.
    pub id: FlowId,
    /// SHA-256 of the state.
    pub state_hash: [u8; 32],
    /// Catalog id.
    pub provider: String,
    /// The account that is signed in to again.
    pub account_id: Option<AccountId>,
    /// What a browser ended up at may be pasted.
    pub takes_paste: bool,
    /// How far it is.
    pub status: FlowStatus,
    /// For people; redacted.
    pub message: Option<String>,
    /// The account that came of it.
    pub result_account_id: Option<AccountId>,
    /// Unix ms.
    pub created_at: UnixMs,
    /// Unix ms.
    pub expires_at: UnixMs,
}

/// A sign-in whose code may be exchanged, by whoever holds this.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The row, now `exchanging`.
    pub row: FlowRow,
    /// Of PKCE.
    pub verifier: Secret,
    /// As stored.
    pub options: FlowOptions,
    /// As in the authorize address; empty when there was none.
    pub redirect_uri: String,
    /// The way out that was chosen, else that of the account that signs in again.
    pub way: ProxyChoice,
}

/// How a sign-in ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// With this account. Only a sign-in that is being exchanged can.
    Done(AccountId),
    /// With this message.
    Failed(String),
    /// By the operator, or because of what the message says.
    Cancelled(Option<String>),
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = table)]
struct Raw {
    id: String,
    state_hash: Option<Vec<u8>>,
    provider: String,
    account_id: Option<String>,
    mode: String,
    verifier: Option<String>,
    device: Option<String>,
    options: String,
    redirect_uri: Option<String>,
    scopes: String,
    status: String,
    message: Option<String>,
    result_account_id: Option<String>,
    created_at: UnixMs,
    expires_at: UnixMs,
    used_at: Option<UnixMs>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    state: String,
    label: Option<String>,
    proxy_mode: Option<String>,
    proxy_id: Option<String>,
    replace: bool,
    #[serde(default)]
    client_id: Option<String>,
}

/// What a state is found by.
#[must_use]
pub fn state_hash(state: &str) -> [u8; 32] {
    Sha256::digest(state.as_bytes()).into()
}

/// Stores a sign-in that begins.
///
/// # Errors
///
/// Its secrets cannot be sealed, or the database fails.
pub fn insert(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    new: &NewFlow,
) -> Result<(), StoreError> {
    let id = new.id.to_string();
    let place = |column| Place { table: TABLE, column, row: &id };
    let options = Sealed {
        state: new.options.state.expose().to_owned(),
        label: new.options.label.clone(),
        proxy_mode: new.options.proxy.as_ref().map(|p| column::proxy_mode(p).to_owned()),
        proxy_id: new.options.proxy.as_ref().and_then(column::proxy_id),
        replace: new.options.replace,
        client_id: new.options.client_id.clone(),
    };
    let device = new.device.as_ref().map(|device| device::seal(sealer, &id, device)).transpose()?;
    let options = serde_json::to_vec(&options)
        .map(zeroize::Zeroizing::new)
        .map_err(|_never_for_texts| StoreError::invalid(TABLE, &id, "`options` are no JSON"))?;
    let raw = Raw {
        state_hash: Some(state_hash(new.options.state.expose()).to_vec()),
        provider: new.provider.clone(),
        account_id: new.account_id.map(|account| account.to_string()),
        mode: new.mode.to_owned(),
        verifier: Some(sealer.seal(place("verifier"), new.verifier.expose().as_bytes())?),
        options: sealer.seal(place("options"), &options)?,
        device,
        redirect_uri: new.redirect_uri.clone(),
        scopes: new.scopes.clone(),
        status: FlowStatus::Pending.as_str().to_owned(),
        message: None,
        result_account_id: None,
        created_at: new.created_at,
        expires_at: new.expires_at,
        used_at: None,
        id: id.clone(),
    };
    diesel::insert_into(table::table).values(&raw).execute(conn)?;
    Ok(())
}

/// The sign-in with this id.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: FlowId) -> Result<Option<FlowRow>, StoreError> {
    raw(conn, id)?.as_ref().map(read).transpose()
}

/// The sign-in with this state.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find_by_state(
    conn: &mut SqliteConnection,
    state: &str,
) -> Result<Option<FlowRow>, StoreError> {
    let hash = state_hash(state).to_vec();
    let raw: Option<Raw> = table::table
        .filter(table::state_hash.eq(hash))
        .select(Raw::as_select())
        .first(conn)
        .optional()?;
    raw.as_ref().map(read).transpose()
}

/// Sign-ins that wait for a browser.
///
/// # Errors
///
/// The database fails.
pub fn count_pending(conn: &mut SqliteConnection, now: UnixMs) -> Result<i64, StoreError> {
    let pending = table::table
        .filter(table::status.eq(FlowStatus::Pending.as_str()))
        .filter(table::expires_at.gt(now));
    Ok(pending.count().get_result(conn)?)
}

/// Takes a pending sign-in for its one exchange: pending → exchanging. `None` = it is not pending any more.
///
/// # Errors
///
/// Its secrets cannot be read, or the database fails.
pub fn claim(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: FlowId,
    now: UnixMs,
) -> Result<Option<Claimed>, StoreError> {
    let text = id.to_string();
    let pending = table::table
        .find(&text)
        .filter(table::status.eq(FlowStatus::Pending.as_str()))
        .filter(table::expires_at.gt(now));
    let changed = diesel::update(pending)
        .set((table::status.eq(FlowStatus::Exchanging.as_str()), table::used_at.eq(now)))
        .execute(conn)?;
    if changed == 0 {
        return Ok(None);
    }
    let Some(raw) = raw(conn, id)? else { return Ok(None) };
    let Opened { row, verifier, options, way } = opened(conn, sealer, &raw)?;
    let redirect_uri = raw.redirect_uri.unwrap_or_default();
    Ok(Some(Claimed { row, verifier, options, redirect_uri, way }))
}

/// What a row holds beside its open columns.
struct Opened {
    row: FlowRow,
    verifier: Secret,
    options: FlowOptions,
    way: ProxyChoice,
}

fn opened(conn: &mut SqliteConnection, sealer: &Sealer, raw: &Raw) -> Result<Opened, StoreError> {
    let id = raw.id.as_str();
    let place = |column| Place { table: TABLE, column, row: id };
    let verifier = raw.verifier.as_deref();
    let verifier = verifier.ok_or_else(|| StoreError::corrupt(TABLE, id, "no verifier"))?;
    let row = read(raw)?;
    let options = options(id, &sealer.open(place("options"), &raw.options)?)?;
    let own = match (&options.proxy, row.account_id) {
        (Some(chosen), _) => Some(chosen.clone()),
        (None, Some(account)) => accounts::find(conn, account)?.map(|found| found.config.proxy),
        (None, None) => None,
    };
    Ok(Opened {
        verifier: sealer.open_text(place("verifier"), verifier)?,
        way: own.unwrap_or_default(),
        options,
        row,
    })
}

/// Ends a sign-in that is under way. False = it had ended already, and nothing is changed.
///
/// # Errors
///
/// The database fails.
pub fn finish(
    conn: &mut SqliteConnection,
    id: FlowId,
    end: &End,
    now: UnixMs,
) -> Result<bool, StoreError> {
    const PENDING: &str = "pending";
    const EXCHANGING: &str = "exchanging";
    let (status, message, account, from) = match end {
        End::Done(account) => {
            (FlowStatus::Done, None, Some(account.to_string()), &[EXCHANGING][..])
        }
        End::Failed(message) => {
            (FlowStatus::Error, Some(message.clone()), None, &[PENDING, EXCHANGING][..])
        }
        End::Cancelled(message) => {
            (FlowStatus::Cancelled, message.clone(), None, &[PENDING, EXCHANGING][..])
        }
    };
    let under_way = table::table.find(id.to_string()).filter(table::status.eq_any(from));
    let changed = diesel::update(under_way)
        .set((
            table::status.eq(status.as_str()),
            table::message.eq(message),
            table::result_account_id.eq(account),
            table::verifier.eq(None::<String>),
            table::device.eq(None::<String>),
            table::used_at.eq(now),
        ))
        .execute(conn)?;
    Ok(changed > 0)
}

/// Expires what nobody came for and removes what ended long enough ago.
///
/// # Errors
///
/// The database fails.
pub fn settle(conn: &mut SqliteConnection, now: UnixMs) -> Result<(), StoreError> {
    let late = table::table
        .filter(table::status.eq_any(["pending", "exchanging"]))
        .filter(table::expires_at.le(now));
    diesel::update(late)
        .set((
            table::status.eq(FlowStatus::Expired.as_str()),
            table::verifier.eq(None::<String>),
            table::device.eq(None::<String>),
            table::used_at.eq(now),
        ))
        .execute(conn)?;
    let ended = table::table
        .filter(table::status.ne_all(["pending", "exchanging"]))
        .filter(table::used_at.lt(now - KEPT_MS));
    diesel::delete(ended).execute(conn)?;
    Ok(())
}

/// Fails the sign-ins whose exchange a stop of the process cut off: nobody knows whether their code was spent.
///
/// # Errors
///
/// The database fails.
pub fn fail_interrupted(
    conn: &mut SqliteConnection,
    started_at: UnixMs,
    message: &str,
) -> Result<(), StoreError> {
    let interrupted = table::table
        .filter(table::status.eq(FlowStatus::Exchanging.as_str()))
        .filter(table::used_at.lt(started_at));
    diesel::update(interrupted)
        .set((
            table::status.eq(FlowStatus::Error.as_str()),
            table::message.eq(message),
            table::verifier.eq(None::<String>),
            table::device.eq(None::<String>),
            table::used_at.eq(started_at),
        ))
        .execute(conn)?;
    Ok(())
}

fn raw(conn: &mut SqliteConnection, id: FlowId) -> QueryResult<Option<Raw>> {
    table::table.find(id.to_string()).select(Raw::as_select()).first(conn).optional()
}

fn read(raw: &Raw) -> Result<FlowRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    let hash = raw.state_hash.as_deref().and_then(|hash| hash.try_into().ok());
    let account = |column, text: &Option<String>| {
        text.as_deref().map(|text| cell.id(column, text)).transpose()
    };
    Ok(FlowRow {
        id: cell.id("id", &raw.id)?,
        state_hash: hash.ok_or_else(|| StoreError::corrupt(TABLE, &raw.id, "no state"))?,
        provider: raw.provider.clone(),
        account_id: account("account_id", &raw.account_id)?,
        takes_paste: raw.redirect_uri.is_some(),
        status: cell.name("status", &raw.status, status_from)?,
        message: raw.message.clone(),
        result_account_id: account("result_account_id", &raw.result_account_id)?,
        created_at: raw.created_at,
        expires_at: raw.expires_at,
    })
}

fn options(id: &str, plain: &[u8]) -> Result<FlowOptions, StoreError> {
    let corrupt = |_holds_secrets| StoreError::corrupt(TABLE, id, "bad JSON in `options`");
    let sealed: Sealed = serde_json::from_slice(plain).map_err(corrupt)?;
    let cell = Cell { table: TABLE, id };
    let proxy = sealed.proxy_mode.as_deref().map(|m| cell.proxy(m, sealed.proxy_id.as_deref()));
    Ok(FlowOptions {
        state: Secret::new(sealed.state),
        label: sealed.label,
        proxy: proxy.transpose()?,
        replace: sealed.replace,
        client_id: sealed.client_id,
    })
}
