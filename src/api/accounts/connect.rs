//! Connecting accounts: sign-ins under way, signing in again, files of official clients (accounts §0.4).

use std::str::FromStr as _;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::id::{AccountId, FlowId};
use crate::oauth::{
    Browser, ImportRequest, ImportSource, Means, Session, ShownCode, SignInError, SignInErrorKind,
    StartSignIn, Started,
};
use crate::provider::oauth::connect::StartOption;
use crate::routing::account::{Ownership, ProxyChoice};
use crate::secret::Secret;
use crate::store::accounts::{self, AccountRow};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    label: Option<String>,
    proxy_id: Option<String>,
    region: Option<String>,
    base_url: Option<String>,
    start_url: Option<String>,
    client_id: Option<String>,
    project: Option<String>,
    prefer: Option<Prefer>,
    /// Where the browser runs, when it is known.
    browser: Option<Place>,
    /// Of a reconnected account: it may become another identity.
    replace: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Prefer {
    Browser,
    Device,
}

impl From<Prefer> for Means {
    fn from(prefer: Prefer) -> Self {
        match prefer {
            Prefer::Browser => Self::Browser,
            Prefer::Device => Self::Device,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Here,
    Elsewhere,
}

pub(in crate::api) async fn start(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let provider = call.param("provider").to_owned();
    let wish: Wish = call.typed()?;
    begin(api, provider, None, wish).await
}

pub(in crate::api) async fn reconnect(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id("account")?;
    let wish: Wish = call.typed()?;
    let row = api.read(move |conn| accounts::find(conn, id)).await?;
    let row = row.ok_or_else(|| ApiError::not_found("account", call.param("id")))?;
    begin(api, row.config.provider.to_string(), Some(id), wish).await
}

async fn begin(
    api: &Api,
    provider: String,
    account: Option<AccountId>,
    wish: Wish,
) -> Result<Reply, ApiError> {
    let options = [
        (StartOption::Region, wish.region),
        (StartOption::BaseUrl, wish.base_url),
        (StartOption::StartUrl, wish.start_url),
        (StartOption::ClientId, wish.client_id),
        (StartOption::Project, wish.project),
    ];
    let options = options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let ask = StartSignIn {
        provider,
        label: wish.label,
        account,
        replace: wish.replace,
        proxy: wish.proxy_id.map(ProxyChoice::Proxy),
        browser: match wish.browser {
            Some(Place::Elsewhere) => Browser::Elsewhere,
            Some(Place::Here) => Browser::Here,
            None => Browser::Unknown,
        },
        prefer: wish.prefer.map(Means::from),
        options,
    };
    let started = api.sign_ins().start(ask).await?;
    Ok(Reply::ok(started_object(&started)))
}

pub(in crate::api) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::ok(session_object(&api.sign_ins().session(flow(&call)?).await?)))
}

pub(in crate::api) async fn paste(api: &Api, call: Call) -> Result<Reply, ApiError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pasted {
        input: String,
    }
    let id = flow(&call)?;
    let Pasted { input } = call.typed()?;
    Ok(Reply::ok(session_object(&api.sign_ins().paste(id, Secret::new(input)).await?)))
}

pub(in crate::api) async fn cancel(api: &Api, call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::ok(session_object(&api.sign_ins().cancel(flow(&call)?).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportWish {
    source: Source,
    #[serde(default)]
    data: String,
    path: Option<String>,
    select: Option<Vec<String>>,
    ownership: Option<String>,
    label: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Scan,
    Paste,
    Upload,
}

pub(in crate::api) async fn import(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let provider = call.param("provider").to_owned();
    let wish: ImportWish = call.typed()?;
    let source = match (wish.source, wish.select) {
        (Source::Scan, None) => return candidates(api, provider).await,
        (Source::Scan, Some(select)) => ImportSource::Scan { select },
        (Source::Paste | Source::Upload, _) => {
            ImportSource::Text { data: Secret::new(wish.data), path: wish.path }
        }
    };
    let ownership = wish.ownership.as_deref().map(ownership).transpose()?;
    let ask = ImportRequest { provider, source, ownership, label: wish.label };
    let imported = api.sign_ins().import(ask).await?;
    let ids: Vec<AccountId> = imported.iter().map(|account| account.account_id).collect();
    let rows = api.read(move |conn| ids.iter().map(|id| accounts::find(conn, *id)).collect());
    let rows: Vec<Option<AccountRow>> = rows.await?;
    let accounts: Vec<Value> = rows.iter().flatten().map(imported_object).collect();
    let existed = imported.iter().filter(|account| account.existed);
    let existed: Vec<String> = existed.map(|account| account.account_id.to_string()).collect();
    let checks: Vec<Value> = imported
        .iter()
        .map(|account| {
            json!({"account_id": account.account_id.to_string(), "validation": account.validation,
                "message": account.message, "warning": account.warning})
        })
        .collect();
    Ok(Reply::ok(json!({"accounts": accounts, "existed": existed, "checks": checks})))
}

async fn candidates(api: &Api, provider: String) -> Result<Reply, ApiError> {
    let found = api.sign_ins().scan(provider).await?;
    let found: Vec<Value> = found
        .into_iter()
        .map(|candidate| {
            json!({"key": candidate.key, "path": candidate.path, "label": candidate.label,
                "email": candidate.email, "plan": candidate.plan, "expires_at": candidate.expires_at,
                "refreshable": candidate.has_refresh})
        })
        .collect();
    Ok(Reply::ok(json!({"candidates": found})))
}

fn imported_object(row: &AccountRow) -> Value {
    let ownership = match row.config.ownership {
        Ownership::Own => "own",
        Ownership::Copy => "copy",
        Ownership::Follow => "follow",
    };
    json!({"id": row.config.id.to_string(), "provider": &*row.config.provider,
        "label": row.config.label, "email": row.about.email, "plan": row.about.plan,
        "ownership": ownership, "validation": row.about.validation})
}

fn ownership(text: &str) -> Result<Ownership, ApiError> {
    Ok(match text {
        "own" => Ownership::Own,
        "copy" => Ownership::Copy,
        "follow" => Ownership::Follow,
        _ => return Err(ApiError::invalid("ownership", "must be own, copy or follow")),
    })
}

fn flow(call: &Call) -> Result<FlowId, ApiError> {
    let text = call.param("session");
    FlowId::from_str(text).map_err(|_no_id| ApiError::not_found("sign-in", text))
}

fn started_object(started: &Started) -> Value {
    json!({
        "session_id": started.session_id.to_string(), "provider": started.provider,
        "mode": started.mode, "authorize_url": started.authorize_url,
        "redirect_uri": started.redirect_uri, "device": started.device.as_ref().map(code_object),
        "expires_at": started.expires_at,
        "paste_allowed": started.paste_allowed, "note": started.note,
    })
}

fn session_object(session: &Session) -> Value {
    json!({
        "session_id": session.session_id.to_string(), "provider": session.provider,
        "status": session.status.as_str(), "message": session.message,
        "account_id": session.account_id.map(|id| id.to_string()), "existed": session.existed,
        "device": session.device.as_ref().map(code_object),
    })
}

fn code_object(code: &ShownCode) -> Value {
    json!({
        "user_code": code.user_code, "verification_uri": code.verification_uri,
        "verification_uri_complete": code.verification_uri_complete, "expires_at": code.expires_at,
    })
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        let code = match error.kind {
            SignInErrorKind::NotFound => "not_found",
            SignInErrorKind::Invalid => "validation_failed",
            SignInErrorKind::Conflict => "conflict",
            SignInErrorKind::Unavailable => "unavailable",
        };
        Self::new(error.status(), code, error.message)
    }
}
