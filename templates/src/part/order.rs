//! Ordering a list: a handle for pointer and keyboard (script), and buttons that work without.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::icon::icon;

/// The handle of a row. Its list (`data-order`) says where the order is posted to.
pub(crate) fn handle(assets: &Assets, name: &str) -> Markup {
    html! {
        button.icon.grip.js type="button" data-handle aria-label={ "Reorder " (name) }
            title="Drag, or press Space and the arrow keys" { (icon(assets, "grip")) }
    }
}

/// Up and down: submit buttons of the form around the list, with `move` = `<key>:up` or `<key>:down`.
pub(crate) fn steps(assets: &Assets, key: &str, name: &str) -> Markup {
    html! {
        span.steps-ud {
            button.icon type="submit" name="move" value={ (key) ":up" } data-move="-1" formnovalidate
                aria-label={ "Move " (name) " up" } { (icon(assets, "up")) }
            button.icon type="submit" name="move" value={ (key) ":down" } data-move="1" formnovalidate
                aria-label={ "Move " (name) " down" } { (icon(assets, "down")) }
        }
    }
}

/// Same for a list that is saved at once: buttons of `<form id="act">` that post to `url`.
pub(crate) fn steps_at(assets: &Assets, url: &str, key: &str, name: &str) -> Markup {
    html! {
        span.steps-ud {
            button.icon type="submit" form="act" formaction=(url) name="move" value={ (key) ":up" } data-move="-1"
                aria-label={ "Move " (name) " up" } { (icon(assets, "up")) }
            button.icon type="submit" form="act" formaction=(url) name="move" value={ (key) ":down" } data-move="1"
                aria-label={ "Move " (name) " down" } { (icon(assets, "down")) }
        }
    }
}
