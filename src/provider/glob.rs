//! Patterns with `*` for any run of characters, compared without case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use regex::bytes::{RegexSet, RegexSetBuilder};

/// Answers remembered; with more models than these all are forgotten, and asked for again.
const REMEMBERED: usize = 1_024;
/// Longer ids than anybody gives to a model are matched with all patterns in one pass, so that their length counts once.
/// What that takes a megabyte for is not made for the others.
const LONG: usize = 256;

/// A list of patterns over model ids. Every request asks several times, and nearly always for a model that was asked for
/// before, so answers are remembered. Clones share them.
#[derive(Clone, Debug)]
pub struct Patterns {
    patterns: Arc<[String]>,
    /// All of them, for long ids. `None` inside: together they are too large.
    set: Arc<OnceLock<Option<RegexSet>>>,
    known: Arc<Mutex<HashMap<String, Option<usize>>>>,
}

impl Patterns {
    /// A list, in order.
    #[must_use]
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns = patterns.into_iter().map(str::to_owned).collect();
        Self { patterns, set: Arc::default(), known: Arc::default() }
    }

    /// Compiles the list, which is else done when it is needed.
    ///
    /// # Errors
    /// When the patterns are together too large to compile.
    pub fn compile(&self) -> Result<(), regex::Error> {
        let set = self.compiled()?;
        // Another thread may have been faster; its set is the same.
        let _first = self.set.set(Some(set));
        Ok(())
    }

    fn compiled(&self) -> Result<RegexSet, regex::Error> {
        let expressions = self.patterns.iter().map(|pattern| {
            let pieces: Vec<_> = pattern.split('*').map(regex::escape).collect();
            format!("^{}$", pieces.join(".*"))
        });
        // Bytes without Unicode, so that case folds in ASCII alone, as in `matches`.
        RegexSetBuilder::new(expressions)
            .case_insensitive(true)
            .unicode(false)
            .dot_matches_new_line(true)
            .build()
    }

    /// Place of the first pattern that fits `model`, as [`fits_model`] says.
    #[must_use]
    pub fn first(&self, model: &str) -> Option<usize> {
        // Held for nanoseconds; an entry is whole or not there.
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(model) {
            return *found;
        }
        let found = self.find(model);
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(model.to_owned(), found);
        found
    }

    fn find(&self, model: &str) -> Option<usize> {
        if model.len() <= LONG {
            return self.patterns.iter().position(|pattern| fits_model(pattern, model));
        }
        let set = self.set.get_or_init(|| self.compiled().ok()).as_ref()?;
        let first = |text: &str| set.matches(text.as_bytes()).iter().next();
        let tail = model.rsplit_once('/').and_then(|(_, tail)| first(tail));
        match (first(model), tail) {
            (Some(whole), Some(tail)) => Some(whole.min(tail)),
            (whole, tail) => whole.or(tail),
        }
    }
}

/// True when `text` matches `pattern` as a whole.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else { return text.is_empty() };
    let Some(mut rest) = strip_prefix(text, first) else { return false };
    let mut last: Option<&str> = None;
    for piece in pieces {
        if let Some(middle) = last
            && !middle.is_empty()
        {
            match find(rest, middle) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        last = Some(piece);
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => ends_with(rest, tail),
    }
}

/// True when `pattern` fits a model id, or its part after the last slash (`vendor/model`).
#[must_use]
pub fn fits_model(pattern: &str, model: &str) -> bool {
    matches(pattern, model)
        || model.rsplit_once('/').is_some_and(|(_, tail)| matches(pattern, tail))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

fn ends_with(text: &str, tail: &str) -> bool {
    text.len()
        .checked_sub(tail.len())
        .and_then(|at| text.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(tail))
}

/// The text after the first `needle`.
fn find<'a>(text: &'a str, needle: &str) -> Option<&'a str> {
    text.char_indices().find_map(|(at, _)| text.get(at..).and_then(|t| strip_prefix(t, needle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_run() {
        let cases = [
            ("*", "", true),
            ("*", "x", true),
            ("o1*", "o1-mini", true),
            ("o1*", "foo1", false),
            ("*claude*opus-5*", "Claude-Opus-5-x", true),
            ("*claude*opus-5*", "opus-5-claude", false),
            ("*:free", "a/b:free", true),
            ("*:free", "a/b:freed", false),
            ("gemini-*-flash-lite", "gemini-2.5-flash-lite", true),
            ("gemini-*-flash-lite", "gemini-flash-lite", false),
            ("abc", "ABC", true),
            ("abc", "abcd", false),
            ("a*a", "a", false),
            ("*ab*ab", "ab", false),
            ("é*", "éa", true),
            ("e*", "éa", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
            let set = Patterns::new([pattern]).compiled().unwrap();
            assert_eq!(set.is_match(text.as_bytes()), want, "{pattern} {text} in a set");
        }
    }

    #[test]
    fn of_a_list_the_first_that_fits_counts() {
        let list = ["gpt-5*", "*mini", "*", "o.1*"];
        let long = format!("x/{}-mini", "gpt-5".repeat(LONG));
        let patterns = Patterns::new(list);
        for model in [
            "gpt-5-mini",
            "o1-mini",
            "o.1",
            "openai/GPT-5",
            "gpt-5/x-mini",
            "a\nmini",
            "É",
            long.as_str(),
        ] {
            let want = list.iter().position(|pattern| fits_model(pattern, model));
            assert_eq!(patterns.first(model), want, "{model}");
            assert_eq!(patterns.first(model), want, "{model}, remembered");
        }
        for n in 0..2 * REMEMBERED {
            assert_eq!(patterns.first(&format!("model-{n}")), Some(2));
        }
        assert!(patterns.known.lock().unwrap().len() <= REMEMBERED);
        assert_eq!(patterns.first("gpt-5-mini"), Some(0));
        assert_eq!(Patterns::new(["o.1*"]).first("oa1"), None);
        assert_eq!(Patterns::new([]).first("x"), None);
        assert_eq!(Patterns::new(["*x"]).first(&long), None);
    }
}
