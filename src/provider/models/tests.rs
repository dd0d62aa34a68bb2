use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::provider::catalog::{Catalog, EndpointOverride};
use crate::provider::credential::Credential;
use crate::provider::node::{ModelSource, Node, NodeType};
use crate::provider::price::Price;
use crate::provider::request::Moment;
use crate::routing::account::AccountConfig;
use crate::routing::account::AccountKind;
use crate::secret::Secret;

fn account(provider: &str, params: &[(&str, &str)]) -> AccountConfig {
    AccountConfig {
        params: params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        ..AccountConfig::new(provider.into(), AccountKind::ApiKey, "a".into())
    }
}

fn asked(
    provider: &Provider,
    params: &[(&str, &str)],
    key: &str,
) -> Result<Option<ListRequest>, ShapeError> {
    let api_key = (!key.is_empty()).then(|| Secret::new(key.to_owned()));
    list_request(&BesideCx {
        provider,
        account: &account(&provider.id, params),
        credential: &Credential { api_key, ..Credential::default() },
        extra_headers: &[],
        moment: Moment::default(),
    })
}

fn header<'a>(request: &'a ListRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

#[test]
fn each_provider_is_asked_where_and_as_it_wants() {
    let catalog = Catalog::builtin().unwrap();
    let none = &[][..];
    let local = &[("base_url", "http://10.0.0.7:11434/")][..];
    let table = [
        ("openai", none, "https://api.openai.com/v1/models", "authorization", "Bearer k"),
        ("anthropic", none, "https://api.anthropic.com/v1/models?limit=1000", "x-api-key", "k"),
        (
            "gemini",
            none,
            "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
            "x-goog-api-key",
            "k",
        ),
        ("glm", none, "https://api.z.ai/api/paas/v4/models", "authorization", "Bearer k"),
        ("openrouter", none, "https://openrouter.ai/api/v1/models", "authorization", "Bearer k"),
        ("opencode", none, "https://opencode.ai/zen/v1/models", "authorization", "Bearer public"),
        ("ollama-local", none, "http://127.0.0.1:11434/api/tags", "authorization", "Bearer k"),
        ("ollama-local", local, "http://10.0.0.7:11434/api/tags", "authorization", "Bearer k"),
        (
            "azure",
            &[("endpoint", "https://x.openai.azure.com"), ("api_version", "2024-10-21")],
            "https://x.openai.azure.com/openai/models?api-version=2024-10-21",
            "api-key",
            "k",
        ),
        (
            "cloudflare-ai",
            &[("account_id", "a b")],
            "https://api.cloudflare.com/client/v4/accounts/a%20b/ai/models/search",
            "authorization",
            "Bearer k",
        ),
    ];
    for (id, params, url, name, value) in table {
        let provider = catalog.by_id(id).unwrap_or_else(|| panic!("{id}"));
        let request = asked(provider, params, "k").unwrap().unwrap();
        assert_eq!(request.url, url, "{id}");
        assert_eq!(header(&request, name), Some(value), "{id}");
        assert_eq!(header(&request, "content-type"), None, "{id}");
        assert_eq!(header(&request, "accept"), Some("application/json"), "{id}");
    }
}

#[test]
fn every_list_of_the_catalog_can_be_asked_for_or_says_what_is_missing() {
    let catalog = Catalog::builtin().unwrap();
    for provider in catalog.providers() {
        match asked(provider, &[], "k") {
            Ok(Some(request)) => assert!(Url::parse(&request.url).is_ok(), "{}", request.url),
            Ok(None) => assert!(provider.apis.models.is_none() || !has_list(provider)),
            Err(ShapeError::MissingParam(_) | ShapeError::MissingCredential(_)) => {}
            Err(other) => panic!("{}: {other}", provider.id),
        }
    }
}

#[test]
fn an_accounts_own_host_is_asked_and_no_other() {
    let catalog = Catalog::builtin().unwrap();
    let own = catalog.providers().filter(|p| p.base_url_override && has_list(p));
    for provider in own {
        let request =
            asked(provider, &[("base_url", "https://own.example")], "k").unwrap().unwrap();
        assert!(
            request.url.starts_with("https://own.example/"),
            "{}: {}",
            provider.id,
            request.url
        );
    }
}

#[test]
fn an_override_of_the_environment_moves_the_list_too() {
    let over = EndpointOverride::from_name("OPENAI_API", "http://127.0.0.1:4001").unwrap();
    let catalog = Catalog::assemble(&[], &[over], &[]).unwrap();
    let request = asked(catalog.by_id("openai").unwrap(), &[], "k").unwrap().unwrap();
    assert_eq!(request.url, "http://127.0.0.1:4001/v1/models");
}

#[test]
fn nodes_are_asked_below_their_base_with_their_own_sign_in() {
    let table = [
        (NodeType::OpenAiChat, "/models", "authorization", "Bearer k"),
        (NodeType::OpenAiResponses, "/models", "authorization", "Bearer k"),
        (NodeType::Anthropic, "/models", "x-api-key", "k"),
        (NodeType::Gemini, "/models?pageSize=1000", "x-goog-api-key", "k"),
        (NodeType::Embedding, "/models", "authorization", "Bearer k"),
    ];
    for (node_type, path, name, value) in table {
        let node = Node {
            id: "n".into(),
            node_type,
            name: "n".into(),
            prefix: "n".into(),
            base_url: "http://127.0.0.1:9/base".into(),
            auth_style: None,
            headers: vec![("X-Own".into(), "{v}".into())],
            network: crate::provider::node::NetworkPolicy::Loopback,
            insecure_http: false,
            h2: false,
            model_source: ModelSource::default(),
        };
        let provider = Arc::new(node.to_provider());
        let request = asked(&provider, &[], "k").unwrap().unwrap();
        assert_eq!(request.url, format!("http://127.0.0.1:9/base{path}"));
        assert_eq!(header(&request, name), Some(value));
        assert_eq!(request.style.pages_by_id, node_type == NodeType::Anthropic);
        let bare = asked(&provider, &[], "").unwrap().unwrap();
        assert_eq!(header(&bare, name), None, "a node without key gets none");
        if node_type != NodeType::Embedding {
            assert_eq!(header(&bare, "x-own"), Some("{v}"));
        }
    }
}

#[test]
fn the_credential_is_not_in_debug_output() {
    let catalog = Catalog::builtin().unwrap();
    let request = asked(catalog.by_id("openai").unwrap(), &[], "sk-secret").unwrap().unwrap();
    assert!(!format!("{request:?}").contains("sk-secret"));
}

fn ids(style: ListStyle, body: &Value) -> Vec<String> {
    let page = parse(style, body.to_string().as_bytes()).unwrap();
    page.models.into_iter().map(|m| m.id).collect()
}

const PLAIN: ListStyle =
    ListStyle { pages_by_id: false, priced_per_token: false, free_only: false };

#[test]
fn every_shape_of_list_gives_its_ids() {
    let table = [
        (
            json!({"object": "list", "data": [{"id": "a"}, {"id": "b/c:free"}]}),
            vec!["a", "b/c:free"],
        ),
        (json!([{"id": "a", "type": "chat"}, {"id": "e", "type": "embedding"}]), vec!["a"]),
        (json!(["a", "b"]), vec!["a", "b"]),
        (
            json!({"models": [
                {"name": "models/gemini-x", "supportedGenerationMethods": ["generateContent"]},
                {"name": "models/embed-x", "supportedGenerationMethods": ["embedContent"]},
                {"name": "models/unsaid"}]}),
            vec!["gemini-x", "unsaid"],
        ),
        (
            json!({"models": [{"name": "qwen3:8b", "model": "qwen3:8b", "size": 1}]}),
            vec!["qwen3:8b"],
        ),
        (
            json!({"models": [{"name": "command-x", "endpoints": ["chat"]}, {"name": "embed", "endpoints": ["embed"]}]}),
            vec!["command-x"],
        ),
        (
            json!({"success": true, "result": [
                {"id": "0f3c", "name": "@cf/meta/x", "task": {"name": "Text Generation"}},
                {"id": "0f3d", "name": "@cf/baai/y", "task": {"name": "Text Embeddings"}}]}),
            vec!["@cf/meta/x"],
        ),
        (
            json!({"data": [
                {"id": "on", "model_picker_enabled": true, "policy": {"state": "enabled"}, "capabilities": {"type": "chat"}},
                {"id": "off", "model_picker_enabled": true, "policy": {"state": "disabled"}},
                {"id": "hidden", "model_picker_enabled": false},
                {"id": "vec", "capabilities": {"type": "embeddings"}}]}),
            vec!["on"],
        ),
        (
            json!({"data": [{"id": "img", "architecture": {"output_modalities": ["image"]}}, {"id": "txt", "architecture": {"output_modalities": ["text", "image"]}}]}),
            vec!["txt"],
        ),
        (
            json!({"data": [{"id": "m", "capabilities": {"completion_chat": true}}, {"id": "ocr", "capabilities": {"completion_chat": false}}, {"id": "gone", "active": false}, {"id": "fw", "supports_chat": false}]}),
            vec!["m"],
        ),
        (json!({"data": []}), vec![]),
        (json!({"data": [1, null, {"no": "id"}, {"id": 7}, {"id": "ok"}]}), vec!["ok"]),
    ];
    for (body, want) in table {
        assert_eq!(ids(PLAIN, &body), want, "{body}");
    }
}

#[test]
fn what_is_no_list_is_refused() {
    for body in [
        "<html>models</html>",
        "",
        "null",
        "\"x\"",
        "{}",
        r#"{"error":{"message":"no"}}"#,
        r#"{"data":{}}"#,
    ] {
        assert_eq!(parse(PLAIN, body.as_bytes()), Err(NotAList), "{body}");
    }
}

#[test]
fn ids_that_cannot_be_shown_are_left_out() {
    let long = "x".repeat(201);
    let bad = ["", " ", "a b", "a\nb", "a\u{202e}b", "a\u{200b}b", long.as_str()];
    for id in bad {
        assert!(ids(PLAIN, &json!({"data": [{"id": id}, id]})).is_empty(), "{id:?}");
    }
    let good = "x".repeat(200);
    for id in ["@cf/a-b_c.d:e@1", "模型-1", good.as_str()] {
        assert_eq!(ids(PLAIN, &json!([id])), [id]);
    }
}

#[test]
fn zen_offers_only_what_is_free() {
    let style = ListStyle { free_only: true, ..PLAIN };
    let list = json!({"data": [{"id": "a-free"}, {"id": "b"}, {"id": "c", "cost": {"input": 0, "output": 0}},
        {"id": "d", "pricing": {"prompt": "0", "completion": "0.1"}}]});
    assert_eq!(ids(style, &list), ["a-free", "c"]);
}

#[test]
fn openrouter_facts_are_imported() {
    let style = ListStyle { priced_per_token: true, ..PLAIN };
    let list = json!({"data": [{"id": "v/m", "name": "Vendor: M", "context_length": 200_000,
        "top_provider": {"max_completion_tokens": 64_000, "context_length": 100},
        "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003",
            "input_cache_write": "0.00000375", "request": "0"}},
        {"id": "v/auto", "pricing": {"prompt": "-1", "completion": "-1"}}]});
    let page = parse(style, list.to_string().as_bytes()).unwrap();
    let price = Price {
        input: Some(3_000_000),
        output: Some(15_000_000),
        cached: Some(300_000),
        cache_write_5m: Some(3_750_000),
        ..Price::default()
    };
    let want = LiveModel {
        id: "v/m".into(),
        name: Some("Vendor: M".into()),
        ctx: Some(200_000),
        out: Some(64_000),
        price: Some(price),
    };
    assert_eq!(page.models[0], want);
    assert_eq!(page.models[1].price, None, "no price is not a price of nothing");
    for model in &page.models {
        assert_eq!(LiveModel::of_stored(model.id.clone(), &model.facts()), *model);
    }
    let plain = parse(PLAIN, list.to_string().as_bytes()).unwrap();
    assert_eq!(plain.models[0].price, None, "the unit is known of few lists only");
}

#[test]
fn facts_of_other_lists_are_found_where_they_stand() {
    let table = [
        (
            json!({"models": [{"name": "models/g", "displayName": "G", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}]}),
            Some("G"),
            Some(1_048_576),
            Some(65_536),
        ),
        (json!({"data": [{"id": "v", "max_model_len": 4096}]}), None, Some(4096), None),
        (
            json!({"data": [{"id": "q", "context_window": "131072", "max_completion_tokens": 8192}]}),
            None,
            Some(131_072),
            Some(8192),
        ),
        (
            json!({"data": [{"type": "model", "id": "c", "display_name": "Claude"}]}),
            Some("Claude"),
            None,
            None,
        ),
        (
            json!({"data": [{"id": "n", "name": "n", "context_length": 0, "max_tokens": -5}]}),
            None,
            None,
            None,
        ),
    ];
    for (body, name, ctx, out) in table {
        let model = parse(PLAIN, body.to_string().as_bytes()).unwrap().models.remove(0);
        assert_eq!((model.name.as_deref(), model.ctx, model.out), (name, ctx, out), "{body}");
    }
}

#[test]
fn pages_lead_on_where_the_vendor_pages() {
    let anthropic = ListStyle { pages_by_id: true, ..PLAIN };
    let next = |style, body: Value| parse(style, body.to_string().as_bytes()).unwrap().next;
    let more = json!({"data": [{"id": "a"}], "has_more": true, "last_id": "a&b"});
    assert_eq!(next(PLAIN, more.clone()), None);
    let token = next(anthropic, more).unwrap();
    let url = next_page("https://h.example/v1/models?limit=1000", &token);
    assert_eq!(url.as_deref(), Some("https://h.example/v1/models?limit=1000&after_id=a%26b"));
    let last = json!({"data": [{"id": "a"}], "has_more": false, "last_id": "a"});
    assert_eq!(next(anthropic, last), None);
    let google = next(PLAIN, json!({"models": [], "nextPageToken": "t"}));
    assert_eq!(google, Some(("pageToken", "t".to_owned())));
    assert_eq!(next(PLAIN, json!({"models": [], "next_page_token": ""})), None);
}

#[test]
fn recorded_lists_are_read() {
    let Some(root) = recordings() else { return };
    let mut read = 0;
    for entry in std::fs::read_dir(root.join("models")).unwrap() {
        let body = std::fs::read(entry.unwrap().path().join("response.json")).unwrap();
        let page = parse(PLAIN, &body).unwrap();
        assert!(!page.models.is_empty());
        read += 1;
    }
    assert!(read > 0);
}

#[expect(clippy::disallowed_methods, reason = "tests find the recordings by a variable")]
fn recordings() -> Option<std::path::PathBuf> {
    std::env::var_os("NINEROUTER_FIXTURES").map(Into::into)
}
