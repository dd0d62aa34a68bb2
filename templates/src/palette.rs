//! The palette: a search over everything that has a page, as a dialog.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::dialog::{dialog_body, own_page};
use crate::part::icon::icon;

/// Where its form leads: the page without a dialog.
const URL: &str = "/dashboard/palette";

/// What it shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Palette {
    /// What is looked for.
    pub query: String,
    /// What was found, the best first.
    pub hits: Vec<Hit>,
    /// Single keys do something: they are told.
    pub shortcuts: bool,
}

/// One place to go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Its name.
    pub name: String,
    /// What it is: `Page`, `Account · Claude Code`.
    pub about: String,
    /// Its URL.
    pub url: String,
    /// The keys that go there: `g p`; empty = none.
    pub keys: String,
}

/// Keys beside those of pages, and what they do.
const KEYS: [(&str, &str); 6] = [
    ("n", "what a page makes new"),
    ("/", "its search"),
    ("j k", "its next and previous row"),
    ("t", "test an account"),
    ("p", "pause the log"),
    ("?", "this"),
];

/// As a dialog.
#[must_use]
pub fn dialog(assets: &Assets, view: &Palette) -> Markup {
    dialog_body(assets, "Go to …", &body(assets, view))
}

/// As a page.
#[must_use]
pub fn page(assets: &Assets, view: &Palette) -> Markup {
    own_page("Go to …", ("Overview", "/dashboard"), &body(assets, view))
}

fn body(assets: &Assets, view: &Palette) -> Markup {
    html! {
        div #palette.stack-v {
            // Enter goes to the best hit; the server knows which it is.
            form.search method="get" action=(URL) hx-get="/dashboard/f/palette" hx-target="#palette-hits" hx-swap="outerHTML"
                role="search" {
                input type="hidden" name="go" value="first";
                label.sr for="palette-q" { "Page, provider, account, combo or model" }
                (icon(assets, "search"))
                input #palette-q type="search" name="q" value=(view.query) autofocus autocomplete="off" spellcheck="false"
                    placeholder="Page, provider, account, combo or model" hx-get="/dashboard/f/palette/found"
                    hx-trigger="input changed delay:150ms, search" hx-target="#palette-hits" hx-swap="outerHTML"
                    hx-sync="this:replace";
            }
            (hits(view))
            @if view.shortcuts {
                p.faint {
                    @for (at, (key, what)) in KEYS.iter().enumerate() { @if at > 0 { " · " } kbd { (key) } " " (what) }
                }
            }
        }
    }
}

/// What was found: the part that a search replaces.
#[must_use]
pub fn hits(view: &Palette) -> Markup {
    html! {
        div #palette-hits role="status" {
            @if view.hits.is_empty() { p.faint { "Nothing is called “" (view.query) "”." } }
            ul.hits hx-boost="true" hx-target="#main" hx-swap="innerHTML show:window:top" {
                // With ids of their own the focus stays where it is when other ones come.
                @for (at, hit) in view.hits.iter().enumerate() {
                    li { a id={ "hit-" (at) } href=(hit.url) {
                        b { (hit.name) } " " span.faint { (hit.about) }
                        @if view.shortcuts && !hit.keys.is_empty() { kbd { (hit.keys) } }
                    } }
                }
            }
        }
    }
}
