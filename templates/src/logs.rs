//! Logs: the console as it runs, and the audit.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::action::{Look, copy_button, labelled, post};
use crate::part::badge::{Tone, badge};
use crate::part::icon::icon;
use crate::part::notice::notice;
use crate::part::plain::inert;
use crate::part::tabs::{Tab, tabs};

/// The console.
#[derive(Clone, Debug)]
pub struct Console {
    /// CSRF token of the session.
    pub csrf: String,
    /// Console, Audit.
    pub tabs: Vec<Tab>,
    /// One sentence: `The server logs from info up.`
    pub sentence: String,
    /// Smallest level shown: Errors, Warnings, Info, Debug.
    pub levels: Vec<Tab>,
    /// Values of the filters: text, component, level (a value that goes along).
    pub filter: Filter,
    /// Lines, oldest first.
    pub lines: Vec<Line>,
    /// URL of the lines before these.
    pub older: Option<String>,
    /// URL of the download.
    pub download_url: String,
    /// Offers to log in detail for a while.
    pub may_debug: bool,
}

/// Filters of the console.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Text.
    pub q: String,
    /// Component.
    pub target: String,
    /// Level.
    pub level: String,
}

/// Level of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// The operator must act.
    Error,
    /// Degraded, mends itself.
    Warn,
    /// Life cycle.
    Info,
    /// Per request.
    Debug,
    /// Per chunk.
    Trace,
}

impl Level {
    /// Of the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Moment,
    /// How grave.
    pub level: Level,
    /// Who says it.
    pub component: String,
    /// What.
    pub message: String,
    /// With what.
    pub fields: Vec<(String, String)>,
}

/// Content of the console.
#[must_use]
pub fn console(assets: &Assets, view: &Console) -> Markup {
    html! {
        header.pagehead {
            div { h1 { "Logs" } p { (view.sentence) } }
            (tabs("Which log", &view.tabs))
        }
        section.card aria-label="Console" {
            div.bar {
                form.search method="get" action="/dashboard/logs" role="search" {
                    label.sr for="logs-q" { "Search the log" }
                    (icon(assets, "search"))
                    input #logs-q type="search" name="q" value=(view.filter.q) placeholder="Text" autocomplete="off" spellcheck="false" data-key="/";
                    label.sr for="logs-target" { "Component" }
                    input #logs-target type="text" name="target" value=(view.filter.target) placeholder="Component" autocomplete="off" spellcheck="false";
                    input type="hidden" name="tab" value="console";
                    input type="hidden" name="level" value=(view.filter.level);
                    button.btn.small type="submit" { "Filter" }
                }
                (tabs("Level", &view.levels))
                div.actions {
                    button.btn.small.js type="button" data-log="pause" data-key="p" aria-pressed="false" { (icon(assets, "pause")) "Pause" span data-held {} }
                    button.btn.small.quiet.js type="button" data-log="wrap" aria-pressed="true" { "Wrap" }
                    button.btn.small.quiet.js type="button" data-log="clear" { "Clear view" }
                    (copy_button(assets, "log-lines", "the lines shown"))
                    a.btn.small.quiet href=(view.download_url) download { (labelled(assets, "download", "Download")) }
                    @if view.may_debug { (post(&html! { "Debug for 15 min" }, "/dashboard/logs/level", Look::Quiet)) }
                }
            }
            @if let Some(older) = &view.older { p.faint { a href=(older) { "Older lines" } } }
            div.log tabindex="0" role="log" aria-live="off" aria-label="Console" {
                ol #log-lines.wrapped sse-swap="log" hx-swap="beforeend" data-most="2000" { (lines(&view.lines)) }
            }
            p.none { "Nothing is logged yet that is like that." }
            p.faint.js { "Pause keeps up to 200 batches back. Clear view deletes nothing from the files." }
        }
    }
}

/// Event `log`: lines, oldest first.
#[must_use]
pub fn lines(lines: &[Line]) -> Markup {
    html! {
        @for line in lines {
            li data-row {
                (time(&line.at)) " "
                b class={ "lv " (line.level.word()) } { (line.level.word()) } " "
                span.who-says { (inert(&line.component)) } " "
                span { (inert(&line.message)) }
                @for (name, value) in &line.fields {
                    " " span.fld { (inert(name)) "=" @if name == "request_id" || name == "request.id" {
                        a href={ "/dashboard/logs?tab=console&q=" (query(value)) } { (inert(value)) }
                    } @else { (inert(value)) } }
                }
            }
        }
    }
}

/// `text` as a value of a query.
fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The audit.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Console, Audit.
    pub tabs: Vec<Tab>,
    /// One sentence: `Kept for a year.`
    pub sentence: String,
    /// Values of the filters: event, outcome, ip.
    pub filter: AuditFilter,
    /// Choices of `event`: value and words; the first is all.
    pub events: Vec<(String, String)>,
    /// Rows, newest first.
    pub rows: Vec<AuditRow>,
    /// URL of the rows before these.
    pub older: Option<String>,
    /// URL of the export.
    pub export_url: String,
    /// What a verification found.
    pub verified: Option<(Tone, String)>,
}

/// Filters of the audit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Group of events.
    pub event: String,
    /// `ok`, `denied`, `failed`; empty = all.
    pub outcome: String,
    /// Client address.
    pub ip: String,
}

/// A row of the audit.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Number in the chain.
    pub seq: i64,
    /// When.
    pub at: Moment,
    /// A sentence: `Password changed from 192.168.1.7`.
    pub sentence: String,
    /// Its name: `password.changed`.
    pub event: String,
    /// Outcome: tone and word.
    pub outcome: (Tone, String),
    /// Who.
    pub actor: String,
    /// From where.
    pub ip: String,
    /// Method and path.
    pub path: String,
    /// JSON, pretty-printed; empty = none.
    pub detail: String,
}

/// Content of the audit.
#[must_use]
pub fn audit(assets: &Assets, view: &Audit) -> Markup {
    let outcomes =
        [("", "Any outcome"), ("ok", "Done"), ("denied", "Denied"), ("failed", "Failed")];
    html! {
        header.pagehead {
            div { h1 { "Logs" } p { (view.sentence) } }
            (tabs("Which log", &view.tabs))
        }
        section.card aria-label="Audit" {
            div.bar {
                form.search method="get" action="/dashboard/logs" role="search" {
                    input type="hidden" name="tab" value="audit";
                    label.sr for="audit-event" { "Event" }
                    select #audit-event name="event" {
                        @for (value, words) in &view.events { option value=(value) selected[*value == view.filter.event] { (words) } }
                    }
                    label.sr for="audit-outcome" { "Outcome" }
                    select #audit-outcome name="outcome" {
                        @for (value, words) in outcomes { option value=(value) selected[value == view.filter.outcome] { (words) } }
                    }
                    label.sr for="audit-ip" { "Client address" }
                    input #audit-ip type="text" name="ip" value=(view.filter.ip) placeholder="Address" autocomplete="off" spellcheck="false";
                    button.btn.small type="submit" { "Filter" }
                }
                div.actions {
                    (post(&labelled(assets, "shield", "Verify chain"), "/dashboard/audit/verify", Look::Small))
                    a.btn.small.quiet href=(view.export_url) download { (labelled(assets, "download", "Export")) }
                }
            }
            (verified(assets, view.verified.as_ref(), false))
            @if view.rows.is_empty() { p.faint { "Nothing is like that." } }
            @else {
                div.table tabindex="0" role="region" aria-label="Audit" {
                    table.stack {
                        thead { tr {
                            th scope="col" { "Time" } th scope="col" { "What" } th scope="col" { "Outcome" }
                            th scope="col" { "Who" } th scope="col" { "From" } th scope="col" { "Path" }
                        } }
                        tbody { @for row in &view.rows { (audit_row(row)) } }
                    }
                }
                @if let Some(older) = &view.older { p { a href=(older) { "Older rows" } } }
            }
        }
    }
}

/// Result of Verify chain, also out of band.
#[must_use]
pub fn verified(assets: &Assets, result: Option<&(Tone, String)>, out_of_band: bool) -> Markup {
    html! {
        div #audit-verified hx-swap-oob=[out_of_band.then_some("true")] role="status" {
            @if let Some((tone, text)) = result { (notice(assets, *tone, &html! { p { (text) } })) }
        }
    }
}

fn audit_row(row: &AuditRow) -> Markup {
    let (tone, word) = &row.outcome;
    html! {
        tr id={ "audit-" (row.seq) } {
            td data-label="Time" { (time(&row.at)) }
            td data-label="What" {
                (inert(&row.sentence)) span.sub { (row.event) " · #" (row.seq) }
                @if !row.detail.is_empty() {
                    details { summary { "Detail" } pre.raw tabindex="0" aria-label="Detail" { (row.detail) } }
                }
            }
            td data-label="Outcome" { (badge(*tone, word)) }
            td data-label="Who" { (inert(&row.actor)) }
            td data-label="From" { (inert(&row.ip)) }
            td data-label="Path" { code { (inert(&row.path)) } }
        }
    }
}
