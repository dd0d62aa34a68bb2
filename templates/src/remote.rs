//! Remote access: how others reach the router, and by which names. The router starts no program; it says how.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::code::{Snippet, snippet};
use crate::part::field::{Field, Form, check, summary, textarea};

/// Values of the card.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    /// How the router knows its tunnels now, in a sentence.
    pub sentence: String,
    /// Ways in.
    pub guides: Vec<Guide>,
    /// Values and errors: `tunnel_hosts` (one per line), `tunnel_dashboard_access`.
    pub form: Form,
    /// What the names are fixed by; empty = they can be changed.
    pub fixed_by: String,
}

/// One way in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guide {
    /// Its name.
    pub title: String,
    /// What happens, in a sentence or two.
    pub effect: String,
    /// What to run, or to write into a file.
    pub lines: Snippet,
    /// How it is ended.
    pub end: String,
}

/// The card; answer to a change of its names.
#[must_use]
pub fn card(assets: &Assets, csrf: &str, view: &Remote) -> Markup {
    let url = "/dashboard/endpoint/remote";
    let field = |name, label| Field::new("remote", name, label).plain();
    html! {
        section #remote.card aria-labelledby="remote-t" {
            header { h2 #remote-t { "Remote access" } }
            p.faint { (view.sentence) " Requests that come through a tunnel need an API key, whatever is set above." }
            div.stack-v {
                @for (at, guide) in view.guides.iter().enumerate() {
                    details {
                        summary { (guide.title) }
                        div.stack-v.more {
                            p { (guide.effect) }
                            (snippet(assets, &format!("remote-{at}"), &guide.lines))
                            p.faint { (guide.end) }
                        }
                    }
                }
            }
            @if view.fixed_by.is_empty() {
                form method="post" action=(url) hx-post=(url) hx-target="#remote" hx-swap="outerHTML"
                    hx-disabled-elt="find button[type=submit]" {
                    input type="hidden" name="_csrf" value=(csrf);
                    (summary("remote", &view.form))
                    (textarea(&view.form, field("tunnel_hosts", "Host names of your tunnels").hint("One per line: router.example.org. What is asked for by such a name is known to come from outside."), 2))
                    (check(&view.form, field("tunnel_dashboard_access", "Serve the dashboard through them too").required().hint("Off: from outside there is the API alone, and sign-ins are refused.")))
                    div.actions { button.btn type="submit" { "Save" } }
                }
            } @else { p.faint { "The names are set by " (view.fixed_by) "." } }
        }
    }
}
