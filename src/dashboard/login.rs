//! `/login`: the form, and what it sends. Without a session there is no management API: this asks the sign-in itself.

use std::sync::Arc;
use std::time::Duration;

use ninerouter_templates::Form as Fields;
use ninerouter_templates::layout::Theme;
use ninerouter_templates::login::{Login, login};

use crate::actors::shared::Shared;
use crate::auth::audit::{Caller, Event, EventName};
use crate::auth::csrf::{FORM_LIFE_MS, Forgery};
use crate::auth::login::{Entry, Knock, Refused};
use crate::auth::session::{SessionChange, cookie};
use crate::dashboard::assets;
use crate::dashboard::visit::{self, Form, Page, next_page};
use crate::secret::Secret;

/// Said of every attempt that does not let anybody in, whatever the reason (SEC-PW-3).
const NOT_IN: &str = "That did not let you in. Check it and try again; after five attempts there is a wait of up to \
                      15 minutes.";
/// Page after a first sign-in.
const FIRST_RUN: &str = "/dashboard/first-run";

/// Somebody in front of the form.
pub struct Outsider {
    /// Process-wide state.
    pub shared: Arc<Shared>,
    /// Where from.
    pub caller: Caller,
    /// The same, for the sign-in.
    pub knock: Knock,
    /// Values of the form's cookie.
    pub form_cookies: Vec<String>,
    /// Fields; empty for the form itself.
    pub form: Form,
    /// Query, as sent.
    pub query: String,
    /// `Cookie`, as sent.
    pub cookies: String,
    /// Cookies carry `Secure`.
    pub is_secure: bool,
    /// The browser came by https.
    pub is_https: bool,
}

impl std::fmt::Debug for Outsider {
    /// Without form and cookies.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outsider").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// The form.
pub async fn show(who: &Outsider) -> Page {
    let reason = match query(&who.query, "why").as_deref() {
        Some("ended") => "Your session ended.",
        Some("out") => "You are signed out.",
        _ => "",
    };
    let next = query(&who.query, "next");
    draw(who, 200, next.as_deref(), reason, Fields::default()).await
}

/// What the form sent.
pub async fn sign_in(who: &Outsider) -> Page {
    let next = who.form.get("next").map(str::to_owned);
    let next = next.as_deref();
    if let Err(why) = check_form(who) {
        let event = Event::denied(EventName::CsrfFailed);
        who.shared.audit.record(&who.caller, event.with("why", why.to_string()));
        let problem = "This page was open for too long, or cookies are off. Try again.";
        return draw(who, 403, next, "", problem_of(problem)).await;
    }
    let given = who.form.get("password").or_else(|| who.form.get("code")).unwrap_or_default();
    let new = match new_password(&who.form) {
        Ok(new) => new,
        Err(fields) => return draw(who, 422, next, "", fields).await,
    };
    let record = |event: Event| who.shared.audit.record(&who.caller, event);
    let given = Secret::new(given.to_owned());
    match who.shared.login.sign_in(&who.knock, given, new, &record).await {
        Ok(issued) => {
            let to = next_page(next);
            let page = match issued.session.must_change {
                true => Page::see_other(FIRST_RUN),
                false => Page::see_other(to),
            };
            page.session(Some(SessionChange::Began(issued)))
        }
        Err(why) => refused(who, next, &why).await,
    }
}

async fn refused(who: &Outsider, next: Option<&str>, why: &Refused) -> Page {
    match why {
        Refused::Limited(seconds) => draw(who, 429, next, "", problem_of(NOT_IN))
            .await
            .header("retry-after", seconds.to_string()),
        Refused::Wrong | Refused::Over => draw(who, 401, next, "", problem_of(NOT_IN)).await,
        Refused::TooLong => draw(who, 400, next, "", problem_of(NOT_IN)).await,
        Refused::Unfit(unfit) => {
            let fields =
                Fields { errors: vec![("new".to_owned(), unfit.to_string())], ..Fields::default() };
            draw(who, 422, next, "", fields).await
        }
        Refused::Busy => {
            let busy = "Too many sign-ins at this moment. Try again in a few seconds.";
            draw(who, 503, next, "", problem_of(busy)).await.header("retry-after", "2")
        }
        Refused::Unavailable => {
            let broken = "Signing in is not possible now. The server's log says why.";
            draw(who, 503, next, "", problem_of(broken)).await
        }
    }
}

/// SEC-CSRF-3.
fn check_form(who: &Outsider) -> Result<(), Forgery> {
    let now = who.shared.clock.now_ms();
    let cookies = who.form_cookies.iter().map(String::as_str);
    who.shared.login.sessions.csrf().check_form(cookies, who.form.get("_csrf"), now)
}

/// The first password, when it comes with the set-up code.
fn new_password(form: &Form) -> Result<Option<Secret>, Fields> {
    let new = form.get("new").unwrap_or_default();
    let repeat = form.get("repeat").unwrap_or_default();
    if new.is_empty() && repeat.is_empty() {
        return Ok(None);
    }
    if new != repeat {
        return Err(unequal());
    }
    Ok(Some(Secret::new(new.to_owned())))
}

/// Two passwords that should be one.
pub(super) fn unequal() -> Fields {
    Fields {
        errors: vec![("repeat".to_owned(), "type the same password in both fields".to_owned())],
        ..Fields::default()
    }
}

pub(super) fn problem_of(problem: &str) -> Fields {
    Fields { problem: Some(problem.to_owned()), ..Fields::default() }
}

/// The form with a new pair of tokens.
async fn draw(
    who: &Outsider,
    status: u16,
    next: Option<&str>,
    reason: &str,
    mut form: Fields,
) -> Page {
    let login_service = &who.shared.login;
    let entry = login_service.entry(who.knock.is_loopback_only).await;
    let pair = login_service.sessions.csrf().form_pair(who.shared.clock.now_ms());
    let (Ok(entry), Some(pair)) = (entry, pair) else {
        return Page::html(503, "Signing in is not possible now. The server's log says why.");
    };
    if who.is_secure && !who.is_https && !who.knock.is_local && form.problem.is_none() {
        // SEC-SES-2: the browser would throw the cookie away and show the form again.
        form.problem = Some(
            "This router sends its cookie over https only (AUTH_COOKIE_SECURE), and this page came by http: \
             signing in will not last. Use the https address."
                .to_owned(),
        );
    }
    let view = Login {
        theme: theme(&who.cookies),
        csrf: pair.field.expose().to_owned(),
        next: next.map(|next| next_page(Some(next)).to_owned()).unwrap_or_default(),
        reason: reason.to_owned(),
        form,
        wait: None,
        set_up: entry == Entry::SetUpCode,
    };
    let life = Duration::from_millis(u64::try_from(FORM_LIFE_MS).unwrap_or_default());
    let line = cookie::set_pre_session(pair.cookie.expose(), life, who.is_secure);
    Page::html(status, login(assets::urls(), &view)).header("set-cookie", line)
}

/// Colours of a page outside the frame.
pub(super) fn theme(cookies: &str) -> Theme {
    visit::cookie(cookies, "nr_theme").map(Theme::parse).unwrap_or_default()
}

fn query(query: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
