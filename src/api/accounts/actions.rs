//! What an operator has an account do: a new token, a look at its quota, a test, another attempt.

use std::str::FromStr as _;
use std::time::Duration;

use actix::Addr;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actors::account::{Account, ClearLocks, RefreshNow, Renewed, Show, TryAgain};
use crate::actors::exchanges::Unrenewed;
use crate::actors::quota_poller::PollRefused;
use crate::actors::router::Find;
use crate::api::accounts::WHAT;
use crate::api::accounts::check::Checked;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::providers::provider_named;
use crate::api::{ASK, Api};
use crate::id::AccountId;
use crate::provider::trial::Verdict;
use crate::routing::lock::Scope;
use crate::store::accounts;

/// A new token: the exchange, its repetitions and the write behind it.
const RENEWAL: Duration = Duration::from_secs(90);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Refresh {
    /// Also when the present token still has time.
    force: bool,
}

impl Default for Refresh {
    fn default() -> Self {
        Self { force: true }
    }
}

pub(in crate::api) async fn refresh(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    let Refresh { force } = call.typed()?;
    let actor = api.actor(id).await?;
    let answer = actor.send(RefreshNow { force }).timeout(RENEWAL).await;
    let renewed = answer.map_err(|_gone| silent())?.map_err(|why| unrenewed(&why))?;
    Ok(Reply::ok(renewed_object(&renewed, api.account(id).await?)))
}

/// Leaves `dead` for one attempt (accounts §3.4).
pub(in crate::api) async fn try_again(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    no_more(&call.object()?)?;
    let actor = api.actor(id).await?;
    let answer = actor.send(TryAgain).timeout(RENEWAL).await;
    let renewed = answer.map_err(|_gone| silent())?.map_err(|why| unrenewed(&why))?;
    Ok(Reply::ok(renewed_object(&renewed, api.account(id).await?)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Which {
    /// `*`, `model:…`, `family:…`, `feature:…`; absent = all of them.
    scope: Option<String>,
}

pub(in crate::api) async fn clear_locks(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    let which: Which = call.typed()?;
    let read = |text: &String| {
        let why = "expected `*`, `model:<id>`, `family:<name>` or `feature:<name>`";
        Scope::from_str(text).map_err(|_no_scope| ApiError::invalid("scope", why))
    };
    let scope = which.scope.as_ref().map(read).transpose()?;
    let actor = api.actor(id).await?;
    let cleared = actor.send(ClearLocks { scope }).timeout(ASK).await.map_err(|_gone| silent())?;
    let mut account = api.account(id).await?;
    if let Value::Object(members) = &mut account {
        members.insert("cleared".to_owned(), cleared.into());
    }
    Ok(Reply::ok(account))
}

pub(in crate::api) async fn poll_quota(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    no_more(&call.object()?)?;
    api.account_row(id).await?;
    match api.shared().quota_polls.ask(id).await {
        Ok(document) => {
            let now = api.shared().clock.now_ms();
            let quota = serde_json::to_value(document.as_of(now)).unwrap_or_default();
            let account = api.account(id).await?;
            Ok(Reply::ok(json!({"quota": quota, "account": account})))
        }
        Err(why) => {
            let (status, code) = match &why {
                PollRefused::TooSoon { .. } | PollRefused::Busy => (429, "rate_limited"),
                PollRefused::NoEndpoint => (501, "not_implemented"),
                PollRefused::Unusable => (409, "conflict"),
            };
            Err(ApiError::new(status, code, why.to_string()))
        }
    }
}

/// Asks the upstream whether it takes the account's credential. Locks stay as they are.
pub(in crate::api) async fn test(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AccountId = call.id(WHAT)?;
    no_more(&call.object()?)?;
    let row = api.account_row(id).await?;
    let actor = api.actor(id).await?;
    // A token that ran out while nobody asked says nothing of the account; one that cannot be renewed fails below.
    drop(actor.send(RefreshNow { force: false }).timeout(RENEWAL).await);
    let shown = actor.send(Show).timeout(ASK).await.map_err(|_gone| silent())?;
    let Some(shown) = shown else {
        let message =
            "the account has no credential that can be read; reconnect it or give it a new key";
        return Ok(Reply::ok(
            json!({"ok": false, "ms": 0, "class": "refused", "message": message}),
        ));
    };
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &row.config.provider)?;
    let checked = api.check(provider, &shown.account, &shown.credential).await;
    let now = api.shared().clock.now_ms();
    let word = checked.verdict.as_str();
    if word != "unverified" {
        api.write(move |conn| {
            let Some(mut row) = accounts::find(conn, id)? else { return Ok(Ok(())) };
            row.about.validation = Some(word.to_owned());
            row.about.validated_at = Some(now);
            accounts::set_about(conn, id, &row.about).map(Ok)
        })
        .await?;
    }
    Ok(Reply::ok(tested(&checked)))
}

/// `{ok, ms, class?, message?}`.
fn tested(checked: &Checked) -> Value {
    let (ok, class, message) = match &checked.verdict {
        Verdict::Good { warning } => (true, "verified", warning.clone()),
        Verdict::Refused(why) => (false, "refused", Some(why.clone())),
        Verdict::Unknown(why) => (false, "unverified", Some(why.clone())),
    };
    json!({"ok": ok, "ms": checked.ms, "method": checked.method, "class": class, "message": message})
}

impl Api {
    /// The actor of an account.
    async fn actor(&self, id: AccountId) -> Result<Addr<Account>, ApiError> {
        let found = self.ask(Find { account: id }).await?;
        found.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))
    }
}

fn renewed_object(renewed: &Renewed, account: Value) -> Value {
    json!({
        "changed": renewed.changed,
        "expires_at": renewed.expires_at,
        "generation": renewed.generation,
        "account": account,
    })
}

/// No new token: the reason is the account's, not the call's.
fn unrenewed(why: &Unrenewed) -> ApiError {
    ApiError::new(409, "not_refreshed", why.text.clone())
}

fn silent() -> ApiError {
    ApiError::unavailable("the account does not answer; try again")
}
