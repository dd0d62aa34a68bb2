//! `[[budgets]]` of a config file.

use jiff::tz::TimeZone;

use crate::config::file::BudgetSpec;
use crate::config::file::document::Trail;
use crate::config::file::key::amount;
use crate::config::file::object::BudgetObject;
use crate::config::file::reader::Reader;
use crate::routing::budget::{BudgetAction, BudgetLimits, BudgetWindow, NOTIFY_AT};

const SCOPES: &[(&str, &str)] = &[
    ("all", "all"),
    ("provider", "provider"),
    ("account", "account"),
    ("combo", "combo"),
    ("api_key", "api_key"),
];
const WINDOWS: &[(&str, BudgetWindow)] = &[
    ("5h", BudgetWindow::FiveHours),
    ("day", BudgetWindow::Day),
    ("week", BudgetWindow::Week),
    ("month", BudgetWindow::Month),
    ("total", BudgetWindow::Total),
];
const ACTIONS: &[(&str, BudgetAction)] =
    &[("block", BudgetAction::Block), ("warn", BudgetAction::Warn)];
/// Percents of a limit that can be told.
const PERCENTS: (u8, u8) = (1, 200);

/// A budget; what its scope names is looked up when the file is planned.
pub(super) fn read(reader: &mut Reader, trail: &Trail, object: BudgetObject) -> Option<BudgetSpec> {
    let scope = reader.choice(&trail.key("scope"), &object.scope, SCOPES);
    let window = reader.choice(&trail.key("window"), &object.window, WINDOWS);
    let action = trail.key("action");
    let action = reader.optional_choice(&action, object.action.as_ref(), ACTIONS);
    let mut limit = |member: &str, number: Option<i64>| {
        number.map(|n| reader.within(&trail.key(member), n, 0, i64::MAX))
    };
    let tokens = limit("limit_tokens", object.limit_tokens);
    let requests = limit("limit_requests", object.limit_requests);
    let names = ("limit_usd", "limit_umicro");
    let umicro = amount(reader, trail, names, &object.limit_usd, object.limit_umicro);
    let limits = BudgetLimits { umicro, tokens, requests };
    if object.limit_usd.is_none() && limits == BudgetLimits::default() {
        let message = "a budget needs `limit_usd`, `limit_tokens` or `limit_requests`";
        reader.fail(trail, message);
    }
    let tz = object.tz.filter(|tz| !tz.trim().is_empty());
    if let Some(tz) = &tz
        && TimeZone::get(tz).is_err()
    {
        let message = "is no time zone; expected an IANA name such as `Europe/Berlin`";
        reader.fail(&trail.key("tz"), message);
    }
    let mut notify_at = object.notify_at.unwrap_or_else(|| NOTIFY_AT.to_vec());
    for (index, percent) in notify_at.iter().enumerate() {
        reader.within(&trail.key("notify_at").item(index), *percent, PERCENTS.0, PERCENTS.1);
    }
    notify_at.sort_unstable();
    notify_at.dedup();
    let id = scope_id(reader, trail, &object.scope, object.id, object.scope_id);
    Some(BudgetSpec {
        scope: scope?,
        scope_id: id?,
        window: window?,
        limits,
        tz,
        action: action.unwrap_or_default(),
        notify_at,
        enabled: object.enabled.unwrap_or(true),
    })
}

/// What the scope names: empty for everything, needed for the others.
fn scope_id(
    reader: &mut Reader,
    trail: &Trail,
    scope: &str,
    id: Option<String>,
    scope_id: Option<String>,
) -> Option<String> {
    let (member, id) = match (id, scope_id) {
        (Some(_), Some(_)) => {
            reader.fail(&trail.key("scope_id"), "stands beside `id`; keep one");
            return None;
        }
        (Some(id), None) => ("id", id),
        (None, Some(id)) => ("scope_id", id),
        (None, None) => ("id", String::new()),
    };
    match (scope, id.trim()) {
        ("all", "") => Some(String::new()),
        ("all", _) => {
            reader.fail(&trail.key(member), "belongs to the other scopes; remove it");
            None
        }
        (_, "") => {
            let message = format!("`id` is missing: which {scope} is meant?");
            reader.fail(trail, message.replace("api_key", "API key"));
            None
        }
        (_, id) => Some(reader.line(&trail.key(member), id, 200)),
    }
}
