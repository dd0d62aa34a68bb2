//! Sending a request: choose the pool, send once, send again when a pooled connection was dead.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::header::{self, HeaderName, HeaderValue};
use actix_http::{Method, RequestHead, Uri};
use ninerouter_dialect::SplicedBody;

use super::blocked::Initiator;
use super::body::Sending;
use super::connector::{Layer, Reach};
use super::error::{NetError, ProxyFailure};
use super::exchange::{Limits, exchange};
use super::io::Meter;
use super::pool::{Pool, PoolKey};
use super::reply::Reply;
use super::shared::{NetSettings, NetShared};
use super::url::{Accepted, UrlRefusal, accept};
use crate::provider::catalog::Provider;
use crate::provider::node::NetworkPolicy;
use crate::provider::proxy::{Hop, ProxyUrl, Route, RouteTarget};

/// URLs remembered per destination class before all are forgotten.
const TARGETS: usize = 512;

/// Where a destination comes from (security §9.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DestClass {
    /// The built-in catalog.
    Catalog,
    /// A node of the operator.
    Node,
    /// An endpoint override of the operator's environment.
    Override,
    /// A client's request: content it only names (class C3). Never this machine, by whatever address.
    Content,
}

/// What a request's URL may be and where it may lead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Destination {
    /// Where it comes from.
    pub class: DestClass,
    /// Addresses it may have.
    pub network: NetworkPolicy,
    /// Plain http to a public address is allowed.
    pub insecure_http: bool,
    /// HTTP/2 is offered.
    pub h2: bool,
}

impl Destination {
    /// Where calls to a provider lead.
    #[must_use]
    pub fn of(provider: &Provider) -> Self {
        let class = match (provider.overridden, provider.node) {
            (true, _) => DestClass::Override,
            (false, true) => DestClass::Node,
            (false, false) => DestClass::Catalog,
        };
        Self {
            class,
            network: provider.network,
            insecure_http: provider.insecure_http,
            h2: provider.h2,
        }
    }
}

/// Header text as the client takes it. A value that is no header text is dropped, not a failure
/// (endpoints §7).
#[must_use]
pub fn wire_headers(headers: &[(String, String)]) -> Vec<(HeaderName, HeaderValue)> {
    let wire = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    headers.iter().filter_map(wire).collect()
}

/// A request, ready to go. Its `Debug` shows neither URL nor headers: both carry credentials.
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Whole URL.
    pub url: String,
    /// All headers except `host`, `content-length` and `connection`, which are set here.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body; its length is declared.
    pub body: SplicedBody,
    /// What the URL may be.
    pub dest: Destination,
    /// The way it takes: directly, or through a proxy.
    pub route: Route,
    /// Body sent to response head received.
    pub head_timeout: Duration,
    /// Longest time without a byte of the request accepted.
    pub send_stall: Duration,
    /// On whose behalf it goes out.
    pub initiator: Initiator,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("dest", &self.dest)
            .field("body_bytes", &self.body.len)
            .finish_non_exhaustive()
    }
}

/// The clients of one worker. Cheap to clone; not for other threads.
#[derive(Clone)]
pub struct Clients(Rc<Inner>);

struct Inner {
    shared: Arc<NetShared>,
    meter: Rc<Meter>,
    pools: RefCell<HashMap<PoolKey, Rc<Pool>>>,
    /// The settings that `pools` were last looked through for.
    settings: RefCell<Arc<NetSettings>>,
    targets: RefCell<HashMap<Destination, HashMap<String, Rc<Target>>>>,
}

/// A judged URL with all that is derived from it.
struct Target {
    uri: Uri,
    /// What the pool is asked for: `host:port` alone, or the whole URL when the library does the TLS.
    connect: Uri,
    host: HeaderValue,
    accepted: Accepted,
    reach: Reach,
    layer: Layer,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// Clients for the calling thread.
    #[must_use]
    pub fn new(shared: Arc<NetShared>) -> Self {
        Self(Rc::new(Inner {
            settings: RefCell::new(shared.settings()),
            shared,
            meter: Rc::default(),
            pools: RefCell::default(),
            targets: RefCell::default(),
        }))
    }

    /// Sends a request and waits for the head of the answer. Redirects are not followed: a 3xx is an answer.
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Errors
    /// When the destination is refused, cannot be reached, or does not answer with HTTP in time.
    pub async fn send(&self, out: Outgoing) -> Result<Reply, NetError> {
        self.send_watched(out, || ()).await
    }

    /// [`Clients::send`], with a call as soon as there is a connection to send on.
    ///
    /// # Errors
    /// As [`Clients::send`].
    pub async fn send_watched(
        &self,
        out: Outgoing,
        connected: impl Fn(),
    ) -> Result<Reply, NetError> {
        let Outgoing { method, url, headers, body, dest, route, initiator, .. } = out;
        let told = |error| self.told(error, &url, dest.class, &initiator);
        let target = self.target(&url, dest).map_err(told)?;
        let pool = self.pool(&target, &route)?;
        let limits = Limits { head: out.head_timeout, stall: out.send_stall };
        let asks_head = method == Method::HEAD;
        let head = Rc::new(request_head(&target, method, headers));
        let sending = Rc::new(Sending::new(body.parts, body.len));
        let mut link = pool.lend(&target.connect).await.map_err(told)?;
        loop {
            connected();
            let pooled = link.pooled;
            let (head, sending) = (Rc::clone(&head), Rc::clone(&sending));
            match exchange(link, head, sending, &pool.meter, limits).await {
                Ok(answered) => return Reply::new(answered, asks_head),
                // REL-UP-4: the server had closed an idle connection while we reached for it.
                Err(failed) if pooled && failed.nothing_answered => {
                    link = pool.lend_fresh(&target.connect).await.map_err(told)?;
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// Judges a URL before anything is sent there. A refusal is told like that of a request.
    ///
    /// # Errors
    /// The rule that the URL breaks.
    pub fn judge(
        &self,
        url: &str,
        dest: Destination,
        initiator: &Initiator,
    ) -> Result<Accepted, UrlRefusal> {
        accept(url, dest.network, dest.insecure_http).inspect_err(|why| {
            self.0.shared.blocked.tell(url, dest.class, (*why).into(), initiator);
        })
    }

    /// Tells whoever listens of an error that is a refusal of ours, and hands the error on.
    fn told(
        &self,
        error: NetError,
        url: &str,
        class: DestClass,
        initiator: &Initiator,
    ) -> NetError {
        if let NetError::Blocked { why } = &error {
            self.0.shared.blocked.tell(url, class, *why, initiator);
        }
        error
    }

    fn target(&self, url: &str, dest: Destination) -> Result<Rc<Target>, NetError> {
        if let Some(known) = self.0.targets.borrow().get(&dest).and_then(|known| known.get(url)) {
            return Ok(Rc::clone(known));
        }
        let accepted = accept(url, dest.network, dest.insecure_http)?;
        let target = Rc::new(prepare(accepted, dest)?);
        // Keys that travel in a query (`?key=`) do not stay behind in a table.
        if !url.contains("key=") && !url.contains("token=") {
            let mut targets = self.0.targets.borrow_mut();
            let known = targets.entry(dest).or_default();
            if known.len() >= TARGETS {
                known.clear();
            }
            known.insert(url.to_owned(), Rc::clone(&target));
        }
        Ok(target)
    }

    /// Connections of the target's policy, through the proxy of its route.
    fn pool(&self, target: &Target, route: &Route) -> Result<Rc<Pool>, NetError> {
        let to = RouteTarget {
            tls: target.accepted.is_tls(),
            host: target.accepted.host(),
            port: target.accepted.port(),
        };
        let via = match route.hop(to) {
            None => None,
            Some(Hop::Proxy(proxy)) => Some(proxy),
            Some(Hop::Closed(closed)) => {
                let proxy = Arc::from(closed.proxy.as_str());
                return Err(NetError::Proxy { proxy, why: ProxyFailure::Unusable(closed.why) });
            }
        };
        let settings = self.0.shared.settings();
        let is_kept = |via: &Option<Arc<ProxyUrl>>| {
            via.as_ref().is_none_or(|via| settings.proxies.contains(via))
        };
        let mut pools = self.0.pools.borrow_mut();
        if !Arc::ptr_eq(&settings, &self.0.settings.borrow()) {
            // What runs on a connection goes on. Idle ones are closed, at the latest with the last that runs there.
            pools.retain(|key, _| is_kept(&key.via));
            self.0.settings.replace(Arc::clone(&settings));
        }
        let key = PoolKey { reach: target.reach, layer: target.layer, via };
        if let Some(pool) = pools.get(&key) {
            return Ok(Rc::clone(pool));
        }
        let pool = Rc::new(Pool::new(&self.0.shared, &self.0.meter, &key));
        if is_kept(&key.via) {
            pools.insert(key, Rc::clone(&pool));
        }
        Ok(pool)
    }
}

fn prepare(accepted: Accepted, dest: Destination) -> Result<Target, NetError> {
    let layer = match (accepted.is_tls(), dest.h2) {
        (false, _) => Layer::Plain,
        (true, false) => Layer::TlsH1,
        (true, true) => Layer::LibraryTls,
    };
    let of_catalog = dest.class == DestClass::Catalog && accepted.is_tls();
    let reach = Reach {
        network: dest.network,
        may_be_fake: of_catalog && accepted.address().is_none(),
        may_be_own: dest.class != DestClass::Content,
        may_be_unjudged: of_catalog,
    };
    let uri: Uri = accepted.as_str().parse().map_err(|_invalid| unsendable_url())?;
    let connect = match layer {
        Layer::LibraryTls => uri.clone(),
        // Without a scheme the library hands the connection over as it is: the TLS is ours.
        Layer::Plain | Layer::TlsH1 => {
            accepted.authority().parse().map_err(|_invalid| unsendable_url())?
        }
    };
    let host =
        HeaderValue::from_str(&accepted.host_header()).map_err(|_invalid| unsendable_url())?;
    Ok(Target { uri, connect, host, accepted, reach, layer })
}

fn unsendable_url() -> NetError {
    NetError::Unsendable("its URL is not valid HTTP")
}

fn request_head(
    target: &Target,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = method;
    head.uri = target.uri.clone();
    head.headers.insert(header::HOST, target.host.clone());
    for (name, value) in headers {
        if !is_ours(&name) {
            head.headers.append(name, value);
        }
    }
    head
}

/// Headers that describe the connection or the framing, never taken from the caller. `expect` would make
/// the library wait for an interim answer.
fn is_ours(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::EXPECT,
        header::TE,
        header::TRAILER,
    ]
    .contains(name)
}
