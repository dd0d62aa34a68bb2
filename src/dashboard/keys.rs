//! API keys: made, changed, rotated, revoked, deleted. The text of a key is in one answer alone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ninerouter_templates::Form as View;
use ninerouter_templates::confirm::{self, Confirm};
use ninerouter_templates::key::{
    Created, KeyForm, created_dialog, created_page, form_dialog, form_page, list,
};
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::dashboard::assets;
use crate::dashboard::endpoint::{PATH, first_model, snippets};
use crate::dashboard::form::{Body, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::show::key;
use crate::dashboard::stage::{self, About, Refused, Stage, good};
use crate::dashboard::visit::{Form, Page, Visit};

const DAY_MS: i64 = 86_400_000;
/// An old text stays valid so long after a rotation, when that is asked for.
const GRACE_S: i64 = 3_600;
const LISTS: [&str; 4] = ["allowed_models", "allowed_providers", "allowed_combos", "allowed_cidrs"];
const NUMBERS: [&str; 3] = ["rpm", "tpm", "max_concurrent"];
const AMOUNTS: [&str; 3] = ["usd_day", "usd_month", "usd_total"];

/// The form for a new key.
pub(super) async fn new(visit: &Visit) -> Result<Page, Refused> {
    let form = View::default().with("expires", "never");
    form_shown(visit, 200, KeyForm { csrf: visit.csrf.clone(), existing: None, form }).await
}

/// The form of a key.
pub(super) async fn edit(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let key = visit.read(&format!("/api/keys/{id}")).await?;
    let existing = Some((id.to_owned(), key.int("/rev").unwrap_or_default()));
    let zone = Stage::set(visit).await?.sight.now.zone;
    let form = values(&key, &zone);
    form_shown(visit, 200, KeyForm { csrf: visit.csrf.clone(), existing, form }).await
}

pub(super) async fn create(visit: &Visit) -> Result<Page, Refused> {
    let body = body(visit).await?.json();
    match visit.ask("POST", "/api/keys", Some(&body)).await {
        Ok(made) => told(visit, &made).await,
        Err(refused) => object(visit, None, refused).await,
    }
}

pub(super) async fn change(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let body = body(visit).await?.switches(&["enabled"]).rev().json();
    match visit.ask("PATCH", &format!("/api/keys/{id}"), Some(&body)).await {
        Ok(_) => Ok(stage::done(visit, PATH, &good("Key saved."))),
        Err(refused) => {
            let rev = refused.error.int("/current/rev");
            let rev = rev.or_else(|| visit.form.get("rev").and_then(|rev| rev.parse().ok()));
            object(visit, Some((id.to_owned(), rev.unwrap_or_default())), refused).await
        }
    }
}

/// The question before a key is rotated, revoked or deleted.
pub(super) async fn ask(visit: &Visit, id: &str, action: &str) -> Result<Page, Refused> {
    let key = visit.read(&format!("/api/keys/{id}")).await?;
    let name = key.text("/name");
    let (question, consequence, verb, choice) = match action {
        "rotate" => (
            format!("Give “{name}” a new text?"),
            "Tools that hold the old text are refused until they get the new one.",
            "Rotate key",
            Some(("grace", "Keep the old text valid for an hour")),
        ),
        "revoke" => (
            format!("Revoke “{name}”?"),
            "It never admits anybody again. Requests that run go on to their end.",
            "Revoke key",
            Some(("now", "End running requests too")),
        ),
        _ => (
            format!("Delete “{name}”?"),
            "Tools that use it are refused. What it used stays in the statistics.",
            "Delete key",
            None,
        ),
    };
    let rev = key.int("/rev").filter(|_| action == "delete");
    let view = Confirm {
        csrf: visit.csrf.clone(),
        question,
        consequences: vec![consequence.to_owned()],
        verb: verb.to_owned(),
        url: format!("{PATH}/keys/{id}/{action}"),
        values: rev.map(|rev| ("rev".to_owned(), rev.to_string())).into_iter().collect(),
        choice: choice.map(|(name, words)| (name.to_owned(), words.to_owned())),
        back: ("Endpoint".to_owned(), PATH.to_owned()),
        ..Confirm::default()
    };
    if visit.wants_dialog() {
        return Ok(Page::html(200, confirm::dialog(assets::urls(), &view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    Ok(stage.page(visit, about(&view.question), &confirm::page(assets::urls(), &view)))
}

pub(super) async fn rotate(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let grace = if visit.form.get("grace").is_some() { GRACE_S } else { 0 };
    let body = json!({"grace_s": grace});
    let made = visit.ask("POST", &format!("/api/keys/{id}/rotate"), Some(&body)).await?;
    told(visit, &made).await
}

pub(super) async fn revoke(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let now = visit.form.get("now").is_some();
    visit.ask("POST", &format!("/api/keys/{id}/revoke"), Some(&json!({"now": now}))).await?;
    Ok(stage::done(visit, PATH, &good("Key revoked.")))
}

pub(super) async fn remove(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let body = Body::of(&visit.form).rev().json();
    visit.ask("DELETE", &format!("/api/keys/{id}"), Some(&body)).await?;
    Ok(stage::done(visit, PATH, &good("Key deleted.")))
}

/// The one answer that holds a key's text. No cookie, no redirect: it is nowhere else.
async fn told(visit: &Visit, made: &Value) -> Result<Page, Refused> {
    let model = first_model(visit).await?.unwrap_or_else(|| "provider/model".to_owned());
    let text = made.text("/text");
    let view = Created {
        name: made.text("/key/name").to_owned(),
        text: text.to_owned(),
        snippets: snippets(&visit.origin, &model, text),
    };
    let assets = assets::urls();
    let stage = Stage::set(visit).await?;
    if !visit.hx.is_fragment {
        return Ok(stage.page(visit, about("Copy your key now"), &created_page(assets, &view)));
    }
    let keys = visit.read("/api/keys?limit=500").await?;
    let keys: Vec<_> = keys.list("/data").iter().map(|one| key::row(&stage.sight, one)).collect();
    let html =
        created_dialog(assets, &view).into_string() + &list(assets, &keys, true).into_string();
    Ok(Page::html(200, html))
}

async fn object(
    visit: &Visit,
    existing: Option<(String, i64)>,
    refused: Refused,
) -> Result<Page, Refused> {
    if !is_objection(&refused) {
        return Err(refused);
    }
    let status = if refused.status == 409 { 409 } else { 422 };
    let form = objected(&visit.form, &[], &refused);
    form_shown(visit, status, KeyForm { csrf: visit.csrf.clone(), existing, form }).await
}

async fn form_shown(visit: &Visit, status: u16, view: KeyForm) -> Result<Page, Refused> {
    if visit.wants_dialog() {
        return Ok(Page::html(status, form_dialog(assets::urls(), &view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let title = if view.existing.is_some() { "Edit key" } else { "New key" };
    Ok(stage.page_with_status(status, visit, about(title), &form_page(&view)))
}

fn about(title: &str) -> About<'_> {
    About { section: Section::Endpoint, title, feed: None }
}

/// What the form says, for the API.
async fn body(visit: &Visit) -> Result<Body<'_>, Refused> {
    let form = &visit.form;
    let zone = Stage::set(visit).await?.sight.now.zone;
    let body = Body::of(form).texts(&["name"]).texts(&AMOUNTS).numbers(&NUMBERS).lists(&LISTS);
    Ok(match expiry(form, visit.now_ms(), &zone) {
        Some(expiry) => body.with("expires_at", expiry),
        None => body,
    })
}

/// `null` = never; a text that is no date goes on as it is, and the API objects.
fn expiry(form: &Form, now: i64, zone: &TimeZone) -> Option<Value> {
    Some(match form.get("expires")? {
        "30" => (now + 30 * DAY_MS).into(),
        "90" => (now + 90 * DAY_MS).into(),
        "date" => {
            let text = form.get("expires_on").unwrap_or_default();
            let date = text.parse::<Date>().ok();
            // At the end of that day.
            let end = date.and_then(|date| date.tomorrow().ok()?.to_zoned(zone.clone()).ok());
            end.map_or_else(|| text.into(), |end| end.timestamp().as_millisecond().into())
        }
        _ => Value::Null,
    })
}

/// A key's members as its form shows them.
fn values(key: &Value, zone: &TimeZone) -> View {
    let mut form = View::default().with("name", key.text("/name"));
    if key.is("/enabled") {
        form = form.with("enabled", "true");
    }
    form = match key.int("/expires_at").and_then(|at| jiff::Timestamp::from_millisecond(at).ok()) {
        None => form.with("expires", "never"),
        // The instant is the end of its last day.
        Some(at) => {
            let last = at.to_zoned(zone.clone()).date().yesterday();
            let last = last.map(|date| date.to_string()).unwrap_or_default();
            form.with("expires", "date").with("expires_on", &last)
        }
    };
    for name in NUMBERS {
        if let Some(number) = key.int(&format!("/{name}")) {
            form = form.with(name, &number.to_string());
        }
    }
    for name in AMOUNTS {
        if let Some(umicro) = key.int(&format!("/{name}_umicro")) {
            form = form.with(name, &decimal(umicro));
        }
    }
    for name in LISTS {
        form = form.with(name, &key.texts(&format!("/{name}")).join("\n"));
    }
    form
}

/// Micro-dollars as a decimal text.
fn decimal(umicro: i64) -> String {
    let (whole, part) = (umicro / 1_000_000, umicro % 1_000_000);
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_end_of_that_day_and_reads_back() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let form = Form::parse(b"expires=date&expires_on=2026-11-30");
        let at = expiry(&form, 0, &zone).unwrap();
        assert_eq!(at, jiff::Timestamp::from_second(1_796_079_600).unwrap().as_millisecond());
        let shown = values(&json!({"name": "x", "expires_at": at}), &zone);
        assert_eq!((shown.value("expires"), shown.value("expires_on")), ("date", "2026-11-30"));
        let bad = Form::parse(b"expires=date&expires_on=soon");
        assert_eq!(expiry(&bad, 0, &zone), Some("soon".into()));
        assert_eq!(expiry(&Form::parse(b"expires=never"), 0, &zone), Some(Value::Null));
        assert_eq!(expiry(&Form::parse(b""), 0, &zone), None);
    }

    #[test]
    fn amounts_are_decimals() {
        for (umicro, want) in [(5_000_000, "5"), (12_340_000, "12.34"), (1, "0.000001"), (0, "0")] {
            assert_eq!(decimal(umicro), want);
        }
    }
}
