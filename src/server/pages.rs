//! What a browser or a probe gets: root, health, readiness, assets, and the start page.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::{HttpRequest, HttpResponse};
use ninerouter_dialect::{ErrorKind, ErrorShape};
use serde_json::json;

use crate::auth::address::{Peer, local};
use crate::auth::host::request_host;
use crate::dashboard;
use crate::gateway::route::Endpoint;
use crate::gateway::worker::Worker;
use crate::gateway::{self, Refusal};
use crate::oauth::{Callback, SignIns};
use crate::secret::Secret;

/// SEC-CSP-1.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'";

const BASE_CSS: &str = include_str!("../../assets/base.css");

/// Answers a public endpoint.
pub(super) async fn public(
    worker: &Worker,
    http: &HttpRequest,
    endpoint: &Endpoint,
    id: &str,
) -> HttpResponse {
    match endpoint {
        Endpoint::Health => gateway::json(200, id, r#"{"status":"ok","ok":true}"#),
        Endpoint::Ready => ready(worker, id).await,
        Endpoint::Asset { path } if path == "/assets/base.css" => {
            let mut head = gateway::start(200, id);
            head.insert_header((CONTENT_TYPE, "text/css; charset=utf-8"));
            head.insert_header((CACHE_CONTROL, "no-cache"));
            head.body(BASE_CSS)
        }
        Endpoint::Root => root(http, id),
        _ => Refusal::new(ErrorKind::NotFound, "no such file")
            .code("not_found")
            .render(ErrorShape::Chat, id),
    }
}

fn root(http: &HttpRequest, id: &str) -> HttpResponse {
    let wants_html = http
        .headers()
        .get("accept")
        .is_some_and(|accept| accept.to_str().is_ok_and(|text| text.contains("text/html")));
    if wants_html {
        // Relative, never from `Host` (SEC-HOST-3).
        return gateway::start(302, id).insert_header((LOCATION, "/dashboard")).finish();
    }
    let body = if is_local(http) {
        json!({"name": "ninerouter", "version": env!("CARGO_PKG_VERSION")})
    } else {
        json!({"name": "ninerouter"})
    };
    gateway::json(200, id, body.to_string())
}

/// REL-RUN-2: the database took a write in the last 10 s, the actors are up, no stop has begun.
async fn ready(worker: &Worker, id: &str) -> HttpResponse {
    let shared = &worker.shared;
    let up = shared.drain.is_ready() && worker.is_router_up();
    let database =
        if up { worker.is_database_writable().await } else { shared.ledger.is_healthy() };
    if up && database {
        return gateway::json(200, id, r#"{"status":"ready"}"#);
    }
    let status = if shared.drain.is_draining() { "draining" } else { "starting" };
    let database = if database { "ok" } else { "error" };
    let body = json!({"status": status, "checks": {"db": database}});
    gateway::json(503, id, body.to_string())
}

/// A sign-in's browser comes back. A look ahead (HEAD) must not spend the code.
pub(super) async fn callback(
    sign_ins: &SignIns,
    http: &HttpRequest,
    provider: Option<String>,
    id: &str,
) -> HttpResponse {
    if http.method() == Method::HEAD {
        return gateway::start(200, id).finish();
    }
    let query = Secret::new(http.query_string().to_owned());
    let mut reply = sign_ins.callback(Callback { provider, query }).await.response();
    for (name, value) in gateway::start(200, id).finish().headers() {
        reply.headers_mut().insert(name.clone(), value.clone());
    }
    reply
}

/// The start page. Until sign-in exists it is shown to this computer alone (SEC-ROUTE-4, SEC-IP-9).
pub(super) async fn dashboard(worker: &Worker, http: &HttpRequest, id: &str) -> HttpResponse {
    if !is_local(http) {
        return Refusal::new(
            ErrorKind::Permission,
            "the start page is shown only to the computer the router runs on",
        )
        .code("local_only")
        .render(ErrorShape::Chat, id);
    }
    if !matches!(http.path(), "/dashboard" | "/dashboard/") {
        return Refusal::new(ErrorKind::NotFound, "no such page")
            .code("not_found")
            .render(ErrorShape::Chat, id);
    }
    let host = http.headers().get("host").and_then(|v| v.to_str().ok()).unwrap_or("localhost");
    // A router that is restarting serves nobody at this moment: the page says so by an empty list.
    let served = worker.served_providers().await.unwrap_or_default();
    let page = dashboard::start::render(&worker.shared, &served, host);
    let mut head = gateway::start(200, id);
    head.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
    head.insert_header(("content-security-policy", POLICY));
    head.insert_header(("x-frame-options", "DENY"));
    head.insert_header(("cross-origin-opener-policy", "same-origin"));
    head.insert_header((
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ));
    head.body(page)
}

fn is_local(http: &HttpRequest) -> bool {
    let peer = http.peer_addr().map_or(Peer::Unix, Peer::Tcp);
    let authority = http.uri().authority().map(|a| a.as_str());
    request_host(http.headers(), authority).is_ok_and(|host| local(peer, http.headers(), &host))
}
