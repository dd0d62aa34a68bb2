//! What the audit log has to know of callers that are turned away, and of upstreams that are not reached as configured.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use ninerouter_dialect::ErrorShape;

use crate::auth::address::Peer;
use crate::auth::arrival::address;
use crate::auth::audit::{Authority, Caller, Event, EventName};
use crate::auth::key::KeyFault;
use crate::auth::refusal::Refusal as Denial;
use crate::gateway::admission::Door;
use crate::gateway::reply::Refusal;
use crate::gateway::worker::Worker;

/// The event of a denial.
pub(super) fn event(denial: &Denial) -> Event {
    let (name, why) = match denial {
        Denial::KeyMissing | Denial::ForeignOrigin | Denial::NotJson => {
            (EventName::KeylessDenied, denial.code())
        }
        Denial::KeyInvalid(KeyFault::Expired) => (EventName::ApiKeyExpired, "expired"),
        Denial::KeyInvalid(KeyFault::Disabled) => (EventName::ApiAuthFailed, "disabled"),
        Denial::KeyUnknown
        | Denial::KeyMistyped
        | Denial::ScopeMissing(_)
        | Denial::ModelNotAllowed(_) => (EventName::ApiAuthFailed, denial.code()),
        Denial::TooManyFailures { .. } => {
            return Event::denied(EventName::RateLimitExceeded).with("scope", "failed_keys");
        }
        Denial::AddressNotAllowed => (EventName::IpDenied, denial.code()),
        Denial::Limit(_) => {
            return Event::denied(EventName::ApiKeyLimit).with("kind", denial.code());
        }
        Denial::UnsafeHost | Denial::BadHost(_) => (EventName::HostRejected, denial.code()),
    };
    Event::denied(name).with("why", why)
}

/// What is needed of a request that has gone on to its endpoint, should it be turned away there.
pub(super) struct Witness {
    worker: Rc<Worker>,
    http: HttpRequest,
    request_id: Arc<str>,
    shape: ErrorShape,
}

impl Witness {
    pub(super) fn of(door: &Door) -> Self {
        Self {
            worker: Rc::clone(&door.worker),
            http: door.http.clone(),
            request_id: Arc::clone(&door.request_id),
            shape: door.matched.shape,
        }
    }

    /// Notes a refusal that has something to note.
    pub(super) fn note(&self, refusal: &Refusal) {
        let Some(event) = &refusal.noted else { return };
        let status = refusal.http_status(self.shape);
        let shared = &self.worker.shared;
        let peer = self.http.peer_addr();
        let policy = &shared.snapshot.load().admit;
        let addr = address(peer.map_or(Peer::Unix, Peer::Tcp), self.http.headers(), policy);
        let text = |name: &str| self.http.headers().get(name).and_then(|v| v.to_str().ok());
        let caller = Caller {
            authority: Authority::Anonymous,
            client_ip: peer.map(|_| addr.client),
            peer_ip: peer.map(|peer| peer.ip()),
            user_agent: text("user-agent").map(Into::into),
            method: Some(self.http.method().as_str().into()),
            path: Some(self.http.path().into()),
            request_id: Some(Arc::clone(&self.request_id)),
        };
        shared.audit.record(&caller, Event::clone(event).with("status", status));
    }
}

/// An upstream that was not called: the router itself tells.
pub(super) fn upstream(request_id: &Arc<str>) -> Caller {
    Caller { request_id: Some(Arc::clone(request_id)), ..Caller::system() }
}
