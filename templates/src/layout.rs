//! The frame of every page: rail, top bar, live feed, dialogs, toasts.
//!
//! No inline script or style: the content security policy forbids both. `hx-target` and `hx-swap` never stand on
//! `<body>` or `<main>`: every fragment and every event of the feed would inherit them.

use maud::{DOCTYPE, Markup, html};

use crate::assets::{Assets, Script};
use crate::part::badge::{Tone, badge};
use crate::part::icon::icon;
use crate::part::notice::{Toast, toast};

/// Configuration of htmx (SEC-CSP-2). No evaluation, no scripts in fragments, no other host, nothing of a page kept in
/// the browser's storage.
const HTMX_CONFIG: &str = r#"{"allowEval":false,"allowScriptTags":false,"selfRequestsOnly":true,"includeIndicatorStyles":false,"historyCacheSize":0,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"409|422|428","swap":true},{"code":"[45]..","swap":false,"error":true}]}"#;

/// The mark as a picture of its own: without one, browsers ask for `/favicon.ico`.
const FAVICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect x='1' y='1' width='22' height='22' rx='6.5' fill='%23ff8a65'/%3E%3Cpath d='M6 7.5h3.2c1.2 0 2 .6 2.6 1.6l2.4 5.8c.6 1 1.4 1.6 2.6 1.6H18M6 16.5h3.2c1.2 0 2-.6 2.6-1.6l.5-1M14 8.9c.6-.9 1.4-1.4 2.6-1.4H18' fill='none' stroke='%231b0c06' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E";

/// Colours of a page, from the cookie `nr_theme`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// As the operating system says.
    #[default]
    Auto,
    /// Always dark.
    Dark,
    /// Always light.
    Light,
}

impl Theme {
    /// Of the cookie's value; an unknown one is `Auto`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "dark" => Self::Dark,
            "light" => Self::Light,
            _ => Self::Auto,
        }
    }

    /// Value of the cookie.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }
}

/// What surrounds every page of a session.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// CSRF token of the session.
    pub csrf: String,
    /// Colours.
    pub theme: Theme,
    /// Setting "Solid panels".
    pub solid: bool,
    /// Setting "Shortcuts": single keys do something.
    pub shortcuts: bool,
    /// Name of this instance.
    pub instance: String,
    /// Version of the program.
    pub version: String,
    /// How it stands.
    pub status: ShellStatus,
    /// The server's present, Unix ms: ages are counted by its clock.
    pub now_ms: i64,
    /// Messages of the request before this one (flash cookie).
    pub toasts: Vec<Toast>,
}

/// Health, alerts and running requests: event `shell` of the feed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ShellStatus {
    /// How well.
    pub tone: Tone,
    /// One or two words: `Healthy`, `Degraded`, `No account`.
    pub health: String,
    /// Open alerts.
    pub alerts: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// `2 h 05 m`.
    pub uptime: String,
}

/// Entries of the rail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// `/dashboard`.
    Overview,
    /// `/dashboard/endpoint`.
    Endpoint,
    /// `/dashboard/providers` and accounts below it.
    Providers,
    /// `/dashboard/combos`.
    Combos,
    /// `/dashboard/logs`.
    Logs,
}

impl Section {
    const MAIN: [Self; 4] = [Self::Overview, Self::Endpoint, Self::Providers, Self::Combos];
    const INSPECT: [Self; 1] = [Self::Logs];

    /// Label, URL, icon, and the keys that go there.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "/dashboard", "overview", "go"),
            Self::Endpoint => ("Endpoint", "/dashboard/endpoint", "plug", "ge"),
            Self::Providers => ("Providers", "/dashboard/providers", "layers", "gp"),
            Self::Combos => ("Combos", "/dashboard/combos", "route", "gc"),
            Self::Logs => ("Logs", "/dashboard/logs", "terminal", "gl"),
        }
    }
}

/// What a page is, beside its content.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// Entry of the rail that it belongs to; none for errors.
    pub section: Option<Section>,
    /// Title without the product's name.
    pub title: &'a str,
    /// Its own URL with its query: what is read again after a gap in the feed.
    pub url: &'a str,
    /// URL of its feed with topics, view and `since`; `None` = the page isn't live.
    pub live: Option<&'a str>,
}

/// A whole page behind the sign-in, for a browser that navigates.
#[must_use]
pub fn page(assets: &Assets, shell: &Shell, head: &Head<'_>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(shell.theme.as_str()) data-solid[shell.solid] data-keys[shell.shortcuts]
            data-now=(shell.now_ms) {
            (document_head(assets, head.title, &assets.signed_in))
            body hx-headers={ "{\"X-CSRF-Token\":\"" (shell.csrf) "\"}" } {
                a.skip href="#main" { "Skip to content" }
                div.shell {
                    nav #nav.nav aria-label="Main" hx-boost="true" hx-target="#main"
                        hx-swap="innerHTML show:window:top" {
                        a.brand href="/dashboard" { (brand_mark()) span.lbl { "NineRouter" } }
                        (nav_links(assets, head.section, false))
                        (nav_foot(assets, shell))
                    }
                    div.col {
                        header.topbar {
                            a.icon href="#nav" data-open="nav" aria-label="Menu" { (icon(assets, "menu")) }
                            b #bar-title { (head.title) }
                            span.grow {}
                            span #bar-status { (bar_status(&shell.status)) }
                        }
                        main #main tabindex="-1" { (section(head, content)) }
                    }
                }
                div #toasts aria-live="polite" { @for view in &shell.toasts { (toast(assets, view)) } }
                (own_words(assets))
                div #announce.sr aria-live="assertive" {}
                dialog #dialog aria-labelledby="dialog-title" { div #dialog-body {} }
                dialog #sudo aria-labelledby="sudo-title" { div #sudo-body {} }
                dialog #leave aria-labelledby="leave-title" {
                    form method="dialog" {
                        h2 #leave-title { "Leave without saving?" }
                        p { "What you changed on this page is not saved yet." }
                        div.actions {
                            button.btn.quiet value="leave" { "Leave" }
                            button.btn.primary value="stay" autofocus { "Stay" }
                        }
                    }
                }
                form #act method="post" hidden hx-boost="false" {
                    input type="hidden" name="_csrf" value=(shell.csrf);
                }
            }
        }
    }
}

/// The same page as an answer to htmx: what goes into `<main>`; title and rail come out of band.
#[must_use]
pub fn fragment(assets: &Assets, head: &Head<'_>, content: &Markup) -> Markup {
    html! {
        title { (head.title) " · NineRouter" }
        (nav_links(assets, head.section, true))
        b #bar-title hx-swap-oob="true" { (head.title) }
        (section(head, content))
    }
}

/// Event `shell`: two places out of band.
#[must_use]
pub fn shell_fragment(status: &ShellStatus) -> Markup {
    html! {
        div #shell-status hx-swap-oob="true" { (rail_status(status)) }
        span #bar-status hx-swap-oob="true" { (bar_status(status)) }
    }
}

/// A page outside the frame: sign-in, first run, errors of callers without a session. It tells no version.
pub(crate) fn bare(
    assets: &Assets,
    theme: Theme,
    title: &str,
    refresh_s: Option<u32>,
    content: &Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.as_str()) {
            head {
                (document_meta(assets, title))
                @if let Some(seconds) = refresh_s { meta http-equiv="refresh" content=(seconds); }
                (script(&assets.app))
            }
            body.bare {
                main #main {
                    div.card {
                        p.brand { (brand_mark()) "NineRouter" }
                        (content)
                    }
                }
            }
        }
    }
}

fn document_head(assets: &Assets, title: &str, scripts: &[Script]) -> Markup {
    html! {
        head {
            (document_meta(assets, title))
            meta name="htmx-config" content=(HTMX_CONFIG);
            (script(&assets.app))
            @for one in scripts { (script(one)) }
        }
    }
}

fn document_meta(assets: &Assets, title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="dark light";
        title { (title) " · NineRouter" }
        link rel="icon" href=(FAVICON) type="image/svg+xml";
        link rel="stylesheet" href=(assets.css);
    }
}

fn script(script: &Script) -> Markup {
    html! { script src=(script.url) integrity=(script.integrity) defer {} }
}

/// What the script says of its own accord: a toast by status, by `other`, by `silent`.
fn own_words(assets: &Assets) -> Markup {
    html! {
        template #oops data-403="Not allowed. Nothing was changed." data-404="It is gone. Reload the page."
            data-429="Too many requests. Try again in a moment." data-other="Could not save. Nothing was changed."
            data-silent="The router does not answer." {
            (toast(assets, &Toast { tone: Tone::Bad, text: String::new(), undo: None }))
        }
    }
}

fn section(head: &Head<'_>, content: &Markup) -> Markup {
    html! {
        @if let Some(live) = head.live {
            section #page.wrap hx-ext="sse" sse-connect=(live) {
                div sse-swap="shell" hidden {}
                div sse-swap="toast" hidden {}
                div hx-get=(head.url) hx-trigger="sse:resync" hx-target="#main" hx-swap="innerHTML" hidden {}
                (content)
            }
        } @else {
            section #page.wrap { (content) }
        }
    }
}

fn nav_links(assets: &Assets, current: Option<Section>, out_of_band: bool) -> Markup {
    let link = |section: Section| {
        let (label, url, name, keys) = section.parts();
        html! {
            li {
                a href=(url) title=(label) data-key=(keys) aria-current=[(current == Some(section)).then_some("page")] {
                    (icon(assets, name)) span.lbl { (label) }
                }
            }
        }
    };
    html! {
        div #nav-links hx-swap-oob=[out_of_band.then_some("true")] {
            ul { @for section in Section::MAIN { (link(section)) } }
            h2.lbl { "Inspect" }
            ul { @for section in Section::INSPECT { (link(section)) } }
        }
    }
}

fn nav_foot(assets: &Assets, shell: &Shell) -> Markup {
    html! {
        div.foot {
            div #shell-status { (rail_status(&shell.status)) }
            p.lbl { (shell.instance) @if !shell.instance.is_empty() { " · " } "v" (shell.version) }
            div.tools {
                a.icon.js href="/dashboard/palette" hx-get="/dashboard/f/palette" hx-target="#dialog-body" hx-swap="innerHTML"
                    data-key="^k ?" aria-haspopup="dialog" aria-label="Go to …" title="Go to … (Ctrl K)" {
                    (icon(assets, "search"))
                }
                button.icon.js type="button" data-theme-switch aria-label="Switch colours" title="Switch colours" {
                    (icon(assets, "theme"))
                }
                form method="post" action="/logout" hx-boost="false" {
                    input type="hidden" name="_csrf" value=(shell.csrf);
                    button.icon type="submit" aria-label="Sign out" title="Sign out" { (icon(assets, "out")) }
                }
                a.icon.close href="#main" data-close="nav" aria-label="Close menu" { (icon(assets, "close")) }
            }
        }
    }
}

fn rail_status(status: &ShellStatus) -> Markup {
    html! {
        p.js { span data-live { (badge(Tone::Neutral, "Connecting…")) } }
        p.lbl { (badge(status.tone, &status.health)) }
        p.lbl { (status.in_flight) " in flight" @if !status.uptime.is_empty() { " · up " (status.uptime) } }
        @if status.alerts > 0 { p { a href="/dashboard#alerts" { (alerts(status.alerts)) } } }
    }
}

fn bar_status(status: &ShellStatus) -> Markup {
    html! {
        span.js data-live { (badge(Tone::Neutral, "Connecting…")) }
        @if status.alerts > 0 { a href="/dashboard#alerts" { (badge(Tone::Warn, &alerts(status.alerts))) } }
        @else { (badge(status.tone, &status.health)) }
    }
}

fn alerts(count: usize) -> String {
    if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") }
}

fn brand_mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            rect class="m0" x="1" y="1" width="22" height="22" rx="6.5" {}
            path class="m1" d="M6 7.5h3.2c1.2 0 2 .6 2.6 1.6l2.4 5.8c.6 1 1.4 1.6 2.6 1.6H18M6 16.5h3.2c1.2 0 2-.6 2.6-1.6l.5-1M14 8.9c.6-.9 1.4-1.4 2.6-1.4H18" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_is_read_as_it_is_written() {
        for theme in [Theme::Auto, Theme::Dark, Theme::Light] {
            assert_eq!(Theme::parse(theme.as_str()), theme);
        }
        assert_eq!(Theme::parse("\"><script>"), Theme::Auto);
    }
}
