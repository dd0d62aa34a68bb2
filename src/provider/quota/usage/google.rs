//! Google's sign-ins: Code Assist's buckets, and Antigravity's model list. Both tell what is left per model.

use serde_json::Value;

use crate::provider::catalog::Provider;
use crate::provider::quota::document::Credits;
use crate::provider::quota::number::{flag, number, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Unit, Window};
use crate::routing::lock::Scope;
use crate::routing::target::canonical;

pub(super) fn buckets(body: &Value, provider: &Provider, into: &mut Reading) -> Option<()> {
    let buckets = body.get("buckets")?.as_array()?;
    for bucket in buckets {
        let Some(model) = bucket.get("modelId").and_then(words) else { continue };
        let kind = bucket.get("tokenType").and_then(words).unwrap_or("REQUESTS");
        let name = match kind {
            "REQUESTS" => model.to_owned(),
            other => format!("{model}:{}", other.to_ascii_lowercase()),
        };
        let reset = bucket.get("resetTime").and_then(|at| when(at, into.observed_at));
        let left = bucket.get("remainingFraction").and_then(number);
        let window = Window::new(name, model, scope(provider, model));
        into.take([window.percent(used(left, reset.is_some())).resets(reset)]);
    }
    Some(())
}

pub(super) fn models(body: &Value, provider: &Provider, into: &mut Reading) -> Option<()> {
    let models = body.get("models")?.as_object()?;
    for (id, model) in models {
        if model.get("isInternal").and_then(flag) == Some(true) {
            continue;
        }
        let Some(quota) = model.get("quotaInfo").filter(|quota| quota.is_object()) else {
            continue;
        };
        let label = model.get("displayName").and_then(words).unwrap_or(id);
        let reset = quota.get("resetTime").and_then(|at| when(at, into.observed_at));
        let left = quota.get("remainingFraction").and_then(number);
        let window = Window::new(id, label, scope(provider, id));
        into.take([window
            .percent(used(left, reset.is_some()))
            .resets(reset)
            .exhausted_if(quota.get("isExhausted").and_then(flag) == Some(true))]);
    }
    into.credits = credits(body);
    Some(())
}

/// Protobuf leaves a zero out: nothing left when only a reset is told, and unknown without either.
fn used(left: Option<f64>, has_reset: bool) -> Option<f64> {
    left.or(has_reset.then_some(0.0)).map(|left| (1.0 - left) * 100.0)
}

fn scope(provider: &Provider, model: &str) -> Scope {
    Scope::Model(canonical(provider, model))
}

fn credits(body: &Value) -> Option<Credits> {
    let available = body.get("paidTier")?.get("availableCredits")?.as_array()?;
    let amounts = available.iter().filter_map(|credit| number(credit.get("creditAmount")?));
    let amount: f64 = amounts.sum();
    (!available.is_empty()).then_some(Credits {
        amount: Some(amount),
        unit: Unit::Credits,
        unlimited: false,
    })
}
