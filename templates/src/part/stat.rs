//! One figure with its name and a qualifier.

use maud::{Markup, html};

/// A figure of an overview.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// What is counted.
    pub label: String,
    /// In little room: `47.2M`; `—` when unknown.
    pub figure: String,
    /// In full, for the title and for screen readers; empty when `figure` is all of it.
    pub full: String,
    /// One line below: share, parts, or why the figure is unknown.
    pub note: String,
}

pub(crate) fn stat(view: &Stat) -> Markup {
    html! {
        div class="card stat" {
            dt { (view.label) }
            @if view.full.is_empty() {
                dd { (view.figure) }
            } @else {
                dd title=(view.full) { span aria-hidden="true" { (view.figure) } span.sr { (view.full) } }
            }
            dd.note { (view.note) }
        }
    }
}
