//! One pool of connections of the client library, under one policy and through one proxy, or none.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{Payload, RequestHeadType, ResponseHead, Uri};
use actix_service::Service as _;
use awc::error::{ConnectError, SendRequestError};
use awc::{Connect, Connector};

use super::body::RequestBody;
use super::connector::{Dial, Layer, Reach};
use super::error::{Garbage, NetError};
use super::io::Meter;
use super::shared::NetShared;
use super::tls::TlsFailure;
use crate::provider::proxy::ProxyUrl;

/// An idle connection is kept this long; many servers close theirs after 60 to 75 s.
const IDLE: Duration = Duration::from_secs(55);
/// The oldest connection that is used again, so that a moved name is followed.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// The library's own limits; ours end first and say which phase it was.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

type Local<T> = Pin<Box<dyn Future<Output = T>>>;
pub(super) type Answer = Result<(ResponseHead, Payload), SendRequestError>;
pub(super) type Answering = Local<Answer>;
type Sender = Box<dyn FnOnce(RequestHeadType, RequestBody) -> Answering>;
type Opener = Box<dyn Fn(Uri) -> Local<Result<Sender, ConnectError>>>;

/// What tells pools apart: connections never cross from one policy to another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct PoolKey {
    pub(super) reach: Reach,
    pub(super) layer: Layer,
    /// The proxy they go through.
    pub(super) via: Option<Arc<ProxyUrl>>,
}

/// A connection that was lent for one request.
pub(super) struct Link {
    sender: Sender,
    /// It served another request before.
    pub(super) pooled: bool,
}

impl Link {
    pub(super) fn send(self, head: RequestHeadType, body: RequestBody) -> Answering {
        (self.sender)(head, body)
    }
}

/// Connections by host and port.
pub(super) struct Pool {
    open: Opener,
    shared: Arc<NetShared>,
    proxied: bool,
    pub(super) meter: Rc<Meter>,
}

impl Pool {
    pub(super) fn new(shared: &Arc<NetShared>, meter: &Rc<Meter>, key: &PoolKey) -> Self {
        let dial = Dial::new(Arc::clone(shared), Rc::clone(meter), key);
        let mut connector = Connector::new()
            .connector(dial)
            .limit(0)
            .conn_keep_alive(IDLE)
            .conn_lifetime(LIFE)
            .timeout(NEVER)
            .handshake_timeout(NEVER);
        if key.layer == Layer::LibraryTls {
            connector = connector.rustls_0_23(Arc::clone(&shared.tls.h2));
        }
        let service = connector.finish();
        let open: Opener = Box::new(move |uri| {
            let connecting = service.call(Connect { uri, addr: None });
            Box::pin(async move {
                let connection = connecting.await?;
                let sender: Sender =
                    Box::new(move |head, body| connection.send_request(head, body));
                Ok(sender)
            })
        });
        let proxied = key.via.is_some();
        Self { open, shared: Arc::clone(shared), proxied, meter: Rc::clone(meter) }
    }

    /// An idle connection, or a new one.
    pub(super) async fn lend(&self, uri: &Uri) -> Result<Link, NetError> {
        let mut opening = (self.open)(uri.clone());
        let mut pooled = true;
        // The dial happens inside one of these polls, and nothing else runs during a poll.
        let watched = std::future::poll_fn(|cx| {
            let before = self.meter.dials();
            let done = opening.as_mut().poll(cx);
            pooled &= self.meter.dials() == before;
            done
        });
        let settings = self.shared.settings();
        // The dial has exact limits of its own; this one is for the library's TLS of HTTP/2.
        let names = if self.proxied { settings.resolve * 2 } else { settings.resolve };
        let limit = names.saturating_add(settings.connect);
        match tokio::time::timeout(limit, watched).await {
            Ok(Ok(sender)) => Ok(Link { sender, pooled }),
            Ok(Err(error)) => Err(connect_error(error)),
            Err(_elapsed) => Err(NetError::ConnectTimeout),
        }
    }

    /// A new connection. Idle ones of this host are closed: the one that died was not alone.
    pub(super) async fn lend_fresh(&self, uri: &Uri) -> Result<Link, NetError> {
        loop {
            let link = self.lend(uri).await?;
            if !link.pooled {
                return Ok(link);
            }
        }
    }
}

fn connect_error(error: ConnectError) -> NetError {
    match error {
        ConnectError::Resolver(error) => match error.downcast::<NetError>() {
            Ok(ours) => *ours,
            Err(_foreign) => NetError::Unsendable("no way to connect"),
        },
        // Only the library's own TLS is left: everything before it is our connector's.
        ConnectError::Io(error) => NetError::Tls(TlsFailure::from_io(&error)),
        ConnectError::H2(_) => NetError::Protocol(Garbage::H2),
        ConnectError::Timeout => NetError::ConnectTimeout,
        ConnectError::Disconnected => NetError::Reset { pooled: false },
        _ => NetError::Unsendable("no way to connect"),
    }
}
