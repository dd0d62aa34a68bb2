//! Admission: overload, credentials and limits, before any body is read (SEC-RES-1).

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use ninerouter_dialect::{ErrorKind, ErrorShape};

use crate::actors::live::follow::Follower;
use crate::actors::snapshot::Snapshot;
use crate::auth::address::{ClientAddr, Peer};
use crate::auth::admit::{AdmitCx, Admitted, Caller, admit as judge};
use crate::auth::load::{IN_FLIGHT_RETRY_S, Portion};
use crate::auth::refusal::{Refusal as Denial, RefusalKind};
use crate::gateway::noted;
use crate::gateway::reply::Refusal;
use crate::gateway::route::Matched;
use crate::gateway::worker::Worker;

/// Our end of a connection, kept by the server when it accepts one: a listener on all addresses
/// does not know by which of them a client came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalEnd(pub IpAddr);

/// Address of ours that the client connected to; none on a Unix socket.
#[must_use]
pub fn local_ip(http: &HttpRequest) -> Option<IpAddr> {
    http.conn_data::<LocalEnd>().map(|end| end.0)
}

/// Who stands in front of an endpoint.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// A client: judged by what it brings along.
    Client,
    /// The router itself, for its operator: the management API has judged him.
    Operator {
        /// Hears how the request gets on.
        follower: Option<Follower>,
    },
}

/// A request in front of an inference endpoint.
pub struct Door {
    /// This worker.
    pub worker: Rc<Worker>,
    /// Head of the request.
    pub http: HttpRequest,
    /// `x-request-id` of the answer.
    pub request_id: Arc<str>,
    /// Endpoint and how it was reached.
    pub matched: Matched,
    /// Who asks.
    pub visitor: Visitor,
    /// Names of its headers.
    pub(super) names: Names,
}

/// A request that may go on.
#[derive(Debug)]
pub(super) struct Inside {
    /// Who calls, and from where.
    pub admitted: Admitted,
    /// Place among all requests in flight.
    pub place: Portion,
    /// Configuration of this moment.
    pub snapshot: Arc<Snapshot>,
}

impl Inside {
    /// Who calls.
    #[must_use]
    pub(super) fn caller(&self) -> &Caller {
        &self.admitted.caller
    }
}

impl std::fmt::Debug for Door {
    /// Without headers and query: they hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("request_id", &self.request_id)
            .field("matched", &self.matched)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// A request that has come to an endpoint.
    #[must_use]
    pub fn new(
        worker: Rc<Worker>,
        http: HttpRequest,
        request_id: Arc<str>,
        matched: Matched,
        visitor: Visitor,
    ) -> Self {
        let names = Names::of(http.headers());
        Self { worker, http, request_id, matched, visitor, names }
    }

    /// First value of a header, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.names.text(self.http.headers(), name)
    }
}

/// Which headers a request may have, by a mark of each name. Dozens of names are asked for, and clients send few of
/// them: a name that is not there costs no look at the map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names(u64);

impl Names {
    /// The names in a request's head.
    #[must_use]
    fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |marks, name| marks | mark(name.as_str())))
    }

    /// First value of a header, named in lower case, when it is text. `headers` are those of [`Names::of`].
    #[must_use]
    pub(super) fn text<'a>(self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        if self.0 & mark(name) == 0 {
            return None;
        }
        // To look through a dozen headers costs less than to make a hashed name of the text.
        let (_, value) = headers.iter().find(|(known, _)| known.as_str() == name)?;
        value.to_str().ok()
    }
}

/// One of 64 bits.
fn mark(name: &str) -> u64 {
    let (first, last) = match name.as_bytes() {
        [] => (0, 0),
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    let length = u32::try_from(name.len()).unwrap_or(0);
    1_u64.rotate_left(length.wrapping_mul(5) ^ u32::from(first) ^ u32::from(last).wrapping_mul(3))
}

/// Lets a request in, or says why not.
///
/// # Errors
/// The refusal to render.
pub(super) fn admit(door: &Door) -> Result<Inside, Box<Refusal>> {
    let shared = &door.worker.shared;
    if shared.drain.is_draining() {
        return Err(Box::new(Refusal::shutting_down()));
    }
    let Some(place) = shared.in_flight.take(1) else {
        // Anthropic clients know 529 as "overloaded"; the others get 503.
        let kind = match door.matched.shape {
            ErrorShape::Anth => ErrorKind::Overloaded,
            ErrorShape::Chat | ErrorShape::Gem | ErrorShape::Ollama => ErrorKind::Unavailable,
        };
        let message = "the router has too many requests in flight; try again in a second";
        return Err(Box::new(
            Refusal::new(kind, message)
                .code("router_overloaded")
                .retry_after(IN_FLIGHT_RETRY_S.into()),
        ));
    };
    let snapshot = shared.snapshot.load_full();
    let admitted = match door.visitor {
        Visitor::Client => judged(door, &snapshot)?,
        Visitor::Operator { .. } => {
            let client = door.http.peer_addr().map_or(Peer::Unix, Peer::Tcp).ip();
            let addr = ClientAddr { peer: client, client, derived: false };
            Admitted { caller: Caller::Local, addr }
        }
    };
    Ok(Inside { admitted, place, snapshot })
}

/// A client by its credentials and by where it comes from.
fn judged(door: &Door, snapshot: &Snapshot) -> Result<Admitted, Box<Refusal>> {
    let shared = &door.worker.shared;
    let http = &door.http;
    let scope = door.matched.endpoint.scope();
    judge(&AdmitCx {
        headers: http.headers(),
        target_authority: http.uri().authority().map(|a| a.as_str()),
        key_query: door.matched.accepts_query_key().then(|| http.query_string()),
        is_post: http.method() == actix_web::http::Method::POST,
        scope,
        peer: http.peer_addr().map_or(Peer::Unix, Peer::Tcp),
        local_ip: local_ip(http),
        listener_loopback_only: snapshot.fixed.loopback_only,
        policy: &snapshot.admit,
        ring: &snapshot.keys,
        failed: &shared.failed_keys,
        now: shared.clock.now_ms(),
    })
    .map_err(|denial| Box::new(Refusal::from(denial)))
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        let kind = match denial.kind() {
            RefusalKind::InvalidRequest => ErrorKind::InvalidRequest,
            RefusalKind::Auth => ErrorKind::Auth,
            RefusalKind::Permission => ErrorKind::Permission,
            RefusalKind::RateLimit => ErrorKind::RateLimit,
            RefusalKind::Quota => ErrorKind::Quota,
        };
        let mut refusal =
            Self::new(kind, denial.to_string()).status(denial.status()).code(denial.code());
        refusal.retry_after_s = denial.retry_after_s().map(u64::from);
        refusal.noted = Some(Box::new(noted::event(&denial)));
        refusal
    }
}
