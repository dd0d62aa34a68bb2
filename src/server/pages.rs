//! What a browser or a probe gets without signing in: root, health, readiness, the pages' files.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, VARY,
};
use actix_web::{HttpRequest, HttpResponse};
use ninerouter_dialect::{ErrorKind, ErrorShape};
use serde_json::json;

use crate::auth::address::Peer;
use crate::auth::arrival::Arrival;
use crate::dashboard::assets::{self, Asset};
use crate::gateway::route::Endpoint;
use crate::gateway::worker::Worker;
use crate::gateway::{self, Refusal};
use crate::oauth::{Callback, SignIns};
use crate::secret::Secret;

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
        Endpoint::Asset { path } => match assets::find(path) {
            Some(asset) => file(http, asset, id),
            None => no_file(id),
        },
        Endpoint::Root => root(worker, http, id),
        _ => no_file(id),
    }
}

fn no_file(id: &str) -> HttpResponse {
    Refusal::new(ErrorKind::NotFound, "no such file").code("not_found").render(ErrorShape::Chat, id)
}

/// A file of the pages: its name changes with its content, so a browser may keep it for ever.
fn file(http: &HttpRequest, asset: &'static Asset, id: &str) -> HttpResponse {
    let mut head = gateway::start(200, id);
    head.insert_header((CONTENT_TYPE, asset.content_type));
    head.insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    head.insert_header((VARY, "accept-encoding"));
    let accepts = http.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let takes_gzip = accepts.is_some_and(|codings| {
        codings.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && parts.next() != Some("q=0")
        })
    });
    match takes_gzip {
        true => head.insert_header((CONTENT_ENCODING, "gzip")).body(asset.gzip.clone()),
        false => head.body(asset.plain.clone()),
    }
}

fn root(worker: &Worker, http: &HttpRequest, id: &str) -> HttpResponse {
    let wants_html = http
        .headers()
        .get("accept")
        .is_some_and(|accept| accept.to_str().is_ok_and(|text| text.contains("text/html")));
    if wants_html {
        // Relative, never from `Host` (SEC-HOST-3).
        return gateway::start(302, id).insert_header((LOCATION, "/dashboard")).finish();
    }
    let body = if is_local(worker, http) {
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

fn is_local(worker: &Worker, http: &HttpRequest) -> bool {
    let snapshot = worker.shared.snapshot.load();
    let peer = http.peer_addr().map_or(Peer::Unix, Peer::Tcp);
    let authority = http.uri().authority().map(|a| a.as_str());
    Arrival::of(peer, http.headers(), authority, &snapshot.admit)
        .is_ok_and(|arrival| arrival.is_local())
}
