//! The front door: every request comes in here and leaves with one reply, whatever happens behind.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName, HeaderValue, UPGRADE, VARY,
};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt;
use ninerouter_dialect::{ErrorKind, ErrorShape};
use serde_json::json;
use tracing::error;

use crate::api::Api;
use crate::auth::admit::check_public_host;
use crate::gateway::route::{Class, Endpoint, Matched, RouteResult, looks_anthropic, route};
use crate::gateway::worker::Worker;
use crate::gateway::{self, Door, Refusal, Visitor, local_ip};
use crate::id::request::request_id;
use crate::oauth::SignIns;
use crate::server::{management, pages, ui};

/// Longest request target (security §10).
const URI: usize = 8 * 1024;
/// Longest single header line.
const HEADER: usize = 32 * 1024;
/// Characters of a path that an error repeats (SEC-LOG-4).
const SHOWN_PATH: usize = 200;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Answers one request.
pub(super) async fn dispatch(
    worker: Rc<Worker>,
    sign_ins: Rc<SignIns>,
    api: Rc<Api>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let id = request_id(http.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok()));
    let found = find(&http);
    let (manner, class) = (found.manner(&http), found.class());
    let doors = Doors { worker: Rc::clone(&worker), sign_ins, api };
    let work = serve(doors, http.clone(), payload, id.clone(), found);
    let mut reply = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(reply) => reply,
        Err(_panic) => {
            // REL-ACT-6: guards were released while unwinding; the client gets an answer.
            error!(request.id = %id, "a request handler panicked");
            let message = "the router failed on this request; see its log";
            let refusal = Refusal::new(ErrorKind::Server, message).code("internal_error");
            manner.render(refusal, &id)
        }
    };
    if class == Some(Class::Inference) {
        open_to_origin(&worker, &http, &mut reply);
    }
    reply
}

/// CORS headers on an inference reply, also on its errors, where the operator lists origins
/// (SEC-CORS-1). A preflight has brought its own.
fn open_to_origin(worker: &Worker, http: &HttpRequest, reply: &mut HttpResponse) {
    let headers = reply.headers_mut();
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && !headers.contains_key(VARY) {
        let snapshot = worker.shared.snapshot.load();
        for (name, value) in snapshot.cors.reply_headers(http.headers()) {
            headers.append(name, value);
        }
    }
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        // SEC-HDR-1: else the browser withholds what CORS has just allowed.
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }
}

/// What a request is for, or why it is for nothing.
enum Found {
    TooLong(Refusal),
    Routed(RouteResult, ErrorShape),
}

impl Found {
    /// How its errors look.
    fn manner(&self, http: &HttpRequest) -> Manner {
        let is_management = match self {
            Self::TooLong(_) | Self::Routed(RouteResult::Bad { .. }, _) => {
                http.path().starts_with("/api/")
            }
            Self::Routed(..) => matches!(self.class(), Some(Class::Admin | Class::Sudo)),
        };
        match self {
            _ if is_management => Manner::Management,
            Self::TooLong(_) => Manner::Dialect(shape_of(http)),
            Self::Routed(_, shape) => Manner::Dialect(*shape),
        }
    }

    /// Class of the path, as far as it is known.
    fn class(&self) -> Option<Class> {
        let Self::Routed(result, _) = self else { return None };
        match result {
            RouteResult::Match(matched) => Some(matched.endpoint.class()),
            RouteResult::Options { class, .. } => Some(*class),
            RouteResult::Upgrade426 => Some(Class::Inference),
            RouteResult::MethodNotAllowed { class, .. } => Some(*class),
            RouteResult::Head | RouteResult::NotFound(_) | RouteResult::Bad { .. } => None,
        }
    }
}

/// How the errors of a path look.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// As its dialect has them.
    Dialect(ErrorShape),
    /// As the management API has them (`api.md` §1).
    Management,
}

impl Manner {
    fn render(self, refusal: Refusal, id: &str) -> HttpResponse {
        match self {
            Self::Dialect(shape) => refusal.render(shape, id),
            Self::Management => {
                let error = &refusal.error;
                let body = json!({"error": {
                    "code": error.code.as_deref().unwrap_or("invalid_request"),
                    "message": error.message,
                    "request_id": id,
                }});
                refusal.render_with(ErrorShape::Chat, id, body.to_string().into())
            }
        }
    }
}

fn find(http: &HttpRequest) -> Found {
    if let Some(refusal) = oversized(http) {
        return Found::TooLong(refusal);
    }
    let upgrade = http
        .headers()
        .get(UPGRADE)
        .is_some_and(|v| v.to_str().is_ok_and(|text| text.eq_ignore_ascii_case("websocket")));
    let mut result = route(http.method().as_str(), http.uri().path(), upgrade);
    let shape = match &mut result {
        RouteResult::Match(matched) => {
            if matches!(matched.endpoint, Endpoint::Models | Endpoint::Model { .. }) {
                matched.shape = shape_of(http);
            }
            matched.shape
        }
        RouteResult::NotFound(ErrorShape::Chat) | RouteResult::Bad { .. } => shape_of(http),
        RouteResult::NotFound(shape) | RouteResult::MethodNotAllowed { shape, .. } => *shape,
        RouteResult::Options { .. } | RouteResult::Head | RouteResult::Upgrade426 => {
            ErrorShape::Chat
        }
    };
    Found::Routed(result, shape)
}

/// Shape of errors when nothing more is known of the request.
fn shape_of(http: &HttpRequest) -> ErrorShape {
    let header = |name: &str| http.headers().get(name).and_then(|v| v.to_str().ok());
    if looks_anthropic(header) { ErrorShape::Anth } else { ErrorShape::Chat }
}

/// What lies behind the front door, on one thread.
struct Doors {
    worker: Rc<Worker>,
    sign_ins: Rc<SignIns>,
    api: Rc<Api>,
}

async fn serve(
    doors: Doors,
    http: HttpRequest,
    payload: Payload,
    id: String,
    found: Found,
) -> HttpResponse {
    let manner = found.manner(&http);
    let (result, shape) = match found {
        Found::TooLong(refusal) => return manner.render(refusal, &id),
        Found::Routed(result, shape) => (result, shape),
    };
    match result {
        RouteResult::Match(matched) => {
            if let Endpoint::Callback { provider } = matched.endpoint {
                let Doors { worker, sign_ins, .. } = &doors;
                return Box::pin(callback(worker, sign_ins, &http, provider, &id)).await;
            }
            if matched.endpoint.class() != Class::Inference {
                // Boxed: a request for inference, of which thousands may be open, must not carry the room that these need.
                return Box::pin(endpoint(doors, http, payload, id, matched)).await;
            }
            let shape = matched.shape;
            let request_id = id.as_str().into();
            let door = Door::new(doors.worker, http, request_id, matched, Visitor::Client);
            match gateway::serve(door, payload).await {
                Ok(reply) => reply,
                Err(refusal) => refusal.render(shape, &id),
            }
        }
        RouteResult::Options { methods, class } => {
            preflight(&doors.worker, &http, &id, methods, class)
        }
        RouteResult::Head => gateway::start(200, &id).finish(),
        RouteResult::NotFound(_) => {
            let path: String = http.path().chars().take(SHOWN_PATH).collect();
            let message = format!("no such endpoint: `{} {path}`", http.method());
            Refusal::new(ErrorKind::NotFound, message).code("not_found").render(shape, &id)
        }
        RouteResult::MethodNotAllowed { allow, .. } => not_allowed(&http, allow, shape, &id),
        RouteResult::Bad { reason } => {
            let refusal = Refusal::new(ErrorKind::InvalidRequest, reason.to_string());
            manner.render(refusal.code("invalid_path"), &id)
        }
        RouteResult::Upgrade426 => {
            let message = "the WebSocket mode is not offered; use plain HTTP";
            Refusal::new(ErrorKind::InvalidRequest, message)
                .status(426)
                .code("upgrade_not_supported")
                .render(shape, &id)
        }
    }
}

fn not_allowed(
    http: &HttpRequest,
    allow: &'static str,
    shape: ErrorShape,
    id: &str,
) -> HttpResponse {
    let message = format!("method {} is not allowed here; use {allow}", http.method());
    let mut refusal = Refusal::new(ErrorKind::MethodNotAllowed, message);
    refusal.allow = Some(allow);
    refusal.render(shape, id)
}

fn oversized(http: &HttpRequest) -> Option<Refusal> {
    if http.uri().path_and_query().is_some_and(|target| target.as_str().len() > URI) {
        let message = "request target is longer than 8 KiB";
        return Some(
            Refusal::new(ErrorKind::InvalidRequest, message).status(414).code("uri_too_long"),
        );
    }
    http.headers().iter().any(|(_, value)| value.len() > HEADER).then(|| {
        let message = "a request header is longer than 32 KiB";
        Refusal::new(ErrorKind::InvalidRequest, message).status(431).code("header_too_long")
    })
}

fn preflight(
    worker: &Worker,
    http: &HttpRequest,
    id: &str,
    methods: &'static str,
    class: Class,
) -> HttpResponse {
    let mut reply = gateway::start(204, id);
    if class == Class::Inference {
        let snapshot = worker.shared.snapshot.load();
        for header in snapshot.cors.preflight_headers(http.headers(), methods) {
            reply.append_header(header);
        }
    }
    reply.finish()
}

async fn callback(
    worker: &Worker,
    sign_ins: &SignIns,
    http: &HttpRequest,
    provider: Option<String>,
    id: &str,
) -> HttpResponse {
    match unknown_host(worker, http) {
        Some(refusal) => refusal.render(ErrorShape::Chat, id),
        None => pages::callback(sign_ins, http, provider, id).await,
    }
}

/// What is no inference.
async fn endpoint(
    doors: Doors,
    http: HttpRequest,
    payload: Payload,
    id: String,
    matched: Matched,
) -> HttpResponse {
    let Doors { worker, api, .. } = doors;
    match matched.endpoint.class() {
        Class::Public if matched.endpoint == Endpoint::Login => {
            ui::login(api, &worker.shared, http, payload, &id).await
        }
        Class::Public => {
            if let Some(refusal) = unknown_host(&worker, &http) {
                return refusal.render(matched.shape, &id);
            }
            pages::public(&worker, &http, &matched.endpoint, &id).await
        }
        Class::Ui if matched.endpoint == Endpoint::Logout => {
            ui::logout(api, &worker.shared, http, payload, &id).await
        }
        Class::Ui => ui::dashboard(api, &worker.shared, http, payload, &id).await,
        Class::Admin | Class::Sudo => {
            management::serve(api, &worker.shared, http, payload, &id).await
        }
        Class::Inference | Class::Callback | Class::Metrics | Class::Sync => {
            // Inference and callbacks were answered before; the others are not offered, and nothing is open by default
            // (P1).
            Refusal::new(ErrorKind::NotFound, "no such route")
                .code("not_found")
                .render(ErrorShape::Chat, &id)
        }
    }
}

/// Refuses a host that cannot be one or, once the operator lists hosts, is not listed (SEC-HOST-1,
/// SEC-HOST-2).
fn unknown_host(worker: &Worker, http: &HttpRequest) -> Option<Refusal> {
    let snapshot = worker.shared.snapshot.load();
    let authority = http.uri().authority().map(|a| a.as_str());
    check_public_host(http.headers(), authority, &snapshot.admit.hosts, local_ip(http))
        .err()
        .map(Refusal::from)
}
