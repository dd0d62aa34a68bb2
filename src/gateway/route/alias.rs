//! The path variants that real clients send, reduced to the catalogue's own (endpoints §8).

/// What a path hangs on after its prefix variants are taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// No version: pages, Ollama, management.
    Top,
    /// `/v1`
    V1,
    /// `/v1beta`, `/v1alpha`: Gemini.
    Beta,
}

/// A path as base and remainder, the remainder without leading `/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rooted<'a> {
    pub(super) base: Base,
    pub(super) rest: &'a str,
}

/// Endpoints that clients also call without a version (rule 5).
const VERSIONLESS: [&str; 15] = [
    "chat/completions",
    "completions",
    "responses",
    "responses/compact",
    "messages",
    "messages/count_tokens",
    "models",
    "embeddings",
    "images/generations",
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "audio/voices",
    "rerank",
    "moderations",
];

/// The Ollama paths, which share `/api/` with the management API.
pub(super) const OLLAMA: [&str; 8] = [
    "api/chat",
    "api/generate",
    "api/tags",
    "api/show",
    "api/embed",
    "api/embeddings",
    "api/version",
    "api/ps",
];

/// Applies the alias rules 2–7 to a normalised path. `gem_action`: the path ends in a Gemini
/// action, so everything after the version is a model id and `openai/` may be its first part.
pub(super) fn resolve(path: &str, gem_action: bool) -> Rooted<'_> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let rooted = strip_versions(Rooted { base: Base::Top, rest }, gem_action);
    match rooted.base {
        Base::Top => resolve_top(rooted.rest),
        Base::V1 => resolve_v1(rooted.rest),
        Base::Beta => rooted,
    }
}

/// The part of `rest` under the segment(s) `prefix`; empty when they are equal.
pub(super) fn under<'a>(rest: &'a str, prefix: &str) -> Option<&'a str> {
    let tail = rest.strip_prefix(prefix)?;
    if tail.is_empty() { Some(tail) } else { tail.strip_prefix('/') }
}

/// Rules 2 and 3: foreign prefixes, repeated versions.
fn strip_versions(mut at: Rooted<'_>, gem_action: bool) -> Rooted<'_> {
    const TOP: [(&str, Base); 7] = [
        ("v1", Base::V1),
        ("v1beta", Base::Beta),
        ("v1alpha", Base::Beta),
        ("api/v1", Base::V1),
        ("api/v1beta", Base::Beta),
        ("openai/v1", Base::V1),
        ("anthropic/v1", Base::V1),
    ];
    const V1: [(&str, Base); 3] = [("v1", Base::V1), ("v1beta", Base::Beta), ("openai", Base::V1)];
    const BETA: [(&str, Base); 2] = [("v1beta", Base::Beta), ("openai", Base::V1)];
    loop {
        let table: &[(&str, Base)] = match at.base {
            Base::Top => &TOP,
            Base::V1 => &V1,
            Base::Beta => &BETA,
        };
        let step = table.iter().find_map(|&(prefix, base)| {
            if gem_action && prefix == "openai" {
                return None;
            }
            under(at.rest, prefix).map(|rest| Rooted { base, rest })
        });
        match step {
            Some(next) => at = next,
            None => return at,
        }
    }
}

/// Rules 5, 6 and the second half of 7: paths without a version.
fn resolve_top(rest: &str) -> Rooted<'_> {
    if let Some(tail) = under(rest, "ollama")
        && OLLAMA.contains(&tail)
    {
        return Rooted { base: Base::Top, rest: tail };
    }
    let codex = under(rest, "backend-api/codex").or_else(|| under(rest, "codex"));
    if let Some(tail) = codex
        && matches!(tail, "responses" | "responses/compact" | "models")
    {
        return Rooted { base: Base::V1, rest: tail };
    }
    let once = unrepeat(rest);
    let is_model = once.strip_prefix("models/").is_some_and(|tail| !tail.is_empty());
    if is_model || VERSIONLESS.contains(&once) {
        return Rooted { base: Base::V1, rest: once };
    }
    Rooted { base: Base::Top, rest }
}

/// Rule 4 and the first half of 7.
fn resolve_v1(rest: &str) -> Rooted<'_> {
    if matches!(rest, "api/chat" | "api/tags" | "api/show") {
        return Rooted { base: Base::Top, rest };
    }
    Rooted { base: Base::V1, rest: unrepeat(rest) }
}

/// Rule 4: the user gave a full URL as base URL, the tool added the path again.
fn unrepeat(rest: &str) -> &str {
    if let Some(tail) = under(rest, "chat/completions")
        && matches!(tail, "chat/completions" | "models")
    {
        return tail;
    }
    if let Some(tail) = under(rest, "responses")
        && under(tail, "responses").is_some()
    {
        return tail;
    }
    if let Some(tail) = under(rest, "messages/v1")
        && under(tail, "messages").is_some()
    {
        return tail;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_reduce_to_the_catalogue() {
        for (path, base, rest) in [
            // rule 2
            ("/api/v1/models", Base::V1, "models"),
            ("/api/v1beta/models", Base::Beta, "models"),
            ("/openai/v1/chat/completions", Base::V1, "chat/completions"),
            ("/v1/openai/chat/completions", Base::V1, "chat/completions"),
            ("/anthropic/v1/messages", Base::V1, "messages"),
            // rule 3
            ("/v1/v1/v1/models", Base::V1, "models"),
            ("/v1beta/v1beta/models", Base::Beta, "models"),
            ("/v1/v1beta/models", Base::Beta, "models"),
            ("/v1beta/openai/chat/completions", Base::V1, "chat/completions"),
            ("/api/v1/v1/messages", Base::V1, "messages"),
            // rule 4
            ("/v1/chat/completions/chat/completions", Base::V1, "chat/completions"),
            ("/v1/messages/v1/messages", Base::V1, "messages"),
            ("/v1/messages/v1/messages/count_tokens", Base::V1, "messages/count_tokens"),
            ("/v1/responses/responses", Base::V1, "responses"),
            ("/v1/responses/responses/compact", Base::V1, "responses/compact"),
            ("/v1/chat/completions/models", Base::V1, "models"),
            // rule 5
            ("/responses/compact", Base::V1, "responses/compact"),
            ("/models/glm/glm-4.7", Base::V1, "models/glm/glm-4.7"),
            ("/audio/voices", Base::V1, "audio/voices"),
            // rule 6
            ("/codex/responses", Base::V1, "responses"),
            ("/backend-api/codex/responses", Base::V1, "responses"),
            ("/backend-api/codex/responses/compact", Base::V1, "responses/compact"),
            ("/codex/models", Base::V1, "models"),
            ("/codex/other", Base::Top, "codex/other"),
            // rule 7
            ("/v1/api/chat", Base::Top, "api/chat"),
            ("/ollama/api/embed", Base::Top, "api/embed"),
            // must not open the management API
            ("/ollama/api/keys", Base::Top, "ollama/api/keys"),
            ("/v1/api/keys", Base::V1, "api/keys"),
            ("/v10/models", Base::Top, "v10/models"),
            ("/", Base::Top, ""),
            ("/v1", Base::V1, ""),
        ] {
            assert_eq!(resolve(path, false), Rooted { base, rest }, "{path}");
        }
    }

    #[test]
    fn before_a_gemini_action_openai_is_part_of_the_model() {
        let path = "/v1beta/openai/gpt-4o:generateContent";
        assert_eq!(
            resolve(path, true),
            Rooted { base: Base::Beta, rest: "openai/gpt-4o:generateContent" }
        );
    }
}
