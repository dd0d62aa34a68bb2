//! Bodies of dialogs. The same form stands on a page of its own where no script runs.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::icon::icon;

/// What goes into `#dialog-body`: a title and a body that holds its own buttons.
pub(crate) fn dialog_body(assets: &Assets, title: &str, body: &Markup) -> Markup {
    html! {
        header {
            h2 id="dialog-title" { (title) }
            button.icon type="button" data-close="dialog" aria-label="Close" { (icon(assets, "close")) }
        }
        (body)
    }
}

/// A title and a form on a page of its own.
pub(crate) fn own_page(title: &str, back: (&str, &str), body: &Markup) -> Markup {
    let (label, url) = back;
    html! {
        header.pagehead {
            div {
                p.crumb { a href=(url) { (label) } }
                h1 { (title) }
            }
        }
        section class="card narrow" { (body) }
    }
}
