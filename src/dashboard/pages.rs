//! Which page answers a request of a browser.

use ninerouter_templates::error_page::Problem;

use crate::dashboard::connect::Subject;
use crate::dashboard::stage::{Refused, problem_page};
use crate::dashboard::visit::{Page, Visit};
use crate::dashboard::{
    account, accounts, combo, combos, connect, endpoint, keys, live, logs, node, overview,
    provider, providers, sudo,
};

/// Answers a request that the guard let in.
pub async fn page(visit: Visit) -> Page {
    match answer(&visit).await {
        Ok(Some(page)) => page,
        Ok(None) => problem_page(&visit, &Problem::NotFound).await,
        // What the API wants the password for, the browser asks for, and then does it again.
        Err(refused) if refused.status == 428 => sudo::ask(&visit, purpose(&visit)),
        Err(refused) => refused.page(&visit).await,
    }
}

/// What is about to be done, behind "To …".
fn purpose(visit: &Visit) -> &'static str {
    match visit.path.trim_matches('/') {
        "endpoint/requirement" => "change who needs a key",
        path if path.starts_with("nodes/") => "send an account's key to another address",
        _ => "do this",
    }
}

/// `None` = there is no such page.
async fn answer(visit: &Visit) -> Result<Option<Page>, Refused> {
    // As they were sent: a part goes into a path of the API as it is, and stays one part there.
    let parts: Vec<&str> = visit.path.split('/').filter(|part| !part.is_empty()).collect();
    // `/dashboard/f/x` is `/dashboard/x` as the body of a dialog: in a browser's address bar it means the page.
    let parts = match parts.as_slice() {
        ["f", rest @ ..] => {
            if visit.method == "GET" && !visit.hx.is_fragment {
                let query = if visit.query.is_empty() { "" } else { "?" };
                let page = format!("/dashboard/{}{query}{}", rest.join("/"), visit.query);
                return Ok(Some(Page::see_other(page)));
            }
            rest
        }
        all => all,
    };
    // HTML forms know GET and POST alone; scripts may say what they mean.
    let method = visit.method.as_str();
    let page = match (method, parts) {
        ("GET", []) => overview::show(visit).await?,
        ("GET", ["live"]) => live::feed(visit).await?,
        ("POST", ["alerts", id, "dismiss"]) => overview::dismiss(visit, id).await?,
        ("POST", ["requests", id, "cancel"]) => overview::cancel(visit, id).await?,
        (_, ["endpoint", rest @ ..]) => return of_endpoint(visit, method, rest).await,
        (_, ["providers", rest @ ..]) => return of_providers(visit, method, rest).await,
        (_, ["nodes", rest @ ..]) => return of_nodes(visit, method, rest).await,
        (_, ["accounts", id, rest @ ..]) => return of_account(visit, method, id, rest).await,
        (_, ["combos", rest @ ..]) => return of_combos(visit, method, rest).await,
        ("POST" | "PATCH", ["models", provider_and_model @ ..]) => {
            provider::turn_model(visit, &provider_and_model.join("/")).await?
        }
        ("GET", ["connect", session]) => connect::show(visit, session).await?,
        ("POST", ["connect", session, "paste"]) => connect::paste(visit, session).await?,
        ("POST", ["connect", session, "cancel"]) => connect::cancel(visit, session).await?,
        ("POST", ["jobs", id, "cancel"]) => provider::cancel_job(visit, id).await?,
        ("POST", ["aliases"]) => combos::put_alias(visit).await?,
        ("POST", ["aliases", "delete"]) => combos::delete_alias(visit).await?,
        ("GET", ["logs"]) => logs::show(visit).await?,
        ("GET", ["logs", "download"]) => logs::download(visit, "/api/logs/export").await?,
        ("POST", ["logs", "level"]) => logs::detail(visit).await?,
        ("POST", ["audit", "verify"]) => logs::verify(visit).await?,
        ("GET", ["audit", "export"]) => logs::download(visit, "/api/audit/export").await?,
        ("GET", ["console-log"]) => {
            Page::empty(308).header("location", "/dashboard/logs?tab=console")
        }
        _ => return Ok(None),
    };
    Ok(Some(page))
}

async fn of_endpoint(visit: &Visit, method: &str, parts: &[&str]) -> Result<Option<Page>, Refused> {
    Ok(Some(match (method, parts) {
        ("GET", []) => endpoint::show(visit).await?,
        ("POST", ["requirement"]) => endpoint::require(visit).await?,
        ("GET", ["keys", "new"]) => keys::new(visit).await?,
        ("POST", ["keys"]) => keys::create(visit).await?,
        ("GET", ["keys", id, "edit"]) => keys::edit(visit, id).await?,
        ("POST" | "PATCH", ["keys", id]) => keys::change(visit, id).await?,
        ("GET", ["keys", id, action @ ("rotate" | "revoke" | "delete")]) => {
            keys::ask(visit, id, action).await?
        }
        ("POST", ["keys", id, "rotate"]) => keys::rotate(visit, id).await?,
        ("POST", ["keys", id, "revoke"]) => keys::revoke(visit, id).await?,
        ("POST", ["keys", id, "delete"]) | ("DELETE", ["keys", id]) => {
            keys::remove(visit, id).await?
        }
        _ => return Ok(None),
    }))
}

async fn of_providers(
    visit: &Visit,
    method: &str,
    parts: &[&str],
) -> Result<Option<Page>, Refused> {
    Ok(Some(match (method, parts) {
        ("GET", []) => providers::show(visit).await?,
        ("GET", ["new"]) => node::new(visit).await?,
        ("GET", [id]) => provider::show(visit, id).await?,
        ("POST" | "PATCH", [id]) => provider::change(visit, id).await?,
        ("GET", [id, "edit"]) => node::edit(visit, id).await?,
        ("GET", [id, "keys", "new"]) => provider::new_key(visit, id, false).await?,
        ("GET", [id, "keys", "many"]) => provider::new_key(visit, id, true).await?,
        ("POST", [id, "keys"]) => provider::add_key(visit, id).await?,
        ("GET", [id, "models", "new"]) => provider::new_model(visit, id).await?,
        ("POST", [id, "models"]) => provider::create_model(visit, id).await?,
        ("POST", [id, "accounts", "reorder"]) => provider::order(visit, id).await?,
        ("GET", [id, "connect"]) => connect::ask(visit, Subject::Provider(id)).await?,
        ("POST", [id, "connect"]) => connect::begin(visit, Subject::Provider(id)).await?,
        _ => return Ok(None),
    }))
}

async fn of_nodes(visit: &Visit, method: &str, parts: &[&str]) -> Result<Option<Page>, Refused> {
    Ok(Some(match (method, parts) {
        ("POST", []) => node::save(visit, None).await?,
        ("POST" | "PATCH", [id]) => node::save(visit, Some(id)).await?,
        ("GET", [id, "delete"]) => node::ask_delete(visit, id).await?,
        ("POST", [id, "delete"]) | ("DELETE", [id]) => node::delete(visit, id).await?,
        _ => return Ok(None),
    }))
}

async fn of_account(
    visit: &Visit,
    method: &str,
    id: &str,
    parts: &[&str],
) -> Result<Option<Page>, Refused> {
    Ok(Some(match (method, parts) {
        ("GET", []) => account::show(visit, id).await?,
        // A button sends its one value alone, the form many.
        ("POST" | "PATCH", []) if visit.form.get("label").is_none() => {
            accounts::turn(visit, id, visit.form.get("enabled") == Some("true")).await?
        }
        ("POST" | "PATCH", []) => account::change(visit, id).await?,
        ("GET", ["edit"]) => account::edit(visit, id).await?,
        ("GET", ["secret"]) => account::ask_secret(visit, id).await?,
        ("POST", ["secret"]) => account::replace_secret(visit, id).await?,
        ("GET", ["reconnect"]) => connect::ask(visit, Subject::Account(id)).await?,
        ("POST", ["reconnect"]) => connect::begin(visit, Subject::Account(id)).await?,
        ("POST", [action @ ("test" | "refresh" | "clear-locks" | "try-again")]) => {
            accounts::act(visit, id, action).await?
        }
        ("POST", ["quota", "refresh"]) => accounts::act(visit, id, "quota/refresh").await?,
        ("GET", ["delete"]) => accounts::ask_delete(visit, id).await?,
        ("POST", ["delete"]) | ("DELETE", []) => accounts::delete(visit, id).await?,
        _ => return Ok(None),
    }))
}

async fn of_combos(visit: &Visit, method: &str, parts: &[&str]) -> Result<Option<Page>, Refused> {
    Ok(Some(match (method, parts) {
        ("GET", []) => combos::show(visit).await?,
        ("POST", []) => combo::save(visit, None).await?,
        ("GET" | "POST", ["new"]) => combo::new(visit).await?,
        ("POST", ["explain"]) => combos::explain(visit).await?,
        ("GET", [id]) => combo::show(visit, id).await?,
        ("POST" | "PATCH", [id]) => combo::save(visit, Some(id)).await?,
        ("POST", [id, "enabled"]) => combos::turn(visit, id).await?,
        ("POST", [id, "simulate"]) => combos::simulate(visit, id).await?,
        ("GET", [id, "delete"]) => combos::ask_delete(visit, id).await?,
        ("POST", [id, "delete"]) | ("DELETE", [id]) => combos::delete(visit, id).await?,
        _ => return Ok(None),
    }))
}
