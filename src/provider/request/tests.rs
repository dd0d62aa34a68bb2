use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use ninerouter_dialect::apply_edits;

use super::*;
use crate::provider::catalog::{AuthKind, Catalog, EndpointOverride, ModelKind, Scheme};
use crate::provider::effort::Level;
use crate::provider::endpoint::pick;
use crate::provider::node::{AuthStyle, ModelSource, NetworkPolicy, Node, NodeType};
use crate::provider::upstream_id::upstream_id;
use crate::routing::account::AccountKind;
use crate::secret::Secret;

static BUILTIN: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin().unwrap()));

/// One call with everything a test may want to change.
struct Case {
    catalog: Arc<Catalog>,
    provider: String,
    model: String,
    dialect: Dialect,
    call: Call,
    stream: bool,
    account: AccountConfig,
    credential: Credential,
    client: BTreeMap<String, String>,
    query: Option<String>,
    peek: Peek,
    effort: Option<Effort>,
    long_context: bool,
    session: Option<String>,
    supports_stream_usage: bool,
    extra: Vec<(String, String)>,
}

fn key(text: &str) -> Credential {
    Credential { api_key: Some(Secret::new(text.to_owned())), ..Credential::default() }
}

fn account() -> AccountConfig {
    AccountConfig::new("x".into(), AccountKind::ApiKey, "test".into())
}

fn case(provider: &str, model: &str, dialect: Dialect) -> Case {
    Case {
        catalog: BUILTIN.clone(),
        provider: provider.to_owned(),
        model: model.to_owned(),
        dialect,
        call: Call::Generate,
        stream: false,
        account: account(),
        credential: key("k-123"),
        client: BTreeMap::new(),
        query: None,
        peek: Peek::default(),
        effort: None,
        long_context: false,
        session: None,
        supports_stream_usage: true,
        extra: Vec::new(),
    }
}

impl Case {
    fn param(mut self, name: &str, value: &str) -> Self {
        self.account.params.push((name.to_owned(), value.to_owned()));
        self
    }

    fn client(mut self, name: &str, value: &str) -> Self {
        self.client.insert(name.to_owned(), value.to_owned());
        self
    }

    fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    fn key(mut self, text: &str) -> Self {
        self.credential = key(text);
        self
    }

    fn streaming(mut self) -> Self {
        self.stream = true;
        self
    }

    fn shape(&self) -> Result<Shaped, ShapeError> {
        let provider = self.catalog.by_id(&self.provider).unwrap();
        let id = upstream_id(provider, &self.model);
        let pinned = selected(provider, &self.account, &self.credential);
        let endpoint = pick(provider, provider.model(&id.model), self.dialect, pinned).unwrap();
        let peek = Peek { stream: self.stream, ..self.peek.clone() };
        shape(&ShapeCx {
            provider,
            endpoint,
            upstream_model: &id.upstream,
            facts: self.catalog.model_facts(provider, &id.model),
            effort: self.effort,
            long_context: self.long_context,
            account: &self.account,
            credential: &self.credential,
            dialect: self.dialect,
            betas: &[],
            call: self.call,
            stream: self.stream,
            client_headers: &|name| self.client.get(name).map(String::as_str),
            client_query: self.query.as_deref(),
            peek: &peek,
            session_id: self.session.as_deref(),
            supports_stream_usage: self.supports_stream_usage,
            extra_headers: &self.extra,
            moment: Moment { now: 1_700_000_000_000, ..Moment::default() },
        })
    }

    fn url(&self) -> String {
        self.shape().unwrap().url
    }

    fn header(&self, name: &str) -> Option<String> {
        let shaped = self.shape().unwrap();
        let found: Vec<_> = shaped.headers.iter().filter(|(n, _)| n == name).collect();
        assert!(found.len() < 2, "{name} twice");
        found.first().map(|(_, v)| v.clone())
    }
}

fn overridden(provider: &str, dialect: Dialect, url: &str) -> Case {
    let over = EndpointOverride {
        provider: provider.to_owned(),
        role: crate::provider::catalog::Role::Api,
        url: url.to_owned(),
    };
    Case {
        catalog: Arc::new(Catalog::assemble(&[], &[over], &[]).unwrap()),
        ..case(provider, "m", dialect)
    }
}

fn node(node_type: NodeType, base_url: &str) -> Node {
    Node {
        id: "n-1".into(),
        node_type,
        name: "Mine".into(),
        prefix: "mine".into(),
        base_url: base_url.into(),
        auth_style: None,
        headers: Vec::new(),
        network: NetworkPolicy::Public,
        insecure_http: false,
        h2: false,
        model_source: ModelSource::default(),
    }
}

fn on_node(node: Node, dialect: Dialect) -> Case {
    Case {
        catalog: Arc::new(Catalog::assemble(&[], &[], &[node]).unwrap()),
        ..case("n-1", "m/x", dialect)
    }
}

/// Every provider that takes an API key and speaks one of the four dialects can be called.
#[test]
fn every_provider_with_a_key_and_a_dialect_is_routable() {
    let catalog = BUILTIN.clone();
    let mut providers = Vec::new();
    let mut calls = 0;
    for provider in catalog.providers().filter(|p| p.takes_api_key()) {
        let mut routable = false;
        for endpoint in provider.endpoints.iter().filter(|e| e.dialect().is_some()) {
            let mut account = account();
            account.params = [
                ("region", "us-east-1"),
                ("location", "us-east5"),
                ("project", "my-project"),
                ("endpoint", "https://me.openai.azure.com/"),
                ("account_id", "0123abcd"),
                ("base_url", "http://127.0.0.1:1234"),
            ]
            .iter()
            .filter(|(name, _)| provider.params.iter().any(|p| p.name == *name))
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
            let listed = provider
                .models
                .iter()
                .filter(|m| m.kind == ModelKind::Chat)
                .filter(|m| m.wires.is_empty() || m.wires.contains(&endpoint.wire))
                .filter(|m| m.endpoint.as_ref().is_none_or(|name| *name == endpoint.name))
                .map(|m| m.id.clone());
            let models: Vec<String> = listed.chain(["some-vendor/some-model".to_owned()]).collect();
            for model in models {
                for stream in [false, true] {
                    let id = upstream_id(provider, &model);
                    let dialect = endpoint.dialect().unwrap();
                    let shaped = shape(&ShapeCx {
                        provider,
                        endpoint,
                        upstream_model: &id.upstream,
                        facts: catalog.model_facts(provider, &id.model),
                        effort: Some(Effort::Level(Level::High)),
                        long_context: false,
                        account: &account,
                        credential: &key("secret-key"),
                        dialect,
                        betas: &[],
                        call: Call::Generate,
                        stream,
                        client_headers: &|_| None,
                        client_query: None,
                        peek: &Peek { stream, ..Peek::default() },
                        session_id: Some("s"),
                        supports_stream_usage: true,
                        extra_headers: &[],
                        moment: Moment::default(),
                    })
                    .unwrap_or_else(|e| panic!("{} {} {model}: {e}", provider.id, endpoint.name));
                    let url = ::url::Url::parse(&shaped.url).unwrap();
                    assert!(url.scheme() == "https" || provider.local, "{url}");
                    assert!(!shaped.url.contains(['{', '}']) && !shaped.url.contains("%7B"));
                    assert!(url.host_str().unwrap().contains('.'));
                    let carries = shaped.headers.iter().any(|(_, v)| v.contains("secret-key"));
                    assert!(carries || endpoint.auth.scheme == Scheme::Literal, "{}", provider.id);
                    assert!(!shaped.url.contains("secret-key"));
                    for (name, value) in &shaped.headers {
                        assert!(!value.contains(['{', '}']), "{} {name}: {value}", provider.id);
                        assert_eq!(*name, name.to_ascii_lowercase());
                    }
                    let body = Bytes::from_static(br#"{"model":"x","messages":[]}"#);
                    let sent = apply_edits(&body, &shaped.edits).unwrap().parts.concat();
                    assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok());
                    calls += 1;
                    routable = true;
                }
            }
        }
        if routable {
            providers.push(provider.id.to_string());
        }
    }
    println!("{} providers routable with a key, {calls} calls shaped", providers.len());
    assert!(providers.len() >= 40, "{} only: {providers:?}", providers.len());
    assert!(calls > 900, "{calls}");
    // who takes a key and is not routable speaks an envelope, or offers no chat
    let rest: Vec<&str> = catalog
        .providers()
        .filter(|p| p.takes_api_key() && p.kinds.contains(&ModelKind::Chat))
        .filter(|p| !providers.iter().any(|id| **id == *p.id))
        .map(|p| &*p.id)
        .collect();
    assert_eq!(rest, ["kiro"]);
}

#[test]
fn providers_without_a_key_send_none() {
    let zen = Case { credential: Credential::default(), ..case("opencode", "m", Dialect::Chat) };
    assert_eq!(zen.header("authorization").as_deref(), Some("Bearer public"));
    let local = Case { credential: Credential::default(), ..case("vllm", "m", Dialect::Chat) };
    assert_eq!(local.header("authorization"), None);
    assert_eq!(local.url(), "http://127.0.0.1:8000/v1/chat/completions");
    assert_eq!(local.key("k").header("authorization").as_deref(), Some("Bearer k"));
    let openai = Case { credential: Credential::default(), ..case("openai", "m", Dialect::Chat) };
    assert_eq!(openai.shape(), Err(ShapeError::MissingCredential("openai".into())));
    assert_eq!(openai.key("  ").shape(), Err(ShapeError::MissingCredential("openai".into())));
    assert!(
        !case("opencode", "m", Dialect::Chat)
            .catalog
            .by_id("opencode")
            .unwrap()
            .auth
            .contains(&AuthKind::ApiKey)
    );
}

#[test]
fn urls_by_provider() {
    let json = r#"{"type":"service_account"}"#;
    let mut minted = case("vertex", "gemini-2.5-flash", Dialect::Gem).param("project", "my p");
    minted.credential.api_key = Some(Secret::new(json.into()));
    minted.credential.access_token = Some(Secret::new("ya29.x".into()));
    let cases = [
        (case("openai", "gpt-5", Dialect::Resp), "https://api.openai.com/v1/responses"),
        (
            case("gemini", "gemini-2.5-pro", Dialect::Gem),
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
        ),
        (
            case("gemini", "a/b c", Dialect::Gem),
            "https://generativelanguage.googleapis.com/v1beta/models/a/b%20c:generateContent",
        ),
        (
            case("gemini", "tunedModels/mine", Dialect::Gem),
            "https://generativelanguage.googleapis.com/v1beta/tunedModels/mine:generateContent",
        ),
        (
            case("gemini", "g", Dialect::Gem).streaming().query("alt=sse&key=secret"),
            "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent?alt=sse",
        ),
        (
            case("gemini", "g", Dialect::Gem).streaming().query("%6bey=secret&x=1"),
            "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent?x=1",
        ),
        (
            case("gemini", "g", Dialect::Gem).query("alt=sse"),
            "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent",
        ),
        (
            case("vertex", "gemini-2.5-flash", Dialect::Gem),
            "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-2.5-flash:generateContent",
        ),
        (
            minted,
            "https://us-central1-aiplatform.googleapis.com/v1/projects/my%20p/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent",
        ),
        (
            case("vertex-partner", "claude-sonnet-4-5@20250929", Dialect::Anth)
                .param("project", "p")
                .param("location", "us-east5")
                .streaming(),
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
        ),
        (
            case("vertex-partner", "claude-opus-4-6", Dialect::Anth).param("project", "p"),
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-4-6:rawPredict",
        ),
        (
            case("azure", "gpt-5", Dialect::Chat)
                .param("endpoint", " https://me.openai.azure.com/ "),
            "https://me.openai.azure.com/openai/deployments/gpt-5/chat/completions?api-version=2024-10-01-preview",
        ),
        (
            case("azure", "gpt-5", Dialect::Chat)
                .param("endpoint", "https://me.openai.azure.com/openai")
                .param("deployment", "my deployment/x")
                .param("api_version", "v&1"),
            "https://me.openai.azure.com/openai/deployments/my%20deployment%2Fx/chat/completions?api-version=v%261",
        ),
        (
            case("cloudflare-ai", "@cf/meta/llama", Dialect::Chat).param("account_id", "abc"),
            "https://api.cloudflare.com/client/v4/accounts/abc/ai/v1/chat/completions",
        ),
        (
            case("xiaomi-tokenplan", "m", Dialect::Anth),
            "https://token-plan-sgp.xiaomimimo.com/anthropic/v1/messages",
        ),
        (
            case("moonshot", "kimi-k3", Dialect::Chat)
                .param("base_url", "https://api.moonshot.cn/v1/"),
            "https://api.moonshot.cn/v1/chat/completions",
        ),
        (
            case("lmstudio", "m", Dialect::Resp)
                .param("base_url", "http://192.168.1.5:1234/v1/chat/completions"),
            "http://192.168.1.5:1234/v1/responses",
        ),
        (
            case("openai", "m", Dialect::Chat).param("base_url", "https://evil.example"),
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            case("claude", "claude-opus-4.6", Dialect::Anth).query("beta=true&x=%20y"),
            "https://api.anthropic.com/v1/messages?beta=true&x=%20y",
        ),
        (overridden("codex", Dialect::Resp, "http://127.0.0.1:4001"), ""),
        (
            overridden("anthropic", Dialect::Anth, "http://127.0.0.1:4001/mock/"),
            "http://127.0.0.1:4001/mock/v1/messages",
        ),
        (
            overridden("azure", Dialect::Chat, "http://127.0.0.1:4001"),
            "http://127.0.0.1:4001/openai/deployments/m/chat/completions?api-version=2024-10-01-preview",
        ),
        (
            overridden("ollama-local", Dialect::Chat, "http://127.0.0.1:4001")
                .param("base_url", "http://127.0.0.1:9"),
            "http://127.0.0.1:4001/v1/chat/completions",
        ),
    ];
    for (case, want) in cases {
        if want.is_empty() {
            assert!(matches!(case.shape(), Err(ShapeError::Dialect { .. })));
        } else {
            assert_eq!(case.url(), want);
        }
    }
}

#[test]
fn other_calls_have_their_own_paths() {
    let count = |p, d| Case { call: Call::CountTokens, ..case(p, "claude-opus-4-6", d) };
    assert_eq!(
        count("anthropic", Dialect::Anth).url(),
        "https://api.anthropic.com/v1/messages/count_tokens"
    );
    assert!(matches!(count("openai", Dialect::Chat).shape(), Err(ShapeError::NoSuchCall { .. })));
    let compact = |p| Case { call: Call::Compact, ..case(p, "gpt-5", Dialect::Resp) };
    assert_eq!(compact("openai").url(), "https://api.openai.com/v1/responses/compact");
    assert!(matches!(compact("xai").shape(), Err(ShapeError::NoSuchCall { .. })));
}

#[test]
fn values_that_would_leave_the_path_or_host_are_errors() {
    let gem = |model| case("gemini", model, Dialect::Gem).shape();
    for model in ["..", "../../v1/x", "a/../../b", "."] {
        assert_eq!(gem(model), Err(ShapeError::BadModel), "{model}");
    }
    let cloudflare = |id| case("cloudflare-ai", "m", Dialect::Chat).param("account_id", id).shape();
    assert_eq!(cloudflare(".."), Err(ShapeError::BadParam("account_id".into())));
    assert!(cloudflare("a/b?c").unwrap().url.contains("/accounts/a%2Fb%3Fc/ai/"));
    let region = |r| case("xiaomi-tokenplan", "m", Dialect::Chat).param("region", r).shape();
    for r in ["evil.example/", "a.b", "x@y", "A"] {
        assert_eq!(region(r), Err(ShapeError::BadParam("region".into())), "{r}");
    }
    let bedrock =
        |r| case("bedrock", "openai.gpt-oss-120b-1:0", Dialect::Chat).param("region", r).shape();
    assert!(bedrock("eu-west-1").is_ok());
    assert_eq!(bedrock("nowhere"), Err(ShapeError::BadParam("region".into())));
    let azure = |e| case("azure", "m", Dialect::Chat).param("endpoint", e).shape();
    assert!(matches!(azure("ftp://x"), Err(ShapeError::BaseUrl(_))));
    assert!(matches!(azure("https://u:p@x"), Err(ShapeError::BaseUrl(_))));
    assert_eq!(azure("http://me.example"), Err(ShapeError::Insecure("azure".into())));
}

#[test]
fn missing_values_are_named_and_nothing_stands_in_for_them() {
    assert_eq!(
        case("azure", "m", Dialect::Chat).shape(),
        Err(ShapeError::MissingParam("endpoint".into()))
    );
    assert_eq!(
        case("cloudflare-ai", "m", Dialect::Chat).param("account_id", " ").shape(),
        Err(ShapeError::MissingParam("account_id".into()))
    );
    let catalog = BUILTIN.clone();
    let missing = |id: &str, account: &AccountConfig, credential: &Credential| {
        let provider = catalog.by_id(id).unwrap();
        missing_params(provider, account, credential).join(",")
    };
    assert_eq!(missing("azure", &account(), &key("k")), "endpoint");
    assert_eq!(missing("openai", &account(), &key("k")), "");
    assert_eq!(missing("vertex-partner", &account(), &key("k")), "project");
    let mut with = account();
    with.params.push(("project".into(), "p".into()));
    assert_eq!(missing("vertex-partner", &with, &key("k")), "");
    assert_eq!(missing("vertex", &account(), &key("AQ.express")), "");
    assert_eq!(missing("vertex", &account(), &key(r#"{"type":"service_account"}"#)), "project");
    let mut extra = key("k");
    extra.extra.insert("project".into(), Secret::new("p".into()));
    assert_eq!(missing("vertex-partner", &account(), &extra), "");
}

#[test]
fn a_key_file_is_never_sent() {
    let file = case("vertex", "gemini-2.5-flash", Dialect::Gem)
        .param("project", "p")
        .key(r#" {"type":"service_account","private_key":"x"}"#);
    assert_eq!(file.shape(), Err(ShapeError::MissingCredential("vertex".into())));
    let express = case("vertex", "gemini-2.5-flash", Dialect::Gem).key("AQ.x");
    assert_eq!(express.header("x-goog-api-key").as_deref(), Some("AQ.x"));
    assert_eq!(express.header("authorization"), None);
}

#[test]
fn base_headers_are_the_routers_own() {
    let plain = case("openai", "gpt-5", Dialect::Chat);
    let mut got = plain.shape().unwrap().headers;
    got.sort();
    let want = [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer k-123"),
        ("content-type", "application/json"),
        ("user-agent", concat!("NineRouter/", env!("CARGO_PKG_VERSION"))),
    ];
    assert_eq!(got, want.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(plain.streaming().header("accept").as_deref(), Some("text/event-stream"));
    let gem = case("gemini", "g", Dialect::Gem).streaming();
    assert_eq!(gem.header("accept").as_deref(), Some("application/json"));
    assert_eq!(gem.query("alt=sse").header("accept").as_deref(), Some("text/event-stream"));
}

#[test]
fn nothing_else_of_the_client_leaks() {
    let forbidden = [
        "cookie",
        "x-api-key",
        "x-forwarded-for",
        "forwarded",
        "authorization",
        "user-agent",
        "x-goog-api-key",
        "api-key",
        "host",
        "origin",
        "referer",
        "x-stainless-os",
        "te",
        "proxy-authorization",
        "content-length",
        "accept-language",
        "x-request-timeout-ms",
        "x-client-request-id",
        "traceparent",
        "accept-encoding",
        "connection",
        "upgrade",
        "openai-organization",
        "openai-project",
        "anthropic-version",
        "anthropic-beta",
    ];
    for (provider, dialect) in [("groq", Dialect::Chat), ("gemini", Dialect::Gem)] {
        let mut case = case(provider, "m", dialect);
        for name in forbidden {
            case = case.client(name, "LEAK");
        }
        let shaped = case.shape().unwrap();
        assert!(
            shaped.headers.iter().all(|(_, v)| !v.contains("LEAK")),
            "{provider}: {:?}",
            shaped.headers
        );
        assert!(!format!("{shaped:?}").contains("k-123"), "debug output hides values");
    }
    let anth = case("anthropic", "m", Dialect::Anth)
        .client("openai-beta", "LEAK")
        .client("x-api-key", "LEAK")
        .client("authorization", "LEAK")
        .shape()
        .unwrap();
    assert!(anth.headers.iter().all(|(_, v)| !v.contains("LEAK")));
}

#[test]
fn allowed_client_headers_pass() {
    let chat = case("groq", "m", Dialect::Chat)
        .client("idempotency-key", "i-1")
        .client("session_id", "s")
        .client("conversation_id", "c")
        .client("x-session-id", "x")
        .client("openai-beta", "responses=v1");
    for (name, want) in [
        ("idempotency-key", "i-1"),
        ("session_id", "s"),
        ("conversation_id", "c"),
        ("x-session-id", "x"),
        ("openai-beta", "responses=v1"),
    ] {
        assert_eq!(chat.header(name).as_deref(), Some(want));
    }
    let openai = case("openai", "m", Dialect::Chat).client("openai-organization", "org-client");
    assert_eq!(openai.header("openai-organization").as_deref(), Some("org-client"));
    let own = openai.param("organization", "org-account");
    assert_eq!(own.header("openai-organization").as_deref(), Some("org-account"));
    let bad = case("groq", "m", Dialect::Chat).client("idempotency-key", "é\u{7}");
    assert_eq!(bad.header("idempotency-key"), None);
}

#[test]
fn anthropic_version_is_the_clients_or_the_default() {
    let plain = case("anthropic", "m", Dialect::Anth);
    assert_eq!(plain.header("anthropic-version").as_deref(), Some("2023-06-01"));
    let own = plain.client("anthropic-version", "2024-01-01");
    assert_eq!(own.header("anthropic-version").as_deref(), Some("2024-01-01"));
}

#[test]
fn claude_takes_a_token_as_bearer_and_a_key_as_key() {
    for provider in ["claude", "anthropic"] {
        let by_key = case(provider, "claude-opus-4-6", Dialect::Anth)
            .key("sk-ant-api03-x")
            .client("anthropic-beta", "oauth-2025-04-20,a-1");
        assert_eq!(by_key.header("x-api-key").as_deref(), Some("sk-ant-api03-x"));
        assert_eq!(by_key.header("authorization"), None);
        assert_eq!(by_key.header("anthropic-beta").as_deref(), Some("a-1"));
        let by_token = case(provider, "claude-opus-4-6", Dialect::Anth)
            .key("sk-ant-oat01-x")
            .client("anthropic-beta", "claude-code-20250219, a-1");
        assert_eq!(by_token.header("authorization").as_deref(), Some("Bearer sk-ant-oat01-x"));
        assert_eq!(by_token.header("x-api-key"), None);
        assert_eq!(
            by_token.header("anthropic-beta").as_deref(),
            Some("claude-code-20250219,a-1,oauth-2025-04-20")
        );
    }
    let none = case("claude", "claude-opus-4-6", Dialect::Anth).key("sk-ant-api03-x");
    assert_eq!(none.header("anthropic-beta"), None);
}

#[test]
fn betas_keep_their_order_without_duplicates() {
    let mut long = case("anthropic", "claude-sonnet-4-6", Dialect::Anth)
        .client("anthropic-beta", " b-2 ,a-1,, b-2,é");
    assert_eq!(long.header("anthropic-beta").as_deref(), Some("b-2,a-1"));
    long.long_context = true;
    assert_eq!(long.header("anthropic-beta").as_deref(), Some("b-2,a-1,context-1m-2025-08-07"));
    let foreign = case("glm", "glm-5.2", Dialect::Anth)
        .client("anthropic-beta", "oauth-2025-04-20,claude-code-20250219,x-1");
    assert_eq!(foreign.header("anthropic-beta").as_deref(), Some("x-1"));
}

#[test]
fn azure_takes_keys_and_entra_tokens() {
    let azure =
        || case("azure", "m", Dialect::Chat).param("endpoint", "https://me.openai.azure.com");
    assert_eq!(azure().header("api-key").as_deref(), Some("k-123"));
    let entra = azure().key("eyJx.y.z");
    assert_eq!(entra.header("authorization").as_deref(), Some("Bearer eyJx.y.z"));
    assert_eq!(entra.header("api-key"), None);
    let mut v1 = azure().param("deployment", "mine");
    v1.account.endpoint = Some("v1".into());
    let shaped = v1.shape().unwrap();
    assert_eq!(shaped.body_model.as_deref(), Some("mine"));
    assert_eq!(shaped.url, "https://me.openai.azure.com/openai/v1/chat/completions");
    assert_eq!(
        azure().param("deployment", "mine").shape().unwrap().body_model.as_deref(),
        Some("m")
    );
}

#[test]
fn operator_headers_stand_before_the_endpoints_and_behind_the_credential() {
    let mut case = case("openrouter", "m", Dialect::Chat);
    case.extra = [
        ("X-Title", "Mine"),
        ("User-Agent", "Mine/1"),
        ("authorization", "Bearer stolen"),
        ("host", "evil.example"),
        ("accept-encoding", "gzip"),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .to_vec();
    assert_eq!(case.header("x-title").as_deref(), Some("Mine"));
    assert_eq!(case.header("user-agent").as_deref(), Some("Mine/1"));
    assert_eq!(case.header("authorization").as_deref(), Some("Bearer k-123"));
    assert_eq!(case.header("host"), None);
    assert_eq!(case.header("accept-encoding").as_deref(), Some("identity"));
    assert_eq!(case.header("http-referer"), None, "left out: no public address is set");
}

#[test]
fn conversations_are_bound_to_the_account() {
    let with = |provider: &str| {
        let mut case = case(provider, "m", Dialect::Chat);
        case.session = Some("conversation".into());
        case
    };
    let one = with("xai");
    let first = one.header("x-grok-conv-id").unwrap();
    assert_eq!(one.header("x-grok-conv-id"), Some(first.clone()), "stable");
    assert_ne!(with("xai").header("x-grok-conv-id"), Some(first), "another account, another id");
    assert!(with("opencode-go").header("x-opencode-session").is_some());
    assert_eq!(case("xai", "m", Dialect::Chat).header("x-grok-conv-id"), None);
}

#[test]
fn iflow_signs_with_its_key() {
    let case = case("iflow", "m", Dialect::Chat);
    assert_eq!(case.header("user-agent").as_deref(), Some("iFlow-Cli"));
    assert_eq!(case.header("x-iflow-timestamp").as_deref(), Some("1700000000000"));
    assert_eq!(case.header("x-iflow-signature").unwrap().len(), 64);
    assert_eq!(
        case.header("session-id").as_deref(),
        Some("session-00000000-0000-4000-8000-000000000000")
    );
}

#[test]
fn credentials_that_cannot_be_sent_are_errors() {
    let bad = case("openai", "m", Dialect::Chat).key("k\r\nx-evil: 1");
    assert_eq!(bad.shape(), Err(ShapeError::MissingCredential("openai".into())));
    let trimmed = case("openai", "m", Dialect::Chat).key(" k-1\n");
    assert_eq!(trimmed.header("authorization").as_deref(), Some("Bearer k-1"));
}

#[test]
fn usage_is_asked_for_when_the_client_did_not() {
    let stream = || case("openai", "gpt-5", Dialect::Chat).streaming();
    let shaped = stream().shape().unwrap();
    assert!(shaped.hide_usage_chunk);
    let sent = |shaped: &Shaped, body: &'static str| {
        let parts = apply_edits(&Bytes::from_static(body.as_bytes()), &shaped.edits).unwrap().parts;
        String::from_utf8(parts.concat()).unwrap()
    };
    assert_eq!(
        sent(&shaped, r#"{"model":"a/gpt-5","stream":true, "x":1.0}"#),
        r#"{"stream_options":{"include_usage":true},"model":"gpt-5","stream":true, "x":1.0}"#
    );
    assert_eq!(
        sent(&shaped, r#"{"model":"a","stream_options":{"include_obfuscation":false}}"#),
        r#"{"model":"gpt-5","stream_options":{"include_usage":true,"include_obfuscation":false}}"#
    );
    let asked = Case { peek: Peek { include_usage: true, ..Peek::default() }, ..stream() };
    let none = [
        asked,
        Case { supports_stream_usage: false, ..stream() },
        Case { stream: false, ..stream() },
        case("openai", "gpt-5", Dialect::Resp).streaming(),
        case("anthropic", "m", Dialect::Anth).streaming(),
    ];
    for case in none {
        let shaped = case.shape().unwrap();
        assert!(!shaped.hide_usage_chunk);
        assert_eq!(shaped.edits, [], "tier A");
    }
}

#[test]
fn the_model_goes_where_the_wire_wants_it() {
    let gem = case("gemini", "g", Dialect::Gem).shape().unwrap();
    assert_eq!((gem.body_model, gem.edits), (None, Vec::new()));
    let chat = case("openai", "gpt-5", Dialect::Chat).shape().unwrap();
    assert_eq!((chat.body_model.as_deref(), chat.edits), (Some("gpt-5"), Vec::new()));
    let vertex = case("vertex-partner", "claude-opus-4-6", Dialect::Anth).param("project", "p");
    let vertex = vertex.shape().unwrap();
    assert_eq!(vertex.body_model, None);
    let body = Bytes::from_static(br#"{"model":"x","max_tokens":5}"#);
    let sent = apply_edits(&body, &vertex.edits).unwrap().parts.concat();
    assert_eq!(sent, br#"{"anthropic_version":"vertex-2023-10-16","max_tokens":5}"#);
}

#[test]
fn an_effort_brings_its_betas_to_anthropic_only() {
    let with = |provider: &str, model: &str| Case {
        effort: Some(Effort::Level(Level::High)),
        peek: Peek { tools: true, ..Peek::default() },
        ..case(provider, model, Dialect::Anth)
    };
    assert_eq!(
        with("anthropic", "claude-opus-4-6").header("anthropic-beta").as_deref(),
        Some("effort-2025-11-24")
    );
    assert_eq!(
        with("anthropic", "claude-sonnet-4-5-20250929").header("anthropic-beta").as_deref(),
        Some("interleaved-thinking-2025-05-14")
    );
    assert_eq!(with("glm", "glm-5.2").header("anthropic-beta"), None);
}

#[test]
fn local_servers_may_end_a_stream_by_closing() {
    assert!(case("vllm", "m", Dialect::Chat).shape().unwrap().eof_is_end);
    assert!(!case("openai", "m", Dialect::Chat).shape().unwrap().eof_is_end);
}

#[test]
fn nodes_build_their_urls_and_credentials_by_type() {
    let chat = on_node(node(NodeType::OpenAiChat, "https://n.example/v1"), Dialect::Chat);
    assert_eq!(chat.url(), "https://n.example/v1/chat/completions");
    assert_eq!(chat.header("authorization").as_deref(), Some("Bearer k-123"));
    assert!(Case { stream: true, ..chat }.shape().unwrap().hide_usage_chunk, "nodes too");
    let resp = on_node(node(NodeType::OpenAiResponses, "https://n.example/v1"), Dialect::Resp);
    assert_eq!(resp.url(), "https://n.example/v1/responses");
    let gem = on_node(node(NodeType::Gemini, "https://n.example/v1beta"), Dialect::Gem);
    assert_eq!(gem.url(), "https://n.example/v1beta/models/m/x:generateContent");
    assert_eq!(gem.header("x-goog-api-key").as_deref(), Some("k-123"));
    let anth = on_node(node(NodeType::Anthropic, "https://n.example/v1"), Dialect::Anth);
    assert_eq!(anth.url(), "https://n.example/v1/messages");
    assert_eq!(anth.header("x-api-key").as_deref(), Some("k-123"));
    assert_eq!(anth.header("authorization").as_deref(), Some("Bearer k-123"));
    assert_eq!(anth.header("anthropic-version").as_deref(), Some("2023-06-01"));
    let foreign = anth.client("anthropic-beta", "oauth-2025-04-20,ok-1,claude-code-20250219");
    assert_eq!(foreign.header("anthropic-beta").as_deref(), Some("ok-1"));
    let own = on_node(node(NodeType::Anthropic, "https://api.anthropic.com/v1"), Dialect::Anth);
    assert_eq!(own.header("x-api-key").as_deref(), Some("k-123"));
    assert_eq!(own.header("authorization"), None);
}

#[test]
fn nodes_without_a_key_send_no_credential() {
    for (kind, dialect) in [
        (NodeType::OpenAiChat, Dialect::Chat),
        (NodeType::Anthropic, Dialect::Anth),
        (NodeType::Gemini, Dialect::Gem),
    ] {
        let mut bare = on_node(node(kind, "https://n.example/v1"), dialect);
        bare.credential = Credential::default();
        for name in ["authorization", "x-api-key", "x-goog-api-key"] {
            assert_eq!(bare.header(name), None);
        }
    }
}

#[test]
fn nodes_follow_the_operators_style_and_headers() {
    let styled = |style, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let node = Node {
            auth_style: Some(style),
            headers,
            ..node(NodeType::Anthropic, "http://10.0.0.5:8080")
        };
        on_node(node, Dialect::Anth)
    };
    let bearer = styled(AuthStyle::Bearer, &[]);
    assert_eq!(bearer.url(), "http://10.0.0.5:8080/messages");
    assert_eq!(bearer.header("x-api-key"), None);
    let own = styled(AuthStyle::Header("X-Team-Key".into()), &[("X-Json", "{\"a\":1}")]);
    assert_eq!(own.header("x-team-key").as_deref(), Some("k-123"));
    assert_eq!(own.header("x-json").as_deref(), Some("{\"a\":1}"), "braces are no placeholders");
    let none = styled(AuthStyle::None, &[("Authorization", "Basic abc")]);
    assert_eq!(none.header("authorization").as_deref(), Some("Basic abc"));
    assert_eq!(none.header("x-api-key"), None);
}
