//! Paths and methods as clients send them, against the catalogue (E004–E008, E030, E032,
//! T-ROUTE-01…03).

use proptest::prelude::*;

use super::*;

fn endpoint(method: &str, path: &str) -> Endpoint {
    match route(method, path, false) {
        RouteResult::Match(matched) => matched.endpoint,
        other => panic!("{method} {path}: {other:?}"),
    }
}

fn gem(model: &str, action: GemAction) -> Endpoint {
    Endpoint::GemAction { model: model.into(), action }
}

#[test]
fn e004_model_list_variants_mean_the_same() {
    for path in [
        "/v1/models",
        "/v1/v1/models",
        "/api/v1/models",
        "/models",
        "/v1/models/",
        "//v1//models",
        "/v1/models?limit=1000",
        "/v1",
        "/v1/",
        "/codex/models",
        "/v1/chat/completions/models",
        "/v1/mod%65ls",
    ] {
        assert_eq!(endpoint("GET", path), Endpoint::Models, "{path}");
    }
    assert_eq!(
        route("GET", "/v1/../v1/models", false),
        RouteResult::Bad { reason: BadPath::DotSegment }
    );
}

#[test]
fn e005_responses_variants_mean_the_same() {
    for path in [
        "/v1/responses",
        "/responses",
        "/codex/responses",
        "/backend-api/codex/responses",
        "/v1/responses/responses",
    ] {
        assert_eq!(endpoint("POST", path), Endpoint::Responses, "{path}");
    }
    for path in ["/codex/responses/compact", "/responses/compact", "/v1/responses/compact"] {
        assert_eq!(endpoint("POST", path), Endpoint::ResponsesCompact, "{path}");
    }
}

#[test]
fn claude_code_with_a_doubled_version_is_served() {
    assert_eq!(endpoint("POST", "/v1/v1/messages?beta=true"), Endpoint::Messages);
    assert_eq!(endpoint("POST", "/v1/v1/messages/count_tokens"), Endpoint::CountTokens);
}

#[test]
fn e006_gemini_models_may_hold_slashes_raw_or_encoded() {
    for path in [
        "/v1beta/models/gc/gemini-2.5-pro:streamGenerateContent?alt=sse",
        "/v1beta/models/gc%2Fgemini-2.5-pro:streamGenerateContent",
        "/v1beta/models/models/gc%2fgemini-2.5-pro:streamGenerateContent",
        "/v1beta/models/gc/gemini-2.5-pro%3AstreamGenerateContent",
        "/models/gc/gemini-2.5-pro:streamGenerateContent",
        "/v1alpha/gc/gemini-2.5-pro:streamGenerateContent",
        "//v1beta//models/gc/gemini-2.5-pro:streamGenerateContent",
        "/v1/v1beta/models/gc/gemini-2.5-pro:streamGenerateContent",
        "/v1/projects/p/locations/l/publishers/google/models/gc/gemini-2.5-pro:streamGenerateContent",
    ] {
        assert_eq!(endpoint("POST", path), gem("gc/gemini-2.5-pro", GemAction::Stream), "{path}");
    }
    assert_eq!(
        endpoint("POST", "/v1beta/models/a:7b:countTokens"),
        gem("a:7b", GemAction::Count),
        "split at the last colon"
    );
    for path in ["/v1beta/models/x:foo", "/v1beta/models/x", "/v1beta/x:foo", "/v1/models/x:foo"] {
        assert_eq!(route("POST", path, false), RouteResult::NotFound(ErrorShape::Gem), "{path}");
    }
}

#[test]
fn e030_models_without_the_models_segment() {
    for (path, want) in [
        ("/v1beta/uc/nr-chat:streamGenerateContent?alt=sse", gem("uc/nr-chat", GemAction::Stream)),
        ("/v1/models/gc/x:generateContent", gem("gc/x", GemAction::Generate)),
        ("/v1/gc/x:generateContent", gem("gc/x", GemAction::Generate)),
        ("/v1beta/openai/gpt-4o:generateContent", gem("openai/gpt-4o", GemAction::Generate)),
    ] {
        assert_eq!(endpoint("POST", path), want, "{path}");
    }
    assert_eq!(
        endpoint("GET", "/v1/models/cc%2Fclaude-x"),
        Endpoint::Model { id: "cc/claude-x".into() }
    );
    assert_eq!(endpoint("GET", "/v1beta/models/gc/x"), Endpoint::GemModel { id: "gc/x".into() });
}

#[test]
fn e007_wrong_methods_say_what_is_allowed_and_unknown_paths_are_404() {
    for (method, path, allow) in [
        ("GET", "/v1/messages", "POST"),
        ("DELETE", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("GET", "/v1beta/models/x:generateContent", "POST"),
        ("BREW", "/v1/responses/resp_1", "GET, HEAD, DELETE"),
        ("POST", "/", "GET, HEAD"),
    ] {
        let RouteResult::MethodNotAllowed { allow: got, .. } = route(method, path, false) else {
            panic!("{method} {path}");
        };
        assert_eq!(got, allow, "{method} {path}");
    }
    for (path, shape) in [
        ("/v1/zzz", ErrorShape::Chat),
        ("/zzz", ErrorShape::Chat),
        ("/v1beta/zzz", ErrorShape::Gem),
        ("/v1/messages/zzz", ErrorShape::Anth),
        ("/ollama/zzz", ErrorShape::Ollama),
        ("/v1internal:zzz", ErrorShape::Gem),
        ("/oauth/callback", ErrorShape::Chat),
        ("/oauth/callback/", ErrorShape::Chat),
        ("/oauth/callback/a/b", ErrorShape::Chat),
        ("/v1/callback", ErrorShape::Chat),
    ] {
        assert_eq!(route("GET", path, false), RouteResult::NotFound(shape), "{path}");
    }
}

#[test]
fn e008_options_and_head_execute_nothing() {
    assert_eq!(
        route("OPTIONS", "/v1/messages", false),
        RouteResult::Options { methods: "POST", class: Class::Inference }
    );
    assert_eq!(
        route("OPTIONS", "/api/keys", false),
        RouteResult::Options {
            methods: "GET, HEAD, POST, PUT, PATCH, DELETE",
            class: Class::Admin
        }
    );
    for path in ["/", "/v1/messages", "/v1/models", "/v1beta/models/x:generateContent", "/api/tags"]
    {
        assert_eq!(route("HEAD", path, false), RouteResult::Head, "{path}");
    }
    assert_eq!(endpoint("HEAD", "/healthz"), Endpoint::Health);
    assert_eq!(route("HEAD", "/v1/zzz", false), RouteResult::NotFound(ErrorShape::Chat));
}

#[test]
fn e032_websocket_upgrade_is_426_on_responses_only() {
    for path in ["/v1/responses", "/responses", "/backend-api/codex/responses"] {
        assert_eq!(route("GET", path, true), RouteResult::Upgrade426, "{path}");
        assert!(
            matches!(
                route("GET", path, false),
                RouteResult::MethodNotAllowed { allow: "POST", .. }
            ),
            "{path}"
        );
    }
    assert!(matches!(route("GET", "/v1/messages", true), RouteResult::MethodNotAllowed { .. }));
    assert_eq!(endpoint("POST", "/v1/responses"), Endpoint::Responses);
}

#[test]
fn azure_names_the_model_in_the_path() {
    let path = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01";
    let RouteResult::Match(matched) = route("POST", path, false) else { panic!("{path}") };
    assert_eq!(matched.endpoint, Endpoint::ChatCompletions);
    assert_eq!(matched.default_model.as_deref(), Some("gpt-4o"));
}

#[test]
fn entrypoint_tells_the_alias_from_the_canonical_path() {
    for (path, want) in [
        ("/v1/responses", "/v1/responses"),
        ("/v1/responses/", "/v1/responses"),
        ("/codex/responses?x=1", "/codex/responses"),
        ("/v1/v1/messages", "/v1/v1/messages"),
    ] {
        let RouteResult::Match(matched) = route("POST", path, false) else { panic!("{path}") };
        assert_eq!(matched.entrypoint, want, "{path}");
    }
}

#[test]
fn query_keys_are_for_gemini_paths_only() {
    for (method, path, want) in [
        ("POST", "/v1beta/models/x:generateContent", true),
        ("POST", "/v1/models/x:generateContent", true),
        ("GET", "/v1beta/models", true),
        ("POST", "/v1beta/models/x:embedContent", true),
        ("POST", "/v1/chat/completions", false),
        ("GET", "/v1/models", false),
        ("POST", "/v1internal:generateContent", false),
    ] {
        let RouteResult::Match(matched) = route(method, path, false) else { panic!("{path}") };
        assert_eq!(matched.accepts_query_key(), want, "{path}");
    }
}

#[test]
fn t_route_02_variants_of_a_management_path_stay_management_or_are_refused() {
    for path in [
        "/api/keys",
        "/api/keysX",
        "/api/keys/",
        "/api/%6beys",
        "/api/keys;x=1",
        "/api/keys?x=/login",
        "/api/v2/x",
        "/api",
    ] {
        assert_eq!(endpoint("GET", path).class(), Class::Admin, "{path}");
    }
    for (path, reason) in [
        ("/api//keys", BadPath::EmptySegment),
        ("//api/keys", BadPath::EmptySegment),
        ("/api/keys%2f..", BadPath::EncodedSlash),
        ("/dashboard/../api/keys", BadPath::DotSegment),
        ("/dashboard//x", BadPath::EmptySegment),
        ("/v1/chat%2fcompletions", BadPath::EncodedSlash),
        ("/openai/deployments/a%2Fb/chat/completions", BadPath::EncodedSlash),
        ("//healthz", BadPath::EmptySegment),
        ("http://a/login", BadPath::NotAbsolute),
    ] {
        assert_eq!(route("GET", path, false), RouteResult::Bad { reason }, "{path}");
    }
    assert_eq!(route("GET", "/API/keys", false), RouteResult::NotFound(ErrorShape::Chat));
    assert_eq!(route("GET", "/ollama/api/keys", false), RouteResult::NotFound(ErrorShape::Ollama));
}

/// One path for each route with parameters.
const SAMPLES: [(&str, &str); 17] = [
    ("GET", "/v1/models/p/m"),
    ("GET", "/v1/responses/resp_1"),
    ("DELETE", "/v1/responses/resp_1"),
    ("GET", "/v1/responses/resp_1/input_items"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/b_1/results"),
    ("GET", "/v1beta/models/p/m"),
    ("POST", "/v1beta/models/p/m:generateContent"),
    ("POST", "/v1beta/models/p/m:embedContent"),
    ("POST", "/v1beta/models/p/m:predict"),
    ("POST", "/morphllm/v1/apply"),
    ("GET", "/assets/app.1234.css"),
    ("GET", "/dashboard"),
    ("POST", "/dashboard/accounts/1/delete"),
    ("GET", "/oauth/callback/claude"),
    ("DELETE", "/api/keys/1"),
];

#[test]
fn t_route_01_every_registered_path_has_its_class_and_scope() {
    let rows = ROWS.iter().flat_map(|row| {
        let verbs = row.verbs.allow().split(", ").filter(|verb| *verb != "HEAD");
        verbs.map(|verb| (verb, row.path))
    });
    let lines: Vec<String> = rows
        .chain(SAMPLES)
        .map(|(method, path)| {
            let RouteResult::Match(matched) = route(method, path, false) else { panic!("{path}") };
            let endpoint = matched.endpoint;
            let class = endpoint.class();
            let scope = if class == Class::Inference { endpoint.scope().as_str() } else { "-" };
            let shape = matched.shape;
            format!("{method:<6} {path:<36} {class:<9?} {scope:<9} {shape:<6?} {endpoint:?}")
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn no_two_rows_share_a_path_and_each_is_found_by_its_own() {
    for row in ROWS {
        let method = if row.verbs.contains("GET") { "GET" } else { "POST" };
        assert_eq!(endpoint(method, row.path), row.endpoint, "{}", row.path);
    }
}

#[test]
fn anthropic_clients_are_known_by_their_headers() {
    let looks = |headers: &[(&str, &'static str)]| {
        looks_anthropic(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
    };
    assert!(looks(&[("anthropic-version", "2023-06-01")]));
    assert!(looks(&[("x-api-key", "k"), ("user-agent", "claude-cli/2.1")]));
    assert!(looks(&[("x-api-key", "k"), ("user-agent", "Anthropic/Python 2.12")]));
    assert!(!looks(&[("user-agent", "claude-cli/2.1")]));
    assert!(!looks(&[("x-api-key", "k"), ("user-agent", "curl/8")]));
}

proptest! {
    #[test]
    fn routing_never_panics(method in "GET|POST|HEAD|OPTIONS|PUT|X", path in "/(v1|v1beta|api|openai|models|codex|%2F|%2e|:|/|generateContent|projects|x|é){0,12}") {
        let _any = route(&method, &path, false);
    }

    #[test]
    fn nothing_under_api_becomes_public_by_rewriting(tail in "[a-z/%0-9.]{0,20}") {
        if let RouteResult::Match(matched) = route("GET", &format!("/api/{tail}"), false) {
            prop_assert!(
                matched.endpoint.class() != Class::Public || matched.endpoint == Endpoint::Health
            );
        }
    }
}
