//! Reading an upstream's model list, whatever its shape: `data[]`, `models[]`, `result[]` or a bare array.

use serde_json::{Map, Value};

use super::ListStyle;
use crate::provider::price::{Price, umicro_of_usd};

/// Bytes of an id at most.
const MAX_ID: usize = 200;
/// Bytes of a display name at most.
const MAX_NAME: usize = 200;
/// Tokens a price of the catalog's unit is for.
const PER_MILLION: f64 = 1_000_000.0;

/// A model as the upstream's list shows it. `None` = the list does not say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LiveModel {
    /// The id the upstream takes.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Largest prompt, in tokens.
    pub ctx: Option<u32>,
    /// Largest answer, in tokens.
    pub out: Option<u32>,
    /// Prices.
    pub price: Option<Price>,
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Models that can be asked for answers, in the upstream's order.
    pub models: Vec<LiveModel>,
    /// Query parameter of the next page.
    pub next: Option<(&'static str, String)>,
}

/// The answer is no model list (a web page, an error object).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer is not a list of models")]
pub struct NotAList;

/// Reads one page.
///
/// # Errors
/// When the body is no JSON, or holds no list.
pub fn parse(style: ListStyle, body: &[u8]) -> Result<Page, NotAList> {
    let root: Value = serde_json::from_slice(body).map_err(|_not_json| NotAList)?;
    // Where ids are called `name`, `id` is something else or missing (Gemini, Ollama, Cohere, Cloudflare).
    let (items, named) = match &root {
        Value::Array(items) => (items, false),
        Value::Object(object) => {
            let list = |key: &str| object.get(key).and_then(Value::as_array);
            list("data")
                .map(|items| (items, false))
                .or_else(|| list("models").or_else(|| list("result")).map(|items| (items, true)))
                .ok_or(NotAList)?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(NotAList),
    };
    let models = items.iter().filter_map(|item| model(style, item, named)).collect();
    Ok(Page { models, next: next(style, &root) })
}

fn next(style: ListStyle, root: &Value) -> Option<(&'static str, String)> {
    let text = |key| root.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    if style.pages_by_id && root.get("has_more") == Some(&Value::Bool(true)) {
        return text("last_id").map(|id| ("after_id", id.to_owned()));
    }
    let google = text("nextPageToken").map(|token| ("pageToken", token.to_owned()));
    google.or_else(|| text("next_page_token").map(|token| ("page_token", token.to_owned())))
}

fn model(style: ListStyle, item: &Value, named: bool) -> Option<LiveModel> {
    let object = match item {
        Value::String(id) => {
            let listed = is_id(id) && (!style.free_only || id.ends_with("-free"));
            return listed.then(|| LiveModel { id: id.clone(), ..LiveModel::default() });
        }
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    let keys =
        if named { ["name", "model", "id", "slug"] } else { ["id", "name", "model", "slug"] };
    let id = keys.into_iter().find_map(|key| text(object, key))?;
    let id = if named { id.strip_prefix("models/").unwrap_or(id) } else { id };
    if !is_id(id) || !answers(object) || (style.free_only && !is_free(id, object)) {
        return None;
    }
    let title = ["display_name", "displayName", "name"].into_iter().find_map(|k| text(object, k));
    let is_title = |t: &&str| t.len() <= MAX_NAME && !t.chars().any(char::is_control);
    // a name that is the id itself says nothing
    let name =
        title.map(str::trim).filter(is_title).filter(|t| t.strip_prefix("models/") != Some(id));
    Some(LiveModel {
        name: name.filter(|t| !t.is_empty() && *t != id).map(str::to_owned),
        ctx: first_number(object, &CONTEXT),
        out: first_number(object, &OUTPUT),
        price: style.priced_per_token.then(|| per_token(object.get("pricing")?)).flatten(),
        id: id.to_owned(),
    })
}

/// Where lists say how large a prompt may be.
const CONTEXT: [&str; 8] = [
    "/context_length",
    "/context_window",
    "/max_context_length",
    "/max_model_len",
    "/inputTokenLimit",
    "/max_input_tokens",
    "/capabilities/limits/max_context_window_tokens",
    "/top_provider/context_length",
];
/// Where lists say how large an answer may be.
const OUTPUT: [&str; 6] = [
    "/top_provider/max_completion_tokens",
    "/max_completion_tokens",
    "/max_output_tokens",
    "/outputTokenLimit",
    "/capabilities/limits/max_output_tokens",
    "/max_tokens",
];

/// Printable, without spaces: letters and digits of any script, and the marks of ASCII.
fn is_id(id: &str) -> bool {
    let printable = |c: char| c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric());
    (1..=MAX_ID).contains(&id.len()) && id.chars().all(printable)
}

/// False for what is known to give no text: embeddings, images, speech; and for models the account may
/// not use.
fn answers(object: &Map<String, Value>) -> bool {
    let at = |path: &str| pointer(object, path);
    let lacks = |path: &str, wanted: &str| {
        let list = at(path).and_then(Value::as_array).filter(|list| !list.is_empty());
        list.is_some_and(|list| !list.iter().any(|v| v.as_str() == Some(wanted)))
    };
    let says = |path: &str, text: &str| at(path).and_then(Value::as_str) == Some(text);
    let is_false = |path: &str| at(path) == Some(&Value::Bool(false));
    let other_kind = ["/type", "/capabilities/type"].into_iter().any(|path| {
        let kind = at(path).and_then(Value::as_str).unwrap_or_default();
        OTHER_KINDS.iter().any(|other| kind.eq_ignore_ascii_case(other))
    });
    let other_task =
        at("/task/name").and_then(Value::as_str).is_some_and(|t| t != "Text Generation");
    !(other_kind
        || other_task
        // Gemini; Cohere; OpenRouter
        || lacks("/supportedGenerationMethods", "generateContent")
        || lacks("/endpoints", "chat")
        || lacks("/architecture/output_modalities", "text")
        // Fireworks; Mistral; Groq
        || is_false("/supports_chat")
        || is_false("/capabilities/completion_chat")
        || is_false("/active")
        // Copilot (providers §3.5)
        || is_false("/model_picker_enabled")
        || says("/policy/state", "disabled"))
}

/// Values of `type` that stand for something else than answers.
const OTHER_KINDS: [&str; 14] = [
    "embedding",
    "embeddings",
    "image",
    "inpaint",
    "upscale",
    "audio",
    "video",
    "rerank",
    "reranking",
    "moderation",
    "tts",
    "asr",
    "transcription",
    "transcribe",
];

/// OpenCode Zen's public key is for these alone (providers §6).
fn is_free(id: &str, object: &Map<String, Value>) -> bool {
    let zero = |price: &Value| {
        let of = |keys: [&str; 2]| keys.into_iter().find_map(|key| number(price.get(key)?));
        let (input, output) = (of(["input", "prompt"]), of(["output", "completion"]));
        input == Some(0.0) && output == Some(0.0)
    };
    id.ends_with("-free")
        || ["pricing", "cost"].into_iter().any(|k| object.get(k).is_some_and(zero))
}

/// OpenRouter's and Vercel's prices: USD per token, mostly as text.
fn per_token(pricing: &Value) -> Option<Price> {
    let usd = |keys: &[&str]| keys.iter().find_map(|key| number(pricing.get(*key)?));
    let per_million = |keys: &[&str]| usd(keys).and_then(|usd| umicro_of_usd(usd * PER_MILLION));
    let price = Price {
        input: per_million(&["prompt", "input"]),
        output: per_million(&["completion", "output"]),
        cached: per_million(&["input_cache_read"]),
        cache_write_5m: per_million(&["input_cache_write"]),
        per_request: usd(&["request"]).and_then(umicro_of_usd).filter(|p| *p > 0),
        ..Price::default()
    };
    // `-1` stands for "depends" there: such a model has no price
    (price.input.is_some() && price.output.is_some()).then_some(price)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn first_number(object: &Map<String, Value>, paths: &[&str]) -> Option<u32> {
    let whole = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        number.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
    };
    paths.iter().find_map(|path| whole(pointer(object, path)?))
}

/// As [`Value::pointer`], for the members of an object.
fn pointer<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('/').skip(1);
    let first = object.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Members of stored facts that are prices.
type PriceMember = (&'static str, fn(&mut Price) -> &mut Option<i64>);
const PRICES: [PriceMember; 5] = [
    ("price_in", |p| &mut p.input),
    ("price_out", |p| &mut p.output),
    ("price_cached", |p| &mut p.cached),
    ("price_cache_write", |p| &mut p.cache_write_5m),
    ("price_request", |p| &mut p.per_request),
];

impl LiveModel {
    /// What is stored of it beside the id (column `facts`). Prices are micro-USD per million tokens.
    #[must_use]
    pub fn facts(&self) -> Value {
        let mut facts = Map::new();
        if let Some(name) = &self.name {
            facts.insert("name".into(), name.as_str().into());
        }
        for (key, value) in [("ctx", self.ctx), ("out", self.out)] {
            if let Some(value) = value {
                facts.insert(key.into(), value.into());
            }
        }
        let mut price = self.price.unwrap_or_default();
        for (key, member) in PRICES {
            if let Some(value) = *member(&mut price) {
                facts.insert(key.into(), value.into());
            }
        }
        Value::Object(facts)
    }

    /// The model of a stored row. Facts nobody can read are no facts.
    #[must_use]
    pub fn of_stored(id: String, facts: &Value) -> Self {
        let count =
            |key| facts.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let mut price = Price::default();
        for (key, member) in PRICES {
            *member(&mut price) = facts.get(key).and_then(Value::as_i64);
        }
        Self {
            id,
            name: facts.get("name").and_then(Value::as_str).map(str::to_owned),
            ctx: count("ctx"),
            out: count("out"),
            price: (price != Price::default()).then_some(price),
        }
    }
}
