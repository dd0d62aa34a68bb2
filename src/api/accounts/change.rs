//! Accounts are made, changed and removed; their credential is replaced.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::accounts::WHAT;
use crate::api::accounts::check::Checked;
use crate::api::accounts::input::{Columns, takes};
use crate::api::accounts::object::input_of;
use crate::api::call::{Call, Reply, typed};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::merge::merged;
use crate::api::providers::provider_named;
use crate::api::{Api, managed};
use crate::id::{AccountId, ProxyId};
use crate::provider::credential::Credential;
use crate::provider::trial::Verdict;
use crate::routing::account::{AccountConfig, AccountKind, ProxyChoice};
use crate::secret::Secret;
use crate::store::accounts;
use crate::store::{Connection, Stamp, StoreError, combos, proxies};

/// Longest key, bytes.
const KEY: usize = 8_192;

/// What is asked for beside the columns.
#[derive(Debug, Deserialize)]
struct Making {
    provider: String,
    api_key: Option<String>,
    service_account: Option<Value>,
    #[serde(default = "yes")]
    check: bool,
    #[serde(default)]
    save_anyway: bool,
}

fn yes() -> bool {
    true
}

pub(in crate::api) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut given = merged(Map::new(), call.object()?);
    let mut own = Map::new();
    for name in ["provider", "api_key", "service_account", "check", "save_anyway"] {
        own.extend(given.remove(name).map(|value| (name.to_owned(), value)));
    }
    let making: Making = typed(own)?;
    if making.service_account.is_some() {
        let message = "service accounts are not in this version; use a provider that takes a key";
        return Err(ApiError::new(501, "not_implemented", message));
    }
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &making.provider)
        .map_err(|why| ApiError::invalid("provider", why.message))?;
    let secret = making.api_key.map(secret_of).transpose()?;
    let kind = if secret.is_some() { AccountKind::ApiKey } else { AccountKind::None };
    takes(provider, kind)?;
    if !given.contains_key("label") {
        given.insert("label".to_owned(), api.free_label(&provider.id).await?.into());
    }
    let (columns, proxy) = Columns::read(given, provider)?;
    let mut config = AccountConfig::new(provider.id.clone(), kind, String::new());
    let notes = columns.apply(proxy, &mut config);
    config.created_at = api.shared().clock.now_ms();
    let checked = match (&secret, making.check) {
        (Some(secret), true) => {
            let credential = Credential { api_key: Some(secret.clone()), ..Credential::default() };
            let checked = api.check(provider, &config, &credential).await;
            refuse_bad(&checked, making.save_anyway)?;
            Some(checked)
        }
        _ => None,
    };
    let now = api.shared().clock.now_ms();
    let sealer = api.shared().store.sealer().clone();
    let (id, validation) = (config.id, checked.as_ref().map(|c| c.verdict.as_str().to_owned()));
    api.write(move |conn| {
        if let Some(why) = proxy_problem(conn, &config.proxy)? {
            return Ok(Err(why));
        }
        accounts::upsert(conn, &sealer, &config, secret.as_ref(), Stamp::operator(now))?;
        if let Some(mut row) = accounts::find(conn, id)? {
            row.about.validated_at = validation.is_some().then_some(now);
            (row.about.notes, row.about.validation) = (notes, validation);
            accounts::set_about(conn, id, &row.about)?;
        }
        Ok(Ok(()))
    })
    .await
    .map_err(taken)?;
    api.reload().await?;
    let account = api.account(id).await?;
    Ok(Reply::created(json!({"account": account, "check": checked.as_ref().map(check_object)})))
}

pub(in crate::api) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let old = api.account_row(id).await?;
    managed(WHAT, old.managed_by)?;
    if rev.is_some_and(|rev| rev != old.rev) {
        return Err(ApiError::conflict(api.account(id).await?));
    }
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &old.config.provider)?;
    if patch.get("label").is_some_and(Value::is_null) {
        return Err(ApiError::invalid("label", "an account has a label; it cannot be taken away"));
    }
    let mut base = input_of(&old);
    base.retain(|_, value| !value.is_null());
    // The two parts of the way go together.
    if patch.get("proxy").is_some_and(Value::is_object) {
        base.remove("proxy");
    }
    let given = merged(Map::new(), merged(base, patch));
    let (columns, proxy) = Columns::read(given, provider)?;
    let mut config = old.config.clone();
    let notes = columns.apply(proxy, &mut config);
    let now = api.shared().clock.now_ms();
    let sealer = api.shared().store.sealer().clone();
    api.write(move |conn| {
        if let Some(why) = proxy_problem(conn, &config.proxy)? {
            return Ok(Err(why));
        }
        match accounts::find(conn, id)? {
            None => Ok(Err(ApiError::not_found(WHAT, &id.to_string()))),
            Some(row) if row.rev != old.rev => Ok(Err(ApiError::conflict(Value::Null))),
            Some(mut row) => {
                accounts::upsert(conn, &sealer, &config, None, Stamp::operator(now))?;
                row.about.notes = notes;
                accounts::set_about(conn, id, &row.about)?;
                Ok(Ok(()))
            }
        }
    })
    .await
    .map_err(taken)?;
    api.reload().await?;
    Ok(Reply::ok(api.account(id).await?))
}

pub(in crate::api) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    let force = match body.remove("force") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(force)) => force,
        Some(_) => return Err(ApiError::invalid("force", "must be true or false")),
    };
    no_more(&body)?;
    let row = api.account_row(id).await?;
    managed(WHAT, row.managed_by)?;
    if rev.is_some_and(|rev| rev != row.rev) {
        return Err(ApiError::conflict(api.account(id).await?));
    }
    api.write(move |conn| {
        let users = pins(conn, id)?;
        if !users.is_empty() && !force {
            let message = "entries of combos are pinned to this account; unpin them first, or send `force`: any \
                           account of the provider may then serve them";
            return Ok(Err(ApiError::in_use(message, users)));
        }
        accounts::delete(conn, id).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    api_key: String,
    #[serde(default = "yes")]
    check: bool,
    #[serde(default)]
    save_anyway: bool,
}

/// Replaces the credential: locks and a dead state go with the old one.
pub(in crate::api) async fn secret(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    let wish: NewKey = call.typed()?;
    let row = api.account_row(id).await?;
    managed(WHAT, row.managed_by)?;
    if row.config.kind != AccountKind::ApiKey {
        let why = "this account has no API key; sign in again with `ninerouter account reconnect`";
        return Err(ApiError::invalid("api_key", why));
    }
    let secret = secret_of(wish.api_key)?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &row.config.provider)?;
    let checked = if wish.check {
        let credential = Credential { api_key: Some(secret.clone()), ..Credential::default() };
        let checked = api.check(provider, &row.config, &credential).await;
        refuse_bad(&checked, wish.save_anyway)?;
        Some(checked)
    } else {
        None
    };
    let now = api.shared().clock.now_ms();
    let sealer = api.shared().store.sealer().clone();
    let validation = checked.as_ref().map(|checked| checked.verdict.as_str().to_owned());
    api.write(move |conn| {
        let Some(row) = accounts::find(conn, id)? else {
            return Ok(Err(ApiError::not_found(WHAT, &id.to_string())));
        };
        accounts::upsert(conn, &sealer, &row.config, Some(&secret), Stamp::operator(now))?;
        if let Some(mut row) = accounts::find(conn, id)? {
            row.about.validated_at = validation.is_some().then_some(now);
            row.about.validation = validation;
            accounts::set_about(conn, id, &row.about)?;
        }
        Ok(Ok(()))
    })
    .await
    .map_err(taken)?;
    api.reload().await?;
    let account = api.account(id).await?;
    Ok(Reply::ok(json!({"account": account, "check": checked.as_ref().map(check_object)})))
}

impl Api {
    /// A label that no account of the provider has: its id, then with a number behind it.
    async fn free_label(&self, provider: &str) -> Result<String, ApiError> {
        let id = provider.to_owned();
        let rows = self.read(accounts::list).await?;
        let labels: Vec<String> = rows
            .into_iter()
            .filter(|row| *row.config.provider == *id)
            .map(|row| row.config.label.to_lowercase())
            .collect();
        let numbered = (2..).map(|n: u32| format!("{id} {n}"));
        let free = std::iter::once(id.clone()).chain(numbered).find(|l| !labels.contains(l));
        Ok(free.unwrap_or(id))
    }
}

pub(in crate::api) fn secret_of(text: String) -> Result<Secret, ApiError> {
    let secret = Secret::new(text.trim().to_owned());
    let plain = secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if secret.is_empty() || secret.expose().len() > KEY || !plain {
        let why = format!("expected 1 to {KEY} printable ASCII characters without blanks");
        return Err(ApiError::invalid("api_key", why));
    }
    Ok(secret)
}

fn refuse_bad(checked: &Checked, save_anyway: bool) -> Result<(), ApiError> {
    match &checked.verdict {
        Verdict::Refused(why) if !save_anyway => {
            Err(ApiError::invalid("api_key", why.clone()).with("save_anyway", true.into()))
        }
        Verdict::Refused(_) | Verdict::Good { .. } | Verdict::Unknown(_) => Ok(()),
    }
}

/// `{valid, method, warning?}`.
pub(super) fn check_object(checked: &Checked) -> Value {
    let (valid, warning) = match &checked.verdict {
        Verdict::Good { warning } => (Some(true), warning.clone()),
        Verdict::Refused(why) => (Some(false), Some(why.clone())),
        Verdict::Unknown(why) => (None, Some(why.clone())),
    };
    json!({
        "valid": valid,
        "validation": checked.verdict.as_str(),
        "method": checked.method,
        "warning": warning,
    })
}

/// A key that another account of the provider has is the same account (accounts §0.1).
fn taken(error: ApiError) -> ApiError {
    if error.details.fields.contains_key("identity_key") {
        return ApiError::invalid("api_key", "another account of this provider has the same key");
    }
    error
}

/// Entries of combos that are pinned to an account.
fn pins(conn: &mut Connection, id: AccountId) -> Result<Vec<Value>, StoreError> {
    let rows = combos::list(conn)?;
    let pinned = rows
        .iter()
        .filter(|row| row.combo.entries.iter().any(|entry| entry.account_id == Some(id)));
    let shown = pinned.map(
        |row| json!({"kind": "combo", "id": row.combo.id.to_string(), "name": &*row.combo.name}),
    );
    Ok(shown.collect())
}

/// Why an account cannot go out by this way.
pub(in crate::api) fn proxy_problem(
    conn: &mut Connection,
    choice: &ProxyChoice,
) -> Result<Option<ApiError>, StoreError> {
    let ProxyChoice::Proxy(id) = choice else { return Ok(None) };
    let id: Option<ProxyId> = id.parse().ok();
    let known = match id {
        Some(id) => proxies::find(conn, id)?.is_some(),
        None => false,
    };
    Ok((!known).then(|| ApiError::invalid("proxy.id", "there is no proxy with this id")))
}
