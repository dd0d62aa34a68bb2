//! Custom providers: the form, a try of the address before it is saved, and their end.

use ninerouter_templates::confirm::Confirm;
use ninerouter_templates::layout::Section;
use ninerouter_templates::node::{NodeForm, Trial, form as node_form, node_page};
use ninerouter_templates::{Choice, Form as View, Tone};
use serde_json::{Map, Value, json};

use crate::dashboard::assets;
use crate::dashboard::form::{Body, entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::stage::{self, About, Refused, Stage, good, mixed};
use crate::dashboard::visit::{Form, Page, Visit};

const PATH: &str = "/dashboard/providers";
const TEXTS: [&str; 7] =
    ["name", "prefix", "base_url", "auth_header", "network", "model_source", "test_model"];
/// Never shown again.
const SECRETS: [&str; 1] = ["api_key"];
/// What a node speaks: value of the form, type and API type of the API, words.
const TYPES: [(&str, &str, Option<&str>, &str); 5] = [
    ("chat", "openai-compatible", Some("chat"), "OpenAI Chat Completions"),
    ("responses", "openai-compatible", Some("responses"), "OpenAI Responses"),
    ("anthropic", "anthropic-compatible", None, "Anthropic Messages"),
    ("gemini", "gemini-compatible", None, "Gemini"),
    ("embedding", "embedding", None, "Embeddings"),
];
/// The choice that leaves it to the type: a field that must be chosen has no empty value.
const USUAL: &str = "usual";
const AUTH_STYLES: [(&str, &str); 5] = [
    (USUAL, "As the type has it"),
    ("bearer", "Authorization: Bearer"),
    ("x-api-key", "x-api-key"),
    ("header", "In a header of its own"),
    ("none", "None"),
];
const NETWORKS: [(&str, &str, &str); 3] = [
    ("public", "On the internet", "Private addresses are refused."),
    ("private", "In my network", "Private addresses are allowed as well."),
    ("loopback", "On this computer", "Addresses of this computer are allowed as well."),
];

pub(super) async fn new(visit: &Visit) -> Result<Page, Refused> {
    let form = View::default()
        .with("api_type", "chat")
        .with("network", "public")
        .with("auth_style", USUAL)
        .with("model_source", "fetch");
    shown(visit, 200, None, form, None).await
}

pub(super) async fn edit(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let node = visit.read(&format!("/api/nodes/{id}")).await?;
    let form = values_of(&node);
    shown(visit, 200, Some(&node), form, None).await
}

/// Tries the address, or saves.
pub(super) async fn save(visit: &Visit, id: Option<&str>) -> Result<Page, Refused> {
    let form = &visit.form;
    let current = match id {
        Some(id) => Some(visit.read(&format!("/api/nodes/{id}")).await?),
        None => None,
    };
    let body = body(form);
    if form.get("validate").is_some() {
        return tried(visit, current.as_ref(), body).await;
    }
    let answer = match id {
        Some(id) => visit.ask("PATCH", &format!("/api/nodes/{id}"), Some(&body)).await,
        None => visit.ask("POST", "/api/nodes", Some(&body)).await,
    };
    let node = match answer {
        Ok(node) => node,
        Err(refused) if is_objection(&refused) => {
            let status = if refused.status == 409 { 409 } else { 422 };
            let values = objected(form, &SECRETS, &refused);
            return shown(visit, status, current.as_ref(), values, None).await;
        }
        Err(refused) => return Err(refused),
    };
    let page = format!("{PATH}/{}", node.text("/id"));
    if let Some(why) = add_models(visit, node.text("/id")).await {
        let text = format!("“{}” is saved, but not every model: {why}", node.text("/name"));
        return Ok(stage::done(visit, &page, &mixed(text)));
    }
    let toast = match form
        .get("api_key")
        .map(str::trim)
        .filter(|key| !key.is_empty() && id.is_none())
    {
        None if !node.list("/keys_cleared").is_empty() => mixed(
            "Saved. Its address is another one now: the keys of its accounts were taken away; enter them again.",
        ),
        None => good(format!("“{}” is saved.", node.text("/name"))),
        Some(key) => {
            let (id, name) = (node.text("/id"), node.text("/name"));
            let account = json!({"provider": id, "label": name, "api_key": key, "check": false});
            match visit.ask("POST", "/api/accounts", Some(&account)).await {
                Ok(_) => good(format!("“{}” is added with its first account.", node.text("/name"))),
                Err(refused) => mixed(format!(
                    "“{}” is added, but not its first account: {}",
                    node.text("/name"),
                    refused.message()
                )),
            }
        }
    };
    Ok(stage::done(visit, &page, &toast))
}

/// Adds the models that are listed by hand; why one could not be added. Those that are there already stay.
async fn add_models(visit: &Visit, id: &str) -> Option<String> {
    let form = &visit.form;
    if form.get("model_source") != Some("manual") {
        return None;
    }
    let lines = form.get("models").unwrap_or_default().lines().map(str::trim);
    let mut why = None;
    for model in lines.filter(|line| !line.is_empty()) {
        let body = json!({"provider": id, "id": model});
        if let Err(refused) = visit.ask("POST", "/api/models", Some(&body)).await
            && refused.status != 409
        {
            why.get_or_insert(format!("{model}: {}", refused.message()));
        }
    }
    why
}

async fn tried(visit: &Visit, current: Option<&Value>, body: Value) -> Result<Page, Refused> {
    let form = &visit.form;
    let mut body = body;
    if let Value::Object(body) = &mut body {
        body.remove("rev");
        let test_model = body.get("test_model").cloned().unwrap_or_default();
        body.insert("model_id".to_owned(), test_model);
        if let Some(key) = form.get("api_key").map(str::trim).filter(|key| !key.is_empty()) {
            body.insert("api_key".to_owned(), key.into());
        }
    }
    match visit.ask("POST", "/api/nodes/validate", Some(&body)).await {
        Ok(found) => shown(visit, 200, current, entered(form, &SECRETS), Some(trial(&found))).await,
        Err(refused) if is_objection(&refused) => {
            shown(visit, 422, current, objected(form, &SECRETS, &refused), None).await
        }
        Err(refused) => Err(refused),
    }
}

fn trial(found: &Value) -> Trial {
    let mut facts = Vec::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push((name.to_owned(), value));
        }
    };
    put("Called", found.text("/url").to_owned());
    put("Status", found.int("/status").map(|status| status.to_string()).unwrap_or_default());
    put("Took", found.int("/ms").map(ninerouter_templates::format::elapsed).unwrap_or_default());
    let models = found.list("/models");
    put("Models", if models.is_empty() { String::new() } else { models.len().to_string() });
    put("Why", found.text("/message").to_owned());
    put("It says", found.text("/detail").lines().next().unwrap_or_default().to_owned());
    put("Try", found.text("/did_you_mean").to_owned());
    let (tone, word) = match (found.is("/valid"), found.int("/status")) {
        (true, _) => (Tone::Ok, "Reached"),
        (false, Some(_)) => (Tone::Warn, "Refused"),
        (false, None) => (Tone::Bad, "Not reached"),
    };
    Trial { tone, word: word.to_owned(), facts }
}

fn body(form: &Form) -> Value {
    let spoken = TYPES.iter().find(|(value, ..)| Some(*value) == form.get("api_type"));
    let lines = form.get("headers").unwrap_or_default().lines().map(str::trim);
    let headers: Vec<Value> = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            json!({"name": name.trim(), "value": value.trim()})
        })
        .collect();
    let mut body = Body::of(form)
        .texts(&TEXTS)
        .texts(&["auth_style"])
        .switches(&["insecure_http"])
        .rev()
        .with("headers", headers);
    if form.get("auth_style") == Some(USUAL) {
        body = body.with("auth_style", Value::Null);
    }
    if let Some((_, kind, api, _)) = spoken {
        body = body.with("type", *kind);
        if let Some(api) = api {
            body = body.with("api_type", *api);
        }
    }
    body.json()
}

fn values_of(node: &Value) -> View {
    let mut form = View::default();
    for name in TEXTS {
        form = form.with(name, node.text(&format!("/{name}")));
    }
    let style = node.text("/auth_style");
    form = form.with("auth_style", if style.is_empty() { USUAL } else { style });
    let spoken = TYPES.iter().find(|(_, kind, api, _)| {
        *kind == node.text("/type") && api.is_none_or(|api| api == node.text("/api_type"))
    });
    if node.is("/insecure_http") {
        form = form.with("insecure_http", "true");
    }
    let header = |one: &Value| format!("{}: {}", one.text("/name"), one.text("/value"));
    let headers: Vec<String> = node.list("/headers").iter().map(header).collect();
    form.with("api_type", spoken.map_or("chat", |(value, ..)| value))
        .with("headers", &headers.join("\n"))
}

async fn shown(
    visit: &Visit,
    status: u16,
    current: Option<&Value>,
    form: View,
    trial: Option<Trial>,
) -> Result<Page, Refused> {
    let pair = |(value, words): (&str, &str)| (value.to_owned(), words.to_owned());
    let network = |(value, label, effect): (&str, &str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        effect: effect.to_owned(),
    };
    let view = NodeForm {
        csrf: visit.csrf.clone(),
        existing: current.map(|node| {
            let rev = node.int("/rev").unwrap_or_default();
            (node.text("/id").to_owned(), node.text("/name").to_owned(), rev)
        }),
        form,
        types: TYPES.iter().map(|(value, _, _, words)| pair((value, words))).collect(),
        auth_styles: AUTH_STYLES.into_iter().map(pair).collect(),
        networks: NETWORKS.into_iter().map(network).collect(),
        model_sources: [("fetch", "Fetched from its list"), ("manual", "By hand")]
            .into_iter()
            .map(pair)
            .collect(),
        called_url: current.map(|node| node.text("/called_url").to_owned()).unwrap_or_default(),
        trial,
    };
    let assets = assets::urls();
    if visit.hx.is_fragment && visit.method != "GET" {
        return Ok(Page::html(status, node_form(assets, &view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section: Section::Providers, title: "Custom provider", feed: None };
    Ok(stage.page_with_status(status, visit, about, &node_page(assets, &view)))
}

/// The question before a node is deleted.
pub(super) async fn ask_delete(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let node = visit.read(&format!("/api/nodes/{id}")).await?;
    stage::confirmed(visit, Section::Providers, 200, question(visit, &node, None)).await
}

pub(super) async fn delete(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let node = visit.read(&format!("/api/nodes/{id}")).await?;
    let mut body = Map::new();
    if visit.form.get("force") == Some("true") {
        body.insert("force".to_owned(), true.into());
    }
    match visit.ask("DELETE", &format!("/api/nodes/{id}"), Some(&Value::Object(body))).await {
        Ok(_) => {
            Ok(stage::done(visit, PATH, &good(format!("“{}” is deleted.", node.text("/name")))))
        }
        Err(refused) if is_objection(&refused) => {
            stage::confirmed(
                visit,
                Section::Providers,
                refused.status,
                question(visit, &node, Some(&refused)),
            )
            .await
        }
        Err(refused) => Err(refused),
    }
}

fn question(visit: &Visit, node: &Value, refused: Option<&Refused>) -> Confirm {
    let name = node.text("/name");
    let mut consequences = vec!["Its models cannot be asked for any more.".to_owned()];
    let mut values = Vec::new();
    let mut form = View::default();
    match refused {
        Some(refused) if refused.code() == "in_use" => {
            let users = refused.error.list("/used_by");
            let users: Vec<&str> = users
                .iter()
                .map(|user| {
                    if user.text("/name").is_empty() {
                        user.text("/label")
                    } else {
                        user.text("/name")
                    }
                })
                .collect();
            consequences.push(format!("Goes with it, or goes without it: {}.", users.join(", ")));
            values.push(("force".to_owned(), "true".to_owned()));
        }
        Some(refused) => form = objected(&visit.form, &[], refused),
        None => {}
    }
    Confirm {
        csrf: visit.csrf.clone(),
        question: format!("Delete the provider “{name}”?"),
        consequences,
        verb: "Delete provider".to_owned(),
        url: format!("/dashboard/nodes/{}/delete", node.text("/id")),
        values,
        back: ("Providers".to_owned(), PATH.to_owned()),
        form,
        ..Confirm::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_as_it_was_sent() {
        let form = Form::parse(
            b"name=Lab&prefix=lab&api_type=responses&base_url=https%3A%2F%2Fx%2Fv1&network=private&auth_style=header&auth_header=x-key&headers=X-A%3A+1&model_source=fetch&test_model=m&models=z&rev=3",
        );
        let sent = body(&form);
        assert_eq!(
            (&sent["type"], &sent["api_type"]),
            (&json!("openai-compatible"), &json!("responses"))
        );
        assert_eq!(sent["headers"], json!([{"name": "X-A", "value": "1"}]));
        let shown = values_of(&sent);
        for (name, value) in [
            ("api_type", "responses"),
            ("auth_header", "x-key"),
            ("network", "private"),
            ("headers", "X-A: 1"),
        ] {
            assert_eq!(shown.value(name), value, "{name}");
        }
    }

    #[test]
    fn an_auth_style_may_be_left_to_the_type() {
        assert_eq!(body(&Form::parse(b"auth_style=usual"))["auth_style"], Value::Null);
        assert_eq!(values_of(&json!({"auth_style": null})).value("auth_style"), "usual");
        assert_eq!(body(&Form::parse(b"auth_style=none"))["auth_style"], json!("none"));
    }

    #[test]
    fn a_trial_says_what_came_back() {
        let of = |found: Value| (trial(&found).tone, trial(&found).word);
        assert_eq!(of(json!({"valid": true, "status": 200})), (Tone::Ok, "Reached".to_owned()));
        assert_eq!(of(json!({"valid": false, "status": 401})), (Tone::Warn, "Refused".to_owned()));
        assert_eq!(
            of(json!({"valid": false, "message": "no answer"})),
            (Tone::Bad, "Not reached".to_owned())
        );
    }
}
