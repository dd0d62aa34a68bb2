//! What would serve, and why not the others: answers to Explain and Simulate.

use maud::{Markup, html};

use crate::moment::{Moment, time};
use crate::part::badge::{Tone, badge, chip};

/// What would serve, and why not the others.
#[derive(Clone, Debug, Default)]
pub struct Simulation {
    /// What was asked for.
    pub model: String,
    /// The target that would serve; empty = none.
    pub serves: String,
    /// Candidates in order.
    pub order: Vec<Candidate>,
    /// Targets that cannot be used at all: what and why.
    pub unusable: Vec<String>,
    /// The question had no answer: unknown model, with a near one.
    pub problem: String,
}

/// A candidate.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its target.
    pub target: String,
    /// Account and tier.
    pub about: String,
    /// Why it is passed over; empty = it can serve.
    pub why: String,
    /// Until when.
    pub until: Option<Moment>,
}

/// Answer to Explain and Simulate.
#[must_use]
pub fn simulation(view: &Simulation) -> Markup {
    html! {
        div #simulation role="status" {
            @if !view.problem.is_empty() { p.err { (view.problem) } }
            @else {
                p {
                    @if view.serves.is_empty() { (badge(Tone::Bad, "Nobody")) " can serve " code { (view.model) } "." }
                    @else { (badge(Tone::Ok, "Serves")) " " code { (view.serves) } }
                }
                ol.rows {
                    @for one in &view.order {
                        li {
                            div.t { code { (one.target) } span { (one.about) } }
                            @if one.why.is_empty() { (chip("can serve")) }
                            @else { div.n { span { (one.why) } @if let Some(until) = &one.until { span.faint { (time(until)) } } } }
                        }
                    }
                }
                @for one in &view.unusable { p.faint { (one) } }
            }
        }
    }
}

/// The place of the answer, before there is one.
pub(super) fn no_simulation() -> Markup {
    html! { div #simulation { p.faint { "By the same code as for requests; nothing is sent." } } }
}
