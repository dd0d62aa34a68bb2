//! Budgets: spending limits, with what is spent and set aside at the moment.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, page};
use crate::api::{Api, managed};
use crate::id::BudgetId;
use crate::routing::budget::{
    Amount, Budget, BudgetAction, BudgetLimits, BudgetScope, BudgetWindow, NOTIFY_AT,
};
use crate::store::budgets::{self, BudgetRow};
use crate::store::{Connection, Stamp, StoreError, accounts, api_keys, combos};

const WHAT: &str = "budget";

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let rows = api.read(budgets::list).await?;
    let key = |row: &BudgetRow| {
        let budget = &row.budget;
        [budget.scope.as_str(), &budget.scope.id(), budget.window.as_str()].join("/")
    };
    page(&call, rows.iter().map(|row| (key(row), api.budget_object(row))))
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let budget = api.checked_budget(BudgetId::new(), call.object()?).await?;
    let id = budget.id;
    let now = api.shared().clock.now_ms();
    api.write(move |conn| {
        let taken = budgets::list(conn)?
            .iter()
            .any(|row| row.budget.scope == budget.scope && row.budget.window == budget.window);
        if taken {
            let why = "has a budget of this window already; change that one";
            return Ok(Err(ApiError::invalid("scope", why)));
        }
        budgets::upsert(conn, &BudgetRow::new(budget), Stamp::operator(now)).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::created(api.budget_object(&api.budget_row(id).await?)))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: BudgetId = call.id(WHAT)?;
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let old = api.budget_row(id).await?;
    managed(WHAT, old.managed_by)?;
    let current = api.budget_object(&old);
    if rev.is_some_and(|rev| rev != old.rev) {
        return Err(ApiError::conflict(current));
    }
    let new = api.checked_budget(id, merged(input_of(&old.budget), patch)).await?;
    let now = api.shared().clock.now_ms();
    api.write(move |conn| {
        match budgets::find(conn, id)? {
            None => return Ok(Err(ApiError::not_found(WHAT, &id.to_string()))),
            Some(stored) if stored.rev != old.rev => return Ok(Err(ApiError::conflict(current))),
            Some(_) => {}
        }
        budgets::upsert(conn, &BudgetRow::new(new), Stamp::operator(now)).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::ok(api.budget_object(&api.budget_row(id).await?)))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: BudgetId = call.id(WHAT)?;
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    no_more(&body)?;
    let row = api.budget_row(id).await?;
    managed(WHAT, row.managed_by)?;
    if rev.is_some_and(|rev| rev != row.rev) {
        return Err(ApiError::conflict(api.budget_object(&row)));
    }
    api.write(move |conn| budgets::delete(conn, id).map(Ok)).await?;
    api.reload().await?;
    Ok(Reply::gone())
}

/// A budget as a caller sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    scope: String,
    #[serde(default)]
    scope_id: String,
    window: String,
    limit_umicro: Option<i64>,
    limit_tokens: Option<i64>,
    limit_requests: Option<i64>,
    tz: Option<String>,
    action: Option<String>,
    notify_at: Option<Vec<u8>>,
    enabled: Option<bool>,
}

impl Api {
    async fn budget_row(&self, id: BudgetId) -> Result<BudgetRow, ApiError> {
        let row = self.read(move |conn| budgets::find(conn, id)).await?;
        row.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))
    }

    /// The budget of a request's members; what it limits must exist.
    async fn checked_budget(
        &self,
        id: BudgetId,
        given: Map<String, Value>,
    ) -> Result<Budget, ApiError> {
        let call = Call { body: Value::Object(given).to_string().into_bytes(), ..Call::default() };
        let mut wish: Wish = call.typed()?;
        if wish.scope == "provider" {
            let snapshot = self.shared().snapshot.load();
            let catalog = &snapshot.catalog;
            let named = catalog.by_id(&wish.scope_id).or_else(|| catalog.by_prefix(&wish.scope_id));
            let named = named.ok_or_else(|| {
                ApiError::invalid("scope_id", "there is no such provider or node")
            })?;
            wish.scope_id = named.id.to_string();
        }
        let budget = read(id, wish)?;
        let scope = budget.scope.clone();
        if !self.read(move |conn| exists(conn, &scope)).await? {
            return Err(ApiError::invalid("scope_id", "there is nothing with this id"));
        }
        Ok(budget)
    }

    fn budget_object(&self, row: &BudgetRow) -> Value {
        let now = self.shared().clock.now_ms();
        let standing = self.shared().budgets.standing(row.budget.id, now);
        let amount = |amount: Amount| json!({"umicro": amount.umicro, "tokens": amount.tokens, "requests": amount.requests});
        let mut object = input_of(&row.budget);
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("id", row.budget.id.to_string().into());
        put("spent", standing.as_ref().map(|standing| amount(standing.spent)).into());
        put("reserved_umicro", standing.as_ref().map(|standing| standing.reserved.umicro).into());
        put("resets_at", standing.and_then(|standing| standing.resets_at).into());
        put("managed_by", row.managed_by.map(|owner| owner.as_str()).into());
        put("rev", row.rev.into());
        Value::Object(object)
    }
}

/// Members that a caller can set, as it may send them.
fn input_of(budget: &Budget) -> Map<String, Value> {
    members(json!({
        "scope": budget.scope.as_str(),
        "scope_id": budget.scope.id(),
        "window": budget.window.as_str(),
        "limit_umicro": budget.limits.umicro,
        "limit_tokens": budget.limits.tokens,
        "limit_requests": budget.limits.requests,
        "tz": budget.tz,
        "action": budget.action.as_str(),
        "notify_at": budget.notify_at,
        "enabled": budget.enabled,
    }))
}

fn read(id: BudgetId, wish: Wish) -> Result<Budget, ApiError> {
    let scope = BudgetScope::parse(&wish.scope, &wish.scope_id).ok_or_else(|| {
        let why =
            "expected `all`, or `provider`, `account`, `combo` or `api_key` with its `scope_id`";
        ApiError::invalid("scope", why)
    })?;
    let window = BudgetWindow::parse(&wish.window)
        .ok_or_else(|| ApiError::invalid("window", "expected 5h, day, week, month or total"))?;
    let action = match wish.action.as_deref() {
        None => BudgetAction::default(),
        Some(word) => BudgetAction::parse(word)
            .ok_or_else(|| ApiError::invalid("action", "expected block or warn"))?,
    };
    let limits = BudgetLimits {
        umicro: wish.limit_umicro,
        tokens: wish.limit_tokens,
        requests: wish.limit_requests,
    };
    let given = [
        ("limit_umicro", limits.umicro),
        ("limit_tokens", limits.tokens),
        ("limit_requests", limits.requests),
    ];
    if given.iter().all(|(_, limit)| limit.is_none()) {
        let why = "a budget needs a limit: `limit_umicro`, `limit_tokens` or `limit_requests`";
        return Err(ApiError::invalid("limit_umicro", why));
    }
    if let Some((name, _)) = given.iter().find(|(_, limit)| limit.is_some_and(|n| n < 0)) {
        return Err(ApiError::invalid(name, "must be 0 or more"));
    }
    let tz = wish.tz.filter(|zone| !zone.is_empty());
    if tz.as_ref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        return Err(ApiError::invalid("tz", "is no time zone; one is `Europe/Berlin`"));
    }
    let mut notify_at = wish.notify_at.unwrap_or_else(|| NOTIFY_AT.to_vec());
    if notify_at.iter().any(|percent| !(1..=100).contains(percent)) {
        return Err(ApiError::invalid("notify_at", "holds percents from 1 to 100"));
    }
    notify_at.sort_unstable();
    notify_at.dedup();
    let enabled = wish.enabled.unwrap_or(true);
    Ok(Budget { id, scope, window, limits, tz, action, notify_at, enabled })
}

fn exists(conn: &mut Connection, scope: &BudgetScope) -> Result<bool, StoreError> {
    Ok(match scope {
        BudgetScope::All | BudgetScope::Provider(_) => true,
        BudgetScope::Account(id) => accounts::find(conn, *id)?.is_some(),
        BudgetScope::Combo(id) => combos::find(conn, *id)?.is_some(),
        BudgetScope::ApiKey(id) => api_keys::find(conn, *id)?.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(more: Value) -> Result<Budget, String> {
        let base = members(json!({"scope": "all", "window": "day", "limit_umicro": 5}));
        let call = Call {
            body: Value::Object(merged(base, members(more))).to_string().into_bytes(),
            ..Call::default()
        };
        let wish: Wish = call.typed().map_err(|error| error.message.clone())?;
        read(BudgetId::new(), wish)
            .map_err(|error| error.details.fields.keys().cloned().collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_budget_is_read_with_its_defaults() {
        let budget = wish(json!({"notify_at": [90, 50, 90]})).unwrap();
        assert_eq!(budget.notify_at, [50, 90]);
        assert_eq!((budget.action, budget.enabled), (BudgetAction::Block, true));
        assert_eq!(budget.limits.umicro, Some(5));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (more, member) in [
            (json!({"scope": "planet"}), "scope"),
            (json!({"scope": "account", "scope_id": "x"}), "scope"),
            (json!({"window": "decade"}), "window"),
            (json!({"limit_umicro": null}), "limit_umicro"),
            (json!({"limit_tokens": -1}), "limit_tokens"),
            (json!({"tz": "Mars/Olympus"}), "tz"),
            (json!({"notify_at": [0]}), "notify_at"),
            (json!({"action": "explode"}), "action"),
        ] {
            assert_eq!(wish(more.clone()).unwrap_err(), member, "{more}");
        }
    }
}
