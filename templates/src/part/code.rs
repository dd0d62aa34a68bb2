//! Text to be copied: values, snippets.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::action::copy_button;

/// Text for a terminal or a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// What it is for: `curl`, `Claude Code`.
    pub title: String,
    /// `shell`, `json`, `toml`.
    pub language: String,
    /// The text.
    pub code: String,
}

/// A value in one line with a copy button. `id` is unique on its page.
pub(crate) fn copy_field(assets: &Assets, id: &str, what: &str, value: &str) -> Markup {
    html! {
        div.copy { code id=(id) { (value) } (copy_button(assets, id, what)) }
    }
}

/// A block of code with its language and a copy button.
pub(crate) fn snippet(assets: &Assets, id: &str, view: &Snippet) -> Markup {
    html! {
        figure.code {
            figcaption { span { (view.title) } span.faint { (view.language) } (copy_button(assets, id, &view.title)) }
            pre id=(id) tabindex="0" aria-label=(view.title) { code { (view.code) } }
        }
    }
}
