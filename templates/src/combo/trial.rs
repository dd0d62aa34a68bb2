//! A real request to a combo: which targets it met, and what came of it.

use maud::{Markup, html};

use crate::part::badge::{Tone, badge};
use crate::part::plain::inert;

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trial {
    /// How it ended: tone and words.
    pub outcome: (Tone, String),
    /// Targets in the order in which they were met.
    pub attempts: Vec<Attempt>,
    /// What was answered, or the error that the client would have got.
    pub answer: String,
    /// `1.42 s`, `12 tokens in, 5 out`, `$0.0031`.
    pub facts: Vec<String>,
    /// Why nothing was sent; empty = it was.
    pub problem: String,
}

/// A target that was met.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Its name.
    pub target: String,
    /// The account; empty = none was asked.
    pub account: String,
    /// Tone and word: answered, failed, passed over.
    pub outcome: (Tone, &'static str),
    /// Why; may be empty.
    pub why: String,
    /// `312 ms`; empty = it took no time.
    pub took: String,
}

/// Answer to Run.
#[must_use]
pub fn trial(view: &Trial) -> Markup {
    html! {
        div #trial role="status" {
            @if !view.problem.is_empty() { p.err { (view.problem) } }
            @else {
                p { (badge(view.outcome.0, &view.outcome.1)) " " span.faint { (view.facts.join(" · ")) } }
                ol.rows {
                    @for one in &view.attempts {
                        li {
                            div.t { code { (one.target) } span { (one.account) } }
                            (badge(one.outcome.0, one.outcome.1))
                            @if !one.took.is_empty() { span.faint { (one.took) } }
                            @if !one.why.is_empty() { p.line.wide { (inert(&one.why)) } }
                        }
                    }
                }
                @if !view.answer.is_empty() { pre.raw tabindex="0" aria-label="Answer" { (inert_lines(&view.answer)) } }
            }
        }
    }
}

/// Its lines stay lines; what would act on the text around it does not.
fn inert_lines(text: &str) -> Markup {
    html! { @for (at, line) in text.lines().enumerate() { @if at > 0 { "\n" } (inert(line)) } }
}

/// The place of the answer, before there is one.
pub(super) fn no_trial() -> Markup {
    html! { div #trial { p.faint { "A real request: it uses quota, and counts like any other." } } }
}
