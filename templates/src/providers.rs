//! Providers: what is connected, and the catalog of what can be.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::action::{Look, labelled, link};
use crate::part::badge::{Tone, badge, chip};
use crate::part::icon::{Monogram, icon, monogram};
use crate::part::tabs::{Tab, tabs};

/// Values of the page.
#[derive(Clone, Debug)]
pub struct Providers {
    /// One sentence: `3 providers connected, 68 more to choose from.`
    pub sentence: String,
    /// What is searched for.
    pub query: String,
    /// Value of `filter` that goes along with a search.
    pub filter: String,
    /// All, Connected, Needs attention, Subscription, Free, API key, Local, Custom.
    pub filters: Vec<Tab>,
    /// Connected ones first, then the catalog's groups; empty groups are left out.
    pub groups: Vec<Group>,
}

/// Tiles under a heading.
#[derive(Clone, Debug)]
pub struct Group {
    /// `Connected`, `Subscription`, `API key`, …
    pub title: String,
    /// Its providers.
    pub tiles: Vec<Tile>,
}

/// One provider.
#[derive(Clone, Debug)]
pub struct Tile {
    /// Its id.
    pub id: String,
    /// Its mark.
    pub mark: Monogram,
    /// Its name.
    pub name: String,
    /// Prefix of its models, without the slash.
    pub prefix: String,
    /// Tier in a word: `subscription`, `free`, `cheap`, `paid`.
    pub tier: String,
    /// Its vendor ended or limited it: `closed by vendor 2026-04-15`.
    pub status: Option<(Tone, String)>,
    /// How many accounts stand how: `2 ready`, `1 out of quota`. Empty = not connected.
    pub counts: Vec<(Tone, String)>,
    /// `310 requests in 24 h`; empty when not connected.
    pub day: String,
    /// What the button says: `Connect`, `Add key`, `Open`.
    pub button: String,
    /// Where it leads; empty = the provider's page.
    pub button_url: String,
}

/// Content of the page.
#[must_use]
pub fn providers(assets: &Assets, view: &Providers) -> Markup {
    html! {
        header.pagehead {
            div { h1 { "Providers" } p { (view.sentence) } }
            div.actions {
                a.btn href="/dashboard/providers/new" data-key="n" { (labelled(assets, "plus", "Add custom provider")) }
            }
        }
        div.bar {
            form.search method="get" action="/dashboard/providers" role="search" {
                label.sr for="providers-q" { "Search providers" }
                (icon(assets, "search"))
                input #providers-q type="search" name="q" value=(view.query) placeholder="Search" autocomplete="off"
                    spellcheck="false" hx-get="/dashboard/providers" hx-include="closest form"
                    hx-trigger="input changed delay:300ms, search" hx-target="#provider-list"
                    hx-select="#provider-list" hx-swap="outerHTML" hx-push-url="true" hx-sync="this:replace"
                    data-key="/";
                input type="hidden" name="filter" value=(view.filter);
            }
            (tabs("Show", &view.filters))
        }
        div #provider-list.stack-l {
            @for (at, group) in view.groups.iter().enumerate() {
                section aria-labelledby={ "group-" (at) } {
                    header.sub { h2 id={ "group-" (at) } { (group.title) } span.count { (group.tiles.len()) } }
                    ul.tiles { @for one in &group.tiles { (tile(one)) } }
                }
            }
            @if view.groups.is_empty() {
                p.card {
                    @if view.query.is_empty() { "No provider is like that. " }
                    @else { "No provider matches “" (view.query) "”. " }
                    a href="/dashboard/providers/new" { "Add it as custom provider" } "."
                }
            }
        }
    }
}

/// Event `prov-<id>`: one tile.
#[must_use]
pub fn tile(tile: &Tile) -> Markup {
    let id = format!("prov-{}", tile.id);
    let url = format!("/dashboard/providers/{}", tile.id);
    html! {
        li.card.tile id=(id) sse-swap=(id) hx-swap="outerHTML" {
            (monogram(&tile.mark))
            div.t {
                b { a href=(url) { (tile.name) } }
                span { code { (tile.prefix) "/" } " · " (tile.tier) }
            }
            @if tile.counts.is_empty() {
                (link(&html! { (tile.button) span.sr { " " (tile.name) } },
                    if tile.button_url.is_empty() { &url } else { &tile.button_url }, Look::Small))
            }
            @if let Some((tone, words)) = &tile.status { div.wide { (badge(*tone, words)) } }
            @if !tile.counts.is_empty() {
                div.wide.actions {
                    @for (tone, words) in &tile.counts { (badge(*tone, words)) }
                    @if !tile.day.is_empty() { (chip(&tile.day)) }
                }
            }
        }
    }
}
