//! Sentences that need to be seen: notices within a page, toasts above it.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::badge::Tone;
use crate::part::icon::icon;

/// A message above the page: the outcome of an action, or news from the background.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toast {
    /// `Bad` stays until it is closed.
    pub tone: Tone,
    /// One sentence: what happened; for a failure also why, and what to do.
    pub text: String,
    /// Where to take it back: label and URL that is posted to.
    pub undo: Option<(String, String)>,
}

/// An icon, a sentence and what to do.
pub(crate) fn notice(assets: &Assets, tone: Tone, body: &Markup) -> Markup {
    html! {
        div class={ "notice " (tone.class()) } role="note" {
            (icon(assets, tone_icon(tone)))
            div { (body) }
        }
    }
}

pub(crate) fn tone_icon(tone: Tone) -> &'static str {
    match tone {
        Tone::Ok => "check",
        Tone::Warn | Tone::Bad => "alert",
        Tone::Info | Tone::Neutral => "info",
    }
}

/// One toast, as it stands among others in `#toasts`.
pub(crate) fn toast(assets: &Assets, view: &Toast) -> Markup {
    let role = if view.tone == Tone::Bad { "alert" } else { "status" };
    html! {
        div class={ "toast " (view.tone.class()) } role=(role) {
            (icon(assets, tone_icon(view.tone)))
            p { (view.text) }
            @if let Some((label, url)) = &view.undo {
                button.btn.small type="submit" form="act" formaction=(url) hx-post=(url) hx-swap="none" { (label) }
            }
            button.icon.js type="button" data-close="toast" aria-label="Close this message" { (icon(assets, "close")) }
        }
    }
}

/// A toast for an HTMX answer or the feed: it comes in beside the rest, out of band.
#[must_use]
pub fn toast_fragment(assets: &Assets, view: &Toast) -> Markup {
    html! { div hx-swap-oob="beforeend:#toasts" { (toast(assets, view)) } }
}
