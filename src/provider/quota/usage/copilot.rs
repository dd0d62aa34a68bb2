//! GitHub Copilot: `quota_snapshots` of paid plans; what is left of the free one.

use serde_json::Value;

use crate::provider::quota::headers::copilot_snapshot;
use crate::provider::quota::number::{first, flag, number, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Unit, Window};

pub(super) fn read(body: &Value, into: &mut Reading) -> Option<()> {
    let now = into.observed_at;
    let dates = ["quota_reset_date_utc", "quota_reset_date", "limited_user_reset_date"];
    let reset = first(body, &dates, |at| when(at, now));
    let snapshots = body.get("quota_snapshots").and_then(Value::as_object);
    for (name, snapshot) in snapshots.into_iter().flatten() {
        let unlimited = snapshot.get("unlimited").and_then(flag) == Some(true);
        let all = snapshot.get("entitlement").and_then(number);
        let left = first(snapshot, &["quota_remaining", "remaining"], number);
        let used = all.zip(left).map(|(all, left)| (all - left).max(0.0));
        let mut window = copilot_snapshot(name).counted(Unit::Requests, used, all);
        if window.percent.is_none() && all != Some(0.0) {
            let percent = snapshot.get("percent_remaining").and_then(number);
            window = window.percent(percent.map(|left| 100.0 - left));
        }
        let permitted = snapshot.get("overage_permitted").and_then(flag) == Some(true);
        let window = window.resets(reset).endless(unlimited);
        into.take([Window { overage: permitted && window.status == Status::Exhausted, ..window }]);
    }
    // The free plan: `limited_user_quotas` is what is left, not what is used.
    let left = body.get("limited_user_quotas").and_then(Value::as_object);
    for (name, left) in left.into_iter().flatten() {
        let all = body.get("monthly_quotas").and_then(|all| number(all.get(name)?));
        let used = all.zip(number(left)).map(|(all, left)| (all - left).max(0.0));
        into.take([copilot_snapshot(name).counted(Unit::Requests, used, all).resets(reset)]);
    }
    into.plan = first(body, &["copilot_plan", "access_type_sku"], |v| words(v).map(str::to_owned));
    (snapshots.is_some() || left.is_some() || into.plan.is_some()).then_some(())
}
