//! Fetching what a client's request only names: guarded, bounded, with a bare request (security §9, class C3).

use std::sync::Arc;
use std::time::Duration;

use actix_http::Method;
use actix_http::header::{self, HeaderName, HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use ninerouter_dialect::SplicedBody;

use super::blocked::Initiator;
use super::client::{Clients, DestClass, Destination, Outgoing};
use super::error::NetError;
use super::reply::{Reply, ReplyBody};
use super::shared::NetShared;
use super::url::Accepted;
use crate::provider::header::USER_AGENT;
use crate::provider::node::NetworkPolicy;
use crate::provider::proxy::Route;

/// Ports that content is fetched from.
const PORTS: [u16; 2] = [80, 443];
/// Redirects that are followed, each judged anew.
const REDIRECTS: usize = 3;
/// The largest content, bytes after decoding.
const LARGEST: usize = 20 << 20;
/// First address asked to last byte received.
const LONGEST: Duration = Duration::from_secs(10);
/// What is asked for.
const WANTED: &str = "image/*, application/pdf, audio/*, video/*";

/// Where content may come from. Always public: no setting opens more.
#[derive(Clone, Copy, Debug)]
pub struct ContentRules {
    dest: Destination,
    any_port: bool,
    longest: Duration,
}

impl ContentRules {
    /// From public addresses, over https; over plain http too when the operator allows it.
    #[must_use]
    pub fn new(plain_http: bool) -> Self {
        let dest = Destination {
            class: DestClass::Content,
            network: NetworkPolicy::Public,
            insecure_http: plain_http,
            h2: false,
        };
        Self { dest, any_port: false, longest: LONGEST }
    }

    /// From upstreams of a test, on this machine.
    #[cfg(test)]
    pub(crate) fn on_loopback(longest: Duration) -> Self {
        let dest = Destination {
            class: DestClass::Node,
            network: NetworkPolicy::Loopback,
            insecure_http: true,
            h2: false,
        };
        Self { dest, any_port: true, longest }
    }
}

/// What was fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// All of it, decoded.
    pub bytes: Bytes,
    /// `content-type` as the server declared it.
    pub declared: Option<String>,
}

/// Why content was not fetched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContentError {
    /// Refused by the guard, not reached, or no HTTP.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Neither 80 nor 443.
    #[error("port `{0}` is not one that content is fetched from")]
    Port(u16),
    /// More than three, or one that leads nowhere.
    #[error("the redirects do not end")]
    Redirects,
    /// Neither 200 nor a redirect.
    #[error("the server answered with status `{0}`")]
    Status(u16),
    /// More than 20 MiB after decoding.
    #[error("the content is larger than 20 MiB")]
    TooLarge,
    /// Not there in time.
    #[error("the content did not arrive in time")]
    TooSlow,
    /// The caller has no room for more.
    #[error("no room for the content")]
    NoRoom,
}

/// Fetches one address. `has_room` is asked whenever so many bytes are about to be held; of a refused address it is told
/// on whose behalf (`initiator`) it was to be fetched. Connections are the
/// call's own: none is left open for an address that a client chose.
///
/// Dropping the future closes the connection.
///
/// # Errors
/// See [`ContentError`].
pub async fn fetch(
    net: &Arc<NetShared>,
    url: &str,
    rules: &ContentRules,
    route: &Route,
    limit: Duration,
    has_room: impl FnMut(usize) -> bool,
    initiator: &Initiator,
) -> Result<Content, ContentError> {
    let clients = Clients::new(Arc::clone(net));
    let limit = limit.min(rules.longest);
    let caller = Caller { clients: &clients, rules, route, initiator };
    let fetched = tokio::time::timeout(limit, caller.follow(url, has_room)).await;
    fetched.unwrap_or(Err(ContentError::TooSlow))
}

/// One call with all that stays the same over its redirects.
struct Caller<'a> {
    clients: &'a Clients,
    rules: &'a ContentRules,
    route: &'a Route,
    initiator: &'a Initiator,
}

impl Caller<'_> {
    async fn follow(
        &self,
        url: &str,
        has_room: impl FnMut(usize) -> bool,
    ) -> Result<Content, ContentError> {
        let mut at = self.judged(url)?;
        for _ in 0..=REDIRECTS {
            let reply = self.clients.send(self.bare(&at)).await?;
            match reply.status {
                200 => {
                    let declared = text(&reply, header::CONTENT_TYPE).map(str::to_owned);
                    return Ok(Content { bytes: collect(reply.body, has_room).await?, declared });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let next = text(&reply, header::LOCATION).ok_or(ContentError::Redirects)?;
                    at = self.judged(&at.redirect(next).map_err(NetError::from)?)?;
                }
                status => return Err(ContentError::Status(status)),
            }
        }
        Err(ContentError::Redirects)
    }

    fn judged(&self, url: &str) -> Result<Accepted, ContentError> {
        let judged = self.clients.judge(url, self.rules.dest, self.initiator);
        let accepted = judged.map_err(NetError::from)?;
        if !self.rules.any_port && !PORTS.contains(&accepted.port()) {
            return Err(ContentError::Port(accepted.port()));
        }
        Ok(accepted)
    }

    /// Nothing of the client, of an account or of an earlier address goes along.
    fn bare(&self, at: &Accepted) -> Outgoing {
        let fixed = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        Outgoing {
            method: Method::GET,
            url: at.as_str().to_owned(),
            headers: vec![
                fixed(header::ACCEPT, WANTED),
                fixed(header::ACCEPT_ENCODING, "identity"),
                fixed(header::USER_AGENT, USER_AGENT),
            ],
            body: SplicedBody::whole(Bytes::new()),
            dest: self.rules.dest,
            route: self.route.clone(),
            head_timeout: LONGEST,
            send_stall: LONGEST,
            initiator: self.initiator.clone(),
        }
    }
}

fn text(reply: &Reply, name: HeaderName) -> Option<&str> {
    reply.headers.get(name).and_then(|value| value.to_str().ok())
}

async fn collect(
    mut body: ReplyBody,
    mut has_room: impl FnMut(usize) -> bool,
) -> Result<Bytes, ContentError> {
    if body.declared_len().is_some_and(|len| usize::try_from(len).is_ok_and(|len| len > LARGEST)) {
        return Err(ContentError::TooLarge);
    }
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        let len = whole.len().saturating_add(piece.len());
        if len > LARGEST {
            return Err(ContentError::TooLarge);
        }
        if !has_room(len) {
            return Err(ContentError::NoRoom);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
