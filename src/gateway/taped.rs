//! The four bodies of a request on their way into a capture, while one runs (storage §4.5).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use ninerouter_dialect::SplicedBody;

use crate::actors::capture::{Part, Tape};
use crate::gateway::admission::Door;
use crate::net::{Outgoing, Reply};

/// 1: what the client sent.
pub(super) fn client_request(tape: &Tape, door: &Door, body: &Bytes) {
    let http = &door.http;
    let line = format!("{} {}", http.method(), http.uri());
    tape.begin(Part::ClientRequest, 0, line, headers(http.headers()));
    tape.add(Part::ClientRequest, body);
}

/// 2: what the provider is sent.
pub(super) fn upstream_request(tape: &Tape, attempt: u32, outgoing: &Outgoing) {
    let line = format!("{} {}", outgoing.method, outgoing.url);
    let headers = outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    tape.begin(Part::UpstreamRequest, attempt, line, headers);
    let SplicedBody { parts, .. } = &outgoing.body;
    for part in parts {
        tape.add(Part::UpstreamRequest, part);
    }
}

/// 3: what the provider answers, as it is read.
pub(super) fn upstream_response(tape: &Tape, attempt: u32, mut reply: Reply) -> Reply {
    tape.begin(Part::UpstreamResponse, attempt, reply.status.to_string(), headers(&reply.headers));
    let tape = tape.clone();
    reply.body.watch(Box::new(move |piece| tape.add(Part::UpstreamResponse, piece)));
    reply
}

/// 4: what the client gets, as it takes it.
pub(super) fn client_response(tape: Option<&Tape>, response: HttpResponse) -> HttpResponse {
    let Some(tape) = tape else { return response };
    let line = response.status().as_u16().to_string();
    tape.begin(Part::ClientResponse, 0, line, headers(response.headers()));
    response.map_body(|_, inner| BoxBody::new(TapedBody { inner, tape: tape.clone() }))
}

fn headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// A body that is taped while it goes out.
struct TapedBody {
    inner: BoxBody,
    tape: Tape,
}

impl MessageBody for TapedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = ready!(Pin::new(&mut self.inner).poll_next(cx));
        if let Some(Ok(piece)) = &next {
            self.tape.add(Part::ClientResponse, piece);
        }
        Poll::Ready(next)
    }
}
