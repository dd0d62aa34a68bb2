//! Endpoint: addresses for tools, API keys, and who needs one.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::key;
use crate::part::badge::chip;
use crate::part::code::{Snippet, copy_field, snippet};
use crate::part::field::{Choice, Field, Form, radios, summary};
use crate::remote::{self, Remote};

/// Values of the page.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// CSRF token of the session.
    pub csrf: String,
    /// One sentence: `Listens on 127.0.0.1:20128. No key is needed on this computer.`
    pub sentence: String,
    /// Base URLs by kind of client.
    pub addresses: Vec<Address>,
    /// Ready to paste.
    pub snippets: Vec<Snippet>,
    /// API keys.
    pub keys: Vec<key::Row>,
    /// Who needs a key.
    pub requirement: Requirement,
    /// Ways in from elsewhere.
    pub remote: Remote,
}

/// One address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Who takes it: `OpenAI, Codex, Cursor`.
    pub clients: String,
    /// The base URL.
    pub url: String,
    /// What to know of it; may be empty.
    pub note: String,
}

/// The setting `require_api_key`.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// Value `require_api_key` (`auto`, `true` or `false`), and what was wrong with a change.
    pub form: Form,
    /// What it means for the present listener.
    pub sentence: String,
    /// What it is fixed by: `REQUIRE_API_KEY` in the environment; empty = it can be changed.
    pub fixed_by: String,
}

/// Content of the page.
#[must_use]
pub fn endpoint(assets: &Assets, view: &Endpoint) -> Markup {
    html! {
        header.pagehead { div { h1 { "Endpoint" } p { (view.sentence) } } }
        section.card.glass aria-labelledby="addresses-t" {
            header { h2 #addresses-t { "Addresses" } }
            div.g3 {
                @for (at, address) in view.addresses.iter().enumerate() {
                    div {
                        p.lab { (address.clients) }
                        (copy_field(assets, &format!("address-{at}"), &format!("the base URL for {}", address.clients), &address.url))
                        @if !address.note.is_empty() { p.hint { (address.note) } }
                    }
                }
            }
            p.faint { "If localhost fails on your system, use 127.0.0.1: some tools try IPv6 first." }
        }
        (key::list(assets, &view.keys, false))
        section.card aria-labelledby="snippets-t" {
            header { h2 #snippets-t { "Ready to paste" } }
            div.g2 {
                @for (at, one) in view.snippets.iter().enumerate() { (snippet(assets, &format!("snippet-{at}"), one)) }
            }
        }
        (requirement(&view.csrf, &view.requirement))
        (remote::card(assets, &view.csrf, &view.remote))
    }
}

/// The card on who needs a key; answer to a change of it.
#[must_use]
pub fn requirement(csrf: &str, view: &Requirement) -> Markup {
    let choice = |value: &str, label: &str, effect: &str| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        effect: effect.to_owned(),
    };
    let choices = [
        choice(
            "auto",
            "Automatic",
            "Needed as soon as another computer can reach the router. Recommended.",
        ),
        choice("true", "Always", "Every request needs a key, from this computer too."),
        choice(
            "false",
            "Never on trusted addresses",
            "Addresses that the router trusts need none; all others do.",
        ),
    ];
    html! {
        section #requirement.card aria-labelledby="requirement-t" {
            header {
                h2 #requirement-t { "Require a key" }
                @if !view.fixed_by.is_empty() { (chip(&format!("set by {}", view.fixed_by))) }
            }
            p.faint { (view.sentence) }
            @if view.fixed_by.is_empty() {
                form method="post" action="/dashboard/endpoint/requirement" hx-post="/dashboard/endpoint/requirement"
                    hx-target="#requirement" hx-swap="outerHTML" hx-disabled-elt="find button[type=submit]" {
                    input type="hidden" name="_csrf" value=(csrf);
                    (summary("requirement", &view.form))
                    (radios(&view.form, Field::new("requirement", "require_api_key", "Clients need a key").required(), &choices))
                    div.actions { button.btn type="submit" { "Save" } }
                }
            }
        }
    }
}
