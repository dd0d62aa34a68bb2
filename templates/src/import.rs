//! The form that takes over sign-ins of an official client: found ones, a pasted or an uploaded file.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::dialog::{dialog_body, own_page};
use crate::part::field::{Field, Form, Input, input, select, summary, textarea};

/// Values of the form.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the provider.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Sign-ins found on the router's computer.
    pub candidates: Vec<Candidate>,
    /// Why none was looked for; empty = they were.
    pub nothing: String,
    /// Values and errors: `select, data, ownership, label`.
    pub form: Form,
}

/// A sign-in that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// What is sent to choose it.
    pub key: String,
    /// Whose it is.
    pub name: String,
    /// Its plan; may be empty.
    pub plan: String,
    /// Where it lies.
    pub place: String,
    /// End of its access token.
    pub ends: Option<Moment>,
}

/// As a dialog.
#[must_use]
pub fn dialog(assets: &Assets, view: &Import) -> Markup {
    dialog_body(assets, &title(view), &body(view))
}

/// As a page.
#[must_use]
pub fn page(view: &Import) -> Markup {
    let back = format!("/dashboard/providers/{}", view.provider);
    own_page(&title(view), (&view.name, &back), &body(view))
}

fn title(view: &Import) -> String {
    format!("Import a sign-in of {}", view.name)
}

fn body(view: &Import) -> Markup {
    let back = format!("/dashboard/providers/{}", view.provider);
    let url = format!("{back}/import");
    let field = |name, label| Field::new("import", name, label);
    html! {
        form method="post" action=(url) hx-post=(url) hx-target="#dialog-body" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" {
            input type="hidden" name="_csrf" value=(view.csrf);
            (summary("import", &view.form))
            (candidates(view))
            details open[view.candidates.is_empty()] {
                summary { "Paste or upload a file instead" }
                (textarea(&view.form, field("data", "Content of the official client's file, or a long-lived token"), 4))
                div.field.js {
                    label for="import-file" { "Or choose the file " span.faint { "it is read into the field above" } }
                    input #import-file type="file" data-into="import-data";
                }
            }
            (input(&view.form, field("label", "Name").hint("For you, to tell accounts apart; for one at a time."), Input::Text))
            (select(&view.form, field("ownership", "Who keeps it fresh"), &[
                ("".to_owned(), "As is safe for this vendor".to_owned()),
                ("follow".to_owned(), "The official client; the router reads its file".to_owned()),
                ("own".to_owned(), "The router; the official client may be signed out".to_owned()),
                ("copy".to_owned(), "Both, each with its own copy".to_owned()),
            ]))
            div.actions {
                a.btn.quiet href=(back) data-close="dialog" { "Cancel" }
                button.btn.primary type="submit" { "Import" }
            }
        }
    }
}

fn candidates(view: &Import) -> Markup {
    html! {
        @if !view.nothing.is_empty() { p.faint { (view.nothing) } }
        @else if view.candidates.is_empty() { p.faint { "No sign-in of this vendor lies on the router's computer." } }
        @else {
            fieldset {
                legend { "Found on the router's computer" }
                @for (at, one) in view.candidates.iter().enumerate() {
                    @let id = format!("import-select-{at}");
                    div.check {
                        label for=(id) {
                            input id=(id) type="checkbox" name="select" value=(one.key)
                                checked[view.form.values.is_empty() || view.form.holds("select", &one.key)];
                            span.t {
                                b { (one.name) @if !one.plan.is_empty() { " · " (one.plan) } }
                                span { code { (one.place) } @if let Some(ends) = &one.ends { " · token ends " (time(ends)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
