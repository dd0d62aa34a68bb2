//! One provider: its page, its routing and settings.

use ninerouter_templates::Form as View;
use ninerouter_templates::format::grouped;
use ninerouter_templates::job::{Job, below};
use ninerouter_templates::layout::Section;
use ninerouter_templates::provider::{Part, Provider, Settings, Way, provider, settings};
use ninerouter_templates::{Markup, Monogram};
use serde_json::{Value, json};

use crate::dashboard::form::{Body, entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::show::account::account;
use crate::dashboard::show::job::job;
use crate::dashboard::show::provider::{counts, prefix, status};
use crate::dashboard::stage::{self, About, Refused, Stage, good};
use crate::dashboard::visit::{Form, Page, Visit};
use crate::dashboard::{assets, models};

const NUMBERS: [&str; 6] = [
    "sticky_count",
    "affinity_ttl_s",
    "cooldown_base_s",
    "cooldown_max_s",
    "max_in_flight",
    "min_remaining_percent",
];

/// Where a provider's page is.
pub(super) fn path(id: &str) -> String {
    format!("/dashboard/providers/{id}")
}

pub(super) async fn show(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let object = visit.read(&format!("/api/providers/{id}")).await?;
    // Asked for by a prefix or an alias: it has one page.
    if object.text("/id") != id && !object.text("/id").is_empty() {
        return Ok(Page::go_to(visit.hx, path(object.text("/id"))));
    }
    let accounts = accounts_of(visit, id).await?;
    let view = Provider {
        csrf: visit.csrf.clone(),
        id: id.to_owned(),
        mark: Monogram::new(id, object.text("/name")),
        name: object.text("/name").to_owned(),
        facts: facts(&object),
        sentence: sentence(&object),
        status: status(&object),
        notice: object.text("/risk_notice").to_owned(),
        vendor_url: https(object.text("/signup_url")),
        custom: object.is("/node"),
        ways: ways(&object),
        accounts: accounts.list("/data").iter().map(|one| account(&stage.sight, one)).collect(),
        part: part_of(visit, id, &accounts),
        models: models::list(visit, &stage.sight.now, id).await?,
        settings: settings_of(visit, &object, None).await?,
        names: names::switch(visit, stage.sight.hidden.is_some()),
    };
    let feed = format!("shell,acct,prov:{id},job&view=row");
    let about = About { section: Section::Providers, title: &view.name, feed: Some(&feed) };
    let content = provider(assets::urls(), &view);
    let jobs = jobs(visit, &stage, id).await?;
    Ok(stage.page(visit, about, &below(&jobs, &content)))
}

/// Jobs that work for this provider, the newest first, of the last day.
async fn jobs(visit: &Visit, stage: &Stage, id: &str) -> Result<Vec<Job>, Refused> {
    const MOST: usize = 3;
    let list = visit.read("/api/jobs?limit=50").await?;
    let own = list.list("/data").iter().filter(|job| job.text("/provider") == id);
    Ok(own.take(MOST).map(|one| job(&stage.sight, one)).collect())
}

/// Ends a job before its time.
pub(super) async fn cancel_job(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let back = "/dashboard/providers";
    match visit.ask("POST", &format!("/api/jobs/{id}/cancel"), None).await {
        Ok(_) => Ok(stage::told(
            visit,
            back,
            &good("What is being worked on is finished, nothing new is begun."),
        )),
        Err(refused) => Ok(refused.told(visit, back).await),
    }
}

/// Accounts on one page.
const ACCOUNTS: usize = 50;

/// The part of a provider's accounts that the visit asks for, in the order in which they are asked.
async fn accounts_of(visit: &Visit, id: &str) -> Result<Value, Refused> {
    let cursor = visit.query("accounts").unwrap_or_default();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("provider", id).append_pair("limit", &ACCOUNTS.to_string());
    if !cursor.is_empty() {
        query.append_pair("cursor", &cursor);
    }
    visit.read(&format!("/api/accounts?{}", query.finish())).await
}

/// `50 of 5,000`, and the address of the next part; `None` = all are shown.
fn part_of(visit: &Visit, id: &str, list: &Value) -> Option<Part> {
    let next = list.part("/next").as_str().map(|next| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("accounts", next)
            .finish();
        format!("{}?{query}#accounts", path(id))
    });
    let is_later = visit.query("accounts").is_some();
    (is_later || next.is_some()).then(|| Part {
        words: format!(
            "{} of {}",
            list.list("/data").len(),
            grouped(list.int("/total").unwrap_or_default())
        ),
        next,
        first: is_later.then(|| format!("{}#accounts", path(id))),
    })
}

fn facts(object: &Value) -> Vec<String> {
    let mut facts = vec![format!("{}/", prefix(object)), object.text("/tier").to_owned()];
    let wires = object.list("/endpoints").first().map(|endpoint| endpoint.part("/wire"));
    facts.extend(wires.and_then(Value::as_str).map(|wire| format!("speaks {wire}")));
    facts.retain(|fact| !fact.is_empty());
    facts
}

fn sentence(object: &Value) -> String {
    let counts: Vec<String> = counts(object).into_iter().map(|(_, words)| words).collect();
    match counts.is_empty() {
        true => "Requests for its models are answered once it has one.".to_owned(),
        false => format!("{}.", counts.join(", ")),
    }
}

pub(super) fn https(url: &str) -> Option<String> {
    url.starts_with("https://").then(|| url.to_owned())
}

fn takes(object: &Value, kind: &str) -> bool {
    object.texts("/auth").iter().any(|auth| auth == kind)
}

fn ways(object: &Value) -> Vec<Way> {
    let base = path(object.text("/id"));
    let way = |label: &str, icon, effect: &str, page: &str| Way {
        label: label.to_owned(),
        icon,
        effect: effect.to_owned(),
        url: format!("{base}/{page}"),
    };
    let mut ways = Vec::new();
    if takes(object, "oauth_pkce") || takes(object, "oauth_device") {
        ways.push(way("Sign in", "user", "you approve it on the vendor's own page", "connect"));
    }
    if takes(object, "api_key") {
        ways.push(way(
            "Add API key",
            "key",
            "you paste a key; it is checked and sealed",
            "keys/new",
        ));
        ways.push(way("Add many keys", "layers", "one account for each line", "keys/many"));
    }
    if takes(object, "import") {
        ways.push(way(
            "Import",
            "upload",
            "the sign-in of an official client, or its file",
            "import",
        ));
    }
    if takes(object, "none") {
        ways.push(way("Connect", "plug", "it needs no credential", "keys/new"));
    }
    ways
}

/// Changes routing and settings.
pub(super) async fn change(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let body = change_of(&visit.form);
    let refused = match visit.ask("PATCH", &format!("/api/providers/{id}"), Some(&body)).await {
        Ok(_) => return Ok(stage::done(visit, &path(id), &good("Saved."))),
        Err(refused) if is_objection(&refused) => refused,
        Err(refused) => return Err(refused),
    };
    let object = visit.read(&format!("/api/providers/{id}")).await?;
    let form = objected(&visit.form, &[], &refused);
    let view = settings_of(visit, &object, Some(form)).await?;
    let card = settings(&visit.csrf, id, &view);
    if visit.hx.is_fragment {
        return Ok(Page::html(422, card.into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section: Section::Providers, title: object.text("/name"), feed: None };
    Ok(stage.page_with_status(422, visit, about, &card))
}

fn change_of(form: &Form) -> Value {
    let statuses = form.get("retry_statuses").unwrap_or_default().split(',').map(str::trim);
    let statuses: Vec<Value> = statuses
        .filter(|text| !text.is_empty())
        .map(|text| text.parse::<u16>().map_or_else(|_no_number| text.into(), Value::from))
        .collect();
    let lines = form.get("headers").unwrap_or_default().lines().map(str::trim);
    let headers: Vec<Value> = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            json!({"name": name.trim(), "value": value.trim()})
        })
        .collect();
    Body::of(form)
        .texts(&["tier", "account_strategy"])
        .numbers(&NUMBERS)
        .switches(&["enabled"])
        .rev()
        .with("retry_statuses", statuses)
        .with("headers", headers)
        .proxy()
        .json()
}

async fn settings_of(
    visit: &Visit,
    object: &Value,
    form: Option<View>,
) -> Result<Settings, Refused> {
    let proxies = visit.read("/api/proxies?limit=500").await?;
    let proxy = |proxy: &Value| (proxy.text("/id").to_owned(), proxy.text("/name").to_owned());
    let choice = |(value, words): (&str, &str)| (value.to_owned(), words.to_owned());
    let endpoint = |one: &Value| (one.text("/name").to_owned(), one.text("/url").to_owned());
    Ok(Settings {
        rev: object.int("/rev").unwrap_or_default(),
        form: form.unwrap_or_else(|| settings_form(object.part("/settings"))),
        strategies: [
            ("", "As in Settings"),
            ("priority", "By priority"),
            ("round-robin", "In turn"),
            ("weighted", "By weight"),
            ("least-used", "The least used"),
            ("quota-balanced", "The one with most left"),
        ]
        .into_iter()
        .map(choice)
        .collect(),
        tiers: [
            ("", "As in the catalog"),
            ("subscription", "Subscription"),
            ("cheap", "Cheap"),
            ("paid", "Paid"),
            ("free", "Free"),
        ]
        .into_iter()
        .map(choice)
        .collect(),
        proxies: [("inherit", "As in Settings"), ("direct", "None")]
            .into_iter()
            .map(choice)
            .chain(proxies.list("/data").iter().map(proxy))
            .collect(),
        endpoints: object.list("/endpoints").iter().map(endpoint).collect(),
        managed: !object.part("/managed_by").is_null(),
    })
}

fn settings_form(settings: &Value) -> View {
    let mut form = entered(&Form::default(), &[]);
    if settings.part("/enabled").as_bool() != Some(false) {
        form = form.with("enabled", "true");
    }
    for name in ["tier", "account_strategy"] {
        form = form.with(name, settings.text(&format!("/{name}")));
    }
    for name in NUMBERS {
        if let Some(number) = settings.int(&format!("/{name}")) {
            form = form.with(name, &number.to_string());
        }
    }
    let statuses = settings.list("/retry_statuses").iter().map(Value::to_string);
    let header = |one: &Value| format!("{}: {}", one.text("/name"), one.text("/value"));
    let headers: Vec<String> = settings.list("/headers").iter().map(header).collect();
    let proxy = match settings.text("/proxy/mode") {
        "proxy" => settings.text("/proxy/id"),
        mode => mode,
    };
    form.with("retry_statuses", &statuses.collect::<Vec<_>>().join(", "))
        .with("headers", &headers.join("\n"))
        .with("proxy", proxy)
}

/// A form as a dialog's body, or as a page.
pub(super) async fn shown(
    visit: &Visit,
    status: u16,
    title: &str,
    view: impl FnOnce(bool) -> Markup,
) -> Result<Page, Refused> {
    if visit.wants_dialog() {
        return Ok(Page::html(status, view(true).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section: Section::Providers, title, feed: None };
    Ok(stage.page_with_status(status, visit, about, &view(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_as_they_were_sent() {
        let form = Form::parse(
            b"enabled=true&tier=&account_strategy=round-robin&sticky_count=3&cooldown_base_s=&retry_statuses=408,+409&headers=X-A%3A+1%0D%0AX-B%3A2&proxy=direct&rev=4",
        );
        let sent = change_of(&form);
        assert_eq!(
            sent,
            json!({
                "tier": null, "account_strategy": "round-robin", "sticky_count": 3, "cooldown_base_s": null,
                "enabled": true, "rev": 4, "retry_statuses": [408, 409],
                "headers": [{"name": "X-A", "value": "1"}, {"name": "X-B", "value": "2"}],
                "proxy": {"mode": "direct", "id": null},
            })
        );
        let shown = settings_form(&sent);
        for (name, value) in [
            ("account_strategy", "round-robin"),
            ("sticky_count", "3"),
            ("retry_statuses", "408, 409"),
            ("headers", "X-A: 1\nX-B: 2"),
            ("proxy", "direct"),
            ("enabled", "true"),
        ] {
            assert_eq!(shown.value(name), value, "{name}");
        }
    }
}
