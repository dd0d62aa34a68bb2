//! Balances of pay-as-you-go accounts, and the small usage pages of single vendors.

use serde_json::Value;

use crate::provider::quota::document::Credits;
use crate::provider::quota::number::{first, flag, number, signed, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Unit, Window};
use crate::routing::lock::Scope;

/// `{is_available, balance_infos: [{currency, total_balance}]}`
pub(super) fn deepseek(body: &Value, into: &mut Reading) -> Option<()> {
    let infos = body.get("balance_infos").and_then(Value::as_array);
    let available = body.get("is_available").and_then(flag);
    let richest = infos.into_iter().flatten().filter_map(|info| {
        let unit = match info.get("currency").and_then(words)? {
            "USD" => Unit::Usd,
            "CNY" => Unit::Cny,
            _ => return None,
        };
        Some((info.get("total_balance").and_then(signed)?, unit))
    });
    into.credits = richest.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(amount, unit)| Credits {
        amount: Some(amount),
        unit,
        unlimited: false,
    });
    let unit = into.credits.as_ref().map_or(Unit::Usd, |credits| credits.unit);
    let mut window = Window::new("balance", "Balance", Scope::All);
    window.unit = unit;
    if available == Some(true) {
        window.status = Status::Ok;
    }
    into.take([window.exhausted_if(available == Some(false))]);
    (infos.is_some() || available.is_some()).then_some(())
}

/// `/credits` tells `{total_credits, total_usage}`, `/key` tells `{limit, limit_remaining, usage}`.
pub(super) fn openrouter(body: &Value, into: &mut Reading) -> Option<()> {
    let data = body.get("data").filter(|data| data.is_object())?;
    let bought = data.get("total_credits").and_then(number);
    if let Some(bought) = bought {
        let used = data.get("total_usage").and_then(number).unwrap_or(0.0);
        // Free models are served without any.
        into.credits =
            Some(Credits { amount: Some(bought - used), unit: Unit::Usd, unlimited: false });
    }
    let limit = data.get("limit").and_then(number);
    if let Some(limit) = limit {
        let left = data.get("limit_remaining").and_then(signed);
        let used =
            left.map(|left| (limit - left).max(0.0)).or_else(|| data.get("usage").and_then(number));
        into.take([Window::new("key", "Limit of the key", Scope::All).counted(
            Unit::Usd,
            used,
            Some(limit),
        )]);
    }
    if data.get("is_free_tier").and_then(flag) == Some(true) {
        into.plan = Some("free".to_owned());
    }
    let told = ["total_credits", "limit", "usage", "is_free_tier"];
    told.iter().any(|name| data.get(name).is_some()).then_some(())
}

/// `{data: {available_balance, …}}`
pub(super) fn moonshot(body: &Value, into: &mut Reading) -> Option<()> {
    let amount = body.get("data")?.get("available_balance").and_then(signed)?;
    into.credits = Some(Credits { amount: Some(amount), unit: Unit::Usd, unlimited: false });
    Some(())
}

/// `{balance, total_used}`
pub(super) fn vercel(body: &Value, into: &mut Reading) -> Option<()> {
    let amount = body.get("balance").and_then(signed)?;
    into.credits = Some(Credits { amount: Some(amount), unit: Unit::Usd, unlimited: false });
    Some(())
}

/// `{limits: {session: {usage}, weekly: {usage}}}`, usage as a fraction.
pub(super) fn ollama(body: &Value, into: &mut Reading) -> Option<()> {
    let limits = body.get("limits").filter(|limits| limits.is_object())?;
    let known =
        [("session", "session", "Session", None), ("weekly", "7d", "Week (7 d)", Some(7 * 86_400))];
    for (member, name, label, length) in known {
        let Some(limit) = limits.get(member).filter(|limit| limit.is_object()) else { continue };
        let used = limit.get("usage").and_then(number).map(|fraction| fraction * 100.0);
        let names = ["resets_at", "reset_at", "resetAt"];
        let reset = first(limit, &names, |at| when(at, into.observed_at));
        into.take([Window::new(name, label, Scope::All).percent(used).resets(reset).lasts(length)]);
    }
    into.plan = first(body, &["plan", "tier"], |v| words(v).map(str::to_owned));
    Some(())
}
