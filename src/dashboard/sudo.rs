//! `/dashboard/sudo`: the password once more, and then the request that waited for it.

use ninerouter_templates::Form as Fields;
use ninerouter_templates::layout::{Head, Shell, page};
use ninerouter_templates::sudo::{self, Replay, Sudo};
use serde_json::{Value, json};

use crate::auth::audit::{Authority, Caller};
use crate::auth::session::{Issued, SessionChange};
use crate::dashboard::assets;
use crate::dashboard::login::theme;
use crate::dashboard::visit::{Form, Page, Visit, next_page};

/// Field with the URL of the request that waits, where there is no script to repeat it.
const REPLAY: &str = "_replay";
const PASSWORD: &str = "password";

/// What follows from an answer to the question.
#[derive(Debug)]
pub enum Entered {
    /// This page.
    Page(Page),
    /// The request that waited, as the session's next one; its page brings the session along.
    Again(Box<Visit>, SessionChange),
}

/// The question itself (428), in place of what `visit` asked for: `purpose` ends the sentence "To …". The fields of the
/// request are kept for browsers without script, except passwords and keys.
#[must_use]
pub fn ask(visit: &Visit, purpose: &str) -> Page {
    let secret =
        |name: &str| ["password", "secret", "key", "token"].iter().any(|s| name.contains(s));
    let values = visit.form.iter().filter(|(name, _)| !secret(name));
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = if visit.query.is_empty() { String::new() } else { format!("?{}", visit.query) };
    let url = format!("/dashboard{}{query}", visit.path);
    let replay = (!visit.hx.is_fragment).then_some(Replay { url, values });
    draw(visit, 428, purpose, Fields::default(), replay)
}

/// The answer to it.
pub async fn enter(visit: &Visit) -> Entered {
    if visit.method != "POST" {
        return Entered::Page(Page::empty(405).header("allow", "POST"));
    }
    let password = visit.form.get(PASSWORD).unwrap_or_default();
    let mut reply =
        visit.call("POST", "/api/auth/sudo", Some(&json!({"password": password}))).await;
    match reply.session.take() {
        Some(SessionChange::Began(issued)) => granted(visit, issued),
        Some(SessionChange::Ended) | None => {
            let wait = reply.retry_after_s;
            let status = reply.status;
            let error = reply.into_json().unwrap_or_default();
            let page = refused(visit, status, &error);
            Entered::Page(match wait {
                Some(seconds) => page.header("retry-after", seconds.to_string()),
                None => page,
            })
        }
    }
}

/// The session has another id and another token now (SEC-SES-3): a script is told the token before it repeats its
/// request, without script the request is repeated here.
fn granted(visit: &Visit, issued: Issued) -> Entered {
    let csrf = issued.session.csrf.expose().to_owned();
    if visit.hx.is_fragment {
        let told = json!({"sudo-done": {"csrf": csrf}}).to_string();
        let page = Page::empty(204).header("hx-trigger", told);
        return Entered::Page(page.session(Some(SessionChange::Began(issued))));
    }
    let Some(waiting) = visit.form.get(REPLAY).map(|url| next_page(Some(url)).to_owned()) else {
        let page = Page::see_other("/dashboard");
        return Entered::Page(page.session(Some(SessionChange::Began(issued))));
    };
    let (path, query) = waiting.split_once('?').unwrap_or((&waiting, ""));
    let fields = visit.form.iter().filter(|(name, _)| !matches!(*name, REPLAY | PASSWORD));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let caller =
        Caller { authority: Authority::Session(issued.session.clone()), ..visit.caller.clone() };
    let again = Visit {
        caller,
        csrf,
        path: path.strip_prefix("/dashboard").unwrap_or_default().to_owned(),
        query: query.to_owned(),
        form: fields.collect::<Form>(),
        ..visit.clone()
    };
    Entered::Again(Box::new(again), SessionChange::Began(issued))
}

fn refused(visit: &Visit, status: u16, error: &Value) -> Page {
    let text = |at: &str| error.pointer(at).and_then(Value::as_str);
    let form = match text("/error/fields/password") {
        Some(_) => Fields {
            errors: vec![(PASSWORD.to_owned(), "That is not the password. Try again.".to_owned())],
            ..Fields::default()
        },
        None => Fields {
            problem: Some(text("/error/message").unwrap_or_default().to_owned()),
            ..Fields::default()
        },
    };
    let replay = visit.form.get(REPLAY).map(|url| {
        let values = visit.form.iter().filter(|(name, _)| !matches!(*name, REPLAY | PASSWORD));
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Replay { url: next_page(Some(url)).to_owned(), values: values.collect() }
    });
    draw(visit, status, "go on", form, replay)
}

fn draw(visit: &Visit, status: u16, purpose: &str, form: Fields, replay: Option<Replay>) -> Page {
    let view =
        Sudo { csrf: visit.csrf.clone(), purpose: purpose.to_owned(), form, wait: None, replay };
    if visit.hx.is_fragment {
        return Page::html(status, sudo::dialog(assets::urls(), &view));
    }
    let shell =
        Shell { csrf: visit.csrf.clone(), theme: theme(&visit.cookies), ..Shell::default() };
    let head = Head { section: None, title: "Enter your password", url: "/dashboard", live: None };
    Page::html(status, page(assets::urls(), &shell, &head, &sudo::page(&view)))
}
