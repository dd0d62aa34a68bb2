//! Combos: the list with its aliases; below it the editor of one, and what would serve.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::combo::simulation::no_simulation;
use crate::moment::{Moment, time};
use crate::part::action::{Look, dialog_link, labelled, post_value};
use crate::part::badge::{Tone, badge};
use crate::part::dialog::own_page;
use crate::part::field::{Field, Form, Input, input, summary};
use crate::part::icon::icon;

mod editor;
mod simulation;
mod trial;

pub use editor::{Editor, Entry, editor, editor_form};
pub use simulation::{Candidate, Simulation, simulation};
pub use trial::{Attempt, Trial, trial};

/// Values of the list.
#[derive(Clone, Debug, Default)]
pub struct Combos {
    /// CSRF token of the session.
    pub csrf: String,
    /// One sentence: `3 combos, all can serve.`
    pub sentence: String,
    /// The combos.
    pub combos: Vec<Row>,
    /// Built from what is connected; shown while there is no combo.
    pub starters: Vec<Starter>,
    /// Alias and target.
    pub aliases: Vec<(String, String)>,
    /// Values and errors of the form for an alias: `alias, target`.
    pub alias_form: Form,
    /// Names that can be a target: models and combos.
    pub targets: Vec<String>,
}

/// A combo in the list.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name: what clients ask for.
    pub name: String,
    /// Strategy in words.
    pub strategy: String,
    /// Turned on.
    pub enabled: bool,
    /// Its entries in order.
    pub path: Vec<Stop>,
    /// `cc/claude-opus-4-6 · private`; empty = nobody.
    pub serving: String,
    /// `310 requests in 24 h, 99.1 % answered`; empty = none.
    pub day: String,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
}

/// An entry on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Its target.
    pub target: String,
    /// How it stands.
    pub tone: Tone,
    /// Why, when it doesn't serve: `out of quota`; empty = it does.
    pub why: String,
    /// Until when.
    pub until: Option<Moment>,
}

/// A ready-made combo.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Starter {
    /// Its name: `Maximise subscription`.
    pub title: String,
    /// What it does, in a line.
    pub effect: String,
    /// Its targets.
    pub targets: Vec<String>,
    /// Names of providers to connect first; empty = it can be made.
    pub missing: Vec<String>,
    /// Value of `template` that is posted to `/dashboard/combos/new`.
    pub template: String,
}

/// Content of the list.
#[must_use]
pub fn combos(assets: &Assets, view: &Combos) -> Markup {
    html! {
        header.pagehead {
            div { h1 { "Combos" } p { (view.sentence) } }
            div.actions { a.btn.primary href="/dashboard/combos/new" data-key="n" { (labelled(assets, "plus", "New combo")) } }
        }
        @if view.combos.is_empty() { (starters(view)) }
        @else { ul #combo-list.stack-v { @for one in &view.combos { (row(assets, one)) } } }
        (aliases(assets, view))
        section.card aria-labelledby="explain-t" {
            header { h2 #explain-t { "Who would serve?" } }
            form.line-form method="post" action="/dashboard/combos/explain" hx-post="/dashboard/combos/explain"
                hx-target="#simulation" hx-swap="outerHTML" {
                input type="hidden" name="_csrf" value=(view.csrf);
                (input_with_list("explain", "model", "Model, combo or alias", "", "targets"))
                button.btn type="submit" { "Explain" }
            }
            (no_simulation())
        }
        (target_list(&view.targets))
    }
}

fn starters(view: &Combos) -> Markup {
    html! {
        section.card aria-labelledby="starters-t" {
            header { h2 #starters-t { "Start with one of these" } }
            p.faint { "A combo is one name for several targets: when the first cannot serve, the next does." }
            div.g3 {
                @for one in &view.starters {
                    form.starter method="post" action="/dashboard/combos/new" {
                        input type="hidden" name="_csrf" value=(view.csrf);
                        input type="hidden" name="template" value=(one.template);
                        h3 { (one.title) }
                        p { (one.effect) }
                        p.path { @for (at, target) in one.targets.iter().enumerate() { @if at > 0 { i { "→" } } code { (target) } } }
                        @if one.missing.is_empty() { button.btn type="submit" { "Use this" } }
                        @else { p.faint { "Connect first: " (one.missing.join(", ")) } }
                    }
                }
            }
        }
    }
}

/// An answer on a page of its own, where no script puts it beside its question.
#[must_use]
pub fn answer_page(title: &str, back: (&str, &str), answer: &Markup) -> Markup {
    own_page(title, back, answer)
}

/// Event `combo-<id>`: one combo in the list.
#[must_use]
pub fn row(assets: &Assets, view: &Row) -> Markup {
    let id = format!("combo-{}", view.id);
    let url = format!("/dashboard/combos/{}", view.id);
    html! {
        li.card.combo id=(id) sse-swap=(id) hx-swap="outerHTML" {
            div.t { b { a href=(url) { (view.name) } } span { (view.strategy) @if !view.day.is_empty() { " · " (view.day) } } }
            div.state {
                @if !view.enabled { (badge(Tone::Neutral, "Off")) }
                @else if view.serving.is_empty() { (badge(Tone::Bad, "Nobody can serve")) }
                @else { (badge(Tone::Ok, "Serving")) }
            }
            details.menu {
                summary.icon id={ "menu-" (id) } aria-label={ "Actions for " (view.name) } { (icon(assets, "more")) }
                div.pop {
                    a.btn.small.quiet href=(url) { @if view.managed { "Show" } @else { "Edit" } }
                    @if !view.managed {
                        @if view.enabled { (post_value(&html! { "Turn off" }, &format!("{url}/enabled"), Look::Quiet, "enabled", "false")) }
                        @else { (post_value(&html! { "Turn on" }, &format!("{url}/enabled"), Look::Quiet, "enabled", "true")) }
                    }
                    a.btn.small.quiet href={ "/dashboard/combos/new?from=" (view.id) } { "Duplicate" }
                    @if !view.managed { (dialog_link(&html! { "Delete" }, &format!("{url}/delete"), Look::Quiet)) }
                }
            }
            p.path.wide {
                @for (at, stop) in view.path.iter().enumerate() {
                    @if at > 0 { i { "→" } }
                    span class={ "stop " (stop.tone.class()) } {
                        code { (stop.target) }
                        @if !stop.why.is_empty() { span.faint { " " (stop.why) @if let Some(until) = &stop.until { " " (time(until)) } } }
                    }
                }
            }
            @if view.enabled && !view.serving.is_empty() { p.faint.wide { "Serving now: " (view.serving) } }
        }
    }
}

fn aliases(assets: &Assets, view: &Combos) -> Markup {
    html! {
        section #aliases.card aria-labelledby="aliases-t" {
            header { h2 #aliases-t { "Aliases" } }
            @if view.aliases.is_empty() { p.faint { "No alias yet. An alias is a second name for a model or a combo." } }
            @else {
                ul.rows {
                    @for (alias, target) in &view.aliases {
                        li {
                            div.t { b { code { (alias) } } span { "→ " code { (target) } } }
                            (post_value(&html! { "Delete" span.sr { " " (alias) } }, "/dashboard/aliases/delete", Look::Quiet, "alias", alias))
                        }
                    }
                }
            }
            form.line-form method="post" action="/dashboard/aliases" hx-post="/dashboard/aliases" hx-target="#aliases"
                hx-select="#aliases" hx-swap="outerHTML" {
                input type="hidden" name="_csrf" value=(view.csrf);
                (summary("alias", &view.alias_form))
                (input(&view.alias_form, Field::new("alias", "alias", "Alias").required(), Input::Text))
                (input_with_list("alias", "target", "Target", view.alias_form.value("target"), "targets"))
                button.btn type="submit" { (icon(assets, "plus")) "Add alias" }
            }
        }
    }
}

fn input_with_list(id: &str, name: &str, label: &str, value: &str, list: &str) -> Markup {
    let id = format!("{id}-{name}");
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) type="text" list=(list) value=(value) required autocomplete="off" spellcheck="false";
        }
    }
}

fn target_list(targets: &[String]) -> Markup {
    html! { datalist #targets { @for target in targets { option value=(target) {} } } }
}
