use super::*;
use crate::provider::node::NetworkPolicy;
use crate::routing::account::Tier;

fn overlaid(text: &str) -> Result<Catalog, CatalogError> {
    Catalog::assemble(&[("mine.toml".into(), text.into())], &[], &[])
}

#[test]
fn built_in_catalog_is_sound() {
    let catalog = Catalog::builtin().unwrap();
    assert!(catalog.notices().is_empty(), "{:?}", catalog.notices());
    assert!(catalog.providers().count() >= 75);
    assert!(catalog.providers().map(|p| p.models.len()).sum::<usize>() > 600);
}

#[test]
fn prefixes_are_found_in_any_case_and_ids_exactly() {
    let catalog = Catalog::builtin().unwrap();
    assert_eq!(&*catalog.by_prefix("CC").unwrap().id, "claude");
    assert_eq!(&*catalog.by_prefix("claude-code").unwrap().id, "claude");
    assert_eq!(catalog.by_prefix("Or").unwrap().prefix(), "openrouter");
    assert_eq!(catalog.by_id("dashscope").unwrap().prefix(), "alims-intl");
    assert!(catalog.by_prefix("nope").is_none());
    assert!(catalog.by_id("CLAUDE").is_none());
}

#[test]
fn models_are_found_by_exact_case_then_without() {
    let catalog = Catalog::builtin().unwrap();
    let minimax = catalog.by_id("minimax").unwrap();
    assert_eq!(minimax.model("minimax-m2.1").unwrap().id, "MiniMax-M2.1");
    assert!(minimax.model("MiniMax-M0").is_none());
}

#[test]
fn bare_names_are_inferred_by_their_beginning() {
    let catalog = Catalog::builtin().unwrap();
    let ids = |model| catalog.infer(model).map(|p| p.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids("claude-opus-4-6"), ["anthropic", "claude"]);
    assert_eq!(ids("GPT-5.5"), ["openai", "codex", "github"]);
    assert!(ids("mystery").is_empty());
}

#[test]
fn facts_come_from_the_entry_then_from_the_name() {
    let catalog = Catalog::builtin().unwrap();
    let openrouter = catalog.by_id("openrouter").unwrap();
    let listed = catalog.model_facts(catalog.by_id("claude").unwrap(), "claude-opus-4-6").unwrap();
    assert!(listed.listed && listed.caps.has(Cap::Pdf));
    assert_eq!(listed.think, Some(Think::ClaudeAdaptive));
    let named = catalog.model_facts(openrouter, "someone/o3-tiny").unwrap();
    assert!(!named.listed);
    assert_eq!(named.think, Some(Think::OpenaiEffort));
    let unknown = catalog.model_facts(openrouter, "someone/zzz").unwrap();
    assert_eq!((unknown.ctx, unknown.think), (Some(128_000), None));
}

#[test]
fn prices_are_exact_micro_dollars() {
    let catalog = Catalog::builtin().unwrap();
    let claude = catalog.by_id("claude").unwrap();
    let price = catalog.price(claude, "claude-opus-4-6").unwrap();
    assert_eq!(price.input, Some(5_000_000));
    assert_eq!(price.output, Some(25_000_000));
    assert_eq!(price.cached, Some(500_000));
    assert_eq!(price.cache_write_5m, Some(6_250_000));
    assert_eq!(catalog.price(claude, "claude-next"), None);
    assert_eq!(catalog.pattern_price("x/deepseek-v4-flash").unwrap().cached, Some(2_800));
    assert_eq!(catalog.pattern_price("a/b:free").unwrap().output, Some(0));
    assert_eq!(catalog.pattern_price("zzz"), None);
}

#[test]
fn an_overlay_merges_keys_and_replaces_lists() {
    let catalog = overlaid(
        r#"
        [[provider]]
        id = "groq"
        tier = "free"
        profile = { no_seed = true }
        [provider.catalog]
        models = [ { id = "only", name = "Only" } ]
        [[price_pattern]]
        match = "only*"
        price = { in = 1, out = 2.5 }
        "#,
    )
    .unwrap();
    let groq = catalog.by_id("groq").unwrap();
    assert_eq!(groq.tier, Tier::Free);
    assert!(groq.profile.no_seed && groq.profile.no_penalties, "tables merge key by key");
    assert_eq!(groq.models.len(), 1, "lists are replaced");
    assert!(groq.model("ONLY").is_some());
    assert_eq!(groq.name, "Groq");
    assert_eq!(catalog.pattern_price("only-one").unwrap().input, Some(1_000_000));
    assert_eq!(catalog.providers().count(), Catalog::builtin().unwrap().providers().count());
}

const OWN: &str = r#"
[[provider]]
id = "own"
name = "Own"
aliases = ["own", "my-own"]
tier = "cheap"
upstream_status = "active"
support = "full"
auth = ["api_key"]
kinds = ["chat"]
badge = "OW"
priority = 1
validate = { method = "none" }
[[provider.endpoint]]
name = "default"
wire = "openai_chat"
base_url = "https://own.example"
path = "/v1/chat/completions"
auth = { header = "Authorization", scheme = "bearer" }
"#;

#[test]
fn an_overlay_adds_providers() {
    let catalog = overlaid(OWN).unwrap();
    let own = catalog.by_prefix("MY-OWN").unwrap();
    assert_eq!(own.endpoints[0].auth.header, "authorization");
    assert_eq!(own.network, NetworkPolicy::Public);
}

#[test]
fn unknown_keys_are_reported_and_do_no_harm() {
    let text = OWN.replace("badge =", "colour = 'red'\nbadge =") + "weight = 3\n";
    let catalog = overlaid(&text).unwrap();
    assert_eq!(
        catalog.notices(),
        [
            "mine.toml: provider.own.colour: unknown key, ignored",
            "mine.toml: provider.own.endpoint.0.weight: unknown key, ignored"
        ]
    );
}

#[test]
fn a_bad_overlay_names_the_file_and_the_key() {
    let cases = [
        ("a = ", "mine.toml: line 1: "),
        ("\n\n[[provider]]\nid = 5 5\n", "mine.toml: line 4: "),
        ("schema_version = 2", "mine.toml: `schema_version`: must be 1"),
        ("provider = 3", "mine.toml: `provider`: must be a list"),
        ("[[provider]]\nname = 'x'", "mine.toml: `provider[0].id`: missing"),
        ("[[provider]]\nid = 'groq'\ntier = 'dear'", "mine.toml: `provider.groq.tier`: "),
        ("[[provider]]\nid = 'fresh'", "mine.toml: `provider.fresh`: missing field `name`"),
        (
            "[[provider]]\nid = 'groq'\n[[provider]]\nid = 'groq'",
            "mine.toml: `provider.groq`: listed twice in this file",
        ),
    ];
    for (text, want) in cases {
        let got = overlaid(text).unwrap_err().to_string();
        assert!(got.starts_with(want), "{text}: {got}");
    }
}

#[test]
fn checks_reject_what_would_fail_later() {
    let cases = [
        (
            "name = \"default\"",
            "name = \"default\"\nheaders = [{ name = 'a b', value = 'x' }]",
            "endpoint[0].headers[0].name",
        ),
        ("wire = \"openai_chat\"", "wire = \"telex\"", "endpoint[0].wire"),
        ("https://own.example", "http://own.example", "endpoint[0].base_url"),
        ("https://own.example", "https://own.example/", "endpoint[0].base_url"),
        ("https://own.example", "https://{planet}.example", "endpoint[0].base_url"),
        ("https://own.example", "https://{region.example", "endpoint[0].base_url"),
        ("\"/v1/chat", "\"v1/chat", "endpoint[0].path"),
        ("scheme = \"bearer\"", "scheme = \"literal\"", "endpoint[0].auth.value"),
        ("\"my-own\"", "\"CC\"", "aliases"),
        ("\"own\", \"my-own\"", "\"my-own\"", "aliases"),
        ("\"my-own\"", "\"cc\"", "aliases"),
        ("method = \"none\"", "method = \"probe\"", "validate.url"),
        ("id = \"own\"", "id = \"Own\"", "id"),
        ("badge = \"OW\"", "badge = \"OW\"\nnotes = \"sk-abcdefghijklmnopqrstuvwxyz\"", "notes"),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\nparams = [{ name = 'model', label = 'M' }]",
            "params[0].name",
        ),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\ncatalog = { models = [{ id = 'm', name = 'M', ctx = 5, out = 6 }] }",
            "catalog.models[0].out",
        ),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\ncatalog = { models = [{ id = 'm', name = 'M', price = { in = -1.0, out = 0 } }] }",
            "catalog.models[0].price.in",
        ),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\ncatalog = { models = [{ id = 'm', name = 'M', wires = ['gemini'] }] }",
            "catalog.models[0].wires",
        ),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\ncatalog = { models = [{ id = 'm', name = 'M', endpoint = 'x' }] }",
            "catalog.models[0].endpoint",
        ),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\ncatalog = { models = [{ id = 'm', name = 'M', levels = ['huge'] }] }",
            "catalog.models[0].levels",
        ),
        (
            "badge = \"OW\"",
            "badge = \"OW\"\ncatalog = { models = [{ id = 'm', name = 'M' }, { id = 'm', name = 'M' }] }",
            "catalog.models[1].id",
        ),
    ];
    for (from, to, key) in cases {
        assert!(OWN.contains(from), "{from}");
        let got = overlaid(&OWN.replacen(from, to, 1));
        let Err(CatalogError::Entry { file, key: got_key, .. }) = got else {
            panic!("{to}: {got:?}");
        };
        assert_eq!(file, "mine.toml");
        assert!(got_key.ends_with(key), "{to}: {got_key}");
    }
}

/// The names that an operator may give a file are not those of what is built in, which is read without these checks.
#[test]
fn a_file_of_any_name_is_looked_through_for_credentials() {
    let text = OWN.replacen("badge", &format!("notes = 'sk-{}'\nbadge", "Ab34".repeat(8)), 1);
    for name in ["mine.toml", "providers.toml", "built-in catalog.toml"] {
        let got = Catalog::assemble(&[(name.to_owned(), text.clone())], &[], &[]);
        let Err(CatalogError::Entry { file, key, .. }) = got else { panic!("{name}: {got:?}") };
        assert!(file == name && key.ends_with("notes"), "{file}: {key}");
    }
}

#[test]
fn prefixes_of_tokens_in_sentences_are_no_secrets() {
    let text = OWN.replacen("badge", "notes = 'keys begin with sk-sp- or sk-ant-oat01-'\nbadge", 1);
    assert!(overlaid(&text).is_ok());
}

#[test]
fn api_override_replaces_bases_and_origins() {
    let over = |name: &str, url: &str| {
        Catalog::assemble(&[], &[EndpointOverride::from_name(name, url).unwrap()], &[])
    };
    let catalog = over("OPENAI_API", "http://127.0.0.1:4001/").unwrap();
    let openai = catalog.by_id("openai").unwrap();
    assert!(openai.overridden && openai.insecure_http);
    assert_eq!(openai.network, NetworkPolicy::PrivateAndLoopback);
    assert!(openai.endpoints.iter().all(|e| e.base_url == "http://127.0.0.1:4001"));
    assert_eq!(openai.endpoints[0].path, "/v1/chat/completions");
    assert_eq!(openai.apis.models.as_deref(), Some("http://127.0.0.1:4001/v1/models"));
    assert_eq!(openai.validate.url.as_deref(), Some("http://127.0.0.1:4001/v1/models"));
    assert!(!catalog.by_id("anthropic").unwrap().overridden);

    let catalog = over("OPENROUTER_API", "http://127.0.0.1:4001/mock").unwrap();
    let openrouter = catalog.by_id("openrouter").unwrap();
    assert_eq!(openrouter.apis.models.as_deref(), Some("http://127.0.0.1:4001/mock/api/v1/models"));
    assert_eq!(
        openrouter.apis.usage.as_deref(),
        Some("https://openrouter.ai/api/v1/credits"),
        "quota has a role of its own"
    );
    let catalog = over("AZURE_API", "http://127.0.0.1:9").unwrap();
    let azure = catalog.by_id("azure").unwrap();
    assert_eq!(
        azure.apis.models.as_deref(),
        Some("http://127.0.0.1:9/openai/models?api-version={api_version}")
    );
    let catalog = over("GEMINI_CLI_TOKEN", "http://127.0.0.1:9/token").unwrap();
    let cli = catalog.by_id("gemini-cli").unwrap();
    assert_eq!(cli.oauth.as_ref().unwrap().token_url, "http://127.0.0.1:9/token");
}

#[test]
fn bad_overrides_are_errors() {
    let over = |name: &str, url: &str| {
        Catalog::assemble(&[], &[EndpointOverride::from_name(name, url).unwrap()], &[])
            .unwrap_err()
            .to_string()
    };
    assert!(over("NOBODY_API", "http://x").contains("no such provider"));
    for url in ["", "127.0.0.1:4001", "ftp://x", "http://u:p@x", "http://x/#a", "http://x/?a=1"] {
        assert!(over("OPENAI_API", url).contains("no http or https URL"), "{url}");
    }
}

#[test]
fn families_follow_the_vendor() {
    use crate::provider::family::ErrorFamily;
    let catalog = Catalog::builtin().unwrap();
    let family = |id| catalog.by_id(id).unwrap().family;
    assert_eq!(family("vertex"), ErrorFamily::Google);
    assert_eq!(family("glm-cn"), ErrorFamily::Zai);
    assert_eq!(family("moonshot"), ErrorFamily::Kimi);
    assert_eq!(family("together"), ErrorFamily::Generic);
}

#[test]
fn all_patterns_of_the_builtin_catalog_compile() {
    let catalog = Catalog::builtin().unwrap();
    catalog.model_globs.compile().unwrap();
    catalog.price_globs.compile().unwrap();
}
