//! One provider: its accounts, models, routing and settings.

use maud::{Markup, html};

use crate::account::{self, Account};
use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::action::{Look, dialog_link, labelled, link, post};
use crate::part::badge::{Tone, badge, chip};
use crate::part::empty::empty;
use crate::part::field::{Field, Form, Input, check, input, select, summary, textarea};
use crate::part::icon::{Monogram, icon, monogram};
use crate::part::names::{Names, names};
use crate::part::notice::notice;

/// Values of the page.
#[derive(Clone, Debug)]
pub struct Provider {
    /// CSRF token of the session.
    pub csrf: String,
    /// Its id.
    pub id: String,
    /// Its mark.
    pub mark: Monogram,
    /// Its name.
    pub name: String,
    /// Facts below the name: prefix, dialect, tier.
    pub facts: Vec<String>,
    /// One sentence: `2 accounts ready, 1 out of quota until 14:05.`
    pub sentence: String,
    /// Its vendor ended or limited it.
    pub status: Option<(Tone, String)>,
    /// What to know before connecting (terms); empty = nothing.
    pub notice: String,
    /// The vendor's page, `https:` only.
    pub vendor_url: Option<String>,
    /// It is an operator's own provider: can be edited and deleted.
    pub custom: bool,
    /// Ways to an account.
    pub ways: Vec<Way>,
    /// Its accounts in order of priority.
    pub accounts: Vec<Account>,
    /// Which part of its accounts these are; `None` = all.
    pub part: Option<Part>,
    /// Its models.
    pub models: Models,
    /// Routing and settings.
    pub settings: Settings,
    /// How accounts are called.
    pub names: Names,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// `50 of 5,000`.
    pub words: String,
    /// URL of the next part.
    pub next: Option<String>,
    /// URL of the first part, from a later one.
    pub first: Option<String>,
}

/// A way to add an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// What the button says: `Sign in`, `Add API key`, `Add many keys`, `Import`.
    pub label: String,
    /// Icon: `user`, `key`, `layers`, `upload`.
    pub icon: &'static str,
    /// What happens, in a line.
    pub effect: String,
    /// Page below `/dashboard/` that also opens as a dialog.
    pub url: String,
}

/// Models of a provider.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// What is searched for.
    pub query: String,
    /// Those shown.
    pub shown: Vec<Model>,
    /// How many there are.
    pub total: usize,
    /// URL of the next part.
    pub next: Option<String>,
}

/// One model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Id as clients write it: `cc/claude-opus-4-6`.
    pub key: String,
    /// Provider and model as a path: `claude/claude-opus-4-6`, percent-encoded.
    pub path: String,
    /// Display name; may be empty.
    pub name: String,
    /// Window: `200k`; `—` when unknown.
    pub context: String,
    /// Longest answer: `64k`; `—` when unknown.
    pub output: String,
    /// `vision`, `tools`, `reasoning`, `json`, `pdf`, `audio`.
    pub capabilities: Vec<String>,
    /// `$1.50 in · $0.15 cached · $7.50 out`, or `unpriced`.
    pub price: String,
    /// `catalog`, `fetched`, `manual`.
    pub source: String,
    /// Its last test: how it went, and when; `None` = none since the start.
    pub test: Option<(Tone, String, Moment)>,
    /// Served and listed.
    pub enabled: bool,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
}

/// Routing and settings of a provider.
///
/// Names of its values: `enabled, tier, account_strategy, sticky_count, affinity_ttl_s, cooldown_base_s, cooldown_max_s,
/// max_in_flight, min_remaining_percent, retry_statuses` (comma-separated), `proxy, headers` (`Name: value` per line).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Revision.
    pub rev: i64,
    /// Values and errors.
    pub form: Form,
    /// Choices of `account_strategy`: value and words; the first is the inherited one.
    pub strategies: Vec<(String, String)>,
    /// Choices of `tier`.
    pub tiers: Vec<(String, String)>,
    /// Choices of `proxy`: `inherit`, `direct`, ids.
    pub proxies: Vec<(String, String)>,
    /// URLs that are called, as `name: url`.
    pub endpoints: Vec<(String, String)>,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
}

/// Content of the page.
#[must_use]
pub fn provider(assets: &Assets, view: &Provider) -> Markup {
    let url = format!("/dashboard/providers/{}", view.id);
    html! {
        header.pagehead {
            div.who {
                (monogram(&view.mark))
                div {
                    p.crumb { a href="/dashboard/providers" { "Providers" } }
                    h1 { (view.name) }
                    p { @for (at, fact) in view.facts.iter().enumerate() { @if at > 0 { " · " } (fact) } }
                }
                @if let Some((tone, words)) = &view.status { (badge(*tone, words)) }
            }
            div.actions {
                @if let Some(vendor) = &view.vendor_url {
                    a.btn.quiet href=(vendor) rel="noopener noreferrer" target="_blank" {
                        (labelled(assets, "external", "Vendor's page"))
                    }
                }
                @if !view.accounts.is_empty() { (names(assets, &view.names)) }
                @if view.custom { (link(&labelled(assets, "edit", "Edit provider"), &format!("{url}/edit"), Look::Plain)) }
            }
        }
        @if !view.notice.is_empty() { div.card { (notice(assets, Tone::Warn, &html! { p { (view.notice) } })) } }
        (accounts(assets, view))
        (models(assets, &view.csrf, &url, &view.models))
        (settings(&view.csrf, &view.id, &view.settings))
    }
}

fn accounts(assets: &Assets, view: &Provider) -> Markup {
    let ways = html! {
        @for (at, way) in view.ways.iter().enumerate() {
            (dialog_link(&labelled(assets, way.icon, &way.label), &way.url, if at == 0 { Look::Primary } else { Look::Plain }))
        }
    };
    html! {
        section #accounts.card aria-labelledby="accounts-t" {
            header { h2 #accounts-t { "Accounts" } @if !view.accounts.is_empty() { div.actions { (ways) } } }
            @if view.accounts.is_empty() {
                (empty("No account yet.", &view.sentence, &ways))
                ul.ways { @for way in &view.ways { li { b { (way.label) } ": " (way.effect) } } }
            } @else {
                p.faint { (view.sentence) " The first in this list is asked first." }
                (account_list(assets, &view.id, &view.accounts, false))
                @if let Some(part) = &view.part {
                    p.faint {
                        (part.words)
                        @if let Some(next) = &part.next { " · " a href=(next) { "Next" } }
                        @if let Some(first) = &part.first { " · " a href=(first) { "From the first" } }
                    }
                }
                (batch(&view.csrf, &view.id, &view.settings.proxies))
            }
        }
    }
}

/// What is done with all ticked accounts.
fn batch(csrf: &str, provider: &str, proxies: &[(String, String)]) -> Markup {
    let url = format!("/dashboard/providers/{provider}/accounts/batch");
    let acts =
        [("enable", "Turn on"), ("disable", "Turn off"), ("test", "Test"), ("delete", "Delete")];
    let none = Form::default();
    let field = |name, label| Field::new("batch", name, label).plain();
    let as_it_is = (String::new(), "As it is".to_owned());
    // What is inherited here is the provider's own.
    let proxy = |(value, words): &(String, String)| match value.as_str() {
        "inherit" => (value.clone(), "As for the provider".to_owned()),
        _ => (value.clone(), words.clone()),
    };
    let proxies: Vec<_> = std::iter::once(as_it_is).chain(proxies.iter().map(proxy)).collect();
    html! {
        form #batch method="post" action=(url) hx-post=(url) hx-target="#dialog-body" hx-swap="innerHTML" {
            input type="hidden" name="_csrf" value=(csrf);
            details {
                summary { "Several at once" }
                div.stack-v.more {
                    // First of the form: Enter in a field sets, and turns nothing off.
                    div.line-form {
                        (input(&none, field("priority", "Priority"), Input::Number))
                        (select(&none, field("proxy", "Proxy"), &proxies))
                        button.btn type="submit" name="action" value="set" { "Set for the ticked ones" }
                    }
                    div.actions {
                        span.faint { "With the ticked ones:" }
                        @for (action, label) in acts {
                            button.btn.small type="submit" name="action" value=(action) { (label) }
                        }
                    }
                }
            }
        }
    }
}

/// The list of accounts; also sent out of band after a change of their order or number.
#[must_use]
pub fn account_list(
    assets: &Assets,
    provider: &str,
    accounts: &[Account],
    out_of_band: bool,
) -> Markup {
    html! {
        ol #account-list.accts data-order={ "/dashboard/providers/" (provider) "/accounts/reorder" }
            hx-swap-oob=[out_of_band.then_some("true")] {
            @for one in accounts { (account::row(assets, one)) }
        }
    }
}

fn models(assets: &Assets, csrf: &str, url: &str, view: &Models) -> Markup {
    html! {
        section #models.card aria-labelledby="models-t" {
            header {
                h2 #models-t { "Models" }
                div.actions {
                    form.search method="get" action=(url) role="search" {
                        label.sr for="models-q" { "Search models" }
                        (icon(assets, "search"))
                        input #models-q type="search" name="q" value=(view.query) placeholder="Search" autocomplete="off"
                            spellcheck="false" hx-get=(url) hx-trigger="input changed delay:300ms, search"
                            hx-target="#model-list" hx-select="#model-list" hx-swap="outerHTML" hx-push-url="true"
                            hx-sync="this:replace" data-key="/";
                    }
                    (post(&labelled(assets, "refresh", "Fetch list"), &format!("{url}/models/fetch"), Look::Plain))
                    (dialog_link(&labelled(assets, "plus", "Add model"), &format!("{url}/models/new"), Look::Plain))
                }
            }
            div #model-list {
                @if view.shown.is_empty() {
                    p.faint {
                        @if view.query.is_empty() { "No model is known. Add one by its id, or use any id with this provider's prefix." }
                        @else { "No model matches “" (view.query) "”." }
                    }
                } @else {
                    div.table tabindex="0" role="region" aria-label="Models" {
                        table.stack {
                            thead { tr {
                                th scope="col" { "Model" } th.n scope="col" { "Context" } th.n scope="col" { "Output" }
                                th scope="col" { "Can" } th scope="col" { "Price per 1M" } th scope="col" { "From" }
                                th scope="col" { "Last test" } th scope="col" { "Served" }
                            } }
                            tbody { @for one in &view.shown { (model(one)) } }
                        }
                    }
                    p.faint {
                        (view.shown.len()) " of " (view.total)
                        @if let Some(next) = &view.next { " · " a href=(next) { "Show more" } }
                    }
                }
            }
            @if !view.shown.is_empty() { (model_batch(csrf, url)) }
        }
    }
}

/// What is done with all ticked models.
fn model_batch(csrf: &str, url: &str) -> Markup {
    let url = format!("{url}/models/batch");
    let acts = [("test", "Test"), ("enable", "Serve"), ("disable", "Do not serve")];
    html! {
        form #model-batch method="post" action=(url) hx-post=(url) hx-swap="none" {
            input type="hidden" name="_csrf" value=(csrf);
            div.actions {
                span.faint { "With the ticked ones (a test is one smallest request to each and uses a little quota):" }
                @for (action, label) in acts {
                    button.btn.small type="submit" name="action" value=(action) { (label) }
                }
            }
        }
    }
}

/// One model's row; answer to its switch.
#[must_use]
pub fn model(view: &Model) -> Markup {
    let id = element_id("model", &view.key);
    let url = format!("/dashboard/models/{}", view.path);
    html! {
        tr id=(id) {
            td data-label="Model" {
                label for={ (id) "-tick" } {
                    input id={ (id) "-tick" } type="checkbox" name="keys" value=(view.key) form="model-batch";
                    " " code { (view.key) }
                }
                @if !view.name.is_empty() { span.sub { (view.name) } }
            }
            td.n data-label="Context" { (view.context) }
            td.n data-label="Output" { (view.output) }
            td data-label="Can" { (view.capabilities.join(", ")) }
            td data-label="Price" { (view.price) }
            td data-label="From" { (view.source) }
            td data-label="Last test" {
                @if let Some((tone, words, at)) = &view.test { (badge(*tone, words)) span.sub { (time(at)) } } @else { "—" }
            }
            td data-label="Served" {
                @if view.managed { (if view.enabled { "yes" } else { "no" }) span.sub { "by config file" } }
                @else {
                    button.switch type="submit" role="switch" aria-checked=(view.enabled) aria-label={ "Serve " (view.key) }
                        form="act" formaction=(url) name="enabled" value=(!view.enabled) hx-post=(url)
                        hx-target="closest tr" hx-swap="outerHTML" hx-disabled-elt="this" {}
                }
            }
        }
    }
}

/// An id that holds no character which a selector would read.
pub(crate) fn element_id(kind: &str, name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{kind}-{name}")
}

/// Routing and settings; answer to their change.
#[must_use]
pub fn settings(csrf: &str, provider: &str, view: &Settings) -> Markup {
    let url = format!("/dashboard/providers/{provider}");
    let form = &view.form;
    let field = |name, label| Field::new("provider", name, label).plain();
    let number = |name, label, hint| input(form, field(name, label).hint(hint), Input::Number);
    html! {
        section #provider-settings.card aria-labelledby="settings-t" {
            header { h2 #settings-t { "Routing and settings" } @if view.managed { (chip("set by the config file")) } }
            form method="post" action=(url) hx-post=(url) hx-target="#provider-settings" hx-swap="outerHTML"
                hx-disabled-elt="find button[type=submit]" data-guard {
                input type="hidden" name="_csrf" value=(csrf);
                input type="hidden" name="rev" value=(view.rev);
                (summary("provider", form))
                fieldset disabled[view.managed] {
                    (check(form, field("enabled", "Use this provider").required()))
                    div.g3 {
                        (select(form, field("account_strategy", "Which account is asked first"), &view.strategies))
                        (number("sticky_count", "Requests in a row", "With round-robin: before the next account's turn."))
                        (number("affinity_ttl_s", "Keep a conversation on its account, seconds", "Empty: as in Settings."))
                        (number("cooldown_base_s", "First cool-down, seconds", "Doubles with each failure."))
                        (number("cooldown_max_s", "Longest cool-down, seconds", ""))
                        (number("max_in_flight", "Requests at the same time", "Over all its accounts."))
                        (number("min_remaining_percent", "Keep in reserve, percent", "An account with less left is asked last."))
                        (input(form, field("retry_statuses", "Also try another account on").hint("HTTP statuses, separated by commas."), Input::Text))
                        (select(form, field("tier", "Tier"), &view.tiers))
                        (select(form, field("proxy", "Proxy"), &view.proxies))
                    }
                    (textarea(form, field("headers", "Further headers").hint("One “Name: value” per line. Credentials are refused here."), 2))
                }
                @if !view.endpoints.is_empty() {
                    dl.kv { @for (name, url) in &view.endpoints { dt { (name) } dd { code { (url) } } } }
                }
                @if !view.managed { div.actions { button.btn type="submit" { "Save" } } }
            }
        }
    }
}
