//! Signing in to a vendor: how it starts, and how far it is.

use ninerouter_templates::Form as View;
use ninerouter_templates::connect::{
    Approval, Progress, SignIn, Start, progress, sign_in, start_dialog, start_page,
};
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::dashboard::assets;
use crate::dashboard::form::{entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::signed;
use crate::dashboard::stage::{self, About, Refused, Stage, good};
use crate::dashboard::visit::{Form, Page, Visit};

/// Name of the cookie that holds a sign-in's address. Only the browser that began it can approve it, and the router
/// keeps no more of it than a hash.
const COOKIE: &str = "nr_sign_in";

/// Where a sign-in's own page is.
fn path(session: &str) -> String {
    format!("/dashboard/connect/{session}")
}

/// What is signed in to: a provider for a new account, or an account again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// A new account of a provider.
    Provider(&'a str),
    /// An account that is there.
    Account(&'a str),
}

impl Subject<'_> {
    /// Where the dashboard posts to.
    fn page(self) -> String {
        match self {
            Self::Provider(id) => format!("/dashboard/providers/{id}/connect"),
            Self::Account(id) => format!("/dashboard/accounts/{id}/reconnect"),
        }
    }

    /// The route of the API.
    fn route(self) -> String {
        match self {
            Self::Provider(id) => format!("/api/accounts/connect/{id}/start"),
            Self::Account(id) => format!("/api/accounts/{id}/reconnect"),
        }
    }

    async fn provider(self, visit: &Visit) -> Result<Value, Refused> {
        match self {
            Self::Provider(id) => visit.read(&format!("/api/providers/{id}")).await,
            Self::Account(id) => {
                let account = visit.read(&format!("/api/accounts/{id}")).await?;
                visit.read(&format!("/api/providers/{}", account.text("/provider"))).await
            }
        }
    }
}

/// The form that begins it.
pub(super) async fn ask(visit: &Visit, subject: Subject<'_>) -> Result<Page, Refused> {
    start_shown(visit, 200, subject, View::default()).await
}

/// Begins it; the browser goes on to its page.
pub(super) async fn begin(visit: &Visit, subject: Subject<'_>) -> Result<Page, Refused> {
    let mut body = json!({});
    let label = visit.form.get("label").map(str::trim).filter(|label| !label.is_empty());
    if let (Some(label), Value::Object(body)) = (label, &mut body) {
        body.insert("label".to_owned(), label.into());
    }
    match visit.ask("POST", &subject.route(), Some(&body)).await {
        Ok(started) => {
            let session = started.text("/session_id");
            let done = stage::done(visit, &path(session), &good("The sign-in has begun."));
            Ok(done.header("set-cookie", remembered(visit, session, &started)))
        }
        Err(refused) if is_objection(&refused) || refused.status == 503 => {
            let form = objected(&visit.form, &[], &refused);
            start_shown(visit, 422, subject, form).await
        }
        Err(refused) => Err(refused),
    }
}

/// The cookie with what only the start of a sign-in tells.
fn remembered(visit: &Visit, session: &str, started: &Value) -> String {
    let until = started.int("/expires_at").unwrap_or_default();
    let life = (until - visit.now_ms()).max(0) / 1_000;
    let known = json!({
        "authorize_url": started.part("/authorize_url"),
        "expires_at": until,
        "paste_allowed": started.part("/paste_allowed"),
    });
    let value = signed::seal(session, &known.to_string(), until);
    let secure = if visit.is_https() { "; Secure" } else { "" };
    format!(
        "{COOKIE}={value}; Path={}; Max-Age={life}; HttpOnly; SameSite=Strict{secure}",
        path(session)
    )
}

/// What the cookie says, over what the API says.
fn with_remembered(visit: &Visit, session: &str, mut object: Value) -> Value {
    let text = visit.cookie(COOKIE).and_then(|value| signed::open(session, value, visit.now_ms()));
    let known = text.and_then(|text| serde_json::from_str(&text).ok());
    if let (Some(Value::Object(known)), Value::Object(object)) = (known, &mut object) {
        object.extend(known);
    }
    object
}

async fn start_shown(
    visit: &Visit,
    status: u16,
    subject: Subject<'_>,
    form: View,
) -> Result<Page, Refused> {
    let provider = subject.provider(visit).await?;
    let secret = provider.part("/client_secret");
    let lacking = if secret.is("/required") && secret.part("/set").as_bool() == Some(false) {
        format!(
            "{} wants an OAuth client of your own: set `NINEROUTER_OAUTH_{}_CLIENT_ID` and `_CLIENT_SECRET`, then restart.",
            provider.text("/name"),
            variable(provider.text("/id"))
        )
    } else {
        String::new()
    };
    let view = Start {
        csrf: visit.csrf.clone(),
        provider: provider.text("/id").to_owned(),
        name: provider.text("/name").to_owned(),
        notice: provider.text("/risk_notice").to_owned(),
        form,
        fields: Vec::new(),
        both: false,
        lacking,
        url: subject.page(),
    };
    let assets = assets::urls();
    if visit.wants_dialog() {
        return Ok(Page::html(status, start_dialog(assets, &view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section: Section::Providers, title: "Sign in", feed: None };
    Ok(stage.page_with_status(status, visit, about, &start_page(assets, &view)))
}

/// A provider's part in names of environment variables.
fn variable(id: &str) -> String {
    id.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}

/// How far it is.
pub(super) async fn show(visit: &Visit, session: &str) -> Result<Page, Refused> {
    shown(visit, 200, session, View::default()).await
}

/// Takes the address or code that the vendor's page ended up at.
pub(super) async fn paste(visit: &Visit, session: &str) -> Result<Page, Refused> {
    let body = json!({"input": visit.form.get("input").unwrap_or_default()});
    let target = format!("/api/accounts/connect/sessions/{session}/paste");
    match visit.ask("POST", &target, Some(&body)).await {
        Ok(_) => Ok(Page::see_other(path(session))),
        Err(refused) if is_objection(&refused) => {
            // What was pasted may hold a code: it is not shown again.
            shown(visit, 422, session, objected(&visit.form, &["input"], &refused)).await
        }
        Err(refused) => Err(refused),
    }
}

/// Gives it up.
pub(super) async fn cancel(visit: &Visit, session: &str) -> Result<Page, Refused> {
    let target = format!("/api/accounts/connect/sessions/{session}/cancel");
    match visit.ask("POST", &target, None).await {
        Ok(answer) => {
            let provider = format!("/dashboard/providers/{}", answer.text("/provider"));
            Ok(stage::done(visit, &provider, &good("The sign-in is cancelled.")))
        }
        Err(refused) => Ok(refused.told(visit, &path(session)).await),
    }
}

async fn shown(visit: &Visit, status: u16, session: &str, form: View) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let object = visit.read(&format!("/api/accounts/connect/sessions/{session}")).await?;
    let object = with_remembered(visit, session, object);
    let provider = visit.read(&format!("/api/providers/{}", object.text("/provider"))).await?;
    let view = SignIn { form, ..view(&object, provider.text("/name"), &visit.csrf) };
    let view =
        SignIn { expires: object.int("/expires_at").map(|at| stage.sight.now.until(at)), ..view };
    let feed = format!("shell,connect:{session}");
    let about = About { section: Section::Providers, title: "Sign in", feed: Some(&feed) };
    Ok(stage.page_with_status(status, visit, about, &sign_in(assets::urls(), &view)))
}

/// A sign-in as its page and the feed show it.
pub(super) fn view(object: &Value, name: &str, csrf: &str) -> SignIn {
    // Another browser than the one that began it cannot approve it; it can begin anew.
    let url = match object.text("/authorize_url") {
        "" => format!("/dashboard/providers/{}/connect", object.text("/provider")),
        url => url.to_owned(),
    };
    SignIn {
        csrf: csrf.to_owned(),
        id: object.text("/session_id").to_owned(),
        provider: object.text("/provider").to_owned(),
        name: name.to_owned(),
        way: Approval::Browser { url },
        progress: how_far(object),
        expires: None,
        paste: object.part("/paste_allowed").as_bool().unwrap_or(true),
        form: entered(&Form::default(), &[]),
    }
}

/// The part that the feed replaces.
pub(super) fn drawn(object: &Value, name: &str) -> ninerouter_templates::Markup {
    progress(&view(object, name, ""))
}

fn how_far(object: &Value) -> Progress {
    let message = object.text("/message");
    let told = |usual: &str| if message.is_empty() { usual.to_owned() } else { message.to_owned() };
    match object.text("/status") {
        "pending" => Progress::Waiting("Waiting for you to approve…".to_owned()),
        "exchanging" => Progress::Waiting("Approved, fetching the account…".to_owned()),
        "done" => Progress::Done {
            text: if object.is("/existed") {
                "This account was here already. Its sign-in is renewed.".to_owned()
            } else {
                "The account is added and serves from now on.".to_owned()
            },
            url: format!("/dashboard/accounts/{}", object.text("/account_id")),
        },
        "cancelled" => Progress::Failed(told("The sign-in was cancelled.")),
        "expired" => Progress::Failed(told("Nobody came back in time.")),
        _ => Progress::Failed(told("The sign-in failed.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_says_how_far_it_is() {
        let of = |object: Value| how_far(&object);
        assert!(matches!(of(json!({"status": "pending"})), Progress::Waiting(_)));
        let done = of(json!({"status": "done", "account_id": "7", "existed": true}));
        assert!(matches!(done, Progress::Done { url, .. } if url == "/dashboard/accounts/7"));
        let failed = of(json!({"status": "error", "message": "invalid_grant"}));
        assert_eq!(failed, Progress::Failed("invalid_grant".to_owned()));
    }
}
