//! A dot and a word: how something stands, never by colour alone.

use maud::{Markup, html};

/// What a colour says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// Works.
    Ok,
    /// Works, with a limit near.
    Warn,
    /// Doesn't work, or needs the operator.
    Bad,
    /// Worth knowing.
    Info,
    /// Neither good nor bad.
    #[default]
    Neutral,
}

impl Tone {
    /// Class of the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Info => "info",
            Self::Neutral => "neutral",
        }
    }
}

pub(crate) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (word) } }
}

/// A word without a dot: a property, not a state.
pub(crate) fn chip(word: &str) -> Markup {
    html! { span.badge.plain { (word) } }
}
