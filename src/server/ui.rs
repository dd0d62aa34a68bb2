//! The guard of the dashboard: who sees a page, and where everybody else is sent (security §2, class `Ui`).

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use url::form_urlencoded;

use crate::actors::shared::Shared;
use crate::api::{Api, Reply};
use crate::auth::csrf::check_token;
use crate::auth::session::{Live, NoSession, SessionChange, cookie};
use crate::dashboard::login::Outsider;
use crate::dashboard::visit::{Content, Form, Hx, Page, Visit, next_page};
use crate::dashboard::{self, first_run, login, problem, sudo};
use crate::gateway;
use crate::secret::Secret;
use crate::server::admin;
use crate::server::body::{BadBody, read};
use crate::server::guard::{
    self, Entered, Stop, Strictness, enter, forged, header_token, is_unsafe,
};
use crate::server::management::{Cookies, HSTS};

/// SEC-CSP-1.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'";

/// Largest form.
const FORM: usize = 1 << 20;
/// Largest sign-in form.
const LOGIN_FORM: usize = 4 << 10;

/// A request for a page on its way through the guard.
struct Request<'a> {
    api: Rc<Api>,
    shared: &'a Arc<Shared>,
    http: HttpRequest,
    hx: Hx,
    id: &'a str,
    cookies: Cookies,
}

/// Answers `/dashboard` and everything below it.
pub(super) async fn dashboard(
    api: Rc<Api>,
    shared: &Arc<Shared>,
    http: HttpRequest,
    payload: Payload,
    id: &str,
) -> HttpResponse {
    let mut request = Request::new(api, shared, http, id);
    let page = match request.visit(payload).await {
        Ok(visit) if visit.path == "/sudo" => match sudo::enter(&visit).await {
            sudo::Entered::Page(page) => page,
            sudo::Entered::Again(waiting, session) => {
                let page = answer(*waiting).await;
                // What the request itself did to the session comes after.
                if page.session.is_some() { page } else { page.session(Some(session)) }
            }
        },
        Ok(visit) => answer(visit).await,
        Err(page) => *page,
    };
    request.finish(page)
}

async fn answer(visit: Visit) -> Page {
    match visit.path.as_str() {
        "/first-run" => first_run::page(&visit).await,
        _ => dashboard::page(visit).await,
    }
}

/// Answers `/login`.
pub(super) async fn login(
    api: Rc<Api>,
    shared: &Arc<Shared>,
    http: HttpRequest,
    payload: Payload,
    id: &str,
) -> HttpResponse {
    let mut request = Request::new(api, shared, http, id);
    let page = match request.sign_in(payload).await {
        Ok(page) => page,
        Err(page) => *page,
    };
    request.finish(page)
}

/// Answers `POST /logout`.
pub(super) async fn logout(
    api: Rc<Api>,
    shared: &Arc<Shared>,
    http: HttpRequest,
    payload: Payload,
    id: &str,
) -> HttpResponse {
    let mut request = Request::new(api, shared, http, id);
    let page = match request.visit(payload).await {
        Ok(visit) => {
            let mut reply = visit.call("POST", "/api/auth/logout", None).await;
            Page::go_to(visit.hx, "/login?why=out").session(reply.session.take())
        }
        Err(page) => *page,
    };
    request.finish(page)
}

impl<'a> Request<'a> {
    fn new(api: Rc<Api>, shared: &'a Arc<Shared>, http: HttpRequest, id: &'a str) -> Self {
        let is = |name: &str| http.headers().get(name).is_some_and(|value| value == "true");
        let hx = Hx {
            is_fragment: is("hx-request") && !is("hx-history-restore-request"),
            is_boosted: is("hx-boosted"),
        };
        Self { api, shared, http, hx, id, cookies: Cookies::default() }
    }

    /// Past every check, or the page that says why not.
    async fn visit(&mut self, payload: Payload) -> Result<Visit, Box<Page>> {
        let snapshot = self.shared.snapshot.load_full();
        let method = match self.http.method().as_str() {
            "HEAD" => "GET",
            other => other,
        }
        .to_owned();
        let entered = enter(self.shared, &snapshot, &self.http, self.id, Strictness::Admitted);
        let entered = entered.map_err(|why| self.stopped(&why))?;
        self.cookies = Cookies::of(&entered);
        let found = guard::session(self.shared, &entered, self.http.headers()).await;
        let live = match found {
            Ok(Ok(live)) => Some(live),
            Ok(Err(why)) => {
                if why != NoSession::NoCookie {
                    self.cookies.forget();
                }
                let is_open = !snapshot.settings.require_login || snapshot.fixed.demo;
                let is_near = entered.knock.is_local && entered.knock.is_loopback_only;
                if !(is_open && is_near && !is_unsafe(&method)) {
                    return Err(self.to_login(why));
                }
                match snapshot.fixed.demo && !self.is_feed() {
                    true => self.demo_session(&entered).await,
                    false => None,
                }
            }
            Err(why) => {
                tracing::error!(error = %why, "sessions cannot be read");
                return Err(self.problem(problem::unavailable("The database cannot be read now.")));
            }
        };
        let is_way_out = matches!(self.http.path(), "/dashboard/first-run" | "/logout");
        if live.as_ref().is_some_and(|live| live.session.must_change)
            && !entered.knock.is_loopback_only
            && !is_way_out
        {
            return Err(Box::new(self.send_to("/dashboard/first-run", 403)));
        }
        let mut visit = self.visitor(method, &entered, live);
        if is_unsafe(&visit.method) {
            let body = self.body(payload, FORM).await?;
            self.check_source(&entered, &mut visit, body)?;
        }
        Ok(visit)
    }

    /// The demo asks for no password: its visitor is signed in by looking, and has none to enter again, so nothing of
    /// class `Sudo` is his (cli-and-deploy §1).
    async fn demo_session(&mut self, entered: &Entered) -> Option<Live> {
        let who = entered.knock.newcomer(false);
        match self.shared.login.sessions.begin(who).await {
            Ok(issued) => {
                let live = Live { session: issued.session.clone(), renewed: Some(issued) };
                Some(live)
            }
            Err(why) => {
                tracing::warn!(error = %why, "the demo's visitor can only look");
                None
            }
        }
    }

    fn visitor(&mut self, method: String, entered: &Entered, live: Option<Live>) -> Visit {
        let headers = self.http.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let caller = match &live {
            Some(live) => entered.known_by(live),
            None => entered.caller.clone(),
        };
        let csrf = live.as_ref().map(|live| live.session.csrf.expose().to_owned());
        let must_change = live.as_ref().is_some_and(|live| live.session.must_change);
        let is_signed_in = live.is_some();
        let path = self.http.path();
        let visit = Visit {
            api: Rc::clone(&self.api),
            caller,
            csrf: csrf.unwrap_or_default(),
            is_signed_in,
            must_change,
            is_loopback_only: entered.knock.is_loopback_only,
            hx: self.hx,
            method,
            path: path.strip_prefix("/dashboard").unwrap_or(path).to_owned(),
            query: self.http.query_string().to_owned(),
            form: Form::default(),
            body: Bytes::new(),
            content_type: essence(headers),
            cookies: cookie_text(headers),
            last_event_id: text("last-event-id").map(|id| id.trim().to_owned()),
            origin: entered.origin_text(),
            request_id: self.id.to_owned(),
        };
        if let Some(renewed) = live.and_then(|live| live.renewed) {
            self.cookies.change(&SessionChange::Began(renewed));
        }
        visit
    }

    /// SEC-CSRF-1. Takes the form's token out of it.
    fn check_source(
        &self,
        entered: &Entered,
        visit: &mut Visit,
        body: Bytes,
    ) -> Result<(), Box<Page>> {
        let mut field = None;
        if visit.content_type == "application/x-www-form-urlencoded" {
            visit.form = Form::parse(&body);
            field = visit.form.take("_csrf");
        } else {
            visit.body = body;
        }
        let headers = self.http.headers();
        let token = header_token(headers).or(field.as_deref());
        let expected = Secret::new(visit.csrf.clone());
        let checked = entered.check_source(headers).and_then(|()| check_token(token, &expected));
        checked.map_err(|why| {
            forged(self.shared, &visit.caller, why);
            self.problem(problem::forged())
        })
    }

    async fn sign_in(&mut self, payload: Payload) -> Result<Page, Box<Page>> {
        let is_post = self.http.method() == actix_web::http::Method::POST;
        let strictness = if is_post { Strictness::Admitted } else { Strictness::Shown };
        let snapshot = self.shared.snapshot.load_full();
        let entered = enter(self.shared, &snapshot, &self.http, self.id, strictness);
        let entered = entered.map_err(|why| self.stopped(&why))?;
        self.cookies = Cookies::of(&entered);
        let headers = self.http.headers();
        let mut who = Outsider {
            shared: Arc::clone(self.shared),
            caller: entered.caller.clone(),
            knock: entered.knock.clone(),
            form_cookies: cookie::pre_session(headers).map(str::to_owned).collect(),
            form: Form::default(),
            query: self.http.query_string().to_owned(),
            cookies: cookie_text(headers),
            is_secure: entered.is_secure,
            is_https: entered.is_https,
        };
        if !is_post {
            let tokens = cookie::session_tokens(headers);
            if let Ok(Ok(_live)) = self.shared.login.sessions.find(tokens).await {
                let next = form_urlencoded::parse(who.query.as_bytes());
                let next = next.filter(|(name, _)| name == "next").map(|(_, value)| value).last();
                return Ok(Page::see_other(next_page(next.as_deref())));
            }
            return Ok(login::show(&who).await);
        }
        if let Err(why) = entered.check_source(headers) {
            forged(self.shared, &entered.caller, why);
            return Err(self.problem(problem::forged()));
        }
        let is_form = essence(headers) == "application/x-www-form-urlencoded";
        let body = self.body(payload, LOGIN_FORM).await?;
        if is_form {
            who.form = Form::parse(&body);
        }
        Ok(login::sign_in(&who).await)
    }

    async fn body(&self, payload: Payload, limit: usize) -> Result<Bytes, Box<Page>> {
        read(payload, limit, &self.shared.clock).await.map_err(|why| match why {
            BadBody::TooLarge => self.problem(problem::too_large()),
            BadBody::TooSlow | BadBody::Broken => self.problem(problem::broken_form()),
        })
    }

    fn stopped(&self, why: &Stop) -> Box<Page> {
        let seen = match why {
            Stop::Address(seen) => seen.to_string(),
            Stop::BadHost(_) | Stop::UnknownHost | Stop::Tunnel => String::new(),
        };
        self.problem(problem::stopped(why.status(), &why.cause(), &seen, why.remedy()))
    }

    fn problem(&self, problem: problem::Told) -> Box<Page> {
        Box::new(problem.page(&cookie_text(self.http.headers())))
    }

    /// Nobody: to the sign-in, and back afterwards.
    fn to_login(&self, why: NoSession) -> Box<Page> {
        let target = self.http.uri().path_and_query().map_or("", |target| target.as_str());
        let is_get = matches!(self.http.method().as_str(), "GET" | "HEAD");
        let mut query = form_urlencoded::Serializer::new(String::new());
        // A fragment is no page to come back to: htmx tells the one it is on.
        let page = match self.hx.is_fragment {
            true => current_url(self.http.headers()),
            false => is_get.then(|| target.to_owned()),
        };
        if let Some(page) = page
            && next_page(Some(&page)) == page
            && page != "/dashboard"
        {
            query.append_pair("next", &page);
        }
        if why != NoSession::NoCookie {
            query.append_pair("why", "ended");
        }
        let query = query.finish();
        let path = if query.is_empty() { "/login".to_owned() } else { format!("/login?{query}") };
        Box::new(self.send_to(&path, 401))
    }

    /// 303 for a browser that navigates; for htmx and feeds `status`, with which htmx goes there itself.
    fn send_to(&self, path: &str, status: u16) -> Page {
        match self.hx.is_fragment || self.is_feed() {
            true => Page::empty(status).header("hx-redirect", path),
            false => Page::see_other(path),
        }
    }

    fn is_feed(&self) -> bool {
        let accept = self.http.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/event-stream"))
    }

    fn finish(mut self, page: Page) -> HttpResponse {
        if let Some(change) = &page.session {
            self.cookies.change(change);
        }
        let is_head = self.http.method() == actix_web::http::Method::HEAD;
        let mut response = match page.content {
            Content::Html(html) => {
                let mut head = gateway::start(page.status, self.id);
                head.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
                if is_head { head.finish() } else { head.body(html) }
            }
            Content::Other(body) => {
                let reply = Reply {
                    status: page.status,
                    body,
                    allow: None,
                    retry_after_s: None,
                    session: None,
                };
                admin::response(reply, is_head, self.id)
            }
        };
        let headers = response.headers_mut();
        protect(headers, self.id);
        for (name, value) in page.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        self.cookies.write(headers);
        if self.cookies.is_https() && self.shared.snapshot.load().settings.hsts {
            headers.insert(HSTS.0, HeaderValue::from_static(HSTS.1));
        }
        response
    }
}

/// The headers of every page (SEC-HDR-1).
fn protect(headers: &mut HeaderMap, id: &str) {
    for (name, value) in gateway::start(200, id).finish().headers() {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ("vary", "HX-Request"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// `Content-Type` without parameters, lower case.
fn essence(headers: &HeaderMap) -> String {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// All `Cookie` lines as one.
fn cookie_text(headers: &HeaderMap) -> String {
    let lines = headers.get_all(COOKIE).filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join("; ")
}

/// Path and query of the page htmx is on.
fn current_url(headers: &HeaderMap) -> Option<String> {
    let url = headers.get("hx-current-url").and_then(|value| value.to_str().ok())?;
    let url = url::Url::parse(url).ok()?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}{query}", url.path()))
}
