//! The switch between names of accounts and numbers in their place.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::icon::icon;

/// How accounts are called on this page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// By numbers.
    pub hidden: bool,
    /// URL that is posted to for the other way.
    pub url: String,
}

pub(crate) fn names(assets: &Assets, view: &Names) -> Markup {
    let label = if view.hidden { "Show account names" } else { "Hide account names" };
    html! {
        button.icon type="submit" form="act" formaction=(view.url) hx-post=(view.url) hx-swap="none"
            aria-pressed=(if view.hidden { "true" } else { "false" }) aria-label=(label) title=(label) { (icon(assets, "eye")) }
    }
}
