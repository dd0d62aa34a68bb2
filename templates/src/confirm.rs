//! The question before something that cannot be undone, as a dialog and as a page.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::badge::Tone;
use crate::part::dialog::{dialog_body, own_page};
use crate::part::field::{Field, Form, Input, check, input, summary};
use crate::part::notice::notice;

/// A deed and what follows from it.
#[derive(Clone, Debug, Default)]
pub struct Confirm {
    /// CSRF token of the session.
    pub csrf: String,
    /// `Delete the account “work”?`
    pub question: String,
    /// Computed by the server: `Used by 2 combos: fast, night.`
    pub consequences: Vec<String>,
    /// The verb again: `Delete account`.
    pub verb: String,
    /// Where it is posted to.
    pub url: String,
    /// Sent along, for example `rev`, `force`.
    pub values: Vec<(String, String)>,
    /// A choice that goes with it: name and words, for example `now`, `End running requests too`.
    pub choice: Option<(String, String)>,
    /// A word that must be typed (`confirm`); asked for by what deletes everything.
    pub typed: Option<String>,
    /// Where Cancel leads, and where the page came from: label and URL.
    pub back: (String, String),
    /// Errors.
    pub form: Form,
}

/// As a dialog.
#[must_use]
pub fn dialog(assets: &Assets, view: &Confirm) -> Markup {
    dialog_body(assets, &view.question, &body(assets, view))
}

/// As a page.
#[must_use]
pub fn page(assets: &Assets, view: &Confirm) -> Markup {
    own_page(&view.question, (&view.back.0, &view.back.1), &body(assets, view))
}

fn body(assets: &Assets, view: &Confirm) -> Markup {
    html! {
        form method="post" action=(view.url) hx-post=(view.url) hx-target="#dialog-body" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" {
            input type="hidden" name="_csrf" value=(view.csrf);
            @for (name, value) in &view.values { input type="hidden" name=(name) value=(value); }
            (summary("confirm", &view.form))
            @if !view.consequences.is_empty() {
                (notice(assets, Tone::Warn, &html! { @for one in &view.consequences { p { (one) } } }))
            }
            @if let Some((name, words)) = &view.choice {
                (check(&view.form, Field::new("confirm", name, words).required()))
            }
            @if let Some(word) = &view.typed {
                (input(&view.form, Field::new("confirm", "confirm", &format!("Type {word} to go on")).required(), Input::Text))
            }
            div.actions {
                a.btn.quiet href=(view.back.1) data-close="dialog" { "Cancel" }
                button.btn.danger type="submit" { (view.verb) }
            }
        }
    }
}
