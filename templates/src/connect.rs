//! Signing in to a vendor: how it starts, and how far it is. A sign-in has a page of its own, `/dashboard/connect/<id>`:
//! it can be left and come back to.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::action::{Look, labelled, post};
use crate::part::badge::{Tone, badge};
use crate::part::code::copy_field;
use crate::part::dialog::{dialog_body, own_page};
use crate::part::field::{Field, Form, Input, input, select, summary};
use crate::part::notice::notice;

/// A sign-in before it starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the provider.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// What to know before (terms); empty = nothing.
    pub notice: String,
    /// Values and errors: `label, region, start_url, project, proxy, prefer`.
    pub form: Form,
    /// Which of `region`, `start_url`, `base_url`, `project` this provider asks for: name, label, hint.
    pub fields: Vec<(String, String, String)>,
    /// Both ways exist: offers `browser` and `device`.
    pub both: bool,
    /// Instead of a start: what the operator must set first, for example a client secret.
    pub lacking: String,
    /// Where it is posted to: `/dashboard/providers/<id>/connect`, `/dashboard/accounts/<id>/reconnect`.
    pub url: String,
}

/// The start as a dialog.
#[must_use]
pub fn start_dialog(assets: &Assets, view: &Start) -> Markup {
    dialog_body(assets, &format!("Sign in to {}", view.name), &start(assets, view))
}

/// The start as a page.
#[must_use]
pub fn start_page(assets: &Assets, view: &Start) -> Markup {
    let back = format!("/dashboard/providers/{}", view.provider);
    own_page(&format!("Sign in to {}", view.name), (&view.name, &back), &start(assets, view))
}

fn start(assets: &Assets, view: &Start) -> Markup {
    let form = &view.form;
    let back = format!("/dashboard/providers/{}", view.provider);
    html! {
        @if !view.notice.is_empty() { (notice(assets, Tone::Warn, &html! { p { (view.notice) } })) }
        @if !view.lacking.is_empty() {
            (notice(assets, Tone::Info, &html! { p { (view.lacking) } }))
        } @else {
            form method="post" action=(view.url) hx-post=(view.url) hx-target="#dialog-body" hx-swap="innerHTML"
                hx-disabled-elt="find button[type=submit]" {
                input type="hidden" name="_csrf" value=(view.csrf);
                (summary("connect", form))
                p.faint { "You sign in on the vendor's own page. NineRouter never sees your password." }
                (input(form, Field::new("connect", "label", "Name").hint("For you, to tell accounts apart."), Input::Text))
                @for (name, label, hint) in &view.fields {
                    (input(form, Field::new("connect", name, label).hint(hint), Input::Text))
                }
                @if view.both {
                    (select(form, Field::new("connect", "prefer", "How").required(), &[
                        ("browser".to_owned(), "In this browser".to_owned()),
                        ("device".to_owned(), "With a code, on any device".to_owned()),
                    ]))
                }
                div.actions {
                    a.btn.quiet href=(back) data-close="dialog" { "Cancel" }
                    button.btn.primary type="submit" { "Begin" }
                }
            }
        }
    }
}

/// A sign-in under way.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the sign-in.
    pub id: String,
    /// Id of the provider.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// How the operator approves.
    pub way: Approval,
    /// How far it is.
    pub progress: Progress,
    /// When it lapses.
    pub expires: Option<Moment>,
    /// An address or code can be pasted.
    pub paste: bool,
    /// Values and errors of the paste form (`input`).
    pub form: Form,
}

/// How the operator approves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Approval {
    /// On a page that comes back here.
    Browser {
        /// The vendor's page, `https:` only.
        url: String,
    },
    /// With a code that is typed on a page.
    Device {
        /// The code.
        code: String,
        /// The page, `https:` only.
        url: String,
    },
}

/// How far a sign-in is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Still at it: `Waiting for you to approve…`, `Approved, fetching the account…`.
    Waiting(String),
    /// Done.
    Done {
        /// `Connected as you@…, plan Max`, or that it existed already.
        text: String,
        /// The account's page.
        url: String,
    },
    /// Failed, with what to do.
    Failed(String),
}

/// Content of the sign-in's page.
#[must_use]
pub fn sign_in(assets: &Assets, view: &SignIn) -> Markup {
    let waiting = matches!(view.progress, Progress::Waiting(_));
    let back = format!("/dashboard/providers/{}", view.provider);
    html! {
        header.pagehead { div {
            p.crumb { a href=(back) { (view.name) } }
            h1 { "Sign in to " (view.name) }
        } }
        section.card.narrow {
            @if waiting {
                ol.steps {
                    li.open {
                        @match &view.way {
                            Approval::Browser { url } => {
                                b { "Approve on the vendor's page" }
                                div.actions { a.btn.primary href=(url) rel="noopener noreferrer" target="_blank" {
                                    (labelled(assets, "external", "Open sign-in page"))
                                } }
                                (copy_field(assets, "sign-in-url", "the address", url))
                            }
                            Approval::Device { code, url } => {
                                b { "Enter this code on the vendor's page" }
                                div.big { (copy_field(assets, "device-code", "the code", code)) }
                                div.actions { a.btn.primary href=(url) rel="noopener noreferrer" target="_blank" {
                                    (labelled(assets, "external", "Open page"))
                                } }
                                p { "This page keeps checking; you can leave it." }
                            }
                        }
                    }
                    @if view.paste {
                        li.open #paste {
                            b { "Come back here" }
                            p { "If the browser shows “This site can't be reached”, copy the whole address and paste it." }
                            form method="post" action={ "/dashboard/connect/" (view.id) "/paste" } {
                                input type="hidden" name="_csrf" value=(view.csrf);
                                (summary("connect", &view.form))
                                (input(&view.form, Field::new("connect", "input", "Address or code").required(), Input::Text))
                                div.actions { button.btn type="submit" { "Finish" } }
                            }
                        }
                    }
                }
            }
            (progress(view))
        }
    }
}

/// Event `connect-<session id>`: how far it is.
#[must_use]
pub fn progress(view: &SignIn) -> Markup {
    let back = format!("/dashboard/providers/{}", view.provider);
    html! {
        div #connect.stack-v sse-swap={ "connect-" (view.id) } hx-swap="outerHTML" {
            @match &view.progress {
                Progress::Waiting(text) => {
                    progress aria-label="Sign-in" {}
                    p role="status" { (text) @if let Some(until) = &view.expires { " It lapses " (time(until)) "." } }
                    div.actions {
                        a.btn.small href={ "/dashboard/connect/" (view.id) } { "Check now" }
                        (post(&html! { "Cancel" }, &format!("/dashboard/connect/{}/cancel", view.id), Look::Quiet))
                    }
                }
                Progress::Done { text, url } => {
                    p role="status" { (badge(Tone::Ok, "Connected")) " " (text) }
                    div.actions {
                        a.btn.primary href=(url) { "Done" }
                        a.btn href={ (back) "/connect" } { "Add another" }
                    }
                }
                Progress::Failed(text) => {
                    p role="alert" { (badge(Tone::Bad, "Failed")) " " (text) }
                    div.actions { a.btn.primary href={ (back) "/connect" } { "Start again" } }
                }
            }
        }
    }
}
