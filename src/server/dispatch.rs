//! The front door: every request comes in here and leaves with one reply, whatever happens behind.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt;
use ninerouter_dialect::{ErrorKind, ErrorShape};
use tracing::error;

use crate::auth::admit::check_public_host;
use crate::gateway::request_id::request_id;
use crate::gateway::route::{Class, Endpoint, Matched, RouteResult, looks_anthropic, route};
use crate::gateway::worker::Worker;
use crate::gateway::{self, Door, Refusal};
use crate::server::pages;

/// Longest request target (security §10).
const URI: usize = 8 * 1024;
/// Longest single header line.
const HEADER: usize = 32 * 1024;

/// Answers one request.
pub(super) async fn dispatch(
    worker: Rc<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let id = request_id(http.headers().get("x-request-id").and_then(|v| v.to_str().ok()));
    let shape = shape_of(&http);
    let work = serve(Rc::clone(&worker), http.clone(), payload, id.clone());
    let mut reply = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(reply) => reply,
        Err(_panic) => {
            // REL-ACT-6: guards were released while unwinding; the client gets an answer.
            error!(request.id = %id, "a request handler panicked");
            Refusal::new(ErrorKind::Server, "the router failed on this request; see its log")
                .render(shape, &id)
        }
    };
    let snapshot = worker.shared.snapshot.load();
    for (name, value) in snapshot.cors.reply_headers(http.headers()) {
        if reply.headers().contains_key("cross-origin-resource-policy") {
            reply.headers_mut().append(name, value);
        }
    }
    reply
}

/// Shape of errors when nothing more is known of the request.
fn shape_of(http: &HttpRequest) -> ErrorShape {
    let header = |name: &str| http.headers().get(name).and_then(|v| v.to_str().ok());
    if looks_anthropic(header) { ErrorShape::Anth } else { ErrorShape::Chat }
}

async fn serve(
    worker: Rc<Worker>,
    http: HttpRequest,
    payload: Payload,
    id: String,
) -> HttpResponse {
    if let Some(refusal) = oversized(&http) {
        return refusal.render(shape_of(&http), &id);
    }
    let upgrade = http
        .headers()
        .get("upgrade")
        .is_some_and(|v| v.to_str().is_ok_and(|text| text.eq_ignore_ascii_case("websocket")));
    match route(http.method().as_str(), http.uri().path(), upgrade) {
        RouteResult::Match(matched) => endpoint(worker, http, payload, id, matched).await,
        RouteResult::Options { methods, class } => preflight(&worker, &http, &id, methods, class),
        RouteResult::Head => gateway::start(200, &id).finish(),
        RouteResult::NotFound(shape) => {
            let shape = if shape == ErrorShape::Chat { shape_of(&http) } else { shape };
            let message = format!("no such endpoint: `{} {}`", http.method(), http.path());
            Refusal::new(ErrorKind::NotFound, message).code("not_found").render(shape, &id)
        }
        RouteResult::MethodNotAllowed { allow, shape } => {
            let message = format!("method {} is not allowed here; use {allow}", http.method());
            let mut refusal = Refusal::new(ErrorKind::MethodNotAllowed, message);
            refusal.allow = Some(allow);
            refusal.render(shape, &id)
        }
        RouteResult::Bad { reason } => Refusal::new(ErrorKind::InvalidRequest, reason.to_string())
            .code("invalid_path")
            .render(shape_of(&http), &id),
        RouteResult::Upgrade426 => {
            let message = "the WebSocket mode is not offered; use plain HTTP";
            Refusal::new(ErrorKind::InvalidRequest, message)
                .status(426)
                .code("upgrade_not_supported")
                .render(ErrorShape::Chat, &id)
        }
    }
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

async fn endpoint(
    worker: Rc<Worker>,
    http: HttpRequest,
    payload: Payload,
    id: String,
    mut matched: Matched,
) -> HttpResponse {
    match matched.endpoint.class() {
        Class::Public => {
            let snapshot = worker.shared.snapshot.load();
            let local_ip = http.app_config().local_addr().ip();
            if let Err(refusal) =
                check_public_host(http.headers(), None, &snapshot.admit.hosts, Some(local_ip))
            {
                return Refusal::from(refusal).render(matched.shape, &id);
            }
            pages::public(&worker, &http, &matched.endpoint, &id)
        }
        Class::Inference => {
            if matches!(matched.endpoint, Endpoint::Models | Endpoint::Model { .. }) {
                matched.shape = shape_of(&http);
            }
            let shape = matched.shape;
            match gateway::serve(
                Door { worker, http, request_id: id.as_str().into(), matched },
                payload,
            )
            .await
            {
                Ok(reply) => reply,
                Err(refusal) => refusal.render(shape, &id),
            }
        }
        Class::Ui => pages::dashboard(&worker, &http, &id).await,
        Class::Admin | Class::Sudo | Class::Callback | Class::Metrics | Class::Sync => {
            // No management route exists yet, and none is open by default (P1).
            Refusal::new(ErrorKind::NotFound, "no such route")
                .code("not_found")
                .render(ErrorShape::Chat, &id)
        }
    }
}
