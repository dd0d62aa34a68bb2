//! The class of service of an answer, in words that OpenAI's clients know.

/// The tier that Chat Completions and Responses have for an upstream's word; `None` = they have none,
/// and strict clients refuse a word they do not know.
pub fn open_ai(word: &str) -> Option<&'static str> {
    const KNOWN: [&str; 6] = ["auto", "default", "flex", "scale", "priority", "fast"];
    if let Some(known) = KNOWN.into_iter().find(|known| word.eq_ignore_ascii_case(known)) {
        return Some(known);
    }
    // Anthropic and Google; Groq.
    let ordinary = ["standard", "on_demand"].into_iter().any(|w| word.eq_ignore_ascii_case(w));
    ordinary.then_some("default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tiers_that_clients_know_are_told() {
        for (word, want) in [
            ("default", Some("default")),
            ("priority", Some("priority")),
            ("standard", Some("default")),
            ("on_demand", Some("default")),
            ("FLEX", Some("flex")),
            ("batch", None),
            ("", None),
        ] {
            assert_eq!(open_ai(word), want, "{word}");
        }
    }
}
