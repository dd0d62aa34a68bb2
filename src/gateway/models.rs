//! Model lists: what a caller may ask for, in the OpenAI, Anthropic and Gemini shapes (endpoints §4.5, §4.8).

use actix_web::HttpResponse;
use ninerouter_dialect::ErrorKind;
use serde_json::{Map, Value, json};

use crate::actors::listing::{Listed, list};
use crate::gateway::admission::{self, Door, Inside};
use crate::gateway::reply::{self, Refusal};
use crate::gateway::route::{Endpoint, ErrorShape};

/// `created` of every entry: a constant, so that lists compare equal (endpoints §4.5).
const CREATED: i64 = 1_700_000_000;
pub(super) const CREATED_RFC3339: &str = "2023-11-14T22:13:20Z";
/// Page size of the Anthropic and Gemini lists when the client names none.
const PAGE: usize = 1_000;

/// The OpenAI object.
fn openai(model: &Listed) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), model.id.as_str().into());
    object.insert("object".into(), "model".into());
    object.insert("created".into(), CREATED.into());
    object.insert("owned_by".into(), model.owner.as_ref().into());
    if let Some(context) = model.context {
        object.insert("context_window".into(), context.into());
    }
    if let Some(output) = model.output {
        object.insert("max_output_tokens".into(), output.into());
    }
    Value::Object(object)
}

/// The Anthropic object.
fn anthropic(model: &Listed) -> Value {
    json!({"type": "model", "id": model.id, "display_name": model.name, "created_at": CREATED_RFC3339})
}

/// The Gemini object.
fn gemini(model: &Listed) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), format!("models/{}", model.id).into());
    object.insert("baseModelId".into(), model.id.as_str().into());
    object.insert("version".into(), "".into());
    object.insert("displayName".into(), model.name.as_str().into());
    object.insert("description".into(), "".into());
    if let Some(context) = model.context {
        object.insert("inputTokenLimit".into(), context.into());
    }
    if let Some(output) = model.output {
        object.insert("outputTokenLimit".into(), output.into());
    }
    let methods = json!(["generateContent", "streamGenerateContent", "countTokens"]);
    object.insert("supportedGenerationMethods".into(), methods);
    Value::Object(object)
}

/// The OpenAI list.
#[must_use]
pub(super) fn openai_list(models: &[Listed]) -> Value {
    let data: Vec<_> = models.iter().map(openai).collect();
    json!({"object": "list", "data": data})
}

/// The Anthropic list. Combos and aliases are listed a second time as `anthropic/<name>`, because Claude
/// Code's picker shows only ids that contain `claude` or `anthropic`.
#[must_use]
pub(super) fn anthropic_list(models: &[Listed], query: &str) -> Value {
    let named = models.iter().filter(|m| matches!(m.owner.as_ref(), "combo" | "alias"));
    let twins = named.map(|m| Listed { id: format!("anthropic/{}", m.id), ..m.clone() });
    let all: Vec<_> = models.iter().cloned().chain(twins).collect();
    let limit = number(query, "limit").unwrap_or(PAGE).clamp(1, PAGE);
    let place = |id: Option<String>| id.and_then(|id| all.iter().position(|m| m.id == id));
    let (start, end) = match (place(text(query, "after_id")), place(text(query, "before_id"))) {
        (Some(after), _) => (after + 1, (after + 1).saturating_add(limit)),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit),
    };
    let end = end.min(all.len());
    let page = all.get(start.min(end)..end).unwrap_or_default();
    let data: Vec<_> = page.iter().map(anthropic).collect();
    json!({
        "data": data,
        "has_more": end < all.len(),
        "first_id": page.first().map(|m| &m.id),
        "last_id": page.last().map(|m| &m.id),
    })
}

/// The Gemini list. The page token is the index of the first entry of the page.
#[must_use]
pub(super) fn gemini_list(models: &[Listed], query: &str) -> Value {
    let size = number(query, "pageSize").unwrap_or(PAGE).clamp(1, PAGE);
    let start = number(query, "pageToken").unwrap_or(0).min(models.len());
    let end = start.saturating_add(size).min(models.len());
    let page = models.get(start..end).unwrap_or_default();
    let mut list = Map::new();
    list.insert("models".into(), page.iter().map(gemini).collect());
    if end < models.len() {
        list.insert("nextPageToken".into(), end.to_string().into());
    }
    Value::Object(list)
}

/// Answers the list and single-model endpoints.
///
/// # Errors
/// The refusal to render in the endpoint's shape.
pub(super) async fn serve(door: Door) -> Result<HttpResponse, Box<Refusal>> {
    let inside = admission::admit(&door)?;
    let models = listed(&door, &inside).await?;
    let query = door.http.query_string();
    let anthropic_shape = door.matched.shape == ErrorShape::Anth;
    let found = |id: &str| {
        let bare = id.strip_prefix("anthropic/").unwrap_or(id);
        models.iter().find(|m| m.id == id).or_else(|| models.iter().find(|m| m.id == bare))
    };
    let answer = match &door.matched.endpoint {
        Endpoint::GemModels => gemini_list(&models, query),
        Endpoint::GemModel { id } => gemini(found(id).ok_or_else(|| unknown(id))?),
        Endpoint::Model { id } if anthropic_shape => {
            anthropic(found(id).ok_or_else(|| unknown(id))?)
        }
        Endpoint::Model { id } => openai(found(id).ok_or_else(|| unknown(id))?),
        _ if anthropic_shape => anthropic_list(&models, query),
        _ => openai_list(&models),
    };
    Ok(reply::json(200, &door.request_id, answer.to_string()))
}

/// What the caller may ask for.
///
/// # Errors
/// When nobody can say what is served.
pub(super) async fn listed(door: &Door, inside: &Inside) -> Result<Vec<Listed>, Box<Refusal>> {
    let served = door.worker.served_providers().await.map_err(|_silent| {
        Box::new(
            Refusal::new(ErrorKind::Unavailable, "the router is restarting; try again")
                .retry_after(1),
        )
    })?;
    let key = inside.caller().key().map(AsRef::as_ref);
    Ok(list(&inside.snapshot, &served, key))
}

pub(super) fn unknown(id: &str) -> Box<Refusal> {
    let message = format!("Model '{id}' not found");
    Box::new(Refusal::new(ErrorKind::NotFound, message).code("model_not_found").param("model"))
}

/// First value of a query parameter.
#[must_use]
pub(super) fn text(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn number(query: &str, name: &str) -> Option<usize> {
    text(query, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Listed> {
        let mut out = vec![Listed::plain("stack".into(), "combo".into())];
        out.extend((0..4).map(|n| Listed::plain(format!("glm/m{n}"), "glm".into())));
        out
    }

    #[test]
    fn anthropic_pages_follow_each_other_without_gap() {
        let models = some();
        let first = anthropic_list(&models, "limit=2");
        assert_eq!(first["has_more"], true);
        assert_eq!(first["last_id"], "glm/m0");
        let second = anthropic_list(&models, "limit=2&after_id=glm/m0");
        assert_eq!(second["first_id"], "glm/m1");
        let back = anthropic_list(&models, "limit=2&before_id=glm/m2");
        assert_eq!(back["first_id"], "glm/m0");
    }

    #[test]
    fn e031_combos_are_listed_a_second_time_for_claude_code() {
        let list = anthropic_list(&some(), "");
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
        assert!(ids.contains(&&json!("anthropic/stack")));
        assert_eq!(list["has_more"], false);
    }

    #[test]
    fn gemini_pages_end_without_token() {
        let first = gemini_list(&some(), "pageSize=3");
        assert_eq!(first["nextPageToken"], "3");
        let last = gemini_list(&some(), "pageSize=3&pageToken=3");
        assert!(last.get("nextPageToken").is_none());
        assert_eq!(last["models"].as_array().unwrap().len(), 2);
    }
}
