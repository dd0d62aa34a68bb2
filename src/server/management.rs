//! The management API over HTTP: the transport of `/api` for signed-in browsers and scripts (`api.md` §1). An API key
//! opens none of it.

use std::rc::Rc;

use actix_web::http::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, RETRY_AFTER, SET_COOKIE,
};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use crate::actors::shared::Shared;
use crate::api::{Api, ApiError, Class, Reply, Request, Route, too_large};
use crate::auth::audit::{Caller, Event, EventName};
use crate::auth::csrf::check_token;
use crate::auth::session::{NoSession, SessionChange, cookie};
use crate::gateway;
use crate::server::admin;
use crate::server::body::{BadBody, read};
use crate::server::guard::{
    self, Entered, Stop, Strictness, enter, forged, header_token, is_unsafe,
};

/// Headers that a client of the inference API puts its key into.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "x-goog-api-key", "api-key"];

/// Answers one call.
pub(super) async fn serve(
    api: Rc<Api>,
    shared: &Shared,
    http: HttpRequest,
    payload: Payload,
    id: &str,
) -> HttpResponse {
    let is_head = http.method() == actix_web::http::Method::HEAD;
    let mut cookies = Cookies::default();
    let reply = match answer(&api, shared, &http, payload, id, &mut cookies).await {
        Ok(reply) => reply,
        Err(refusal) => Reply::refused(&refusal, id),
    };
    if let Some(change) = &reply.session {
        cookies.change(change);
    }
    let retry_after = reply.retry_after_s;
    let mut response = admin::response(reply, is_head, id);
    let headers = response.headers_mut();
    for (name, value) in gateway::start(200, id).finish().headers() {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    cookies.write(headers);
    if cookies.is_https() && shared.snapshot.load().settings.hsts {
        headers.insert(HSTS.0, HeaderValue::from_static(HSTS.1));
    }
    response
}

/// Once by https, always by https (SEC-HDR-1).
pub(super) const HSTS: (actix_web::http::header::HeaderName, &str) =
    (actix_web::http::header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");

/// What a reply does to the browser's cookies.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    lines: Vec<String>,
    clears_site: bool,
    is_secure: bool,
    is_https: bool,
}

impl Cookies {
    /// Nothing yet, on this connection.
    pub(super) fn of(entered: &Entered) -> Self {
        let (is_secure, is_https) = (entered.is_secure, entered.is_https);
        Self { is_secure, is_https, ..Self::default() }
    }

    /// As the session changed; the last change counts.
    pub(super) fn change(&mut self, change: &SessionChange) {
        match change {
            SessionChange::Began(issued) => {
                self.lines = vec![cookie::set_session(&issued.token, issued.life, self.is_secure)];
            }
            SessionChange::Ended => {
                self.lines = cookie::clear_session().into();
                self.clears_site = true;
            }
        }
    }

    /// The browser came by https.
    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// The browser brought one that stands for nothing any more.
    pub(super) fn forget(&mut self) {
        self.lines = cookie::clear_session().into();
    }

    /// Puts them into the reply.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for line in &self.lines {
            if let Ok(value) = HeaderValue::from_str(line) {
                headers.append(SET_COOKIE, value);
            }
        }
        if self.clears_site {
            // SEC-SES-4.
            let value = HeaderValue::from_static(r#""cache","storage""#);
            headers.insert(actix_web::http::header::CLEAR_SITE_DATA, value);
        }
    }
}

async fn answer(
    api: &Api,
    shared: &Shared,
    http: &HttpRequest,
    payload: Payload,
    id: &str,
    cookies: &mut Cookies,
) -> Result<Reply, ApiError> {
    let method = http.method().as_str();
    let target = http.uri().path_and_query().map_or("/", |target| target.as_str());
    let route = Api::route(method, target)?;
    let snapshot = shared.snapshot.load_full();
    let entered =
        enter(shared, &snapshot, http, id, Strictness::Admitted).map_err(|why| stopped(&why))?;
    *cookies = Cookies::of(&entered);
    let found = guard::session(shared, &entered, http.headers()).await;
    let live = match found {
        Ok(Ok(live)) => live,
        Ok(Err(why)) => {
            if why != NoSession::NoCookie {
                cookies.forget();
            }
            return Err(not_signed_in(shared, &entered.caller, route, http.headers()));
        }
        Err(why) => {
            tracing::error!(error = %why, "sessions cannot be read");
            return Err(ApiError::new(503, "db_unavailable", "sessions cannot be read now"));
        }
    };
    let caller = entered.known_by(&live);
    if let Some(renewed) = live.renewed {
        cookies.change(&SessionChange::Began(renewed));
    }
    if live.session.must_change && !entered.knock.is_loopback_only && !is_way_out(route) {
        return Err(ApiError::password_change_required());
    }
    if is_unsafe(method) {
        // Before the token: a form cannot send JSON without asking first (SEC-CSRF-5).
        if http.headers().contains_key(CONTENT_TYPE) && !admin::is_json(http.headers()) {
            return Err(ApiError::new(
                415,
                "unsupported_media_type",
                "send the body as `content-type: application/json`",
            ));
        }
        let source = entered.check_source(http.headers());
        let token = || check_token(header_token(http.headers()), &live.session.csrf);
        if let Err(why) = source.and_then(|()| token()) {
            forged(shared, &caller, why);
            return Err(ApiError::csrf_failed());
        }
    }
    let body = read(payload, route.body, &shared.clock).await.map_err(|why| match why {
        BadBody::TooLarge => too_large(route),
        BadBody::TooSlow => {
            ApiError::new(408, "body_too_slow", "the body did not arrive in time; send it again")
        }
        BadBody::Broken => ApiError::invalid_json("the body did not arrive whole"),
    })?;
    if !body.is_empty() && !admin::is_json(http.headers()) {
        let message = "send the body as `content-type: application/json`";
        return Err(ApiError::new(415, "unsupported_media_type", message));
    }
    let if_match = http.headers().get(IF_MATCH).and_then(|tag| tag.to_str().ok());
    let last_event_id = http.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        body: body.into(),
        if_match: if_match.map(|tag| tag.trim_matches('"').to_owned()),
        last_event_id: last_event_id.map(str::to_owned),
        caller,
    };
    Ok(api.call(request, id).await)
}

fn stopped(why: &Stop) -> ApiError {
    let message = format!("{}; {}", why.cause(), why.remedy());
    ApiError::new(why.status(), why.code(), message)
}

fn not_signed_in(shared: &Shared, caller: &Caller, route: &Route, headers: &HeaderMap) -> ApiError {
    let has_key = headers.contains_key(AUTHORIZATION)
        || KEY_HEADERS.iter().any(|name| headers.contains_key(*name));
    let (why, message) = match has_key {
        true => ("api_key", "API keys do not open the management API; sign in at `/login`"),
        false => ("no_session", "sign in at `/login`; commands on this computer need no session"),
    };
    let event = Event::denied(EventName::AuthBypassAttempt);
    shared.audit.record(caller, event.with("class", class(route)).with("why", why));
    ApiError::new(401, "not_signed_in", message)
}

fn class(route: &Route) -> &'static str {
    match route.class {
        Class::Admin => "admin",
        Class::Sudo => "sudo",
    }
}

/// What a session that must choose a password may do: choose one, or leave (security §5.2).
fn is_way_out(route: &Route) -> bool {
    matches!(route.path, "/api/auth/password" | "/api/auth/logout")
}
