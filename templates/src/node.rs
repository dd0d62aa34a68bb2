//! An operator's own provider: the form, and the outcome of trying its address.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::badge::{Tone, badge};
use crate::part::dialog::own_page;
use crate::part::field::{
    Choice, Field, Form, Input, check, input, radios, secret, select, summary, textarea,
};
use crate::part::icon::icon;

/// The form for a new node or a change of one.
///
/// Names of its values: `name, prefix, api_type, base_url, auth_style, auth_header, headers` (`Name: value` per line),
/// `model_source, models` (one per line), `network, insecure_http, test_model`; `api_key` only for the check and the
/// first account.
#[derive(Clone, Debug, Default)]
pub struct NodeForm {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id, name and revision of a node that is changed; `None` = a new one.
    pub existing: Option<(String, String, i64)>,
    /// Values and errors.
    pub form: Form,
    /// Choices of `api_type`: what it speaks.
    pub types: Vec<(String, String)>,
    /// Choices of `auth_style`.
    pub auth_styles: Vec<(String, String)>,
    /// Choices of `network`, each with its effect.
    pub networks: Vec<Choice>,
    /// Choices of `model_source`.
    pub model_sources: Vec<(String, String)>,
    /// The URL that will be called, once the base URL is known; empty before.
    pub called_url: String,
    /// What a check found.
    pub trial: Option<Trial>,
}

/// Outcome of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial {
    /// `Ok`, `Warn` or `Bad`.
    pub tone: Tone,
    /// In a word: `Reached`, `Refused`, `Not reached`.
    pub word: String,
    /// URL called, status, time, models, first error line.
    pub facts: Vec<(String, String)>,
}

/// Content of `/dashboard/providers/new` and `/dashboard/providers/<id>/edit`.
#[must_use]
pub fn node_page(assets: &Assets, view: &NodeForm) -> Markup {
    let title = match &view.existing {
        Some((_, name, _)) => format!("Edit {name}"),
        None => "Add custom provider".to_owned(),
    };
    own_page(&title, ("Providers", "/dashboard/providers"), &form(assets, view))
}

/// The form; answer to a check and to a refused save.
#[must_use]
pub fn form(assets: &Assets, view: &NodeForm) -> Markup {
    let values = &view.form;
    let url = match &view.existing {
        Some((id, ..)) => format!("/dashboard/nodes/{id}"),
        None => "/dashboard/nodes".to_owned(),
    };
    let field = |name, label| Field::new("node", name, label);
    html! {
        form #node-form method="post" action=(url) hx-post=(url) hx-target="this" hx-swap="outerHTML"
            hx-disabled-elt="find button[type=submit]" data-guard {
            input type="hidden" name="_csrf" value=(view.csrf);
            @if let Some((_, _, rev)) = &view.existing { input type="hidden" name="rev" value=(rev); }
            (summary("node", values))
            div.g2 {
                (input(values, field("name", "Name").required(), Input::Text))
                (input(values, field("prefix", "Prefix").required()
                    .hint("Before the slash of its model ids: lower case, digits, dot, dash, underscore."), Input::Text))
            }
            (select(values, field("api_type", "Speaks").required(), &view.types))
            (input(values, field("base_url", "Base URL").required().hint("For example https://llm.example.org/v1"), Input::Text))
            @if !view.called_url.is_empty() { p.hint { "Will be called: " code { (view.called_url) } } }
            (radios(values, field("network", "Where it is").required(), &view.networks))
            (check(values, field("insecure_http", "Allow http: without encryption").required()
                .hint("Keys and prompts can be read on the way. For your own network only.")))
            div.g2 {
                (select(values, field("auth_style", "Credential").required(), &view.auth_styles))
                (input(values, field("auth_header", "Header name").hint("Only for a header of its own."), Input::Text))
            }
            @if view.existing.is_none() {
                (secret(values, field("api_key", "API key").hint("Becomes its first account."), "off"))
            }
            (textarea(values, field("headers", "Further headers").hint("One “Name: value” per line. Credentials are refused here."), 2))
            div.g2 {
                (select(values, field("model_source", "Models").required(), &view.model_sources))
                (input(values, field("test_model", "Model for tests"), Input::Text))
            }
            (textarea(values, field("models", "Model ids").hint("One per line. Only for a list by hand."), 3))
            @if let Some(trial) = &view.trial { (outcome(trial)) }
            div.actions {
                a.btn.quiet href="/dashboard/providers" { "Cancel" }
                button.btn type="submit" name="validate" value="true" { (icon(assets, "play")) "Check connection" }
                button.btn.primary type="submit" { @if view.existing.is_some() { "Save" } @else { "Add provider" } }
            }
        }
    }
}

fn outcome(trial: &Trial) -> Markup {
    html! {
        div.trial role="status" {
            (badge(trial.tone, &trial.word))
            dl.kv { @for (name, value) in &trial.facts { dt { (name) } dd { code { (value) } } } }
        }
    }
}
