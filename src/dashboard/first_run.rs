//! `/dashboard/first-run`: the choice of a password, after the first sign-in and at any later time.

use ninerouter_templates::Form as Fields;
use ninerouter_templates::login::{FirstRun, first_run};
use serde_json::{Value, json};

use crate::api::Reply;
use crate::dashboard::assets;
use crate::dashboard::login::{problem_of, theme, unequal};
use crate::dashboard::visit::{Page, Visit};

/// Answers a request for the page.
pub async fn page(visit: &Visit) -> Page {
    match visit.method.as_str() {
        "GET" => draw(visit, 200, Fields::default()),
        "POST" => choose(visit).await,
        _ => Page::empty(405).header("allow", "GET, HEAD, POST"),
    }
}

async fn choose(visit: &Visit) -> Page {
    let form = &visit.form;
    if form.get("skip").is_some() {
        return match may_skip(visit) {
            true => Page::see_other("/dashboard"),
            false => {
                draw(visit, 422, problem_of("Others reach this router: choose a password now."))
            }
        };
    }
    if form.get("new") != form.get("repeat") {
        return draw(visit, 422, unequal());
    }
    let mut body = json!({"new": form.get("new").unwrap_or_default()});
    if let (Value::Object(body), Some(current)) = (&mut body, form.get("current")) {
        body.insert("current".to_owned(), current.into());
    }
    let mut reply = visit.call("POST", "/api/auth/password", Some(&body)).await;
    if reply.status < 300 {
        return Page::see_other("/dashboard").session(reply.session.take());
    }
    refused(visit, reply)
}

fn refused(visit: &Visit, reply: Reply) -> Page {
    let (status, wait) = (reply.status, reply.retry_after_s);
    let error = reply.into_json().unwrap_or_default();
    let fields = error.pointer("/error/fields").and_then(Value::as_object);
    let errors = fields
        .into_iter()
        .flatten()
        .filter_map(|(name, why)| Some((name.clone(), why.as_str()?.to_owned())));
    let errors: Vec<_> = errors.collect();
    let message = error.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    let problem = errors.is_empty().then(|| message.to_owned());
    let page = draw(visit, status, Fields { errors, problem, ..Fields::default() });
    match wait {
        Some(seconds) => page.header("retry-after", seconds.to_string()),
        None => page,
    }
}

fn draw(visit: &Visit, status: u16, form: Fields) -> Page {
    let reason = match visit.must_change {
        true => "Whoever knows the password you came with could come in after you.",
        false => "Every other browser is signed out by it.",
    };
    let view = FirstRun {
        theme: theme(&visit.cookies),
        csrf: visit.csrf.clone(),
        reason: reason.to_owned(),
        form,
        ask_current: !visit.must_change,
        may_skip: may_skip(visit),
    };
    Page::html(status, first_run(assets::urls(), &view))
}

fn may_skip(visit: &Visit) -> bool {
    visit.must_change && visit.is_loopback_only
}
