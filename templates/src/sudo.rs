//! The password once more, before something that cannot be undone (428).

use maud::{Markup, html};

use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::dialog::own_page;
use crate::part::field::{Field, Form, secret, summary};
use crate::part::icon::icon;

/// The question.
#[derive(Clone, Debug, Default)]
pub struct Sudo {
    /// CSRF token of the session.
    pub csrf: String,
    /// What is about to be done: `turn off the key requirement`.
    pub purpose: String,
    /// Errors of the form.
    pub form: Form,
    /// Too many attempts: when the next one is heard.
    pub wait: Option<Moment>,
    /// Without script: method and URL of the request that is done again, and its form's values (no secrets).
    pub replay: Option<Replay>,
}

/// A request that waits for the password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// Its URL below `/dashboard/`.
    pub url: String,
    /// Names and values that it sent.
    pub values: Vec<(String, String)>,
}

/// Answer 428 to htmx: the script shows it in a dialog and does the request again after a 204 with
/// `HX-Trigger: sudo-done`.
#[must_use]
pub fn dialog(assets: &Assets, view: &Sudo) -> Markup {
    html! {
        header {
            h2 id="sudo-title" { "Enter your password" }
            button.icon type="button" data-close="sudo" aria-label="Close" { (icon(assets, "close")) }
        }
        (form(view))
    }
}

/// Answer 428 to a browser without script: content of a page.
#[must_use]
pub fn page(view: &Sudo) -> Markup {
    own_page("Enter your password", ("Overview", "/dashboard"), &form(view))
}

fn form(view: &Sudo) -> Markup {
    html! {
        form method="post" action="/dashboard/sudo" hx-post="/dashboard/sudo" hx-target="#sudo-body"
            hx-swap="innerHTML" hx-disabled-elt="find button[type=submit]" {
            input type="hidden" name="_csrf" value=(view.csrf);
            @if let Some(replay) = &view.replay {
                input type="hidden" name="_replay" value=(replay.url);
                @for (name, value) in &replay.values { input type="hidden" name=(name) value=(value); }
            }
            p.faint { "To " (view.purpose) ". Not asked again for five minutes." }
            @if let Some(until) = &view.wait { p.err role="alert" { "Too many attempts. Try again " (time(until)) "." } }
            (summary("sudo", &view.form))
            (secret(&view.form, Field::new("sudo", "password", "Password").required(), "current-password"))
            div.actions { button.btn.primary type="submit" { "Continue" } }
        }
    }
}
