//! Resolve, judge, connect (through a proxy where one is configured), TLS: the one way to a socket (SEC-OUT-3).

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_http::Uri;
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Host as _};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::error::{ConnectFailure, NetError, ProxyFailure, Refusal};
use super::io::{Line, Meter, Socket, UpstreamIo};
use super::pool::PoolKey;
use super::shared::{NetSettings, NetShared};
use super::tls::TlsFailure;
use super::tunnel::{self, End};
use super::url::DOCKER_HOST;
use super::verdict::{Range, judge};
use crate::provider::node::NetworkPolicy;
use crate::provider::proxy::{ProxyHost, ProxyScheme, ProxyUrl};

/// Head start of each address before the next one is tried beside it (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// A silent peer is noticed after this, plus four probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// Addresses of one host that a proxy is asked for, one after the other.
const ADDRESSES_TRIED: usize = 4;

/// What the connector puts around the socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Layer {
    /// http.
    Plain,
    /// https, spoken over HTTP/1.1.
    TlsH1,
    /// https with HTTP/2 offered: the client library does the TLS itself.
    LibraryTls,
}

/// Which addresses may be reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Reach {
    pub(super) network: NetworkPolicy,
    /// A catalog host over TLS: may be in 198.18/15 when the operator says so.
    pub(super) may_be_fake: bool,
    /// A public or private address of this very machine is as good as any.
    pub(super) may_be_own: bool,
    /// A catalog host over TLS: a proxy may look it up when nothing is looked up here (security §9.6).
    pub(super) may_be_unjudged: bool,
}

/// The connector service under one pool.
#[derive(Clone)]
pub(super) struct Dial(Rc<Inner>);

struct Inner {
    shared: Arc<NetShared>,
    meter: Rc<Meter>,
    reach: Reach,
    layer: Layer,
    via: Option<Arc<ProxyUrl>>,
}

impl Dial {
    pub(super) fn new(shared: Arc<NetShared>, meter: Rc<Meter>, key: &PoolKey) -> Self {
        let PoolKey { reach, layer, via } = key.clone();
        Self(Rc::new(Inner { shared, meter, reach, layer, via }))
    }
}

/// How far the way through a proxy has come.
#[derive(Clone, Copy)]
enum Phase {
    /// To the proxy.
    Proxy,
    /// The proxy opens it.
    Tunnel,
    /// It is open.
    Upstream,
}

type Opening = Pin<Box<dyn Future<Output = Result<Connection<Uri, UpstreamIo>, ConnectError>>>>;

impl Service<ConnectInfo<Uri>> for Dial {
    type Response = Connection<Uri, UpstreamIo>;
    type Error = ConnectError;
    type Future = Opening;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Opening {
        self.0.meter.dialed();
        let inner = Rc::clone(&self.0);
        // Addresses that came along with `info` are not looked at: only judged ones are used.
        Box::pin(async move {
            match inner.open(info.request()).await {
                Ok(io) => Ok(Connection::new(info.request().clone(), io)),
                Err(error) => Err(ConnectError::Resolver(Box::new(error))),
            }
        })
    }
}

impl Inner {
    async fn open(&self, uri: &Uri) -> Result<UpstreamIo, NetError> {
        let host = uri.hostname();
        let port = actix_tls::connect::Host::port(uri).ok_or(NetError::Unsendable("no port"))?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match &self.via {
            None => self.open_directly(bare, port).await,
            Some(proxy) => self.open_through(proxy, bare, port).await,
        }
    }

    async fn open_directly(&self, host: &str, port: u16) -> Result<UpstreamIo, NetError> {
        let settings = self.shared.settings();
        let addresses = self.judged(host, &settings).await?;
        let targets = in_order(&addresses, port);
        let connecting = async {
            let tcp = self.connected(host, &targets).await?;
            if !self.reach.may_be_own && leads_here(&tcp) {
                return Err(Refusal::Own.into());
            }
            self.wrap(host, Line::Tcp(tcp)).await
        };
        match timeout(settings.connect, connecting).await {
            Ok(done) => done,
            Err(_elapsed) => {
                self.shared.names.forget(host);
                Err(NetError::ConnectTimeout)
            }
        }
    }

    /// The connect limit covers the proxy, the way through it, and the upstream's TLS. The proxy's own address is not
    /// judged: it is the operator's choice.
    async fn open_through(
        &self,
        proxy: &ProxyUrl,
        host: &str,
        port: u16,
    ) -> Result<UpstreamIo, NetError> {
        let settings = self.shared.settings();
        let failed = |why| NetError::Proxy { proxy: proxy.address().into(), why };
        let ends = self.ends(proxy, host, port, &settings).await?;
        let (proxy_name, addresses) = match proxy.host() {
            ProxyHost::Address(address) => (None, Arc::from([*address])),
            ProxyHost::Name(name) => {
                let found = self.shared.names.addresses(name, settings.resolve).await;
                let found = found.map_err(|error| match error {
                    NetError::Dns(why) => failed(ProxyFailure::Dns(why)),
                    other => other,
                });
                (Some(name.as_str()), found?)
            }
        };
        let forget = || proxy_name.into_iter().for_each(|name| self.shared.names.forget(name));
        let addresses = in_order(&addresses, proxy.port());
        let phase = Cell::new(Phase::Proxy);
        let connecting = async {
            let mut failure = ProxyFailure::Foreign;
            for end in ends {
                phase.set(Phase::Proxy);
                let tunnel = async {
                    let line = self.reached(proxy, &addresses).await?;
                    phase.set(Phase::Tunnel);
                    tunnel::open(line, proxy, end).await
                };
                match tunnel.await {
                    Ok(line) => {
                        phase.set(Phase::Upstream);
                        return self.wrap(host, line).await;
                    }
                    Err(why) => failure = why,
                }
                if !failure.is_of_the_address() {
                    break;
                }
            }
            if matches!(failure, ProxyFailure::Unreachable(_)) {
                forget();
            }
            Err(failed(failure))
        };
        match timeout(settings.connect, connecting).await {
            Ok(done) => done,
            Err(_elapsed) => match phase.get() {
                Phase::Proxy => {
                    forget();
                    Err(failed(ProxyFailure::NoAnswer))
                }
                Phase::Tunnel => Err(failed(ProxyFailure::Slow)),
                Phase::Upstream => Err(NetError::ConnectTimeout),
            },
        }
    }

    /// Where a tunnel for this host may end, in the order of trying.
    async fn ends<'a>(
        &self,
        proxy: &ProxyUrl,
        host: &'a str,
        port: u16,
        settings: &NetSettings,
    ) -> Result<Vec<End<'a>>, NetError> {
        let is_content = !self.reach.may_be_own;
        if is_content && self.layer == Layer::Plain {
            return Err(Refusal::PlainThroughProxy.into());
        }
        let looks_up = settings.proxy_resolves_names || proxy.scheme() == ProxyScheme::Socks5h;
        if looks_up && host.parse::<IpAddr>().is_err() {
            if self.reach.may_be_unjudged {
                return Ok(vec![End::Name(host, port)]);
            }
            if is_content {
                return Err(Refusal::Unjudged.into());
            }
        }
        let mut addresses = self.judged(host, settings).await?.to_vec();
        if is_content && addresses.iter().any(|address| is_own(*address)) {
            return Err(Refusal::Own.into());
        }
        // Which families this machine has says nothing of the proxy; every proxy has IPv4.
        addresses.sort_by_key(IpAddr::is_ipv6);
        let ends = in_order(&addresses, port).into_iter().take(ADDRESSES_TRIED);
        Ok(ends.map(End::Address).collect())
    }

    /// A connection to the proxy.
    async fn reached(
        &self,
        proxy: &ProxyUrl,
        addresses: &[SocketAddr],
    ) -> Result<Line, ProxyFailure> {
        let tcp = connect_first(addresses)
            .await
            .map_err(|error| ProxyFailure::Unreachable(ConnectFailure::from(&error)))?;
        tune(&tcp);
        if proxy.scheme() == ProxyScheme::Https {
            let name = match proxy.host() {
                ProxyHost::Address(address) => ServerName::from(*address),
                ProxyHost::Name(name) => ServerName::try_from(name.clone())
                    .map_err(|_invalid| ProxyFailure::Tls(TlsFailure::WrongHost))?,
            };
            let tls = TlsConnector::from(Arc::clone(&self.shared.tls.h1)).connect(name, tcp).await;
            let tls = tls.map_err(|error| ProxyFailure::Tls(TlsFailure::from_io(&error)))?;
            Ok(Line::Tls(Box::new(tls)))
        } else {
            Ok(Line::Tcp(tcp))
        }
    }

    /// The addresses of a host, every one of them allowed.
    async fn judged(&self, host: &str, settings: &NetSettings) -> Result<Arc<[IpAddr]>, NetError> {
        // The library's resolver hook would be skipped for literals (§26): here nothing is.
        let addresses: Arc<[IpAddr]> = match host.parse::<IpAddr>() {
            Ok(literal) => Arc::from([literal]),
            Err(_name) => self.shared.names.addresses(host, settings.resolve).await?,
        };
        for address in addresses.iter() {
            self.judge(host, *address, settings.allow_fake_ip)?;
        }
        Ok(addresses)
    }

    async fn connected(&self, host: &str, targets: &[SocketAddr]) -> Result<TcpStream, NetError> {
        let tcp = connect_first(targets).await.map_err(|error| {
            self.shared.names.forget(host);
            NetError::Connect(ConnectFailure::from(&error))
        })?;
        check_peer(&tcp, targets)?;
        tune(&tcp);
        Ok(tcp)
    }

    /// One blocked address blocks the name: which one would be used is not ours to say.
    fn judge(&self, host: &str, address: IpAddr, allow_fake_ip: bool) -> Result<(), NetError> {
        let network = match self.reach.network {
            // The answer for the container's host is what the policy means, private as it is.
            NetworkPolicy::Loopback if host == DOCKER_HOST => NetworkPolicy::PrivateAndLoopback,
            network => network,
        };
        match judge(address, network) {
            Ok(()) => Ok(()),
            Err(Range::Benchmark)
                if allow_fake_ip && self.reach.may_be_fake && address.is_ipv4() =>
            {
                Ok(())
            }
            Err(range) => Err(Refusal::Address(range).into()),
        }
    }

    async fn wrap(&self, host: &str, line: Line) -> Result<UpstreamIo, NetError> {
        let meter = Rc::clone(&self.meter);
        match self.layer {
            Layer::Plain => Ok(UpstreamIo::new(Socket::Plain(line), meter, true)),
            Layer::LibraryTls => Ok(UpstreamIo::new(Socket::Plain(line), meter, false)),
            Layer::TlsH1 => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_invalid| NetError::Tls(TlsFailure::WrongHost))?;
                let tls = TlsConnector::from(Arc::clone(&self.shared.tls.h1))
                    .connect(name, line)
                    .await
                    .map_err(|error| NetError::Tls(TlsFailure::from_io(&error)))?;
                Ok(UpstreamIo::new(Socket::Tls(Box::new(tls)), meter, true))
            }
        }
    }
}

/// The families in turn, beginning with the resolver's first answer.
fn in_order(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let mut first = addresses.iter().filter(|address| address.is_ipv6() == first_is_v6);
    let mut second = addresses.iter().filter(|address| address.is_ipv6() != first_is_v6);
    let mut order = Vec::with_capacity(addresses.len());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten().map(|ip| SocketAddr::new(*ip, port)));
    }
}

/// The first connection that comes about; a failure starts the next address at once, silence after [`STAGGER`].
async fn connect_first(targets: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = targets {
        return connect_one(*only).await;
    }
    let mut waiting = targets.iter();
    let mut running: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>> = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    let mut next_start = std::pin::pin!(sleep_until(Instant::now()));
    std::future::poll_fn(move |cx| {
        loop {
            let mut at = 0;
            while let Some(attempt) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(tcp)) => return Poll::Ready(Ok(tcp)),
                    Poll::Ready(Err(error)) => {
                        failure = error;
                        drop(running.swap_remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            if !running.is_empty() && next_start.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let Some(target) = waiting.next() else {
                if running.is_empty() {
                    let last = std::mem::replace(&mut failure, io::ErrorKind::NotFound.into());
                    return Poll::Ready(Err(last));
                }
                return Poll::Pending;
            };
            running.push(Box::pin(connect_one(*target)));
            next_start.as_mut().reset(Instant::now() + STAGGER);
        }
    })
    .await
}

async fn connect_one(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Without it a small body waits for the delayed ACK of the head: 44 ms (design §7).
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.connect(target).await
}

fn check_peer(tcp: &TcpStream, judged: &[SocketAddr]) -> Result<(), NetError> {
    match tcp.peer_addr() {
        Ok(peer) if judged.iter().any(|one| one.ip() == peer.ip() && one.port() == peer.port()) => {
            Ok(())
        }
        Ok(_) => Err(Refusal::Peer.into()),
        Err(_gone) => Err(NetError::Connect(ConnectFailure::Reset)),
    }
}

/// Both ends have the same address: the system took its own for the way to itself.
fn leads_here(tcp: &TcpStream) -> bool {
    match (tcp.local_addr(), tcp.peer_addr()) {
        (Ok(local), Ok(peer)) => local.ip() == peer.ip(),
        (Err(_gone), _) | (_, Err(_gone)) => false,
    }
}

/// The address is one of this machine's. A connected datagram socket sends nothing, and its own end says which address
/// the system would use for the way: for one of its own, that very address.
fn is_own(address: IpAddr) -> bool {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let probe = std::net::UdpSocket::bind(any).and_then(|socket| {
        socket.connect(SocketAddr::new(address, 443))?;
        socket.local_addr()
    });
    probe.is_ok_and(|own| own.ip() == address)
}

/// Probes for peers that vanish without a word during a long silence.
fn tune(tcp: &TcpStream) {
    use rustix::net::sockopt::{set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl};
    let tuned = set_tcp_keepidle(tcp, KEEPALIVE_IDLE)
        .and_then(|()| set_tcp_keepintvl(tcp, KEEPALIVE_INTERVAL))
        .and_then(|()| set_tcp_keepcnt(tcp, KEEPALIVE_PROBES));
    if let Err(error) = tuned {
        // The system's own, longer, times then apply.
        tracing::debug!(%error, "keep-alive probes cannot be tuned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_beginning_with_the_first_answer() {
        let ips =
            |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|t| t.parse().unwrap()).collect() };
        let order: Vec<IpAddr> = in_order(&ips(&["::2", "::3", "::4", "1.1.1.1", "1.1.1.2"]), 1)
            .into_iter()
            .map(|a| a.ip())
            .collect();
        assert_eq!(order, ips(&["::2", "1.1.1.1", "::3", "1.1.1.2", "::4"]));
        assert_eq!(in_order(&[], 1), []);
    }
}
