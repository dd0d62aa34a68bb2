//! Table `proxies`: outbound proxies that accounts and providers can be sent through; each URL is sealed.

use diesel::prelude::*;
use serde_json::Value;

use crate::id::{AccountId, ProxyId};
use crate::provider::proxy::{ProxyScheme, ProxyUrl};
use crate::secret::Secret;
use crate::store::column::{Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::{accounts, provider_overrides, proxies};
use crate::store::seal::{Place, Sealer};

const TABLE: &str = "proxies";

/// A proxy as stored, without its password.
#[derive(Clone, PartialEq, Debug)]
pub struct ProxyRow {
    /// Stored id.
    pub id: ProxyId,
    /// Operator's name for it, unique.
    pub name: String,
    /// How it is spoken to.
    pub scheme: ProxyScheme,
    /// Its URL without the password.
    pub display_url: String,
    /// Hosts reached without it, as [`crate::provider::proxy::NoProxy::parse`] reads them; empty = none.
    pub no_proxy: String,
    /// The operator's switch. Off = what is to go through it fails.
    pub enabled: bool,
    /// `{ok, ms, exit_ip, at}` of the last test.
    pub last_test: Option<Value>,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

/// What an operator says of a proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProxy {
    /// Stored id.
    pub id: ProxyId,
    /// Name, unique.
    pub name: String,
    /// The URL; `None` keeps the stored one.
    pub url: Option<ProxyUrl>,
    /// As [`ProxyRow::no_proxy`].
    pub no_proxy: String,
    /// As [`ProxyRow::enabled`].
    pub enabled: bool,
}

/// Who is sent through a proxy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProxyUsers {
    /// Accounts: id, provider, label.
    pub accounts: Vec<(AccountId, String, String)>,
    /// Providers.
    pub providers: Vec<String>,
}

impl ProxyUsers {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.accounts.len() + self.providers.len()
    }

    fn named(&self) -> Vec<String> {
        let account = |(_, provider, label): &(AccountId, String, String)| {
            ["account `", provider, "/", label, "`"].concat()
        };
        let provider = |provider: &String| ["provider `", provider, "`"].concat();
        let accounts = self.accounts.iter().map(account);
        let providers = self.providers.iter().map(provider);
        accounts.chain(providers).collect()
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = proxies)]
struct Raw {
    id: String,
    name: String,
    scheme: String,
    display_url: String,
    no_proxy: String,
    enabled: bool,
    last_test: Option<String>,
    rev: i64,
    managed_by: Option<String>,
}

/// Every proxy, by name.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<ProxyRow>, StoreError> {
    let rows: Vec<Raw> = proxies::table.order(proxies::name).select(Raw::as_select()).load(conn)?;
    rows.iter().map(read).collect()
}

/// The proxy with this id.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: ProxyId) -> Result<Option<ProxyRow>, StoreError> {
    let row = proxies::table.find(id.to_string()).select(Raw::as_select());
    row.first(conn).optional()?.as_ref().map(read).transpose()
}

/// The proxy a config file or a command names.
///
/// # Errors
///
/// As [`find`].
pub fn find_by_name(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<Option<ProxyRow>, StoreError> {
    let row = proxies::table.filter(proxies::name.eq(name)).select(Raw::as_select());
    row.first(conn).optional()?.as_ref().map(read).transpose()
}

/// The URL of a proxy, password included.
///
/// # Errors
///
/// No such proxy; the master key is another one, the value is damaged, or the database fails.
pub fn url(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: ProxyId,
) -> Result<Secret, StoreError> {
    let id = id.to_string();
    let sealed: Option<String> =
        proxies::table.find(&id).select(proxies::url).first(conn).optional()?;
    let sealed = sealed.ok_or_else(|| StoreError::not_found(TABLE, &id))?;
    sealer.open_text(place(&id), &sealed)
}

/// Stores a new proxy, or the new content of one with the same id (`rev` + 1). A new URL forgets the last test.
///
/// # Errors
///
/// The name is taken or empty, a new proxy has no URL, the master key is another one, or the database fails.
pub fn upsert(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    proxy: &NewProxy,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let id = proxy.id.to_string();
    if proxy.name.trim().is_empty() {
        return Err(StoreError::invalid(TABLE, id, "a proxy needs a name"));
    }
    let what_is_said = (
        proxies::name.eq(&proxy.name),
        proxies::no_proxy.eq(&proxy.no_proxy),
        proxies::enabled.eq(proxy.enabled),
        proxies::managed_by.eq(stamp.managed_by()),
        proxies::updated_at.eq(stamp.now),
    );
    let url = proxy.url.as_ref().map(|url| {
        let sealed = sealer.seal(place(&id), url.to_secret().expose().as_bytes())?;
        Ok::<_, StoreError>((
            proxies::scheme.eq(url.scheme().as_str()),
            proxies::display_url.eq(url.display()),
            proxies::url.eq(sealed),
            proxies::last_test.eq(None::<String>),
        ))
    });
    let url = url.transpose()?;
    let rev: Option<i64> = proxies::table.find(&id).select(proxies::rev).first(conn).optional()?;
    match (rev, url) {
        (Some(rev), url) => {
            diesel::update(proxies::table.find(&id))
                .set((what_is_said, url, proxies::rev.eq(rev + 1)))
                .execute(conn)?;
        }
        (None, Some(url)) => {
            diesel::insert_into(proxies::table)
                .values((
                    proxies::id.eq(&id),
                    what_is_said,
                    url,
                    proxies::rev.eq(1),
                    proxies::created_at.eq(stamp.now),
                ))
                .execute(conn)?;
        }
        (None, None) => return Err(StoreError::invalid(TABLE, id, "a new proxy needs a URL")),
    }
    Ok(())
}

/// Keeps the result of a test. It is no change of the proxy: `rev` stays.
///
/// # Errors
///
/// No such proxy, or the database fails.
pub fn keep_test(
    conn: &mut SqliteConnection,
    id: ProxyId,
    result: &Value,
) -> Result<(), StoreError> {
    let id = id.to_string();
    let changed = diesel::update(proxies::table.find(&id))
        .set(proxies::last_test.eq(result.to_string()))
        .execute(conn)?;
    if changed == 0 { Err(StoreError::not_found(TABLE, id)) } else { Ok(()) }
}

/// Who is sent through a proxy.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn users(conn: &mut SqliteConnection, id: ProxyId) -> Result<ProxyUsers, StoreError> {
    let id = id.to_string();
    let rows: Vec<(String, String, String)> = accounts::table
        .filter(accounts::proxy_id.eq(&id))
        .order((accounts::provider, accounts::label))
        .select((accounts::id, accounts::provider, accounts::label))
        .load(conn)?;
    let accounts = rows.into_iter().map(|(id, provider, label)| {
        let cell = Cell { table: "accounts", id: &id };
        Ok::<_, StoreError>((cell.id("id", &id)?, provider, label))
    });
    Ok(ProxyUsers {
        accounts: accounts.collect::<Result<_, _>>()?,
        providers: provider_overrides::table
            .filter(provider_overrides::proxy_id.eq(&id))
            .order(provider_overrides::provider)
            .select(provider_overrides::provider)
            .load(conn)?,
    })
}

/// Removes a proxy that nobody is sent through. True = there was one.
///
/// # Errors
///
/// It is in use ([`StoreError::InUse`] says by whom), or the database fails.
pub fn delete(conn: &mut SqliteConnection, id: ProxyId) -> Result<bool, StoreError> {
    let users = users(conn, id)?;
    if users.count() > 0 {
        let name = find(conn, id)?.map_or_else(|| id.to_string(), |proxy| proxy.name);
        return Err(StoreError::InUse {
            what: ["proxy `", &name, "`"].concat(),
            by: users.named(),
        });
    }
    Ok(diesel::delete(proxies::table.find(id.to_string())).execute(conn)? > 0)
}

fn place(id: &str) -> Place<'_> {
    Place { table: TABLE, column: "url", row: id }
}

fn read(raw: &Raw) -> Result<ProxyRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    Ok(ProxyRow {
        id: cell.id("id", &raw.id)?,
        name: raw.name.clone(),
        scheme: cell.name("scheme", &raw.scheme, ProxyScheme::parse)?,
        display_url: raw.display_url.clone(),
        no_proxy: raw.no_proxy.clone(),
        enabled: raw.enabled,
        last_test: raw.last_test.as_deref().map(|t| cell.json("last_test", t)).transpose()?,
        managed_by: cell.owner(raw.managed_by.as_deref())?,
        rev: raw.rev,
    })
}
