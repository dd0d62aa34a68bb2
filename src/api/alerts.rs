//! What needs the operator: looked for in the background, kept until its cause is gone, dismissed until it says more
//! (dashboard §2).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tracing::warn;

use crate::actors::live::LiveEvent;
use crate::actors::router::Views;
use crate::actors::snapshot::Snapshot;
use crate::api::accounts::status;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::explain::Standings;
use crate::api::keys::no_more;
use crate::api::{Api, Service};
use crate::clock::UnixMs;
use crate::config::boot::Severity as FindingSeverity;
use crate::id::AlertId;
use crate::routing::account::AccountView;
use crate::routing::budget::{Amount, Budget, BudgetAction};
use crate::routing::classify::Class;
use crate::routing::combo::Combo;
use crate::routing::lock::Scope;
use crate::store::alerts::{self, AlertRow, Cause, Severity};
use crate::store::combos;

const WHAT: &str = "alert";
/// A look at everything at least this often: time alone makes causes, too.
const EVERY: Duration = Duration::from_secs(30);
/// Changes that come together are looked at together.
const SETTLES: Duration = Duration::from_secs(1);
/// Percent of a budget from which on it is told.
const NEARLY: u32 = 80;
/// How long a closed alert is remembered, ms.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let rows = api.read(alerts::open).await?;
    let total = rows.len();
    let data: Vec<Value> = rows.iter().map(object).collect();
    Ok(Reply::ok(json!({"data": data, "next": null, "total": total})))
}

pub(super) async fn dismiss(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: AlertId = call.id(WHAT)?;
    no_more(&call.object()?)?;
    let now = api.shared().clock.now_ms();
    if !api.write(move |conn| alerts::dismiss(conn, id, now).map(Ok)).await? {
        return Err(ApiError::not_found(WHAT, &id.to_string()));
    }
    api.shared().live.publish_with(|| LiveEvent::Alerts);
    Ok(Reply::gone())
}

fn object(row: &AlertRow) -> Value {
    json!({
        "id": row.id.to_string(),
        "kind": row.kind,
        "subject": row.subject,
        "severity": row.severity.as_str(),
        "title": row.title,
        "consequence": row.consequence,
        "link": row.link,
        "opened_at": row.opened_at,
    })
}

/// Keeps the open alerts what they should be, until the router stops.
pub async fn watch(service: Service) {
    let api = Api::new(service);
    let stop = api.shared().drain.stop_token().clone();
    let mut changes = api.shared().live.subscribe();
    loop {
        if let Err(why) = look(&api).await {
            warn!(error = %why.message, "alerts could not be brought up to date");
        }
        let wait = async {
            // A channel that lags or closed is a reason to look, not to stop.
            drop(tokio::time::timeout(EVERY, relevant(&mut changes)).await);
            tokio::time::sleep(SETTLES).await;
        };
        tokio::select! {
            () = wait => changes = changes.resubscribe(),
            () = stop.cancelled() => return,
        }
    }
}

async fn relevant(changes: &mut tokio::sync::broadcast::Receiver<LiveEvent>) {
    loop {
        match changes.recv().await {
            Ok(
                LiveEvent::Account(_)
                | LiveEvent::BudgetThreshold { .. }
                | LiveEvent::BudgetBlocked { .. }
                | LiveEvent::Configuration,
            )
            | Err(_) => return,
            Ok(_) => {}
        }
    }
}

async fn look(api: &Api) -> Result<(), ApiError> {
    let causes = api.causes().await?;
    let now = api.shared().clock.now_ms();
    let changed = api
        .write(move |conn| {
            alerts::prune(conn, now - KEPT_MS)?;
            alerts::reconcile(conn, &causes, now).map(Ok)
        })
        .await?;
    if changed {
        api.shared().live.publish_with(|| LiveEvent::Alerts);
    }
    Ok(())
}

impl Api {
    /// Everything that is wrong now.
    async fn causes(&self) -> Result<Vec<Cause>, ApiError> {
        let views = self.ask(Views).await?;
        let rows = self.read(combos::list).await?;
        let standings = self.standings(rows.iter().map(|row| &row.combo)).await?;
        let snapshot = self.shared().snapshot.load_full();
        let now = self.shared().clock.now_ms();
        let mut causes = Vec::new();
        for view in views.iter().filter(|view| view.config.enabled) {
            let status = status::of(now, view, status::reserve(view, &snapshot));
            causes.extend(account(view, &status, &named(&snapshot, view), now));
        }
        let unsaved = self.shared().exchanges.unsaved_accounts();
        causes.extend(unsaved.iter().map(|id| {
            let view = views.iter().find(|view| view.config.id == *id);
            let name = view.map_or_else(|| id.to_string(), |view| named(&snapshot, view));
            unsaved_secret(&id.to_string(), &name)
        }));
        causes.extend(self.shared().store.backup_trouble().map(|why| Cause {
            kind: "backup_failed",
            subject: String::new(),
            severity: Severity::Warn,
            title: "The last backup failed".to_owned(),
            consequence: format!("What changed since the one before could not be restored: {why}."),
            link: "/dashboard/settings/data".to_owned(),
        }));
        for row in rows.iter().filter(|row| row.combo.enabled) {
            causes.extend(combo(&row.combo, &standings));
        }
        causes.extend(providers_out(&views, &rows, &snapshot, now));
        for budget in snapshot.budgets.iter().filter(|budget| budget.enabled) {
            let standing = self.shared().budgets.standing(budget.id, now);
            causes.extend(standing.and_then(|standing| spent(budget, standing.spent)));
        }
        causes.extend(self.service.about.findings.iter().map(|finding| Cause {
            kind: "boot_finding",
            subject: finding.id.to_owned(),
            severity: match finding.severity {
                FindingSeverity::Warning => Severity::Warn,
                FindingSeverity::Critical | FindingSeverity::Fatal(_) => Severity::Bad,
            },
            title: format!("Start-up check {}", finding.id),
            consequence: finding.text.clone(),
            link: "/dashboard/settings/security".to_owned(),
        }));
        Ok(causes)
    }
}

/// An account as people know it.
fn named(snapshot: &Snapshot, view: &AccountView) -> String {
    let provider = &view.config.provider;
    let provider = snapshot.catalog.by_id(provider).map_or(&**provider, |known| &known.name);
    format!("{provider}/{}", view.config.label)
}

fn account(view: &AccountView, status: &status::Status, name: &str, now: UnixMs) -> Option<Cause> {
    let is_refused = view
        .locks
        .iter()
        .any(|lock| lock.scope == Scope::All && lock.class == Class::AuthDead && lock.until > now);
    let (kind, severity, title) = match status.word {
        "sign_in_again" => ("account_dead", Severity::Bad, format!("{name} needs a new sign-in")),
        "cooling_down" if is_refused => {
            ("account_refused", Severity::Bad, format!("The credential of {name} is refused"))
        }
        "token_expired" => {
            ("account_expired", Severity::Warn, format!("{name} has no valid token"))
        }
        "expires_soon" => {
            ("account_expires_soon", Severity::Warn, format!("The sign-in of {name} ends soon"))
        }
        "unstable" => ("account_unstable", Severity::Warn, format!("{name} cannot be used")),
        _ => return None,
    };
    Some(Cause {
        kind,
        subject: view.config.id.to_string(),
        severity,
        title,
        consequence: format!("No request is sent to it: {}.", status.text),
        link: format!("/dashboard/providers/{}", view.config.provider),
    })
}

fn unsaved_secret(id: &str, name: &str) -> Cause {
    Cause {
        kind: "unsaved_secrets",
        subject: id.to_owned(),
        severity: Severity::Bad,
        title: format!("The new token of {name} is not on the disk"),
        consequence: "It serves from memory; if the router stops before it can be written, the account needs a new \
                      sign-in. Make room on the disk."
            .to_owned(),
        link: "/dashboard/logs".to_owned(),
    }
}

fn combo(combo: &Combo, standings: &Standings) -> Option<Cause> {
    if standings.serving(combo.id).is_some() {
        return None;
    }
    let id = combo.id;
    Some(Cause {
        kind: "combo_unserved",
        subject: id.to_string(),
        severity: Severity::Bad,
        title: format!("Nothing serves the combo {}", combo.name),
        consequence:
            "Requests for it are refused until one of its entries has an account that is free."
                .to_owned(),
        link: format!("/dashboard/combos/{id}"),
    })
}

/// Providers that an enabled combo counts on, and whose accounts are all out.
fn providers_out(
    views: &[AccountView],
    rows: &[combos::ComboRow],
    snapshot: &Snapshot,
    now: i64,
) -> Vec<Cause> {
    let mut used = BTreeSet::new();
    for entry in rows.iter().filter(|row| row.combo.enabled).flat_map(|row| &row.combo.entries) {
        let prefix = entry.target.split_once('/').map(|(prefix, _)| prefix);
        let provider = prefix.and_then(|prefix| snapshot.catalog.by_prefix(prefix));
        used.extend(provider.filter(|_| entry.enabled).map(|provider| provider.id.clone()));
    }
    let out = |id: &Arc<str>| {
        let mut own =
            views.iter().filter(|v| v.config.provider == *id && v.config.enabled).peekable();
        let is_out = |view: &AccountView| {
            let word = status::of(now, view, status::reserve(view, snapshot)).word;
            matches!(
                word,
                "sign_in_again"
                    | "token_expired"
                    | "cooling_down"
                    | "out_of_quota"
                    | "reserved"
                    | "unstable"
            )
        };
        own.peek().is_some() && own.all(is_out)
    };
    let cause = |id: Arc<str>| Cause {
        kind: "provider_out",
        subject: id.to_string(),
        severity: Severity::Warn,
        title: format!(
            "All accounts of {} are out",
            snapshot.catalog.by_id(&id).map_or(&*id, |p| &p.name)
        ),
        consequence: "Combos pass it over and go on with their next entry.".to_owned(),
        link: format!("/dashboard/providers/{id}"),
    };
    used.into_iter().filter(out).map(cause).collect()
}

/// A budget of which four fifths are gone.
fn spent(budget: &Budget, spent: Amount) -> Option<Cause> {
    let percent = Some(budget.limits.percent(spent)).filter(|percent| *percent >= NEARLY)?;
    let (severity, title) = if percent >= 100 {
        (Severity::Bad, "A budget is used up".to_owned())
    } else {
        (Severity::Warn, "A budget is nearly used up".to_owned())
    };
    let consequence = match (budget.action, percent >= 100) {
        (BudgetAction::Block, true) => {
            "Requests that count against it are refused until it starts anew."
        }
        (BudgetAction::Block, false) => "At 100 % requests that count against it are refused.",
        (BudgetAction::Warn, _) => "It only warns: requests go on.",
    };
    Some(Cause {
        kind: "budget",
        subject: budget.id.to_string(),
        severity,
        title,
        consequence: consequence.to_owned(),
        link: "/dashboard/settings/budgets".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BudgetId;
    use crate::routing::budget::{BudgetLimits, BudgetScope, BudgetWindow};

    #[test]
    fn a_budget_is_told_from_four_fifths_on_by_its_tightest_limit() {
        let budget = Budget {
            id: BudgetId::new(),
            scope: BudgetScope::All,
            window: BudgetWindow::Day,
            limits: BudgetLimits { umicro: Some(1_000), tokens: None, requests: Some(10) },
            tz: None,
            action: BudgetAction::Block,
            notify_at: Vec::new(),
            enabled: true,
        };
        let at = |umicro, requests| spent(&budget, Amount { umicro, tokens: 9_999, requests });
        assert_eq!(at(799, 7), None);
        assert_eq!(at(0, 8).map(|cause| cause.severity), Some(Severity::Warn));
        assert_eq!(at(1_000, 0).map(|cause| cause.severity), Some(Severity::Bad));
    }
}
