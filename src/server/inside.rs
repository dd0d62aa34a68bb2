//! The public API for requests of the router's own: what the management API sends in its operator's name.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::{Payload, Request};
use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::stream;

use crate::actors::desk::RouterDesk;
use crate::actors::shared::Shared;
use crate::api::{BodyCut, MakePublicApi, OwnReply, OwnRequest, PublicApi};
use crate::gateway::serve_own;
use crate::gateway::signatures::SignatureStore;
use crate::gateway::worker::Worker;

/// Makes it for a thread: with outbound clients of its own, as every worker has.
pub(super) fn maker(
    shared: &Arc<Shared>,
    desk: &Arc<RouterDesk>,
    signatures: &SignatureStore,
) -> MakePublicApi {
    let (shared, desk, signatures) = (Arc::clone(shared), Arc::clone(desk), signatures.clone());
    Arc::new(move || {
        let worker = Worker::new(Arc::clone(&shared), Arc::clone(&desk), signatures.clone());
        Rc::new(Inside { worker: Rc::new(worker) })
    })
}

struct Inside {
    worker: Rc<Worker>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}

impl PublicApi for Inside {
    fn send(&self, request: OwnRequest) -> Pin<Box<dyn Future<Output = OwnReply>>> {
        let worker = Rc::clone(&self.worker);
        let (id, follower) = (request.id.clone(), request.follower.clone());
        Box::pin(async move { told(serve_own(worker, made(request), &id, follower).await) })
    }
}

/// The request as the library has it. A target that is no address leads nowhere, which the answer says.
fn made(own: OwnRequest) -> Request {
    let OwnRequest { target, headers, body, client, .. } = own;
    let length = body.len();
    let mut request = Request::with_payload(Payload::from(body));
    let head = request.head_mut();
    head.method = Method::POST;
    head.uri = target.parse().unwrap_or_default();
    head.peer_addr = client.map(|ip| SocketAddr::new(ip, 0));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            head.headers.append(name, value);
        }
    }
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    request
}

fn told(response: HttpResponse) -> OwnReply {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (status, content_type) = (response.status().as_u16(), content_type.to_owned());
    let body = Box::pin(response.into_body());
    let parts = stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await? {
            Ok(part) => Some((Ok::<Bytes, BodyCut>(part), Some(body))),
            Err(_cut) => Some((Err(BodyCut), None)),
        }
    });
    OwnReply { status, content_type, parts: Box::pin(parts) }
}
