//! Overview: is it running, where do I point my tool, who serves, what did it cost, what needs me.

use maud::{Markup, html};

use crate::account::{self, Account};
use crate::assets::Assets;
use crate::chart::{Bars, Shares, bars, shares};
use crate::part::action::{Look, labelled, link, post};
use crate::part::badge::Tone;
use crate::part::code::{Snippet, copy_field, snippet};
use crate::part::icon::icon;
use crate::part::names::{Names, names};
use crate::part::notice::tone_icon;
use crate::part::stat::{Stat, stat};
use crate::part::tabs::{Tab, tabs};
use crate::request::{self, Row, Running};

/// Values of the page.
#[derive(Clone, Debug)]
pub struct Overview {
    /// One sentence from real state: `3 accounts ready, 1 out of quota until 14:05.`
    pub sentence: String,
    /// Open alerts.
    pub alerts: Alerts,
    /// Where to point a tool.
    pub connect: Connect,
    /// Set while there is no account: replaces all below Connect.
    pub first_steps: Option<FirstSteps>,
    /// The four figures.
    pub stats: Stats,
    /// The charts.
    pub usage: Usage,
    /// Running requests.
    pub running: Vec<Running>,
    /// Accounts, worst first, at most 6.
    pub accounts: Vec<Account>,
    /// Accounts in all.
    pub account_count: usize,
    /// How accounts are called.
    pub names: Names,
    /// Latest requests, newest first, at most 8.
    pub requests: Vec<Row>,
}

/// Alerts on top of the page: event `alerts`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alerts {
    /// At most 3.
    pub shown: Vec<Alert>,
    /// How many more there are.
    pub more: usize,
}

/// Something that needs the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Its id, for Dismiss; empty = it cannot be dismissed.
    pub id: String,
    /// `Bad`, `Warn` or `Info`.
    pub tone: Tone,
    /// What is the matter.
    pub title: String,
    /// What follows from it.
    pub consequence: String,
    /// Where it is mended: label and URL within the dashboard.
    pub action: Option<(String, String)>,
}

/// Addresses for tools.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// Base URL for OpenAI-type clients as this browser reaches the router.
    pub openai_url: String,
    /// Base URL for Claude Code.
    pub anthropic_url: String,
    /// Base URL through a tunnel that was named; `None` = none was.
    pub tunnel_url: Option<String>,
    /// Who needs a key: `No key needed on this computer.`
    pub access: String,
}

/// The four figures with the switch of their period: event `stats`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Today, 7 days, 30 days.
    pub periods: Vec<Tab>,
    /// Requests, tokens, you paid, saved.
    pub figures: Vec<Stat>,
    /// Follows the feed: true for today alone, which is what the feed tells.
    pub live: bool,
}

/// What was used in the last days, as charts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// How many days, the present one among them.
    pub days: i8,
    /// Tokens by day and provider; `None` = there were none.
    pub tokens: Option<Bars>,
    /// Tokens by tier.
    pub tiers: Shares,
}

/// The way from nothing to a first answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstSteps {
    /// Step 1 is done: there is an account.
    pub has_account: bool,
    /// Step 2 is done: a request was answered.
    pub has_request: bool,
    /// A request that works as printed once there is an account.
    pub curl: Snippet,
}

/// Content of the page.
#[must_use]
pub fn overview(assets: &Assets, view: &Overview) -> Markup {
    html! {
        header.pagehead { div { h1 { "Overview" } p { (view.sentence) } } }
        (alerts(assets, &view.alerts))
        (connect(assets, &view.connect))
        @if let Some(steps) = &view.first_steps { (first_steps(assets, steps)) }
        @else {
            (stats(&view.stats))
            (usage(&view.usage))
            (request::running(&view.running))
            section aria-labelledby="accounts-t" {
                header.sub {
                    h2 #accounts-t { "Accounts" }
                    div.actions {
                        (names(assets, &view.names))
                        a href="/dashboard/providers?filter=connected" { "All " (view.account_count) }
                    }
                }
                div.g3 { @for one in &view.accounts { (account::card(assets, one)) } }
            }
            section.card aria-labelledby="requests-t" {
                header { h2 #requests-t { "Latest requests" } }
                (request::table(&view.requests))
            }
        }
    }
}

/// Event `alerts`.
#[must_use]
pub fn alerts(assets: &Assets, view: &Alerts) -> Markup {
    html! {
        div #alerts.stack-v sse-swap="alerts" hx-swap="outerHTML" {
            @for alert in &view.shown {
                div class={ "card notice " (alert.tone.class()) } {
                    (icon(assets, tone_icon(alert.tone)))
                    div { b { (alert.title) } p { (alert.consequence) } }
                    @if let Some((label, url)) = &alert.action { (link(&html! { (label) }, url, Look::Small)) }
                    @if !alert.id.is_empty() {
                        (post(&html! { "Dismiss" }, &format!("/dashboard/alerts/{}/dismiss", alert.id), Look::Quiet))
                    }
                }
            }
            @if view.more > 0 { p.faint { "and " (view.more) " more" } }
        }
    }
}

/// Event `stats`.
#[must_use]
pub fn stats(view: &Stats) -> Markup {
    html! {
        section #stats sse-swap=[view.live.then_some("stats")] hx-swap="outerHTML" aria-label="Figures" {
            header.sub { h2 { "Figures" } (tabs("Period", &view.periods)) }
            dl.g4 { @for figure in &view.figures { (stat(figure)) } }
            p.foot-note { "Estimated from your price table. NineRouter never charges you." }
        }
    }
}

fn usage(view: &Usage) -> Markup {
    let Some(tokens) = &view.tokens else {
        return html! {
            section.card aria-labelledby="tokens-t" {
                header { h2 #tokens-t { "Tokens per day" } }
                p.faint { "No request in the last " (view.days) " days. The first one draws a bar here." }
            }
        };
    };
    html! {
        div.split {
            section.card aria-labelledby="tokens-t" {
                header { h2 #tokens-t { "Tokens per day" } span.faint { "last " (view.days) " days, by provider" } }
                (bars(tokens))
            }
            section.card.stack-v aria-labelledby="tiers-t" {
                header { h2 #tiers-t { "By tier" } }
                (shares(&view.tiers))
            }
        }
    }
}

fn connect(assets: &Assets, view: &Connect) -> Markup {
    html! {
        section.card.glass.connect aria-labelledby="connect-t" {
            header {
                h2 #connect-t { "Connect a tool" }
                a href="/dashboard/endpoint" { "Keys and snippets" }
            }
            div.g2 {
                div { p.lab { "OpenAI, Codex, Cursor, Cline" } (copy_field(assets, "url-openai", "the OpenAI base URL", &view.openai_url)) }
                div { p.lab { "Claude Code" } (copy_field(assets, "url-anthropic", "the Anthropic base URL", &view.anthropic_url)) }
                @if let Some(url) = &view.tunnel_url {
                    div { p.lab { "From elsewhere, with an API key" } (copy_field(assets, "url-tunnel", "the base URL of the tunnel", url)) }
                }
            }
            p.faint { (view.access) }
        }
    }
}

fn first_steps(assets: &Assets, view: &FirstSteps) -> Markup {
    let state = |done: bool| if done { "done" } else { "open" };
    html! {
        section.card aria-labelledby="steps-t" {
            header { h2 #steps-t { "Three steps to a first answer" } }
            ol.steps {
                li.(state(view.has_account)) {
                    b { "Add a provider" }
                    p { "Sign in to a subscription you already pay for, or paste an API key." }
                    div.actions {
                        (link(&labelled(assets, "user", "Sign in to a subscription"), "/dashboard/providers?filter=subscription", Look::Primary))
                        (link(&labelled(assets, "key", "Paste an API key"), "/dashboard/providers?filter=api_key", Look::Plain))
                        (link(&labelled(assets, "plus", "Add your own endpoint"), "/dashboard/providers/new", Look::Plain))
                    }
                }
                li.(state(view.has_request)) {
                    b { "Send a test request" }
                    p { "Run this in a terminal; the answer comes back as it is written." }
                    (snippet(assets, "first-curl", &view.curl))
                }
                li.open {
                    b { "Point your tool at it" }
                    p { "Base URL and key for each tool are under " a href="/dashboard/endpoint" { "Endpoint" } "." }
                }
            }
        }
    }
}
