//! Links that switch what a page shows: each view has its own URL.

use maud::{Markup, html};

/// One of several views.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tab {
    /// Its name.
    pub label: String,
    /// Its URL.
    pub url: String,
    /// It is shown now.
    pub current: bool,
}

/// Segmented control or tab bar; `name` says what is chosen.
pub(crate) fn tabs(name: &str, tabs: &[Tab]) -> Markup {
    html! {
        nav.seg aria-label=(name) hx-boost="true" hx-target="#main" hx-swap="innerHTML show:none" {
            @for tab in tabs {
                a href=(tab.url) aria-current=[tab.current.then_some("true")] { (tab.label) }
            }
        }
    }
}
