//! The id an upstream knows a model by (providers §1.2).

use crate::provider::catalog::{Model, Provider};
use crate::provider::effort::{Effort, Level};

/// A model id on its way to an upstream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamId {
    /// The id in the catalog's spelling; as the client wrote it when the catalog lists none.
    pub model: String,
    /// The id that is sent.
    pub upstream: String,
    /// Effort the id itself asks for (`gpt-5.3-codex-high`).
    pub effort: Option<Effort>,
    /// Effort when neither the client's suffix nor its body says one.
    pub default_effort: Option<Effort>,
    /// The call is charged to the review quota (Codex).
    pub review: bool,
}

/// Maps the part of a client's id behind the prefix, without its `(suffix)`.
#[must_use]
pub fn upstream_id(provider: &Provider, model: &str) -> UpstreamId {
    match &*provider.id {
        "claude" | "anthropic" => claude(provider, model),
        "github" => dotted(provider, model),
        "codex" => codex(provider, model),
        "kiro" => kiro(provider, model),
        _ => plain(provider, model),
    }
}

fn plain(provider: &Provider, model: &str) -> UpstreamId {
    provider.model(model).map_or_else(|| unlisted(model), listed)
}

fn listed(model: &Model) -> UpstreamId {
    let sent = model.upstream.as_deref().unwrap_or(&model.id);
    let (upstream, default_effort) = Effort::split_suffix(sent);
    UpstreamId {
        model: model.id.clone(),
        upstream: upstream.to_owned(),
        effort: None,
        default_effort,
        review: false,
    }
}

fn unlisted(model: &str) -> UpstreamId {
    UpstreamId {
        model: model.to_owned(),
        upstream: model.to_owned(),
        effort: None,
        default_effort: None,
        review: false,
    }
}

/// `claude-opus-4.6` is `claude-opus-4-6` at the vendor; nothing else is renamed.
fn claude(provider: &Provider, model: &str) -> UpstreamId {
    if let Some(found) = provider.model(model) {
        return listed(found);
    }
    if !starts_with_claude(model) {
        return unlisted(model);
    }
    plain(provider, &swap_between_digits(model, '.', '-'))
}

fn starts_with_claude(model: &str) -> bool {
    model.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("claude-"))
}

/// The reverse, only when the list has the dotted form and not the dashed one.
fn dotted(provider: &Provider, model: &str) -> UpstreamId {
    if provider.model(model).is_none() {
        let dotted = swap_between_digits(model, '-', '.');
        if let Some(found) = provider.model(&dotted) {
            return listed(found);
        }
    }
    plain(provider, model)
}

/// Codex: `-review` is a quota family, a trailing effort is an effort, unless the id is listed.
fn codex(provider: &Provider, model: &str) -> UpstreamId {
    if let Some(found) = provider.model(model) {
        let mut id = listed(found);
        id.review = found.upstream.is_some() && strip_end(model, "-review").is_some();
        return id;
    }
    if let Some(base) = strip_end(model, "-review") {
        return UpstreamId { review: true, ..codex(provider, base) };
    }
    // `-max` is part of names (`gpt-5.1-codex-max`), never an effort
    let efforts = [
        ("-none", Effort::Off),
        ("-minimal", Effort::Level(Level::Minimal)),
        ("-low", Effort::Level(Level::Low)),
        ("-medium", Effort::Level(Level::Medium)),
        ("-high", Effort::Level(Level::High)),
        ("-xhigh", Effort::Level(Level::XHigh)),
    ];
    let split = efforts.iter().find_map(|(end, e)| strip_end(model, end).map(|base| (base, *e)));
    match split {
        Some((base, effort)) => UpstreamId { effort: Some(effort), ..plain(provider, base) },
        None => unlisted(model),
    }
}

/// Kiro: `-agentic` is stripped, `-thinking` turns thinking on, at medium when nothing else says.
fn kiro(provider: &Provider, model: &str) -> UpstreamId {
    if let Some(found) = provider.model(model) {
        return listed(found);
    }
    let base = strip_end(model, "-agentic").unwrap_or(model);
    let (base, thinks) = match strip_end(base, "-thinking") {
        Some(base) => (base, true),
        None => (base, false),
    };
    let id = dotted(provider, base);
    let default_effort =
        if thinks { Some(Effort::Level(Level::Medium)) } else { id.default_effort };
    UpstreamId { default_effort, ..id }
}

/// The dotted form of an unlisted id, where the vendor writes dots (providers §1.2).
#[must_use]
pub fn dotted_form(provider: &Provider, model: &str) -> Option<String> {
    let dots = matches!(&*provider.id, "github" | "kiro");
    dots.then(|| swap_between_digits(model, '-', '.')).filter(|dotted| dotted != model)
}

fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(end.len()).filter(|at| *at > 0)?;
    text.get(at..).filter(|tail| tail.eq_ignore_ascii_case(end)).and_then(|_| text.get(..at))
}

/// Replaces `from` by `to` where a digit stands on both sides.
fn swap_between_digits(text: &str, from: char, to: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None::<char>;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let between = before.is_some_and(|b| b.is_ascii_digit())
            && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if c == from && between { to } else { c });
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::provider::catalog::Catalog;

    static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().unwrap());

    fn map(prefix: &str, model: &str) -> UpstreamId {
        let catalog = &*BUILTIN;
        upstream_id(catalog.by_prefix(prefix).unwrap(), model)
    }

    #[test]
    fn ids_become_what_the_upstream_knows() {
        let cases = [
            ("cc", "claude-opus-4-6", "claude-opus-4-6"),
            ("CC", "claude-opus-4.6", "claude-opus-4-6"),
            ("claude", "CLAUDE-OPUS-4.6", "claude-opus-4-6"),
            ("anthropic", "claude-new-9.1", "claude-new-9-1"),
            ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
            ("anthropic", "other-4.5", "other-4.5"),
            ("openrouter", "anthropic/claude-opus-4.6", "anthropic/claude-opus-4.6"),
            ("gh", "claude-4.5-sonnet", "claude-sonnet-4.5"),
            ("gh", "claude-opus-4-6", "claude-opus-4.6"),
            ("gh", "gpt-5.2", "gpt-5.2"),
            ("minimax", "minimax-m2.1", "MiniMax-M2.1"),
            ("blackbox", "gpt-5.5", "blackboxai/openai/gpt-5.5"),
            ("cx", "gpt-5.1-codex-max", "gpt-5.1-codex-max"),
            ("kr", "claude-sonnet-4.5-thinking-agentic", "claude-sonnet-4.5"),
            ("kr", "claude-sonnet-4-5", "claude-sonnet-4.5"),
            ("ollama", "foo(bar)", "foo(bar)"),
            ("or", "vendor/é-4.5", "vendor/é-4.5"),
        ];
        for (prefix, model, want) in cases {
            assert_eq!(map(prefix, model).upstream, want, "{prefix}/{model}");
        }
    }

    #[test]
    fn codex_names_carry_efforts_and_families() {
        let high = map("cx", "gpt-5.3-codex-high");
        assert_eq!(high.upstream, "gpt-5.3-codex");
        assert_eq!(high.effort, Some(Effort::Level(Level::High)));
        assert!(!high.review);
        let review = map("cx", "gpt-5.5-review");
        assert_eq!((review.upstream.as_str(), review.review), ("gpt-5.5", true));
        let both = map("cx", "gpt-5.3-codex-xhigh-review");
        assert_eq!((both.upstream.as_str(), both.review), ("gpt-5.3-codex", true));
        assert_eq!(both.effort, Some(Effort::Level(Level::XHigh)));
        let listed = map("cx", "codex-auto-review");
        assert_eq!((listed.upstream.as_str(), listed.review), ("codex-auto-review", false));
        assert_eq!(map("cx", "gpt-5-none").effort, Some(Effort::Off));
        assert_eq!(map("openai", "gpt-5-high").effort, None);
    }

    #[test]
    fn default_efforts_come_from_the_entry_or_the_suffix() {
        assert_eq!(
            map("kr", "claude-sonnet-4.5-thinking").default_effort,
            Some(Effort::Level(Level::Medium))
        );
        let tiered = map("ag", "gemini-3.7-flash-high");
        assert_eq!(tiered.upstream, "gemini-3.7-flash-tiered");
        assert_eq!(tiered.default_effort, Some(Effort::Level(Level::High)));
        assert_eq!(tiered.effort, None);
    }
}
