//! Buttons and links that do something, with and without script.
//!
//! A button outside a form belongs to `<form id="act">` of the frame, which holds the CSRF token: fragments that many
//! sessions receive hold none. With script the same button is an htmx request to the same URL.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::icon::icon;

/// Looks of a button.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Look {
    /// The one thing to do here.
    Primary,
    #[default]
    Plain,
    /// In rows and cards.
    Small,
    /// Without a frame.
    Quiet,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Primary => "btn primary",
            Self::Plain => "btn",
            Self::Small => "btn small",
            Self::Quiet => "btn small quiet",
        }
    }
}

/// A button that posts to `url`. The answer holds the changed parts, each out of band.
pub(crate) fn post(label: &Markup, url: &str, look: Look) -> Markup {
    html! {
        button.(look.class()) type="submit" form="act" formaction=(url) hx-post=(url) hx-swap="none"
            hx-disabled-elt="this" { (label) }
    }
}

/// Same, with one value sent along.
pub(crate) fn post_value(label: &Markup, url: &str, look: Look, name: &str, value: &str) -> Markup {
    html! {
        button.(look.class()) type="submit" form="act" formaction=(url) name=(name) value=(value) hx-post=(url)
            hx-swap="none" hx-disabled-elt="this" { (label) }
    }
}

/// A link to a page that opens as a dialog where script runs. `url` is below `/dashboard/`.
pub(crate) fn dialog_link(label: &Markup, url: &str, look: Look) -> Markup {
    html! {
        a.(look.class()) href=(url) hx-get=(fragment_url(url)) hx-target="#dialog-body" hx-swap="innerHTML"
            aria-haspopup="dialog" { (label) }
    }
}

/// `/dashboard/x` as a dialog's body: `/dashboard/f/x`.
pub(crate) fn fragment_url(url: &str) -> String {
    url.strip_prefix("/dashboard/")
        .map_or_else(|| url.to_owned(), |rest| format!("/dashboard/f/{rest}"))
}

/// A link that looks like a button.
pub(crate) fn link(label: &Markup, url: &str, look: Look) -> Markup {
    html! { a.(look.class()) href=(url) { (label) } }
}

/// Icon and word.
pub(crate) fn labelled(assets: &Assets, name: &str, label: &str) -> Markup {
    html! { (icon(assets, name)) (label) }
}

/// A button that copies `target`'s text; it needs script and is hidden without.
pub(crate) fn copy_button(assets: &Assets, target: &str, what: &str) -> Markup {
    html! {
        button.icon.js type="button" data-copy=(target) aria-label={ "Copy " (what) } title={ "Copy " (what) } {
            (icon(assets, "copy"))
        }
    }
}
