//! Pages for whoever the guard does not let through: within no frame, with nothing about the router in them.

use ninerouter_templates::error_page::{Problem, bare_page};

use crate::dashboard::assets;
use crate::dashboard::login::theme;
use crate::dashboard::visit::Page;

/// What is told, under which status.
#[derive(Debug)]
pub struct Told {
    status: u16,
    problem: Problem,
}

impl Told {
    /// The page, in the colours of the browser's cookies.
    #[must_use]
    pub fn page(&self, cookies: &str) -> Page {
        Page::html(self.status, bare_page(assets::urls(), theme(cookies), &self.problem))
    }
}

/// Host, tunnel or address are not admitted.
#[must_use]
pub fn stopped(status: u16, cause: &str, seen: &str, remedy: &str) -> Told {
    let sentence = |text: &str| {
        let mut letters = text.chars();
        let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
        format!("{first}{}.", letters.as_str())
    };
    let problem = Problem::Forbidden {
        reason: sentence(cause),
        seen: seen.to_owned(),
        remedy: sentence(remedy),
    };
    Told { status, problem }
}

/// Our own pages did not send the request (SEC-CSRF-1).
#[must_use]
pub fn forged() -> Told {
    let problem = Problem::Forbidden {
        reason: "This did not come from a page of this router, or the page is out of date. Nothing was changed."
            .to_owned(),
        seen: String::new(),
        remedy: "Reload the page and do it again.".to_owned(),
    };
    Told { status: 403, problem }
}

/// A form of more than 1 MiB.
#[must_use]
pub fn too_large() -> Told {
    let problem = Problem::Forbidden {
        reason: "The form is larger than this router takes. Nothing was changed.".to_owned(),
        seen: String::new(),
        remedy: "Send less at once.".to_owned(),
    };
    Told { status: 413, problem }
}

/// A form that did not arrive whole.
#[must_use]
pub fn broken_form() -> Told {
    let problem = Problem::Forbidden {
        reason: "The form did not arrive whole. Nothing was changed.".to_owned(),
        seen: String::new(),
        remedy: "Go back and send it again.".to_owned(),
    };
    Told { status: 408, problem }
}

/// The router cannot answer now.
#[must_use]
pub fn unavailable(doing: &str) -> Told {
    let problem = Problem::Unavailable { doing: doing.to_owned() };
    Told { status: 503, problem }
}
