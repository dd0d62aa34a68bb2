//! One account on a page of its own, and the forms to change it.

use maud::{Markup, html};

use crate::account::{self, Account};
use crate::add::Param;
use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::action::{Look, dialog_link, labelled, post, post_value};
use crate::part::badge::{badge, chip};
use crate::part::dialog::{dialog_body, own_page};
use crate::part::field::{Field, Form, Input, check, input, secret, select, summary, textarea};
use crate::part::icon::monogram;
use crate::part::names::{Names, names};
use crate::request::{self, Row};

/// Values of the page.
#[derive(Clone, Debug)]
pub struct AccountPage {
    /// The account.
    pub account: Account,
    /// Id of its provider, and its name.
    pub provider: (String, String),
    /// What is known of its credential: `API key`, `set · ends with c4Qz`; `Access token`, `ends in 42 m`, …
    pub credential: Vec<(String, String)>,
    /// Its last error in words, raw text below it; `None` = none.
    pub last_error: Option<LastError>,
    /// Its latest requests; may be empty.
    pub requests: Vec<Row>,
    /// Its form.
    pub form: AccountForm,
    /// How accounts are called.
    pub names: Names,
}

/// What went wrong last.
#[derive(Clone, Debug)]
pub struct LastError {
    /// Cause, consequence, remedy.
    pub text: String,
    /// When.
    pub at: Option<Moment>,
    /// Status, provider's code and body, redacted.
    pub raw: String,
}

/// Content of the page.
#[must_use]
pub fn account_page(assets: &Assets, view: &AccountPage) -> Markup {
    let account = &view.account;
    let url = format!("/dashboard/accounts/{}", account.id);
    html! {
        header.pagehead {
            div.who {
                (monogram(&account.mark))
                div {
                    p.crumb { a href={ "/dashboard/providers/" (view.provider.0) } { (view.provider.1) } }
                    h1 { (account.label) }
                    p { (account.about) @if !account.email.is_empty() { " · " (account.email) } }
                }
            }
            div.actions {
                (names(assets, &view.names))
                button.btn type="submit" form="act" formaction={ (url) "/test" } hx-post={ (url) "/test" } hx-swap="none"
                    hx-disabled-elt="this" data-key="t" { (labelled(assets, "play", "Test")) }
                @if !account.managed {
                    @if account.enabled { (post_value(&html! { "Turn off" }, &url, Look::Plain, "enabled", "false")) }
                    @else { (post_value(&html! { "Turn on" }, &url, Look::Primary, "enabled", "true")) }
                }
                (account::menu(assets, account))
            }
        }
        (state(assets, view))
        (account_form(&view.form))
        section.card aria-labelledby="requests-t" {
            header { h2 #requests-t { "Latest requests" } }
            (request::table(&view.requests))
        }
    }
}

/// State, quota, locks and credential; changes live with `acct-<id>` (`view=page`).
#[must_use]
pub fn state(assets: &Assets, view: &AccountPage) -> Markup {
    let account = &view.account;
    let id = format!("acct-{}", account.id);
    let url = format!("/dashboard/accounts/{}", account.id);
    html! {
        div.g2 id=(id) sse-swap=(id) hx-swap="outerHTML" {
            section.card.acct aria-labelledby="state-t" {
                header { h2 #state-t { "State" } (badge(account.standing.tone(), account.standing.words())) }
                (account::line(account))
                @if !account.locks.is_empty() {
                    ul.rows {
                        @for lock in &account.locks {
                            li {
                                div.t { b { (lock.words) } span { (lock.reason) } }
                                div.n { (time(&lock.until)) }
                                (post_value(&html! { "Clear" }, &format!("{url}/clear-locks"), Look::Quiet, "scope", &lock.scope))
                            }
                        }
                    }
                }
                @if let Some(error) = &view.last_error {
                    div {
                        p { (error.text) @if let Some(at) = &error.at { span.faint { " " (time(at)) } } }
                        details {
                            summary { "Technical details" }
                            pre.raw tabindex="0" aria-label="Technical details" { (error.raw) }
                        }
                    }
                }
                div.meta {
                    @if !account.in_flight.is_empty() { span { (account.in_flight) " in flight" } }
                    @if !account.day.is_empty() { span { (account.day) } }
                    @if let Some(used) = &account.last_used { span { "used " (time(used)) } }
                    @for fact in &account.facts { span { (fact) } }
                }
            }
            section.card.acct aria-labelledby="quota-t" {
                header {
                    h2 #quota-t { "Quota" }
                    (post(&labelled(assets, "refresh", "Refresh"), &format!("{url}/quota/refresh"), Look::Quiet))
                }
                (account::windows(account))
                @if !account.credits.is_empty() { p.meta { (account.credits) } }
                (account::as_of(account))
                dl.kv { @for (name, value) in &view.credential { dt { (name) } dd { (value) } } }
                div.actions {
                    @if account.refreshable { (post(&html! { "Refresh token" }, &format!("{url}/refresh"), Look::Small)) }
                    @if account.signed_in { (dialog_link(&html! { "Reconnect" }, &format!("{url}/reconnect"), Look::Small)) }
                    @else if !account.managed { (dialog_link(&html! { "Replace key" }, &format!("{url}/secret"), Look::Small)) }
                }
            }
        }
    }
}

/// The form to change an account.
///
/// Names of its values: `label, priority, weight, max_concurrent, proxy, min_remaining_percent, allow_overage,
/// allowed_models, excluded_models` (one per line), `tags` (comma-separated), `tier, endpoint, notes, params.<name>`.
#[derive(Clone, Debug, Default)]
pub struct AccountForm {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the account.
    pub id: String,
    /// Its label, or what stands for it.
    pub label: String,
    /// Names are not shown: its field reads only while somebody is in it.
    pub hide_label: bool,
    /// Revision.
    pub rev: i64,
    /// Values and errors.
    pub form: Form,
    /// Choices of `proxy`.
    pub proxies: Vec<(String, String)>,
    /// Choices of `tier`.
    pub tiers: Vec<(String, String)>,
    /// Choices of `endpoint`; shown when there are several.
    pub endpoints: Vec<(String, String)>,
    /// What else its provider needs.
    pub params: Vec<Param>,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
}

/// The form as a dialog.
#[must_use]
pub fn edit_dialog(assets: &Assets, view: &AccountForm) -> Markup {
    dialog_body(assets, &format!("Edit {}", view.label), &form(view, "#dialog-body", "innerHTML"))
}

/// The form as a page.
#[must_use]
pub fn edit_page(view: &AccountForm) -> Markup {
    let back = format!("/dashboard/accounts/{}", view.id);
    own_page(
        &format!("Edit {}", view.label),
        (&view.label, &back),
        &form(view, "#dialog-body", "innerHTML"),
    )
}

/// The form as a card of the account's page; answer to its change there.
#[must_use]
pub fn account_form(view: &AccountForm) -> Markup {
    html! {
        section #account-form.card aria-labelledby="account-form-t" {
            header { h2 #account-form-t { "Settings" } @if view.managed { (chip("set by the config file")) } }
            (form(view, "#account-form", "outerHTML"))
        }
    }
}

fn form(view: &AccountForm, target: &str, swap: &str) -> Markup {
    let values = &view.form;
    let url = format!("/dashboard/accounts/{}", view.id);
    let field = |name, label| Field::new("acct", name, label).plain();
    html! {
        form method="post" action=(url) hx-post=(url) hx-target=(target) hx-swap=(swap)
            hx-disabled-elt="find button[type=submit]" data-guard {
            input type="hidden" name="_csrf" value=(view.csrf);
            input type="hidden" name="rev" value=(view.rev);
            input type="hidden" name="form" value=(if target == "#account-form" { "page" } else { "dialog" });
            (summary("acct", values))
            fieldset disabled[view.managed] {
                div.g3 {
                    (input(values, field("label", "Name").required(), if view.hide_label { Input::Veiled } else { Input::Text }))
                    (input(values, field("priority", "Priority").required().hint("1 is asked first; equal ones share."), Input::Number))
                    (input(values, field("weight", "Weight").hint("Share under the weighted strategy."), Input::Number))
                    (input(values, field("max_concurrent", "Requests at the same time").hint("Empty: the provider's default."), Input::Number))
                    (input(values, field("min_remaining_percent", "Keep in reserve, percent").hint("Empty: as for the provider."), Input::Number))
                    (select(values, field("proxy", "Proxy"), &view.proxies))
                    (select(values, field("tier", "Tier"), &view.tiers))
                    @if view.endpoints.len() > 1 { (select(values, field("endpoint", "Site"), &view.endpoints)) }
                    (input(values, field("tags", "Tags").hint("Separated by commas."), Input::Text))
                    @for param in &view.params {
                        @let name = format!("params.{}", param.name);
                        @let place = Field::new("acct", &name, &param.label).plain();
                        (input(values, if param.required { place.required() } else { place }, Input::Text))
                    }
                }
                (check(values, field("allow_overage", "Allow paid overage").required().hint("Goes on beyond the plan where the vendor charges for it.")))
                div.g2 {
                    (textarea(values, field("allowed_models", "Only these models").hint("One per line, * for any characters. Empty: all."), 2))
                    (textarea(values, field("excluded_models", "Never these models").hint("One per line."), 2))
                }
                (textarea(values, field("notes", "Notes"), 2))
            }
            @if !view.managed {
                div.actions {
                    @if target == "#dialog-body" { a.btn.quiet href=(url) data-close="dialog" { "Cancel" } }
                    button.btn.primary type="submit" { "Save" }
                }
            }
        }
    }
}

/// A new key for an account.
#[derive(Clone, Debug, Default)]
pub struct SecretForm {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the account.
    pub id: String,
    /// Its label.
    pub label: String,
    /// What is stored: `set · ends with c4Qz`.
    pub stored: String,
    /// Values and errors (`api_key`).
    pub form: Form,
}

/// The form as a dialog.
#[must_use]
pub fn secret_dialog(assets: &Assets, view: &SecretForm) -> Markup {
    dialog_body(assets, &format!("Replace the key of {}", view.label), &secret_form(view))
}

/// The form as a page.
#[must_use]
pub fn secret_page(view: &SecretForm) -> Markup {
    let back = format!("/dashboard/accounts/{}", view.id);
    own_page(
        &format!("Replace the key of {}", view.label),
        (&view.label, &back),
        &secret_form(view),
    )
}

fn secret_form(view: &SecretForm) -> Markup {
    let back = format!("/dashboard/accounts/{}", view.id);
    let url = format!("{back}/secret");
    html! {
        form method="post" action=(url) hx-post=(url) hx-target="#dialog-body" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" {
            input type="hidden" name="_csrf" value=(view.csrf);
            (summary("secret", &view.form))
            @if !view.stored.is_empty() { p.faint { "Stored: " (view.stored) } }
            (secret(&view.form, Field::new("secret", "api_key", "New API key").required(), "off"))
            div.actions {
                a.btn.quiet href=(back) data-close="dialog" { "Cancel" }
                button.btn.primary type="submit" { "Replace key" }
            }
        }
    }
}
