//! Accounts by API key: the form for one key, and for many.

use ninerouter_templates::Form as View;
use ninerouter_templates::add::{KeyForm, key_dialog, key_page};
use serde_json::{Map, Value};

use crate::dashboard::assets;
use crate::dashboard::form::{Body, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::provider::{https, path, shown};
use crate::dashboard::show::provider;
use crate::dashboard::stage::{self, Refused, good, mixed};
use crate::dashboard::visit::{Page, Visit};

/// Fields that are never shown again.
const SECRETS: [&str; 2] = ["api_key", "keys"];

/// The form for a key, or for many.
pub(super) async fn ask(visit: &Visit, id: &str, many: bool) -> Result<Page, Refused> {
    key_form(visit, id, 200, View::default().with("check", "true"), many, false).await
}

/// Adds one account, or a list of them.
pub(super) async fn add(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let form = &visit.form;
    let many = form.get("keys").is_some();
    let asked = if many { add_many(visit, id).await } else { add_one(visit, id).await };
    let toast = match asked {
        Ok(toast) => toast,
        Err(refused) if is_objection(&refused) => {
            let anyway = refused.error.is("/save_anyway");
            return key_form(visit, id, 422, objected(form, &SECRETS, &refused), many, anyway)
                .await;
        }
        Err(refused) => return Err(refused),
    };
    Ok(stage::done(visit, &path(id), &toast))
}

async fn add_one(visit: &Visit, id: &str) -> Result<ninerouter_templates::Toast, Refused> {
    let form = &visit.form;
    let mut body = Body::of(form).switches(&["check"]).with("provider", id);
    // Absent and empty both leave it to the router.
    for name in ["label", "endpoint", "api_key"] {
        if let Some(text) = form.get(name).map(str::trim).filter(|text| !text.is_empty()) {
            body = body.with(name, text);
        }
    }
    if form.get("save_anyway").is_some() {
        body = body.with("save_anyway", true);
    }
    let params: Map<String, Value> = form
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("params.")?, value.trim())))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    if !params.is_empty() {
        body = body.with("params", params);
    }
    let made = visit.ask("POST", "/api/accounts", Some(&body.json())).await?;
    let label = names::name(visit, made.part("/account")).await?;
    Ok(match made.text("/check/warning") {
        "" => good(format!("“{label}” is added and serves from now on.")),
        warning => mixed(format!("“{label}” is added. {warning}")),
    })
}

async fn add_many(visit: &Visit, id: &str) -> Result<ninerouter_templates::Toast, Refused> {
    let body = Body::of(&visit.form).lists(&["keys"]).switches(&["check"]).with("provider", id);
    let started = visit.ask("POST", "/api/accounts/bulk", Some(&body.json())).await?;
    let count = started.int("/job/total").unwrap_or_default();
    Ok(good(format!("{count} keys are being added; each appears as it is checked.")))
}

async fn key_form(
    visit: &Visit,
    id: &str,
    status: u16,
    form: View,
    many: bool,
    save_anyway: bool,
) -> Result<Page, Refused> {
    let object = visit.read(&format!("/api/providers/{id}")).await?;
    let view = KeyForm {
        csrf: visit.csrf.clone(),
        provider: id.to_owned(),
        name: object.text("/name").to_owned(),
        form,
        endpoints: provider::endpoints(&object),
        params: provider::params(&object),
        key_url: https(object.text("/key_url")),
        save_anyway,
        many,
        service_account: false,
    };
    shown(visit, status, "Add API key", |dialog| match dialog {
        true => key_dialog(assets::urls(), &view),
        false => key_page(assets::urls(), &view),
    })
    .await
}
