//! API keys (api §4) as their list shows them.

use ninerouter_templates::format::{grouped, money};
use ninerouter_templates::key::{Row, Standing};
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;

/// A key of the list.
pub(in crate::dashboard) fn row(sight: &Sight, key: &Value) -> Row {
    let now = sight.now.unix_ms;
    let is_over = |at: &str| key.int(at).is_some_and(|at| at <= now);
    let standing = if is_over("/revoked_at") {
        Standing::Revoked
    } else if is_over("/expires_at") {
        Standing::Expired
    } else if key.is("/enabled") {
        Standing::Active
    } else {
        Standing::Off
    };
    Row {
        id: key.text("/id").to_owned(),
        name: key.text("/name").to_owned(),
        shown: format!("{}…{}", key.text("/prefix"), key.text("/last4")),
        standing,
        limits: limits(key),
        last_used: key.int("/last_used_at").map(|at| sight.now.ago(at)),
        expires: key.int("/expires_at").filter(|at| *at > now).map(|at| sight.now.until(at)),
        former_until: key.int("/former/until").map(|at| sight.now.until(at)),
        managed: !key.part("/managed_by").is_null(),
    }
}

fn limits(key: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    for (at, words) in
        [("/rpm", "requests/min"), ("/tpm", "tokens/min"), ("/max_concurrent", "at a time")]
    {
        limits.extend(key.int(at).map(|most| format!("{} {words}", grouped(most))));
    }
    for (at, words) in [("day", "today"), ("month", "this month"), ("total", "in total")] {
        let Some(most) = key.int(&format!("/usd_{at}_umicro")) else { continue };
        let spent = key.int(&format!("/spent/{at}_umicro")).unwrap_or_default();
        limits.push(format!("{} of {} {words}", money(spent), money(most)));
    }
    for (at, word) in [
        ("/allowed_models", "models"),
        ("/allowed_providers", "providers"),
        ("/allowed_combos", "combos"),
        ("/allowed_cidrs", "from"),
    ] {
        let allowed = key.texts(at);
        if !allowed.is_empty() {
            limits.push(format!("{word} {}", allowed.join(", ")));
        }
    }
    if key.is("/capture_bodies") {
        limits.push("bodies are kept".to_owned());
    }
    limits
}
