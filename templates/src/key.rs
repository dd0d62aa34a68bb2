//! API keys: the list, the form for one, and its text, shown once.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::action::{Look, dialog_link, labelled};
use crate::part::badge::{Tone, badge};
use crate::part::code::{Snippet, copy_field, snippet};
use crate::part::dialog::{dialog_body, own_page};
use crate::part::empty::empty;
use crate::part::field::{Field, Form, Input, check, input, select, summary, textarea};
use crate::part::icon::icon;

/// How a key stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Admits.
    Active,
    /// Turned off.
    Off,
    /// Its time is over.
    Expired,
    /// Revoked for good.
    Revoked,
}

/// A key in the list.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `sk-nr1-9fK…c4Qz`.
    pub shown: String,
    /// How it stands.
    pub standing: Standing,
    /// Limits and scopes in words: `20 requests/min`, `$5.00 of $10.00 today`; empty = none.
    pub limits: Vec<String>,
    /// When it was last used.
    pub last_used: Option<Moment>,
    /// When it expires.
    pub expires: Option<Moment>,
    /// After a rotation: until when the old text is valid.
    pub former_until: Option<Moment>,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
}

/// The list's card; also sent out of band (`out_of_band`) after a change.
#[must_use]
pub fn list(assets: &Assets, keys: &[Row], out_of_band: bool) -> Markup {
    let new = |look| {
        dialog_link(&labelled(assets, "plus", "New key"), "/dashboard/endpoint/keys/new", look)
    };
    html! {
        section #keys.card hx-swap-oob=[out_of_band.then_some("true")] aria-labelledby="keys-t" {
            header { h2 #keys-t { "API keys" } @if !keys.is_empty() { (new(Look::Primary)) } }
            @if keys.is_empty() {
                (empty("No keys yet.", "On this computer no key is needed; create one before you use NineRouter from elsewhere.", &new(Look::Primary)))
            } @else {
                ul.rows.keys { @for key in keys { (row(assets, key)) } }
            }
        }
    }
}

fn row(assets: &Assets, key: &Row) -> Markup {
    let (tone, word) = match key.standing {
        Standing::Active => (Tone::Ok, "Active"),
        Standing::Off => (Tone::Neutral, "Off"),
        Standing::Expired => (Tone::Bad, "Expired"),
        Standing::Revoked => (Tone::Bad, "Revoked"),
    };
    let url = format!("/dashboard/endpoint/keys/{}", key.id);
    html! {
        li id={ "key-" (key.id) } {
            div.t {
                b { (key.name) }
                code { (key.shown) }
            }
            div.state { (badge(tone, word)) }
            div.meta {
                @for limit in &key.limits { span { (limit) } }
                @if key.limits.is_empty() { span { "no limits" } }
                @if let Some(used) = &key.last_used { span { "used " (time(used)) } } @else { span { "never used" } }
                @if let Some(expires) = &key.expires { span { "expires " (time(expires)) } }
                @if let Some(until) = &key.former_until { span { "old text ends " (time(until)) } }
            }
            @if !key.managed && key.standing != Standing::Revoked {
                details.menu {
                    summary.icon id={ "menu-key-" (key.id) } aria-label={ "Actions for " (key.name) } { (icon(assets, "more")) }
                    div.pop {
                        (dialog_link(&html! { "Edit" }, &format!("{url}/edit"), Look::Quiet))
                        (dialog_link(&html! { "Rotate" }, &format!("{url}/rotate"), Look::Quiet))
                        (dialog_link(&html! { "Revoke" }, &format!("{url}/revoke"), Look::Quiet))
                        (dialog_link(&html! { "Delete" }, &format!("{url}/delete"), Look::Quiet))
                    }
                }
            }
        }
    }
}

/// The form for a new key or a change of one.
///
/// Names of its values: `name, enabled, expires (never|30|90|date), expires_on, allowed_models, allowed_providers,
/// allowed_combos, allowed_cidrs` (lists, one per line), `rpm, tpm, max_concurrent, usd_day, usd_month, usd_total`.
#[derive(Clone, Debug, Default)]
pub struct KeyForm {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id and revision of a key that is changed; `None` = a new one.
    pub existing: Option<(String, i64)>,
    /// Values and errors.
    pub form: Form,
}

/// The form as a dialog.
#[must_use]
pub fn form_dialog(assets: &Assets, view: &KeyForm) -> Markup {
    dialog_body(assets, title(view), &form(view))
}

/// The form as a page.
#[must_use]
pub fn form_page(view: &KeyForm) -> Markup {
    own_page(title(view), ("Endpoint", "/dashboard/endpoint"), &form(view))
}

fn title(view: &KeyForm) -> &'static str {
    if view.existing.is_some() { "Edit key" } else { "New key" }
}

fn form(view: &KeyForm) -> Markup {
    let values = &view.form;
    let url = match &view.existing {
        Some((id, _)) => format!("/dashboard/endpoint/keys/{id}"),
        None => "/dashboard/endpoint/keys".to_owned(),
    };
    let field = |name, label| Field::new("key", name, label);
    let option = |value: &str, words: &str| (value.to_owned(), words.to_owned());
    let expiries = [
        option("never", "Never"),
        option("30", "In 30 days"),
        option("90", "In 90 days"),
        option("date", "On a date"),
    ];
    html! {
        form method="post" action=(url) hx-post=(url) hx-target="#dialog-body" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" data-guard {
            input type="hidden" name="_csrf" value=(view.csrf);
            @if let Some((_, rev)) = &view.existing { input type="hidden" name="rev" value=(rev); }
            (summary("key", values))
            (input(values, field("name", "Name").required().hint("For you: the tool or person that uses it."), Input::Text))
            @if view.existing.is_some() { (check(values, field("enabled", "Active").required())) }
            div.g2 {
                (select(values, field("expires", "Expires").required(), &expiries))
                (input(values, field("expires_on", "Date").hint("Only with “On a date”."), Input::Date))
            }
            fieldset {
                legend { "Limits" }
                div.g3 {
                    (input(values, field("rpm", "Requests per minute"), Input::Number))
                    (input(values, field("tpm", "Tokens per minute"), Input::Number))
                    (input(values, field("max_concurrent", "At the same time"), Input::Number))
                    (input(values, field("usd_day", "$ per day"), Input::Text))
                    (input(values, field("usd_month", "$ per month"), Input::Text))
                    (input(values, field("usd_total", "$ in total"), Input::Text))
                }
            }
            details open[has_access(values)] {
                summary { "What it may use, and from where" }
                (textarea(values, field("allowed_models", "Models").hint("One per line, * for any characters. Empty: all."), 2))
                (textarea(values, field("allowed_providers", "Providers").hint("One id or prefix per line. Empty: all."), 2))
                (textarea(values, field("allowed_combos", "Combos").hint("One name per line. Empty: all."), 2))
                (textarea(values, field("allowed_cidrs", "Addresses").hint("One address or network per line, for example 192.168.1.0/24. Empty: all."), 2))
            }
            div.actions {
                a.btn.quiet href="/dashboard/endpoint" data-close="dialog" { "Cancel" }
                button.btn.primary type="submit" { @if view.existing.is_some() { "Save" } @else { "Create key" } }
            }
        }
    }
}

fn has_access(form: &Form) -> bool {
    ["allowed_models", "allowed_providers", "allowed_combos", "allowed_cidrs"]
        .iter()
        .any(|name| !form.value(name).is_empty() || form.error(name).is_some())
}

/// A key's text: the only page that ever holds it.
#[derive(Clone)]
pub struct Created {
    /// Name of the key.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Ready to paste.
    pub snippets: Vec<Snippet>,
}

impl std::fmt::Debug for Created {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The text as a dialog.
#[must_use]
pub fn created_dialog(assets: &Assets, view: &Created) -> Markup {
    dialog_body(assets, "Copy your key now", &created(assets, view))
}

/// The text as a page.
#[must_use]
pub fn created_page(assets: &Assets, view: &Created) -> Markup {
    own_page("Copy your key now", ("Endpoint", "/dashboard/endpoint"), &created(assets, view))
}

fn created(assets: &Assets, view: &Created) -> Markup {
    html! {
        p { "The text of “" (view.name) "” is shown this once. NineRouter keeps only a hash of it." }
        (copy_field(assets, "key-text", "the key", &view.text))
        @for (at, one) in view.snippets.iter().enumerate() { (snippet(assets, &format!("key-snippet-{at}"), one)) }
        div.actions { a.btn.primary href="/dashboard/endpoint" data-close="dialog" { "I have copied it" } }
    }
}
