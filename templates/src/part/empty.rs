//! Nothing there yet: what this is, and what to do.

use maud::{Markup, html};

pub(crate) fn empty(what: &str, todo: &str, action: &Markup) -> Markup {
    html! {
        div.empty {
            p { b { (what) } " " (todo) }
            div.actions { (action) }
        }
    }
}
