//! `[[nodes]]` of a config file.

use crate::config::file::document::Trail;
use crate::config::file::object::{HeaderObject, NodeObject};
use crate::config::file::reader::Reader;
use crate::provider::node::{AuthStyle, ModelSource, NetworkPolicy, Node, NodeType};
use crate::store::nodes::NodeRow;

/// Kinds of nodes; `openai-compatible` also has an `api_type`.
const TYPES: &[(&str, NodeType)] = &[
    ("openai-compatible", NodeType::OpenAiChat),
    ("anthropic-compatible", NodeType::Anthropic),
    ("gemini-compatible", NodeType::Gemini),
    ("embedding", NodeType::Embedding),
];

const API_TYPES: &[(&str, NodeType)] =
    &[("chat", NodeType::OpenAiChat), ("responses", NodeType::OpenAiResponses)];

const NETWORKS: &[(&str, NetworkPolicy)] = &[
    ("public", NetworkPolicy::Public),
    ("private", NetworkPolicy::Private),
    ("loopback", NetworkPolicy::Loopback),
];

const SOURCES: &[(&str, ModelSource)] =
    &[("fetch", ModelSource::Fetch), ("manual", ModelSource::Manual)];

/// A node without id. What needs the catalog is checked when the file is planned.
pub(super) fn read(
    reader: &mut Reader,
    trail: &Trail,
    object: NodeObject,
    outbound_default: NetworkPolicy,
) -> Option<NodeRow> {
    let name = reader.line(&trail.key("name"), &object.name, 80);
    let node_type = node_type(reader, trail, &object);
    let auth_style = auth_style(reader, trail, &object);
    let network = trail.key("network");
    let network = match reader.optional_choice(&network, object.network.as_ref(), NETWORKS) {
        Some(network) => network,
        None => outbound_default,
    };
    let source = trail.key("model_source");
    let model_source = reader.optional_choice(&source, object.model_source.as_ref(), SOURCES);
    let node = Node {
        id: String::new(),
        node_type: node_type?,
        name,
        prefix: object.prefix.trim().to_owned(),
        base_url: object.base_url,
        auth_style: auth_style?,
        headers: pairs(object.headers),
        network,
        insecure_http: object.insecure_http,
        h2: false,
        model_source: model_source.unwrap_or_default(),
    };
    let test_model = object.test_model.map(|m| reader.line(&trail.key("test_model"), &m, 256));
    Some(NodeRow { test_model, ..NodeRow::new(node) })
}

pub(super) fn pairs(headers: Vec<HeaderObject>) -> Vec<(String, String)> {
    headers.into_iter().map(|h| (h.name, h.value)).collect()
}

fn node_type(reader: &mut Reader, trail: &Trail, object: &NodeObject) -> Option<NodeType> {
    let kind = reader.choice(&trail.key("type"), &object.kind, TYPES)?;
    let api = trail.key("api_type");
    match (kind, &object.api_type) {
        (NodeType::OpenAiChat, Some(word)) => reader.choice(&api, word, API_TYPES),
        (_, None) => Some(kind),
        (_, Some(_)) => {
            reader.fail(&api, "belongs to nodes of type `openai-compatible`; remove it");
            None
        }
    }
}

/// The outer `None` = a mistake was noted.
fn auth_style(
    reader: &mut Reader,
    trail: &Trail,
    object: &NodeObject,
) -> Option<Option<AuthStyle>> {
    const STYLES: &[(&str, u8)] = &[("bearer", 0), ("x-api-key", 1), ("none", 2), ("header", 3)];
    let Some(word) = &object.auth_style else {
        if object.auth_header.is_some() {
            reader.fail(&trail.key("auth_header"), "needs `auth_style` = \"header\"");
            return None;
        }
        return Some(None);
    };
    let style = reader.choice(&trail.key("auth_style"), word, STYLES)?;
    if style != 3 && object.auth_header.is_some() {
        reader.fail(&trail.key("auth_header"), "needs `auth_style` = \"header\"");
        return None;
    }
    Some(Some(match (style, &object.auth_header) {
        (0, _) => AuthStyle::Bearer,
        (1, _) => AuthStyle::XApiKey,
        (2, _) => AuthStyle::None,
        (_, Some(name)) => AuthStyle::Header(name.clone()),
        (_, None) => {
            reader.fail(trail, "`auth_style` = \"header\" needs `auth_header`");
            return None;
        }
    }))
}
