//! The editor of one combo: a page of its own, with a list of entries that works with and without script.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::chart::{Shares, shares};
use crate::combo::simulation::no_simulation;
use crate::combo::target_list;
use crate::combo::trial::no_trial;
use crate::part::action::{Look, dialog_link, labelled};
use crate::part::badge::{Tone, badge};
use crate::part::code::copy_field;
use crate::part::field::{Choice, Field, Form, Input, check, input, radios, select, summary};
use crate::part::icon::icon;
use crate::part::notice::notice;
use crate::part::order::{handle, steps};
use crate::provider::element_id;

/// Values of the editor.
///
/// Names of its values: `name, description, strategy, enabled, sticky, sticky_ttl_s, rr_sticky_count, max_attempts,
/// deadline_ms, fallback_on_policy, capability_filter, report_real_model`, and for each entry in order `entry_key,
/// entry_target, entry_weight, entry_enabled` (`true`|`false`), `entry_account` (id or empty). Buttons without saving:
/// `add=1` with `new_target`, `drop=<key>`, `move=<key>:up|down`; the answer is the form again.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id, name and revision; `None` = a new one.
    pub existing: Option<(String, String, i64)>,
    /// Values and errors.
    pub form: Form,
    /// Strategies that exist, each with its effect.
    pub strategies: Vec<Choice>,
    /// Entries in order.
    pub entries: Vec<Entry>,
    /// The strategy takes weights.
    pub weighted: bool,
    /// What works, but not as hoped for.
    pub warnings: Vec<String>,
    /// Names that can be a target.
    pub targets: Vec<String>,
    /// Accounts and providers that a simulation can pretend to be out: value and words.
    pub pretend: Vec<(String, String)>,
    /// Requests of the last day by the model that answered; `None` = there were none.
    pub served: Option<Shares>,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
}

/// An entry of a combo.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Its id, or a key that the handler made for a new one.
    pub key: String,
    /// Its target.
    pub target: String,
    /// Its weight.
    pub weight: String,
    /// Turned on.
    pub enabled: bool,
    /// The account it is pinned to; empty = any.
    pub account: String,
    /// Choices of the pin: value and words; the first is any.
    pub accounts: Vec<(String, String)>,
    /// How it stands: tone and words; `None` = not saved yet.
    pub state: Option<(Tone, String)>,
    /// `200k`, `vision`, `$1.50 in`, …
    pub facts: Vec<String>,
    /// What is wrong with it, or worth knowing.
    pub error: String,
}

/// Content of `/dashboard/combos/new` and `/dashboard/combos/<id>`.
#[must_use]
pub fn editor(assets: &Assets, view: &Editor) -> Markup {
    let title = view.existing.as_ref().map_or("New combo", |(_, name, _)| name.as_str());
    html! {
        header.pagehead {
            div { p.crumb { a href="/dashboard/combos" { "Combos" } } h1 { (title) } }
            @if let Some((id, ..)) = &view.existing {
                @if !view.managed {
                    div.actions { (dialog_link(&labelled(assets, "trash", "Delete"), &format!("/dashboard/combos/{id}/delete"), Look::Quiet)) }
                }
            }
        }
        div.split {
            div #combo-box { (editor_form(assets, view)) }
            @if let Some((id, name, _)) = &view.existing { (try_it(assets, view, id, name)) }
            @else { p.faint.card { "Save it, then see here who would serve." } }
        }
        (target_list(&view.targets))
    }
}

/// The form; answer to a refused save and to the buttons that don't save. It goes into
/// the box around it: no control's name can then stand in the way of taking the old one out.
#[must_use]
pub fn editor_form(assets: &Assets, view: &Editor) -> Markup {
    let form = &view.form;
    let url = match &view.existing {
        Some((id, ..)) => format!("/dashboard/combos/{id}"),
        None => "/dashboard/combos".to_owned(),
    };
    let field = |name, label| Field::new("combo", name, label);
    html! {
        form #combo-form method="post" action=(url) hx-post=(url) hx-target="#combo-box" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" data-guard {
            input type="hidden" name="_csrf" value=(view.csrf);
            @if let Some((_, _, rev)) = &view.existing { input type="hidden" name="rev" value=(rev); }
            // Enter in a field saves: the first submit button is the one that counts.
            button.sr type="submit" tabindex="-1" aria-hidden="true" { "Save" }
            (summary("combo", form))
            @if view.managed { (notice(assets, Tone::Info, &html! { p { "This combo comes from the config file and is changed there." } })) }
            @for warning in &view.warnings { (notice(assets, Tone::Warn, &html! { p { (warning) } })) }
            fieldset disabled[view.managed] {
                section.card.stack-l aria-labelledby="entries-t" {
                    header { h2 #entries-t { "Entries" } span.count { (view.entries.len()) } }
                    @if view.entries.is_empty() { p.faint { "No entry yet. Add the target that is asked first." } }
                    ol.entries data-order="" { @for entry in &view.entries { (entry_row(assets, entry, view.weighted)) } }
                    div.line-form {
                        div.field {
                            label for="combo-new_target" { "Add entry" }
                            input #combo-new_target name="new_target" type="text" list="targets" autocomplete="off"
                                spellcheck="false" placeholder="prefix/model or a combo";
                        }
                        button.btn type="submit" name="add" value="1" formnovalidate { (icon(assets, "plus")) "Add" }
                    }
                }
                section.card.stack-l aria-labelledby="combo-about-t" {
                    header { h2 #combo-about-t { "Name and strategy" } }
                    div.g2 {
                        (input(form, field("name", "Name").required().hint("What clients ask for. Letters, digits, dot, dash, underscore."), Input::Text))
                        (input(form, field("description", "Description"), Input::Text))
                    }
                    (radios(form, field("strategy", "Strategy").required(), &view.strategies))
                    (check(form, field("enabled", "Turned on").required()))
                    details open[!form.errors.is_empty()] {
                        summary { "Advanced" }
                        div.g3.more {
                            (input(form, field("max_attempts", "Most attempts"), Input::Number))
                            (input(form, field("deadline_ms", "Deadline, ms").hint("No further attempt begins after it."), Input::Number))
                            (input(form, field("rr_sticky_count", "Requests in a row").hint("With round-robin."), Input::Number))
                            (input(form, field("sticky_ttl_s", "Keep a conversation, seconds"), Input::Number))
                        }
                        (check(form, field("sticky", "Keep a conversation on its entry").required()))
                        (check(form, field("capability_filter", "Skip entries that cannot do what the request needs").required()))
                        (check(form, field("fallback_on_policy", "Go on after a content refusal").required()))
                        (check(form, field("report_real_model", "Tell clients the model that really answered").required()))
                    }
                }
            }
            @if !view.managed {
                div.actions.stick {
                    a.btn.quiet href="/dashboard/combos" { "Cancel" }
                    button.btn.primary type="submit" { @if view.existing.is_some() { "Save combo" } @else { "Create combo" } }
                }
            }
        }
    }
}

fn entry_row(assets: &Assets, entry: &Entry, weighted: bool) -> Markup {
    let id = |name: &str| element_id(&format!("entry-{name}"), &entry.key);
    html! {
        li.entry data-id=(entry.key) data-name=(entry.target) {
            input type="hidden" name="entry_key" value=(entry.key);
            (handle(assets, &entry.target))
            div.field.grow {
                label.sr for=(id("target")) { "Target" }
                input id=(id("target")) name="entry_target" type="text" list="targets" value=(entry.target) required
                    autocomplete="off" spellcheck="false" aria-invalid=[(!entry.error.is_empty()).then_some("true")]
                    aria-describedby=[(!entry.error.is_empty()).then(|| id("error"))];
            }
            @if weighted {
                div.field.tight {
                    label.sr for=(id("weight")) { "Weight of " (entry.target) }
                    input id=(id("weight")) name="entry_weight" type="number" min="0" max="1000" value=(entry.weight) title="Weight";
                }
            } @else { input type="hidden" name="entry_weight" value=(entry.weight); }
            div.field.tight2 {
                label.sr for=(id("account")) { "Account of " (entry.target) }
                select id=(id("account")) name="entry_account" title="Account" {
                    @for (value, words) in &entry.accounts { option value=(value) selected[*value == entry.account] { (words) } }
                }
            }
            div.field.tight2 {
                label.sr for=(id("enabled")) { "Use " (entry.target) }
                select id=(id("enabled")) name="entry_enabled" title="Use" {
                    option value="true" selected[entry.enabled] { "Used" }
                    option value="false" selected[!entry.enabled] { "Left out" }
                }
            }
            (steps(assets, &entry.key, &entry.target))
            // Not `remove`: a control of that name would stand in for the form's own method of this name.
            button.icon type="submit" name="drop" value=(entry.key) formnovalidate aria-label={ "Remove " (entry.target) } {
                (icon(assets, "trash"))
            }
            div.meta.wide {
                @if let Some((tone, words)) = &entry.state { (badge(*tone, words)) }
                @for fact in &entry.facts { span { (fact) } }
            }
            @if !entry.error.is_empty() { p.err.wide id=(id("error")) { (entry.error) } }
        }
    }
}

fn try_it(assets: &Assets, view: &Editor, id: &str, name: &str) -> Markup {
    let url = format!("/dashboard/combos/{id}/simulate");
    html! {
        div {
            section.card aria-labelledby="use-t" {
                header { h2 #use-t { "Ask for it" } }
                p.lab { "Model name in your tool" }
                (copy_field(assets, "ask-name", "the name", name))
            }
            @if let Some(served) = &view.served {
                section.card.stack-v aria-labelledby="served-t" {
                    header { h2 #served-t { "Served in 24 h" } }
                    (shares(served))
                }
            }
            section.card aria-labelledby="try-t" {
                header { h2 #try-t { "Who would serve?" } }
                form method="post" action=(url) hx-post=(url) hx-target="#simulation" hx-swap="outerHTML"
                    hx-trigger="submit, change" {
                    input type="hidden" name="_csrf" value=(view.csrf);
                    @if !view.pretend.is_empty() {
                        fieldset {
                            legend { "Pretend these are out" }
                            div.ticks {
                                @for (value, words) in &view.pretend {
                                    @let id = element_id("pretend", value);
                                    label for=(id) { input id=(id) type="checkbox" name="pretend_out" value=(value); span { (words) } }
                                }
                            }
                        }
                    }
                    div.actions { button.btn type="submit" { "Simulate" } }
                }
                (no_simulation())
            }
            (run(view, id))
        }
    }
}

/// What a client can speak: word of the API, name.
const DIALECTS: [(&str, &str); 4] = [
    ("openai", "OpenAI Chat"),
    ("responses", "OpenAI Responses"),
    ("anthropic", "Anthropic"),
    ("gemini", "Gemini"),
];

/// A real request.
fn run(view: &Editor, id: &str) -> Markup {
    let url = format!("/dashboard/combos/{id}/test");
    html! {
        section.card aria-labelledby="run-t" {
            header { h2 #run-t { "Try it" } }
            form method="post" action=(url) hx-post=(url) hx-target="#trial" hx-swap="outerHTML"
                hx-disabled-elt="find button[type=submit]" {
                input type="hidden" name="_csrf" value=(view.csrf);
                (input(&Form::default(), Field::new("run", "message", "Message").hint("Empty: a few words that cost next to nothing."), Input::Text))
                (select(&Form::default(), Field::new("run", "dialect", "As a client of"), &DIALECTS.map(|(value, words)| (value.to_owned(), words.to_owned()))))
                div.actions { button.btn type="submit" { "Run" } }
            }
            (no_trial())
        }
    }
}
