//! One provider: its accounts, models, routing and settings, and the forms that add to it.

use ninerouter_templates::Form as View;
use ninerouter_templates::add::{
    KeyForm, ModelForm, Param, key_dialog, key_page, model_dialog, model_page,
};
use ninerouter_templates::format::compact;
use ninerouter_templates::job::{Job, below};
use ninerouter_templates::layout::Section;
use ninerouter_templates::provider::{
    Model, Models, Provider, Settings, Way, account_list, model, provider, settings,
};
use ninerouter_templates::{Markup, Monogram, toast_fragment};
use serde_json::{Map, Value, json};

use crate::dashboard::assets;
use crate::dashboard::form::{Body, entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::show::account::account;
use crate::dashboard::show::job::job;
use crate::dashboard::show::provider::{counts, prefix, status};
use crate::dashboard::stage::{self, About, Refused, Stage, bad, good, mixed};
use crate::dashboard::visit::{Form, Page, Visit};

/// Models of one part of the list.
const MODELS: usize = 100;
/// Fields that are never shown again.
const SECRETS: [&str; 2] = ["api_key", "keys"];
const NUMBERS: [&str; 6] = [
    "sticky_count",
    "affinity_ttl_s",
    "cooldown_base_s",
    "cooldown_max_s",
    "max_in_flight",
    "min_remaining_percent",
];
/// Capabilities of a model: word of the API, words.
const CAPABILITIES: [(&str, &str); 6] = [
    ("vision", "sees images"),
    ("tools", "calls tools"),
    ("reasoning", "reasons"),
    ("json", "answers in a JSON schema"),
    ("pdf", "reads PDF"),
    ("audio", "hears audio"),
];

/// Where a provider's page is.
fn path(id: &str) -> String {
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
        accounts: accounts.iter().map(|one| account(&stage.sight, one)).collect(),
        models: models(visit, id).await?,
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

/// Accounts in the order in which they are asked.
async fn accounts_of(visit: &Visit, id: &str) -> Result<Vec<Value>, Refused> {
    let list = visit.read(&format!("/api/accounts?provider={id}&limit=500")).await?;
    Ok(list.list("/data").to_vec())
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

fn https(url: &str) -> Option<String> {
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

async fn models(visit: &Visit, id: &str) -> Result<Models, Refused> {
    let query = visit.query("q").unwrap_or_default();
    let mut target = url::form_urlencoded::Serializer::new(String::new());
    target.append_pair("provider", id).append_pair("include", "disabled");
    target.append_pair("limit", &MODELS.to_string());
    if !query.is_empty() {
        target.append_pair("q", &query);
    }
    let cursor = visit.query("cursor");
    if let Some(cursor) = &cursor {
        target.append_pair("cursor", cursor);
    }
    let list = visit.read(&format!("/api/models?{}", target.finish())).await?;
    let next = list.part("/next").as_str().map(|next| {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        if !query.is_empty() {
            url.append_pair("q", &query);
        }
        url.append_pair("cursor", next);
        format!("{}?{}", path(id), url.finish())
    });
    Ok(Models {
        shown: list.list("/data").iter().map(model_shown).collect(),
        total: usize::try_from(list.int("/total").unwrap_or_default()).unwrap_or_default(),
        query,
        next,
    })
}

fn model_shown(object: &Value) -> Model {
    let tokens = |at| object.int(at).map_or_else(|| "—".to_owned(), compact);
    let (provider, model) = (object.text("/provider"), object.text("/model"));
    let encoded = |part: &str| {
        percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    // A model's id may have slashes; they stay parts of the path.
    let model: Vec<String> = model.split('/').map(encoded).collect();
    Model {
        key: object.text("/key").to_owned(),
        path: format!("{}/{}", encoded(provider), model.join("/")),
        name: object.text("/name").to_owned(),
        context: tokens("/ctx"),
        output: tokens("/max_output"),
        capabilities: object.texts("/caps"),
        price: price(object.part("/price")),
        source: match object.text("/source") {
            "live" => "fetched".to_owned(),
            word => word.to_owned(),
        },
        enabled: object.is("/enabled"),
        managed: !object.part("/managed_by").is_null(),
    }
}

fn price(price: &Value) -> String {
    let parts = [("input", "in"), ("cached", "cached"), ("output", "out")];
    let part = |(name, words): (&str, &str)| {
        let amount = price.part(&format!("/{name}"));
        let amount =
            amount.as_str().map(str::to_owned).or_else(|| amount.as_f64().map(|n| n.to_string()));
        amount.map(|amount| format!("${amount} {words}"))
    };
    let told: Vec<String> = parts.into_iter().filter_map(part).collect();
    if told.is_empty() { "unpriced".to_owned() } else { told.join(" · ") }
}

/// Serves a model or not; the answer is its row.
pub(super) async fn turn_model(visit: &Visit, path: &str) -> Result<Page, Refused> {
    let enabled = visit.form.get("enabled") == Some("true");
    let target = format!("/api/models/{path}");
    let object = visit.ask("PATCH", &target, Some(&json!({"enabled": enabled}))).await;
    let provider = path.split('/').next().unwrap_or_default();
    let back = format!("/dashboard/providers/{provider}");
    match object {
        Ok(object) if visit.hx.is_fragment => {
            Ok(Page::html(200, model(&model_shown(&object)).into_string()))
        }
        Ok(object) => {
            let words = if enabled { "is served" } else { "is not served any more" };
            Ok(stage::done(visit, &back, &good(format!("{} {words}.", object.text("/key")))))
        }
        Err(refused) => Ok(refused.told(visit, &back).await),
    }
}

/// The form for a model that no list has.
pub(super) async fn new_model(visit: &Visit, id: &str) -> Result<Page, Refused> {
    model_form(visit, id, 200, View::default()).await
}

pub(super) async fn create_model(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let caps: Vec<Value> = visit.form.all("caps").map(Value::from).collect();
    let body = Body::of(&visit.form)
        .texts(&["id", "name"])
        .numbers(&["ctx", "max_output"])
        .with("provider", id)
        .with("caps", caps);
    match visit.ask("POST", "/api/models", Some(&body.json())).await {
        Ok(object) => {
            let toast = good(format!("{} can be asked for now.", object.text("/key")));
            Ok(stage::done(visit, &path(id), &toast))
        }
        Err(refused) if is_objection(&refused) => {
            model_form(visit, id, 422, objected(&visit.form, &[], &refused)).await
        }
        Err(refused) => Err(refused),
    }
}

async fn model_form(visit: &Visit, id: &str, status: u16, form: View) -> Result<Page, Refused> {
    let object = visit.read(&format!("/api/providers/{id}")).await?;
    let capability = |(value, words): (&str, &str)| (value.to_owned(), words.to_owned());
    let view = ModelForm {
        csrf: visit.csrf.clone(),
        provider: id.to_owned(),
        provider_name: object.text("/name").to_owned(),
        form,
        capabilities: CAPABILITIES.into_iter().map(capability).collect(),
    };
    shown(visit, status, "Add model", |dialog| match dialog {
        true => model_dialog(assets::urls(), &view),
        false => model_page(&view),
    })
    .await
}

/// The form for a key, or for many.
pub(super) async fn new_key(visit: &Visit, id: &str, many: bool) -> Result<Page, Refused> {
    key_form(visit, id, 200, View::default().with("check", "true"), many, false).await
}

/// Adds one account, or a list of them.
pub(super) async fn add_key(visit: &Visit, id: &str) -> Result<Page, Refused> {
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
    let site = |endpoint: &Value| {
        let name = endpoint.text("/name").to_owned();
        (name.clone(), format!("{name}: {}", endpoint.text("/url")))
    };
    let param = |param: &Value| Param {
        name: param.text("/name").to_owned(),
        label: param.text("/label").to_owned(),
        required: param.is("/required") && param.text("/default").is_empty(),
    };
    let view = KeyForm {
        csrf: visit.csrf.clone(),
        provider: id.to_owned(),
        name: object.text("/name").to_owned(),
        form,
        endpoints: object.list("/endpoints").iter().map(site).collect(),
        params: object.list("/params").iter().map(param).collect(),
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

/// Takes the order that accounts were dragged into, or moves one of them by a place.
pub(super) async fn order(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let mut ids: Vec<String> = visit.form.all("ids").map(str::to_owned).collect();
    if ids.is_empty() {
        let accounts = accounts_of(visit, id).await?;
        ids = accounts.iter().map(|one| one.text("/id").to_owned()).collect();
        moved(&mut ids, visit.form.get("move").unwrap_or_default());
    }
    let body = json!({"provider": id, "ids": ids});
    let toast = match visit.ask("POST", "/api/accounts/reorder", Some(&body)).await {
        Ok(_) => good("Order saved."),
        Err(refused) if is_objection(&refused) => bad(refused.message()),
        Err(refused) => return Err(refused),
    };
    if !visit.hx.is_fragment {
        return Ok(stage::done(visit, &path(id), &toast));
    }
    // As it is stored: what was refused goes back to its place.
    let stage = Stage::set(visit).await?;
    let accounts = accounts_of(visit, id).await?;
    let accounts: Vec<_> = accounts.iter().map(|one| account(&stage.sight, one)).collect();
    let assets = assets::urls();
    let list = account_list(assets, id, &accounts, true).into_string();
    Ok(Page::html(200, list + &toast_fragment(assets, &toast).into_string()))
}

/// `<id>:up` or `<id>:down`; at the end of the list nothing moves.
fn moved(ids: &mut [String], wish: &str) {
    let Some((id, way)) = wish.split_once(':') else { return };
    let Some(at) = ids.iter().position(|own| own == id) else { return };
    let to =
        if way == "up" { at.checked_sub(1) } else { Some(at + 1).filter(|to| *to < ids.len()) };
    if let Some(to) = to {
        ids.swap(at, to);
    }
}

/// A form as a dialog's body, or as a page.
async fn shown(
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

    #[test]
    fn an_account_moves_by_a_place() {
        for (wish, want) in [
            ("b:up", "bac"),
            ("b:down", "acb"),
            ("a:up", "abc"),
            ("c:down", "abc"),
            ("x:up", "abc"),
            ("", "abc"),
        ] {
            let mut ids = ["a", "b", "c"].map(str::to_owned);
            moved(&mut ids, wish);
            assert_eq!(ids.concat(), want, "{wish}");
        }
    }

    #[test]
    fn a_model_without_a_price_is_unpriced() {
        assert_eq!(price(&Value::Null), "unpriced");
        assert_eq!(price(&json!({"input": "1.50", "output": "7.50"})), "$1.50 in · $7.50 out");
    }

    #[test]
    fn the_path_of_a_model_is_one_path_below_its_provider() {
        let shown = model_shown(
            &json!({"provider": "open router", "model": "a/b:free?x", "enabled": true}),
        );
        assert_eq!(shown.path, "open%20router/a/b%3Afree%3Fx");
    }
}
