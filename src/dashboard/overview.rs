//! Overview: is it running, where do I point my tool, who serves, what did it cost, what needs me.

use ninerouter_templates::Snippet;
use ninerouter_templates::layout::Section;
use ninerouter_templates::overview::{Connect, FirstSteps, Overview, Usage, overview};
use serde_json::Value;

use crate::dashboard::assets;
use crate::dashboard::endpoint::{access, curl, first_model};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::show::account::{account, urgency};
use crate::dashboard::show::{Sight, alert, figures, request, series};
use crate::dashboard::stage;
use crate::dashboard::stage::{About, Refused, Stage, good};
use crate::dashboard::visit::{Page, Visit};

/// Cards of accounts.
const ACCOUNTS: usize = 6;
/// Rows of requests.
const REQUESTS: usize = 8;

pub(super) async fn show(visit: &Visit) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let sight = &stage.sight;
    let period = figures::period(visit.query("period").as_deref());
    let summary = visit.read(&format!("/api/usage/summary?period={period}")).await?;
    let mut accounts = visit.read("/api/accounts?limit=500").await?;
    let alerts = visit.read("/api/alerts").await?;
    let requests = visit.read(&format!("/api/requests?limit={REQUESTS}")).await?;
    let count = usize::try_from(accounts.int("/total").unwrap_or_default()).unwrap_or_default();
    if let Some(Value::Array(list)) = accounts.get_mut("data") {
        list.sort_by_key(urgency);
    }
    let cards = accounts.list("/data").iter().take(ACCOUNTS);
    let first_steps = match count {
        0 => Some(first_steps(visit, !requests.list("/data").is_empty()).await?),
        _ => None,
    };
    let view = Overview {
        sentence: sentence(&stage.status),
        alerts: alert::alerts(sight, alerts.list("/data")),
        connect: Connect {
            openai_url: format!("{}/v1", visit.origin),
            anthropic_url: visit.origin.clone(),
            tunnel_url: stage
                .settings
                .texts("/settings/tunnel_hosts")
                .first()
                .map(|host| format!("https://{host}/v1")),
            access: access(&stage.status),
        },
        first_steps,
        stats: figures::stats(&summary, period),
        usage: usage(visit, sight, if period == "30d" { 30 } else { 7 }).await?,
        running: running(visit, sight),
        accounts: cards.map(|object| account(sight, object)).collect(),
        account_count: count,
        names: names::switch(visit, sight.hidden.is_some()),
        requests: requests.list("/data").iter().map(|row| request::row(sight, row)).collect(),
    };
    let about = About {
        section: Section::Overview,
        title: "Overview",
        feed: Some("shell,alerts,stats,inflight,acct,req&view=card"),
    };
    Ok(stage.page(visit, about, &overview(assets::urls(), &view)))
}

/// The charts of the last `days`, this one among them.
async fn usage(visit: &Visit, sight: &Sight, days: i8) -> Result<Usage, Refused> {
    let from = series::days_ago(&sight.now, days);
    let by_day =
        visit.read(&format!("/api/usage/series?bucket=day&group=provider&from={from}")).await?;
    let by_tier = visit.read(&format!("/api/usage/table?by=tier&from={from}&sort=tokens")).await?;
    Ok(Usage {
        days,
        tokens: series::tokens_per_day(&sight.now, &by_day),
        tiers: series::tiers(&by_tier),
    })
}

fn running(visit: &Visit, sight: &Sight) -> Vec<ninerouter_templates::request::Running> {
    let running = visit.api.running_requests();
    running.iter().map(|one| request::running(sight, one)).collect()
}

/// Dismisses an alert until it changes.
pub(super) async fn dismiss(visit: &Visit, id: &str) -> Result<Page, Refused> {
    visit.ask("POST", &format!("/api/alerts/{id}/dismiss"), None).await?;
    Ok(stage::told(visit, "/dashboard", &good("Dismissed. It comes back when it changes.")))
}

/// Ends a request that runs.
pub(super) async fn cancel(visit: &Visit, id: &str) -> Result<Page, Refused> {
    match visit.ask("POST", &format!("/api/requests/{id}/cancel"), None).await {
        Ok(_) => Ok(stage::told(visit, "/dashboard", &good("The request is cancelled."))),
        Err(refused) => Ok(refused.told(visit, "/dashboard").await),
    }
}

async fn first_steps(visit: &Visit, has_request: bool) -> Result<FirstSteps, Refused> {
    let model = first_model(visit).await?.unwrap_or_else(|| "provider/model".to_owned());
    let curl = Snippet {
        title: "curl".to_owned(),
        language: "shell".to_owned(),
        code: curl(&visit.origin, &model),
    };
    Ok(FirstSteps { has_account: false, has_request, curl })
}

/// `2 accounts ready, 1 out of quota.`
fn sentence(status: &Value) -> String {
    let counts = [
        ("ready", "ready"),
        ("low", "low"),
        ("out", "out of quota or cooling down"),
        ("attention", "in need of attention"),
        ("off", "off"),
    ];
    let count = |name: &str| status.int(&format!("/accounts/{name}")).unwrap_or_default();
    let some: Vec<(i64, &str)> = counts
        .into_iter()
        .map(|(name, words)| (count(name), words))
        .filter(|(count, _)| *count > 0)
        .collect();
    let Some(((first, words), rest)) = some.split_first() else {
        return "No account yet: nothing can be answered until you add one.".to_owned();
    };
    let noun = if *first == 1 { "account" } else { "accounts" };
    let mut text = format!("{first} {noun} {words}");
    for (count, words) in rest {
        text.push_str(&format!(", {count} {words}"));
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sentence_tells_what_there_is() {
        let of = |accounts: Value| sentence(&json!({"accounts": accounts}));
        assert_eq!(
            of(json!({"ready": 2, "out": 1})),
            "2 accounts ready, 1 out of quota or cooling down."
        );
        assert_eq!(of(json!({"attention": 1})), "1 account in need of attention.");
        assert!(of(json!({"ready": 0})).starts_with("No account yet"));
    }
}
