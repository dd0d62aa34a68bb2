//! The frame of every page. No inline script or style: the content security policy forbids both.

use maud::{DOCTYPE, Markup, html};

/// A whole page around `body`.
pub(crate) fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · NineRouter" }
                link rel="stylesheet" href="/assets/base.css";
            }
            body { main { (body) } }
        }
    }
}
