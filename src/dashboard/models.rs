//! Models of a provider: the list on its page, what is done with one or many of them, the form for another one.

use ninerouter_templates::Form as View;
use ninerouter_templates::Tone;
use ninerouter_templates::add::{ModelForm, model_dialog, model_page};
use ninerouter_templates::format::{compact, elapsed};
use ninerouter_templates::moment::{Moment, Now};
use ninerouter_templates::provider::{Model, Models, model};
use serde_json::{Value, json};

use crate::dashboard::accounts;
use crate::dashboard::assets;
use crate::dashboard::form::{Body, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::provider::{path, shown};
use crate::dashboard::stage::{self, Refused, bad, good, zone};
use crate::dashboard::visit::{Page, Visit};

/// Models of one part of the list.
const MODELS: usize = 100;
/// Capabilities of a model: word of the API, words.
const CAPABILITIES: [(&str, &str); 6] = [
    ("vision", "sees images"),
    ("tools", "calls tools"),
    ("reasoning", "reasons"),
    ("json", "answers in a JSON schema"),
    ("pdf", "reads PDF"),
    ("audio", "hears audio"),
];

/// The part of the list that the visit asks for.
pub(super) async fn list(visit: &Visit, now: &Now, id: &str) -> Result<Models, Refused> {
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
        shown: list.list("/data").iter().map(|one| model_shown(now, one)).collect(),
        total: usize::try_from(list.int("/total").unwrap_or_default()).unwrap_or_default(),
        query,
        next,
    })
}

fn model_shown(now: &Now, object: &Value) -> Model {
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
        test: last_test(now, object.part("/last_test")),
    }
}

fn last_test(now: &Now, test: &Value) -> Option<(Tone, String, Moment)> {
    let at = now.ago(test.int("/at")?);
    Some(match test.is("/ok") {
        true => (Tone::Ok, elapsed(test.int("/ms").unwrap_or_default()), at),
        false => (Tone::Bad, test.text("/message").to_owned(), at),
    })
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
pub(super) async fn turn(visit: &Visit, path: &str) -> Result<Page, Refused> {
    let enabled = visit.form.get("enabled") == Some("true");
    let target = format!("/api/models/{path}");
    let object = visit.ask("PATCH", &target, Some(&json!({"enabled": enabled}))).await;
    let provider = path.split('/').next().unwrap_or_default();
    let back = format!("/dashboard/providers/{provider}");
    match object {
        Ok(object) if visit.hx.is_fragment => {
            let zone = zone(&visit.read("/api/settings").await?);
            let now = Now { unix_ms: visit.now_ms(), zone };
            Ok(Page::html(200, model(&model_shown(&now, &object)).into_string()))
        }
        Ok(object) => {
            let words = if enabled { "is served" } else { "is not served any more" };
            Ok(stage::done(visit, &back, &good(format!("{} {words}.", object.text("/key")))))
        }
        Err(refused) => Ok(refused.told(visit, &back).await),
    }
}

/// What can be done with several models at once, and words for its outcome.
const BATCH: [(&str, &str, &str); 3] = [
    ("test", "1 model is being tested.", "models are being tested."),
    ("enable", "1 model is served.", "models are served."),
    ("disable", "1 model is not served any more.", "models are not served any more."),
];

/// Does the same with every ticked model.
pub(super) async fn batch(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let word = visit.form.get("action").unwrap_or_default();
    let Some((action, one, many)) = BATCH.iter().find(|(action, ..)| *action == word) else {
        return Ok(stage::told(visit, &path(id), &bad("That cannot be done with several models.")));
    };
    let keys: Vec<&str> = visit.form.all("keys").collect();
    if keys.is_empty() {
        return Ok(stage::told(visit, &path(id), &bad("Tick the models that are meant first.")));
    }
    let body = json!({"keys": keys, "action": action});
    match visit.ask("POST", "/api/models/batch", Some(&body)).await {
        Ok(answer) => {
            let toast = accounts::of_batch(&answer, keys.len(), one, many);
            Ok(stage::done(visit, &path(id), &toast))
        }
        Err(refused) => Ok(refused.told(visit, &path(id)).await),
    }
}

/// Asks the upstream what it serves now.
pub(super) async fn fetch(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let target = format!("/api/providers/{id}/models/fetch");
    match visit.ask("POST", &target, Some(&json!({}))).await {
        Ok(_) => Ok(stage::done(visit, &path(id), &good("The list of models is being fetched."))),
        Err(refused) => Ok(refused.told(visit, &path(id)).await),
    }
}

/// The form for a model that no list has.
pub(super) async fn new(visit: &Visit, id: &str) -> Result<Page, Refused> {
    form(visit, id, 200, View::default()).await
}

pub(super) async fn create(visit: &Visit, id: &str) -> Result<Page, Refused> {
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
            form(visit, id, 422, objected(&visit.form, &[], &refused)).await
        }
        Err(refused) => Err(refused),
    }
}

async fn form(visit: &Visit, id: &str, status: u16, form: View) -> Result<Page, Refused> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_a_price_is_unpriced() {
        assert_eq!(price(&Value::Null), "unpriced");
        assert_eq!(price(&json!({"input": "1.50", "output": "7.50"})), "$1.50 in · $7.50 out");
    }

    #[test]
    fn the_path_of_a_model_is_one_path_below_its_provider() {
        let now = Now { unix_ms: 60_000, zone: jiff::tz::TimeZone::UTC };
        let shown = model_shown(
            &now,
            &json!({"provider": "open router", "model": "a/b:free?x", "enabled": true,
                "last_test": {"ok": false, "ms": 9, "message": "status 404", "at": 0}}),
        );
        let (tone, words, at) = shown.test.clone().unwrap();
        assert_eq!((tone, words.as_str(), at.text.as_str()), (Tone::Bad, "status 404", "1 m ago"));
        assert_eq!(shown.path, "open%20router/a/b%3Afree%3Fx");
    }
}
