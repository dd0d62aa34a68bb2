//! Pages that say what went wrong: within the frame for a session, bare for everybody else.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::layout::{Theme, bare};
use crate::moment::{Moment, time};

/// An error as the operator reads it.
#[derive(Clone, Debug)]
pub enum Problem {
    /// 403: an address that isn't admitted, or something else that is refused.
    Forbidden {
        /// Why.
        reason: String,
        /// The address that was seen; empty when it has nothing to do with it.
        seen: String,
        /// What to do about it.
        remedy: String,
    },
    /// 404.
    NotFound,
    /// 405.
    WrongMethod,
    /// 409: somebody changed it in between.
    Conflict {
        /// What was changed.
        what: String,
        /// Where its present state is.
        reload: String,
    },
    /// 429.
    TooMany {
        /// When the next attempt is heard.
        until: Option<Moment>,
    },
    /// 500.
    Failed {
        /// To be found in the log.
        request_id: String,
    },
    /// 501: a part of the product that this version lacks.
    Missing {
        /// What.
        what: String,
    },
    /// 503 while the router starts, migrates or cannot write; the page asks again by itself.
    Unavailable {
        /// What it is doing.
        doing: String,
    },
}

impl Problem {
    /// Status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Forbidden { .. } => 403,
            Self::NotFound => 404,
            Self::WrongMethod => 405,
            Self::Conflict { .. } => 409,
            Self::TooMany { .. } => 429,
            Self::Failed { .. } => 500,
            Self::Missing { .. } => 501,
            Self::Unavailable { .. } => 503,
        }
    }

    /// Title of the page.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "Not allowed",
            Self::NotFound => "No such page",
            Self::WrongMethod => "Not here",
            Self::Conflict { .. } => "Changed in between",
            Self::TooMany { .. } => "Too many attempts",
            Self::Failed { .. } => "Something failed",
            Self::Missing { .. } => "Not part of this version",
            Self::Unavailable { .. } => "One moment",
        }
    }
}

/// Content of an error page within the frame.
#[must_use]
pub fn content(problem: &Problem) -> Markup {
    html! {
        header.pagehead { h1 { (problem.title()) } }
        section class="card narrow" {
            (words(problem))
            @if matches!(problem, Problem::NotFound) {
                form.search method="get" action="/dashboard/palette" role="search" {
                    label.sr for="lost-q" { "Page, provider, account, combo or model" }
                    input #lost-q type="search" name="q" autocomplete="off" spellcheck="false"
                        placeholder="Page, provider, account, combo or model" data-key="/";
                    button.btn type="submit" { "Search" }
                }
            }
            div.actions { a.btn.primary href="/dashboard" { "Overview" } }
        }
    }
}

/// A whole page for a caller without a session.
#[must_use]
pub fn bare_page(assets: &Assets, theme: Theme, problem: &Problem) -> Markup {
    let refresh = matches!(problem, Problem::Unavailable { .. }).then_some(2);
    let content = html! { h1 { (problem.title()) } (words(problem)) };
    bare(assets, theme, problem.title(), refresh, &content)
}

fn words(problem: &Problem) -> Markup {
    html! {
        @match problem {
            Problem::Forbidden { reason, seen, remedy } => {
                p { (reason) }
                @if !seen.is_empty() { p { "Your address as the router sees it: " code { (seen) } } }
                @if !remedy.is_empty() { p.faint { (remedy) } }
            }
            Problem::NotFound => {
                p { "There is no page at this address. It may have been deleted, or the link is wrong." }
            }
            Problem::WrongMethod => {
                p { "This address does not take that kind of request. Go back and use the link or button there." }
            }
            Problem::Conflict { what, reload } => {
                p { (what) " was changed in between. Nothing of yours was saved." }
                p { a href=(reload) { "Show its present state" } ", then make your change again." }
            }
            Problem::TooMany { until } => {
                p { "There were too many attempts from your address." @if let Some(until) = until { " Try again " (time(until)) "." } }
            }
            Problem::Failed { request_id } => {
                p { "The router could not answer. Nothing was changed. Try again; if it stays, look for this id in the logs." }
                p { code { (request_id) } }
            }
            Problem::Missing { what } => { p { (what) " is not part of this version." } }
            Problem::Unavailable { doing } => {
                p { (doing) }
                p.faint { "This page asks again every two seconds." }
            }
        }
    }
}
