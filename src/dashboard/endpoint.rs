//! Endpoint: where tools point, which keys there are, who needs one.

use ninerouter_templates::endpoint::{Address, Endpoint, Requirement, endpoint, requirement};
use ninerouter_templates::layout::Section;
use ninerouter_templates::{Markup, Snippet};
use serde_json::{Value, json};

use crate::dashboard::form::{entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::show::key;
use crate::dashboard::stage::{self, About, Refused, Stage, good};
use crate::dashboard::visit::{Page, Visit};
use crate::dashboard::{assets, remote};

/// Where the page is.
pub(super) const PATH: &str = "/dashboard/endpoint";
pub(super) const ABOUT: About<'static> =
    About { section: Section::Endpoint, title: "Endpoint", feed: Some("shell") };

pub(super) async fn show(visit: &Visit) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let content = content(visit, &stage).await?;
    Ok(stage.page(visit, ABOUT, &content))
}

async fn content(visit: &Visit, stage: &Stage) -> Result<Markup, Refused> {
    let keys = visit.read("/api/keys?limit=500").await?;
    let origin = &visit.origin;
    let model = first_model(visit).await?.unwrap_or_else(|| "provider/model".to_owned());
    let address = |clients: &str, url: String, note: &str| Address {
        clients: clients.to_owned(),
        url,
        note: note.to_owned(),
    };
    let listeners = stage.status.texts("/listeners").join(", ");
    let view = Endpoint {
        csrf: visit.csrf.clone(),
        sentence: format!("Listens on {listeners}. {}", access(&stage.status)),
        addresses: vec![
            address("OpenAI, Codex, Cursor, Cline", format!("{origin}/v1"), ""),
            address("Claude Code", origin.clone(), "Without /v1: Claude Code adds it."),
            address("Gemini CLI", format!("{origin}/v1beta"), ""),
        ],
        snippets: snippets(origin, &model, "$NINEROUTER_KEY"),
        keys: keys.list("/data").iter().map(|one| key::row(&stage.sight, one)).collect(),
        requirement: required(stage),
        remote: remote::view(stage),
    };
    Ok(endpoint(assets::urls(), &view))
}

/// Changes who needs a key.
pub(super) async fn require(visit: &Visit) -> Result<Page, Refused> {
    let wanted = match visit.form.get("require_api_key") {
        Some("true") => Value::Bool(true),
        Some("false") => Value::Bool(false),
        Some(word) => word.into(),
        None => Value::Null,
    };
    let refused = match visit
        .ask("PATCH", "/api/settings", Some(&json!({"require_api_key": wanted})))
        .await
    {
        Ok(_) => return Ok(stage::done(visit, PATH, &good("Saved."))),
        Err(refused) if !is_objection(&refused) => return Err(refused),
        Err(refused) => refused,
    };
    let stage = Stage::set(visit).await?;
    let form = objected(&visit.form, &[], &refused);
    let view = Requirement { form, ..required(&stage) };
    let card = requirement(&visit.csrf, &view);
    Ok(if visit.hx.is_fragment {
        Page::html(422, card.into_string())
    } else {
        stage.page_with_status(422, visit, ABOUT, &card)
    })
}

fn required(stage: &Stage) -> Requirement {
    let value = stage.settings.part("/settings/require_api_key");
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fixed_by = fixed_by(stage.settings.part("/meta/require_api_key"));
    let form =
        entered(&crate::dashboard::visit::Form::default(), &[]).with("require_api_key", &value);
    Requirement { form, sentence: access(&stage.status), fixed_by }
}

/// What a setting is fixed by, of its member of `meta`; empty = it can be changed.
pub(super) fn fixed_by(meta: &Value) -> String {
    match meta.text("/source") {
        _ if !meta.is("/locked") => String::new(),
        "env" => format!("`{}` in the environment", meta.text("/env")),
        "flag" => "an option on the command line".to_owned(),
        _ => "the config file".to_owned(),
    }
}

/// Who may use the router, in a sentence.
pub(super) fn access(status: &Value) -> String {
    let mode = status.text("/mode");
    let mut letters = mode.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if mode.is_empty() || mode.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// A model that could be asked for; `None` when there is none.
pub(super) async fn first_model(visit: &Visit) -> Result<Option<String>, Refused> {
    let models = visit.read("/api/models?connected=true&limit=1").await?;
    let first = models.list("/data").first().map(|model| model.text("/key").to_owned());
    Ok(first.filter(|key| !key.is_empty()))
}

/// A streaming request that works as printed.
#[must_use]
pub fn curl(origin: &str, model: &str) -> String {
    let body = json!({
        "model": model,
        "stream": true,
        "messages": [{"role": "user", "content": "Say hello"}],
    });
    format!(
        "curl -N {origin}/v1/chat/completions -H 'content-type: application/json' -d '{}'",
        body.to_string().replace('\'', "'\\''")
    )
}

/// Lines for the usual tools. `key` is a key, or the name of a variable that holds one.
pub(super) fn snippets(origin: &str, model: &str, key: &str) -> Vec<Snippet> {
    let shell = |title: &str, code: String| Snippet {
        title: title.to_owned(),
        language: "shell".to_owned(),
        code,
    };
    let bearer = format!(" -H \"authorization: Bearer {key}\"");
    vec![
        shell("curl", in_lines(&curl(origin, model).replacen(" -d ", &format!("{bearer} -d "), 1))),
        shell(
            "Claude Code",
            format!(
                "export ANTHROPIC_BASE_URL={origin}\nexport ANTHROPIC_AUTH_TOKEN={key}\nclaude --model {}",
                quoted(model)
            ),
        ),
        shell(
            "OpenAI SDK",
            format!("export OPENAI_BASE_URL={origin}/v1\nexport OPENAI_API_KEY={key}"),
        ),
    ]
}

/// One option in a line.
fn in_lines(command: &str) -> String {
    command.replace(" -H ", " \\\n  -H ").replacen(" -d ", " \\\n  -d ", 1)
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_is_one_word_for_the_shell() {
        assert_eq!(quoted("cc/claude-opus-4-6"), "cc/claude-opus-4-6");
        assert_eq!(quoted("a'b; rm"), "'a'\\''b; rm'");
        assert!(curl("http://x", "a'b").contains("a'\\''b"));
    }

    #[test]
    fn snippets_carry_address_and_key() {
        for snippet in snippets("http://127.0.0.1:20128", "cc/m", "sk-nr1-x") {
            assert!(
                snippet.code.contains("http://127.0.0.1:20128")
                    && snippet.code.contains("sk-nr1-x")
            );
        }
    }
}
