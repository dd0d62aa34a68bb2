//! One account's page, and the forms that change it.

use ninerouter_templates::Form as View;
use ninerouter_templates::Names;
use ninerouter_templates::account::Account;
use ninerouter_templates::account_page::{
    AccountForm, AccountPage, LastError, SecretForm, account_form, account_page, edit_dialog,
    edit_page, secret_dialog, secret_page,
};
use ninerouter_templates::layout::Section;
use serde_json::{Map, Value, json};

use crate::dashboard::accounts::path;
use crate::dashboard::assets;
use crate::dashboard::form::{Body, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::show::{Sight, account as shown, provider as tiles, request};
use crate::dashboard::stage::{self, About, Refused, Stage, good};
use crate::dashboard::visit::{Form, Page, Visit};

/// Rows of its requests.
const REQUESTS: usize = 20;
const NUMBERS: [&str; 4] = ["priority", "weight", "max_concurrent", "min_remaining_percent"];
const LISTS: [&str; 2] = ["allowed_models", "excluded_models"];

pub(super) async fn show(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let object = visit.read(&format!("/api/accounts/{id}")).await?;
    let rows =
        visit.read(&format!("/api/requests?account_id={id}&period=7d&limit={REQUESTS}")).await?;
    let rows = rows.list("/data").iter().map(|row| request::row(&stage.sight, row)).collect();
    let form = form_of(visit, &object, None).await?;
    let view = AccountPage { requests: rows, form, ..page_of(&stage.sight, &object) };
    let view = AccountPage { names: names::switch(visit, stage.sight.hidden.is_some()), ..view };
    let feed = format!("shell,acct:{id},req&account_id={id}&view=page");
    let about =
        About { section: Section::Providers, title: &view.account.label, feed: Some(&feed) };
    Ok(stage.page(visit, about, &account_page(assets::urls(), &view)))
}

/// The account as its page shows it, without requests and form: what the feed tells anew.
pub(super) fn page_of(sight: &Sight, object: &Value) -> AccountPage {
    let provider = object.text("/provider");
    AccountPage {
        // The facts tell the day already.
        account: Account { day: String::new(), ..shown::account(sight, object) },
        provider: (provider.to_owned(), sight.provider(provider).to_owned()),
        credential: credential(sight, object.part("/secrets")),
        last_error: last_error(sight, object.part("/state/last_error")),
        requests: Vec::new(),
        form: AccountForm::default(),
        names: Names::default(),
    }
}

fn credential(sight: &Sight, secrets: &Value) -> Vec<(String, String)> {
    let mut known = Vec::new();
    let mut put = |name: &str, value: String| known.push((name.to_owned(), value));
    if secrets.is("/api_key/set") {
        put("API key", stored(secrets));
    }
    if let Some(at) = secrets.int("/access_token_expires_at") {
        put("Access token", format!("ends {}", sight.now.until(at).text));
    }
    if let Some(at) = secrets.int("/last_refresh_at") {
        put("Renewed", sight.now.ago(at).text);
    }
    known
}

/// `set · ends with c4Qz`.
fn stored(secrets: &Value) -> String {
    match secrets.text("/api_key/last4") {
        "" => "set".to_owned(),
        last4 => format!("set · ends with {last4}"),
    }
}

fn last_error(sight: &Sight, error: &Value) -> Option<LastError> {
    let text = error.as_str().unwrap_or_else(|| error.text("/message"));
    if text.is_empty() {
        return None;
    }
    let raw = if error.is_object() {
        serde_json::to_string_pretty(error).unwrap_or_default()
    } else {
        text.to_owned()
    };
    Some(LastError {
        text: sight.said(text),
        at: error.int("/at").map(|at| sight.now.ago(at)),
        raw: sight.said(&raw),
    })
}

pub(super) async fn edit(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let object = visit.read(&format!("/api/accounts/{id}")).await?;
    let view = form_of(visit, &object, None).await?;
    form_shown(visit, 200, &view).await
}

/// Changes it; the form says whether it stood in a dialog or on the page.
pub(super) async fn change(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let body = change_of(&visit.form);
    let refused = match visit.ask("PATCH", &format!("/api/accounts/{id}"), Some(&body)).await {
        Ok(_) => return Ok(stage::done(visit, &path(id), &good("Saved."))),
        Err(refused) if is_objection(&refused) => refused,
        Err(refused) => return Err(refused),
    };
    let status = if refused.status == 409 { 409 } else { 422 };
    let object = visit.read(&format!("/api/accounts/{id}")).await?;
    let view = form_of(visit, &object, Some(objected(&visit.form, &[], &refused))).await?;
    if visit.hx.is_fragment && visit.form.get("form") == Some("page") {
        return Ok(Page::html(status, account_form(&view).into_string()));
    }
    form_shown(visit, status, &view).await
}

fn change_of(form: &Form) -> Value {
    let tags = form.get("tags").unwrap_or_default().split(',').map(str::trim);
    let tags: Vec<Value> = tags.filter(|tag| !tag.is_empty()).map(Value::from).collect();
    let params: Map<String, Value> = form
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("params.")?, value.trim())))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Body::of(form)
        .texts(&["label", "tier", "endpoint", "notes"])
        .numbers(&NUMBERS)
        .lists(&LISTS)
        .switches(&["allow_overage"])
        .rev()
        .with("tags", tags)
        .with("params", params)
        .proxy()
        .json()
}

async fn form_of(
    visit: &Visit,
    object: &Value,
    form: Option<View>,
) -> Result<AccountForm, Refused> {
    let provider = visit.read(&format!("/api/providers/{}", object.text("/provider"))).await?;
    let proxies = visit.read("/api/proxies?limit=500").await?;
    let hidden = names::hidden(visit, &visit.read("/api/settings").await?).await?;
    let choice = |(value, words): (&str, &str)| (value.to_owned(), words.to_owned());
    let proxy = |one: &Value| (one.text("/id").to_owned(), one.text("/name").to_owned());
    Ok(AccountForm {
        csrf: visit.csrf.clone(),
        id: object.text("/id").to_owned(),
        label: hidden.as_ref().map_or_else(
            || object.text("/label").to_owned(),
            |hidden| hidden.name(object.text("/id")),
        ),
        hide_label: hidden.is_some(),
        rev: object.int("/rev").unwrap_or_default(),
        form: form.unwrap_or_else(|| values_of(object)),
        proxies: [("inherit", "As for the provider"), ("direct", "None")]
            .into_iter()
            .map(choice)
            .chain(proxies.list("/data").iter().map(proxy))
            .collect(),
        tiers: [
            ("", "As for the provider"),
            ("subscription", "Subscription"),
            ("cheap", "Cheap"),
            ("paid", "Paid"),
            ("free", "Free"),
        ]
        .into_iter()
        .map(choice)
        .collect(),
        endpoints: tiles::endpoints(&provider),
        params: tiles::params(&provider),
        managed: !object.part("/managed_by").is_null(),
    })
}

fn values_of(object: &Value) -> View {
    let mut form = View::default();
    for name in ["label", "tier", "endpoint", "notes"] {
        form = form.with(name, object.text(&format!("/{name}")));
    }
    for name in NUMBERS {
        if let Some(number) = object.int(&format!("/{name}")) {
            form = form.with(name, &number.to_string());
        }
    }
    for name in LISTS {
        form = form.with(name, &object.texts(&format!("/{name}")).join("\n"));
    }
    if object.is("/allow_overage") {
        form = form.with("allow_overage", "true");
    }
    for (name, value) in object.part("/params").as_object().into_iter().flatten() {
        form = form.with(&format!("params.{name}"), value.as_str().unwrap_or_default());
    }
    let proxy = match object.text("/proxy/mode") {
        "proxy" => object.text("/proxy/id"),
        mode => mode,
    };
    form.with("tags", &object.texts("/tags").join(", ")).with("proxy", proxy)
}

async fn form_shown(visit: &Visit, status: u16, view: &AccountForm) -> Result<Page, Refused> {
    if visit.wants_dialog() {
        return Ok(Page::html(status, edit_dialog(assets::urls(), view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section: Section::Providers, title: "Edit account", feed: None };
    Ok(stage.page_with_status(status, visit, about, &edit_page(view)))
}

/// The form for another key.
pub(super) async fn ask_secret(visit: &Visit, id: &str) -> Result<Page, Refused> {
    secret_shown(visit, 200, id, View::default()).await
}

pub(super) async fn replace_secret(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let body = json!({"api_key": visit.form.get("api_key").unwrap_or_default().trim()});
    match visit.ask("POST", &format!("/api/accounts/{id}/secret"), Some(&body)).await {
        Ok(_) => Ok(stage::done(visit, &path(id), &good("The key is replaced."))),
        Err(refused) if is_objection(&refused) => {
            let form = objected(&visit.form, &["api_key"], &refused);
            secret_shown(visit, 422, id, form).await
        }
        Err(refused) => Err(refused),
    }
}

async fn secret_shown(visit: &Visit, status: u16, id: &str, form: View) -> Result<Page, Refused> {
    let object = visit.read(&format!("/api/accounts/{id}")).await?;
    let view = SecretForm {
        csrf: visit.csrf.clone(),
        id: id.to_owned(),
        label: names::name(visit, &object).await?,
        stored: if object.is("/secrets/api_key/set") {
            stored(object.part("/secrets"))
        } else {
            String::new()
        },
        form,
    };
    if visit.wants_dialog() {
        return Ok(Page::html(status, secret_dialog(assets::urls(), &view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section: Section::Providers, title: "Replace key", feed: None };
    Ok(stage.page_with_status(status, visit, about, &secret_page(&view)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_reads_back_as_it_was_filled() {
        let object = json!({
            "label": "work", "priority": 2, "weight": 1, "max_concurrent": null, "tags": ["a", "b"],
            "proxy": {"mode": "proxy", "id": "p1"}, "allowed_models": ["gpt-*"], "excluded_models": [],
            "allow_overage": true, "params": {"region": "eu"}, "tier": null, "endpoint": null, "notes": null,
            "min_remaining_percent": null,
        });
        let filled = values_of(&object);
        let pairs = filled.values.iter().map(|(name, value)| (name.clone(), value.clone()));
        let sent = change_of(&pairs.collect::<Form>());
        for name in [
            "label",
            "priority",
            "weight",
            "tags",
            "proxy",
            "allowed_models",
            "allow_overage",
            "params",
        ] {
            assert_eq!(sent[name], object[name], "{name}");
        }
        for name in ["tier", "notes", "excluded_models"] {
            assert_eq!(sent[name], Value::Null, "{name}");
        }
    }
}
