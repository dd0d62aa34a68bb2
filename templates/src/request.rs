//! Requests: those under way, and the rows of those that were.

use maud::{Markup, html};

use crate::moment::{Moment, time};
use crate::part::action::{Look, post};
use crate::part::badge::{Tone, badge};

/// A request under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// Its id, `req_…`.
    pub id: String,
    /// When it began.
    pub started: Moment,
    /// What the client asked for.
    pub asked: String,
    /// What serves it; empty while one is being chosen.
    pub target: String,
    /// Label of the account.
    pub account: String,
    /// Tokens so far: `412 tokens`; empty before the first.
    pub tokens: String,
    /// It can be cancelled.
    pub cancellable: bool,
}

/// Event `inflight`: the list of running requests.
#[must_use]
pub fn running(requests: &[Running]) -> Markup {
    html! {
        section #inflight.card sse-swap="inflight" hx-swap="outerHTML" aria-labelledby="inflight-t" {
            header { h2 #inflight-t { "Running now" } span.count { (requests.len()) } }
            @if requests.is_empty() { p.faint { "Nothing is running." } }
            @else {
                ul.rows {
                    @for one in requests {
                        li {
                            div.t {
                                b { (one.asked) }
                                span {
                                    @if one.target.is_empty() { "choosing an account" }
                                    @else { "→ " (one.target) @if !one.account.is_empty() { " · " (one.account) } }
                                }
                            }
                            div.n {
                                span { (time(&one.started)) }
                                @if !one.tokens.is_empty() { span.faint { (one.tokens) } }
                            }
                            @if one.cancellable {
                                (post(&html! { "Cancel" }, &format!("/dashboard/requests/{}/cancel", one.id), Look::Quiet))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row of the request feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its id, `req_…`.
    pub id: String,
    /// When it came.
    pub at: Moment,
    /// Client tool: `Claude Code`.
    pub tool: String,
    /// Name of its API key; empty = none.
    pub key: String,
    /// What the client asked for.
    pub asked: String,
    /// Targets in order of their trial; all but the last were skipped or failed.
    pub path: Vec<Step>,
    /// Label of the account that served.
    pub account: String,
    /// Outcome: tone and words, `200 OK`, `429 rate limited`, `streaming`.
    pub outcome: (Tone, String),
    /// Tokens in, of them cached, out; `—` when unknown.
    pub tokens: (String, String, String),
    /// Cost, or `unpriced`, or `—`.
    pub cost: String,
    /// Time to the first token; `—` when there was none.
    pub first_token: String,
    /// Time to the end.
    pub total: String,
}

/// A target on the way of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// `cc/claude-opus-4-6`.
    pub target: String,
    /// Why it did not serve; `None` = it did.
    pub skipped: Option<String>,
}

/// Events `req` (several, newest first) and `req-<id>` (one): rows of the feed.
#[must_use]
pub fn rows(rows: &[Row]) -> Markup {
    html! { @for view in rows { (row(view)) } }
}

fn row(view: &Row) -> Markup {
    let id = format!("req-{}", view.id);
    let (tone, words) = &view.outcome;
    let (input, cached, output) = &view.tokens;
    html! {
        tr id=(id) sse-swap=(id) hx-swap="outerHTML" {
            td data-label="Time" { (time(&view.at)) }
            td data-label="Tool" { (view.tool) @if !view.key.is_empty() { span.sub { (view.key) } } }
            td data-label="Asked for" { code { (view.asked) } }
            td data-label="Served by" { (path(&view.path)) @if !view.account.is_empty() { span.sub { (view.account) } } }
            td data-label="Outcome" { (badge(*tone, words)) }
            td.n data-label="In" { (input) @if cached != "0" && cached != "—" { span.sub { (cached) " cached" } } }
            td.n data-label="Out" { (output) }
            td.n data-label="Cost" { (view.cost) }
            td.n data-label="Time taken" { (view.total) span.sub { (view.first_token) " first" } }
        }
    }
}

fn path(steps: &[Step]) -> Markup {
    html! {
        span.path {
            @for (at, step) in steps.iter().enumerate() {
                @if at > 0 { i { "→" } }
                @if let Some(why) = &step.skipped {
                    span.skip title=(why) { (step.target) } span.sr { " (" (why) ")" }
                } @else {
                    code { (step.target) }
                }
            }
            @if steps.is_empty() { "—" }
        }
    }
}

/// The table around the rows. The script trims it to 500.
#[must_use]
pub fn table(rows_shown: &[Row]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label="Latest requests" {
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Time" } th scope="col" { "Tool" } th scope="col" { "Asked for" }
                        th scope="col" { "Served by" } th scope="col" { "Outcome" } th.n scope="col" { "In" }
                        th.n scope="col" { "Out" } th.n scope="col" { "Cost" } th.n scope="col" { "Time taken" }
                    }
                }
                tbody #req-rows sse-swap="req" hx-swap="afterbegin" data-most="500" { (rows(rows_shown)) }
            }
        }
        p.none { "No request yet. Point a tool at an address above, or paste the curl line of Endpoint." }
    }
}
