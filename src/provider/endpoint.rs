//! Choosing between the transports of a provider (providers §1.4).

use ninerouter_dialect::Dialect;

use crate::provider::catalog::{CredentialForm, Endpoint, Model, Provider};
use crate::provider::credential::Credential;
use crate::routing::account::AccountConfig;

/// Transport of Vertex accounts that hold an express key instead of a key file.
const EXPRESS: &str = "express";

/// The endpoint for a client that speaks `dialect`: the pinned one, else the first whose wire holds
/// that dialect, else the first that a body can be translated for, else the first the model may use.
/// `None` when the provider has none for the model.
///
/// The answer may speak another dialect, or none: compare [`Endpoint::speaks`].
#[must_use]
pub fn pick<'a>(
    provider: &'a Provider,
    model: Option<&Model>,
    dialect: Dialect,
    pinned: Option<&str>,
) -> Option<&'a Endpoint> {
    let candidates = candidates(provider, model, pinned);
    let same = candidates.iter().find(|e| e.wire.nearest_dialect() == Some(dialect));
    let spoken = || candidates.iter().find(|e| e.speaks().is_some());
    same.or_else(spoken).or(candidates.first()).copied()
}

/// The endpoint whose counter is asked for a client that speaks `dialect`: one that speaks the same, else any.
#[must_use]
pub fn counter<'a>(
    provider: &'a Provider,
    model: Option<&Model>,
    dialect: Dialect,
    pinned: Option<&str>,
) -> Option<&'a Endpoint> {
    let mut counters = candidates(provider, model, pinned);
    counters.retain(|e| e.count_tokens.is_some() && e.speaks().is_some());
    let same = counters.iter().find(|e| e.dialect() == Some(dialect));
    same.or(counters.first()).copied()
}

/// The endpoints a model may use, preferred first. A 400 that says the model is not served here
/// goes on to the next one.
#[must_use]
pub fn candidates<'a>(
    provider: &'a Provider,
    model: Option<&Model>,
    pinned: Option<&str>,
) -> Vec<&'a Endpoint> {
    if let Some(fixed) = model.and_then(|m| m.endpoint.as_deref()) {
        return provider.endpoint(fixed).into_iter().collect();
    }
    let wires = model.map_or(&[][..], |m| m.wires.as_slice());
    let allowed = |e: &Endpoint| wires.is_empty() || wires.contains(&e.wire);
    // A pin that the model's wires forbid would only fail upstream.
    if let Some(pin) = pinned.and_then(|name| provider.endpoint(name)).filter(|e| allowed(e)) {
        return vec![pin];
    }
    let mut open: Vec<&Endpoint> = provider
        .endpoints
        .iter()
        .filter(|e| !e.is_selected_only() && !e.fixed_only && allowed(e))
        .collect();
    open.sort_by_key(|e| wires.iter().position(|w| *w == e.wire));
    open
}

/// The endpoint an account selects: by name, or by the kind of its credential.
#[must_use]
pub fn selected<'a>(
    provider: &Provider,
    account: &'a AccountConfig,
    credential: &Credential,
) -> Option<&'a str> {
    let named = account.endpoint.as_deref().filter(|name| !name.is_empty());
    let express = || {
        let is_express = provider.credential == CredentialForm::ServiceAccountJson
            && provider.endpoint(EXPRESS).is_some()
            && credential.access_token.is_none()
            && credential.api_key.as_ref().is_some_and(|k| !is_key_file(k.expose()));
        is_express.then_some(EXPRESS)
    };
    named.or_else(express)
}

/// True for a JSON document: a service account's key file, which is never sent itself.
pub(super) fn is_key_file(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::provider::catalog::Catalog;

    static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().unwrap());

    fn picked(prefix: &str, model: &str, dialect: Dialect, pinned: Option<&str>) -> String {
        let catalog = &*BUILTIN;
        let provider = catalog.by_prefix(prefix).unwrap();
        pick(provider, provider.model(model), dialect, pinned).map_or("-", |e| &e.name).to_owned()
    }

    #[test]
    fn the_clients_dialect_decides_where_the_model_allows_it() {
        use Dialect::{Anth, Chat, Gem, Resp};
        let cases = [
            ("glm", "glm-5.2", Anth, "default"),
            ("glm", "glm-5.2", Chat, "openai_chat"),
            ("glm", "glm-5.2", Resp, "default"),
            ("openai", "gpt-5", Resp, "openai_responses"),
            ("openai", "gpt-5", Gem, "default"),
            ("minimax", "MiniMax-M3", Chat, "default"),
            ("ocg", "deepseek-v4-pro", Resp, "openai_responses"),
            ("ocg", "glm-5.2", Anth, "default"),
            ("ocg", "muse-spark-1.3-contributor", Chat, "openai_responses"),
            ("cx", "gpt-5.5", Resp, "default"),
            ("gc", "gemini-2.5-pro", Gem, "default"),
            ("gh", "claude-4.5-sonnet", Chat, "anthropic_messages"),
            ("ollama", "x", Chat, "openai_chat"),
            ("ollama", "x", Anth, "openai_chat"),
            ("vxp", "claude-opus-4-6", Chat, "anthropic"),
            ("vxp", "zai-org/glm-5-maas", Anth, "default"),
            ("pplx", "sonar", Resp, "default"),
            ("gemini", "gemini-2.5-pro", Chat, "default"),
        ];
        for (prefix, model, dialect, want) in cases {
            assert_eq!(picked(prefix, model, dialect, None), want, "{prefix}/{model} {dialect:?}");
        }
    }

    #[test]
    fn a_pin_selects_what_is_otherwise_left_alone() {
        assert_eq!(picked("glm", "glm-5.2", Dialect::Anth, Some("general")), "general");
        assert_eq!(
            picked("gemini", "gemini-2.5-pro", Dialect::Chat, Some("openai_compat")),
            "openai_compat"
        );
        assert_eq!(picked("glm", "glm-5.2", Dialect::Chat, Some("gone")), "openai_chat");
        assert_eq!(picked("minimax", "MiniMax-M3", Dialect::Chat, Some("openai_chat")), "default");
    }

    #[test]
    fn envelopes_take_no_body_as_it_is() {
        let catalog = &*BUILTIN;
        let dialect = |id: &str, n: usize| catalog.by_id(id).unwrap().endpoints[n].dialect();
        assert_eq!(dialect("codex", 0), None);
        assert_eq!(dialect("gemini-cli", 0), None);
        assert_eq!(dialect("kiro", 0), None);
        assert_eq!(dialect("ollama", 0), None);
        assert_eq!(dialect("bedrock", 1), None);
        assert_eq!(dialect("vertex", 0), Some(Dialect::Gem));
        assert_eq!(dialect("vertex-partner", 1), Some(Dialect::Anth));
    }
}
