//! Kiro: a monthly allowance, with trials and bonuses on top of it.

use serde_json::Value;

use crate::clock::UnixMs;
use crate::provider::quota::number::{first, number, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Unit, Window};
use crate::routing::lock::Scope;

const USED: [&str; 2] = ["currentUsageWithPrecision", "currentUsage"];
const LIMIT: [&str; 2] = ["usageLimitWithPrecision", "usageLimit"];

pub(super) fn read(body: &Value, into: &mut Reading) -> Option<()> {
    let list = body.get("usageBreakdownList")?.as_array()?;
    let now = into.observed_at;
    let common = body.get("nextDateReset").and_then(|at| when(at, now));
    let overage = body
        .get("overageConfiguration")
        .and_then(|o| words(o.get("overageStatus")?))
        .is_some_and(|status| status.eq_ignore_ascii_case("ENABLED"));
    for usage in list {
        let kind = usage.get("resourceType").and_then(words).unwrap_or("CREDIT");
        // Base, trial and bonuses are one pot: it is used up when all of them are.
        let mut pots = vec![pot(usage)];
        if let Some(trial) = usage.get("freeTrialInfo").filter(|trial| is_active(trial, now)) {
            pots.push(pot(trial));
        }
        let bonuses = usage.get("bonuses").and_then(Value::as_array);
        pots.extend(bonuses.into_iter().flatten().filter(|b| is_active(b, now)).map(pot));
        let (used, limits): (Vec<_>, Vec<_>) = pots.into_iter().unzip();
        let known = limits.iter().any(Option::is_some);
        let total = |numbers: Vec<Option<f64>>| numbers.into_iter().flatten().sum::<f64>();
        let reset = usage.get("nextDateReset").and_then(|at| when(at, now)).or(common);
        let name = kind.to_ascii_lowercase();
        let mut window = Window::new(name, label(kind), Scope::All)
            .counted(
                if kind == "CREDIT" { Unit::Credits } else { Unit::Requests },
                Some(total(used)),
                known.then(|| total(limits)),
            )
            .resets(reset);
        window.overage = overage && window.status == Status::Exhausted;
        into.take([window]);
    }
    into.plan = body.get("subscriptionInfo").and_then(|info| {
        first(info, &["subscriptionTitle", "type"], |v| words(v).map(str::to_owned))
    });
    Some(())
}

fn pot(usage: &Value) -> (Option<f64>, Option<f64>) {
    (first(usage, &USED, number), first(usage, &LIMIT, number))
}

fn is_active(pot: &Value, now: UnixMs) -> bool {
    let status = first(pot, &["freeTrialStatus", "status"], |v| words(v).map(str::to_owned));
    let expiry = first(pot, &["freeTrialExpiry", "expiresAt"], |at| when(at, now));
    status.is_none_or(|status| status.eq_ignore_ascii_case("ACTIVE"))
        && expiry.is_none_or(|expiry| expiry > now)
}

fn label(kind: &str) -> String {
    match kind {
        "CREDIT" => "Credits".to_owned(),
        other => other.to_ascii_lowercase().replace('_', " "),
    }
}
