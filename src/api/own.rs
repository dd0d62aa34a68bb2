//! Requests of the operator's own to the router's public API, sent from inside: a real request on a client's way,
//! without a key (dashboard §5.11).

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use ninerouter_dialect::Dialect;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::actors::live::follow::Follower;
use crate::api::Api;
use crate::api::error::ApiError;

/// A request to send. The caller of the management API answers for it.
#[derive(Clone, Debug)]
pub struct OwnRequest {
    /// Id of its row in the request log.
    pub id: String,
    /// Path and query, as a client would send them. The method is `POST`.
    pub target: String,
    /// Headers; those that are none are left out.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
    /// Who asks, for the row; `None` = this computer.
    pub client: Option<IpAddr>,
    /// Hears of each step.
    pub follower: Option<Follower>,
}

impl OwnRequest {
    /// The router's own user agent.
    pub(super) fn agent() -> (String, String) {
        let agent = concat!("ninerouter/", env!("CARGO_PKG_VERSION"));
        ("user-agent".to_owned(), agent.to_owned())
    }
}

/// Where a client of this dialect posts.
pub(super) fn endpoint(dialect: Dialect, model: &str, stream: bool) -> String {
    match dialect {
        Dialect::Chat => "/v1/chat/completions".to_owned(),
        Dialect::Resp => "/v1/responses".to_owned(),
        Dialect::Anth => "/v1/messages".to_owned(),
        Dialect::Gem => {
            let action = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            format!("/v1beta/models/{}:{action}", in_path(model))
        }
    }
}

/// A model id as a part of a path.
pub(super) fn in_path(model: &str) -> impl fmt::Display {
    /// What need not be encoded there.
    const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(model, &PLAIN)
}

/// What a client would get.
pub struct OwnReply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body as it comes. It drives the request: dropped, the request is cancelled. An error = it was cut.
    pub parts: Pin<Box<dyn Stream<Item = Result<Bytes, BodyCut>>>>,
}

/// A body did not come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyCut;

impl fmt::Debug for OwnReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnReply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The router's public API, on one thread.
pub trait PublicApi: fmt::Debug {
    /// Sends a request and gives what comes back.
    fn send(&self, request: OwnRequest) -> Pin<Box<dyn Future<Output = OwnReply>>>;
}

/// Makes the public API for the thread that calls it.
pub type MakePublicApi = Arc<dyn Fn() -> Rc<dyn PublicApi> + Send + Sync>;

impl Api {
    /// The public API of the router that runs here.
    ///
    /// # Errors
    /// 503 when none does: a command works on the data folder alone.
    pub(super) fn public(&self) -> Result<Rc<dyn PublicApi>, ApiError> {
        let make = self.service.public.as_ref().ok_or_else(|| {
            ApiError::unavailable(
                "no router runs here that a request could be sent to; start it, and repeat this",
            )
        })?;
        Ok(Rc::clone(self.public.get_or_init(|| make())))
    }
}
