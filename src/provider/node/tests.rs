use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn node() -> Node {
    Node {
        id: "openai-compatible-chat-1".into(),
        node_type: NodeType::OpenAiChat,
        name: " Mine ".into(),
        prefix: "mine".into(),
        base_url: " https://n.example/v1/chat/completions/ ".into(),
        auth_style: None,
        headers: Vec::new(),
        network: NetworkPolicy::Public,
        insecure_http: false,
        h2: false,
        model_source: ModelSource::default(),
    }
}

fn problems(node: &Node) -> Vec<NodeProblem> {
    static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().unwrap());
    validate_node(node, &BUILTIN).err().unwrap_or_default()
}

#[test]
fn a_good_node_comes_back_in_canonical_form() {
    let saved = validate_node(&node(), &Catalog::builtin().unwrap()).unwrap();
    assert_eq!((saved.name.as_str(), saved.base_url.as_str()), ("Mine", "https://n.example/v1"));
}

#[test]
fn prefixes_follow_the_grammar_and_are_nobody_elses() {
    let with = |prefix: &str| problems(&Node { prefix: prefix.into(), ..node() });
    for good in ["a", "0x", "my.node_1-b", &"a".repeat(32)] {
        assert_eq!(with(good), [], "{good}");
    }
    for bad in ["", "-a", ".a", "A", "a/b", "a b", "é", &"a".repeat(33)] {
        assert_eq!(with(bad), [NodeProblem::PrefixGrammar(bad.into())]);
    }
    for reserved in ["combo", "9router", "ninerouter", "models"] {
        assert_eq!(with(reserved), [NodeProblem::PrefixReserved(reserved.into())]);
    }
    let taken = |prefix: &str, owner: &str| {
        assert_eq!(
            with(prefix),
            [NodeProblem::PrefixTaken { prefix: prefix.into(), owner: owner.into() }]
        );
    };
    taken("cc", "claude");
    taken("dashscope", "dashscope");
}

#[test]
fn a_node_may_keep_its_own_prefix_and_not_anothers() {
    let saved = Node { base_url: "https://n.example".into(), ..node() };
    let catalog = Catalog::assemble(&[], &[], std::slice::from_ref(&saved)).unwrap();
    assert!(validate_node(&saved, &catalog).is_ok());
    let other = Node { id: "openai-compatible-chat-2".into(), ..saved };
    assert_eq!(
        validate_node(&other, &catalog).unwrap_err(),
        [NodeProblem::PrefixTaken {
            prefix: "mine".into(),
            owner: "openai-compatible-chat-1".into()
        }]
    );
}

#[test]
fn plain_http_needs_a_reason() {
    let with = |network, insecure_http| {
        problems(&Node { base_url: "http://n.example".into(), network, insecure_http, ..node() })
    };
    assert_eq!(with(NetworkPolicy::Public, false), [NodeProblem::Insecure]);
    assert_eq!(with(NetworkPolicy::Public, true), []);
    assert_eq!(with(NetworkPolicy::Private, false), []);
    assert_eq!(with(NetworkPolicy::Loopback, false), []);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let bad = Node {
        name: " ".into(),
        prefix: "cc".into(),
        base_url: "ftp://x".into(),
        headers: vec![("Host".into(), "x".into()), ("authorization".into(), "x".into())],
        auth_style: Some(AuthStyle::Header("a b".into())),
        ..node()
    };
    let fields: Vec<_> = problems(&bad).iter().map(NodeProblem::field).collect();
    assert_eq!(fields, ["name", "prefix", "base_url", "headers", "headers", "headers"]);
}

#[test]
fn stored_types_round_trip() {
    for kind in [
        NodeType::OpenAiChat,
        NodeType::OpenAiResponses,
        NodeType::Anthropic,
        NodeType::Gemini,
        NodeType::Embedding,
    ] {
        let (name, api) = kind.stored();
        assert_eq!(NodeType::from_stored(name, api), Some(kind));
    }
    assert_eq!(NodeType::from_stored("openai-compatible", None), Some(NodeType::OpenAiChat));
    assert_eq!(NodeType::from_stored("telex", None), None);
    assert_eq!(NodeType::OpenAiResponses.new_id("x1"), "openai-compatible-responses-x1");
    assert_eq!(NodeType::Anthropic.new_id("x1"), "anthropic-compatible-x1");
}

#[test]
fn nodes_are_providers_like_any_other() {
    let saved = Node {
        base_url: "http://10.0.0.2:8000/v1".into(),
        network: NetworkPolicy::Private,
        insecure_http: true,
        h2: true,
        ..node()
    };
    let catalog = Catalog::assemble(&[], &[], &[saved]).unwrap();
    let provider = catalog.by_prefix("MINE").unwrap();
    assert_eq!(&*provider.id, "openai-compatible-chat-1");
    assert!(provider.node && provider.h2 && provider.insecure_http && provider.takes_any_model());
    assert_eq!(provider.network, NetworkPolicy::Private);
    assert_eq!(provider.apis.models.as_deref(), Some("http://10.0.0.2:8000/v1/models"));
    assert!(catalog.by_id("openai-compatible-chat-1").is_some());
    assert!(catalog.notices().is_empty(), "{:?}", catalog.notices());
}

#[test]
fn embedding_nodes_take_no_chat() {
    let saved =
        Node { node_type: NodeType::Embedding, base_url: "https://n.example/v1".into(), ..node() };
    let provider = saved.to_provider();
    assert!(provider.endpoints.is_empty());
    assert_eq!(provider.apis.embeddings.as_deref(), Some("https://n.example/v1/embeddings"));
    assert!(provider.apis.auth.is_some_and(|a| a.optional));
}

#[test]
fn a_node_never_takes_the_place_of_a_provider() {
    let same_prefix = Node { prefix: "cc".into(), base_url: "https://n.example".into(), ..node() };
    let same_id = Node { id: "openai".into(), base_url: "https://n.example".into(), ..node() };
    let catalog = Catalog::assemble(&[], &[], &[same_prefix, same_id]).unwrap();
    assert_eq!(&*catalog.by_prefix("cc").unwrap().id, "claude");
    assert!(!catalog.by_id("openai").unwrap().node);
    assert!(catalog.by_prefix("mine").is_none());
    assert_eq!(catalog.notices().len(), 2);
}

#[test]
fn only_anthropics_own_host_counts_as_such() {
    assert!(is_anthropic_host("https://api.anthropic.com/v1"));
    for other in [
        "https://api.anthropic.com.evil.example",
        "https://x/api.anthropic.com",
        "api.anthropic.com",
    ] {
        assert!(!is_anthropic_host(other), "{other}");
    }
}

proptest! {
    #[test]
    fn any_text_as_base_url_is_refused_or_made_canonical(text in "\\PC{0,40}") {
        let urls = [text.clone(), format!("https://{text}"), format!("https://h.example/{text}")];
        for raw in urls {
            if let Ok(url) = canonical(&raw) {
                prop_assert_eq!(canonical(&url), Ok(url.clone()), "canonical form is stable");
                prop_assert!(!url.ends_with('/') && !url.contains(['?', '#', ' ']));
            }
        }
    }
}
