//! Handshakes that must fail, with their reason, and those that must not. HTTP/2 where it is asked for.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::rig::{LONG, Names, PROMPT, SHORT, clients_with, once, post, scripted};
use crate::demo::chaos::reply::{chunk, json, sse_head, whole};
use crate::demo::chaos::{Chaos, Step};
use crate::net::tls::TlsFailure;
use crate::net::{Clients, NetError, NetSettings, Outgoing};

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    fn clients(&self) -> Clients {
        let roots = self.roots();
        let names = Names::with(&[("api.example", &[&["127.0.0.1"]])]);
        clients_with(NetSettings { connect: LONG, ..NetSettings::default() }, names, roots)
    }

    pub(super) fn server(&self, protocols: &[&str]) -> ServerConfig {
        self.server_with(protocols, "api.example", |_| {}, true)
    }

    pub(super) fn server_with(
        &self,
        protocols: &[&str],
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        signed: bool,
    ) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate =
            if signed { params.signed_by(&key, &self.0) } else { params.self_signed(&key) };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.unwrap().der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// Accepts TLS and gives each session to `serve`, on the test's own thread.
async fn listen<F: Future<Output = ()> + 'static>(
    config: ServerConfig,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    drop(actix_rt::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            drop(actix_rt::spawn(async move {
                // A client that refuses the certificate ends here.
                if let Ok(tls) = acceptor.accept(socket).await {
                    serve(tls).await;
                }
            }));
        }
    }));
    port
}

/// TLS in front of a plain upstream.
pub(super) async fn front(config: ServerConfig, plain: SocketAddr) -> u16 {
    listen(config, move |mut tls| async move {
        let mut plain = TcpStream::connect(plain).await.unwrap();
        // Either side may break off.
        let _copied = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
    })
    .await
}

fn to(port: u16) -> Outgoing {
    post(&format!("https://api.example:{port}/v1"), "{}")
}

fn to_h2(port: u16) -> Outgoing {
    let mut out = to(port);
    out.dest.h2 = true;
    out
}

async fn fetch(clients: &Clients, out: Outgoing) -> Result<(u16, Bytes), NetError> {
    let reply = clients.send(out).await?;
    Ok((reply.status, reply.body.collect(64 * 1024 * 1024, LONG).await?))
}

#[actix_rt::test]
async fn a_trusted_server_is_reached_and_its_connection_used_again() {
    let authority = Authority::new();
    let upstream = Chaos::always(json(200, "{\"a\":1}")).unwrap();
    for h2_offered in [false, true] {
        let port = front(authority.server(&["http/1.1"]), upstream.address()).await;
        let clients = authority.clients();
        let before = upstream.connections();
        for _ in 0..3 {
            let mut out = to(port);
            out.dest.h2 = h2_offered;
            let got = fetch(&clients, out).await.unwrap();
            assert_eq!(got, (200, Bytes::from_static(b"{\"a\":1}")));
        }
        assert_eq!(upstream.connections(), before + 1);
    }
    assert!(upstream.requests()[0].header("host").unwrap().starts_with("api.example:"));
}

#[actix_rt::test]
async fn f04_every_flaw_has_its_reason_and_no_request_is_sent() {
    let authority = Authority::new();
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let h1 = ["http/1.1"];
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    let table = [
        (authority.server_with(&h1, "api.example", expired, true), TlsFailure::Expired),
        (authority.server_with(&h1, "api.example", early, true), TlsFailure::NotYetValid),
        (authority.server_with(&h1, "other.example", |_| {}, true), TlsFailure::WrongHost),
        (authority.server_with(&h1, "api.example", |_| {}, false), TlsFailure::UnknownIssuer),
        (Authority::new().server(&h1), TlsFailure::UnknownIssuer),
        (authority.server(&["spdy/3"]), TlsFailure::Incompatible),
    ];
    for (config, want) in table {
        let port = front(config, upstream.address()).await;
        for out in [to(port), to_h2(port)] {
            let got = fetch(&authority.clients(), out).await.unwrap_err();
            assert_eq!(got, NetError::Tls(want));
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[actix_rt::test]
async fn f04_servers_that_speak_no_tls_or_an_old_one() {
    let authority = Authority::new();
    let table: [(&[u8], TlsFailure); 4] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", TlsFailure::NotTls),
        // Alert `protocol_version`.
        (b"\x15\x03\x01\x00\x02\x02\x46", TlsFailure::Incompatible),
        // Alert `internal_error`.
        (b"\x15\x03\x03\x00\x02\x02\x50", TlsFailure::Refused),
        (b"", TlsFailure::Closed),
    ];
    for (bytes, want) in table {
        let bytes = Bytes::from_static(bytes);
        let plain = Chaos::start(crate::demo::chaos::Reading::Nothing, move |_| {
            vec![Step::Send(bytes.clone()), Step::Hold, Step::Close]
        })
        .unwrap();
        if want == TlsFailure::Closed {
            plain.release();
        }
        for out in [to(plain.address().port()), to_h2(plain.address().port())] {
            let got = fetch(&authority.clients(), out).await.unwrap_err();
            assert_eq!(got, NetError::Tls(want));
        }
    }
}

#[actix_rt::test]
async fn f02_a_handshake_without_end_is_a_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let names = Names::with(&[("api.example", &[&["127.0.0.1"]])]);
    let settings = NetSettings {
        connect: SHORT,
        resolve: Duration::from_millis(10),
        ..NetSettings::default()
    };
    let clients = clients_with(settings, names, RootCertStore::empty());
    for out in [to(port), to_h2(port)] {
        assert_eq!(clients.send(out).await.unwrap_err(), NetError::ConnectTimeout);
    }
}

#[actix_rt::test]
async fn f29_a_dead_pooled_tls_connection_costs_one_silent_retry() {
    let authority = Authority::new();
    for end in [Step::Close, Step::Reset] {
        let upstream = scripted(move |request| {
            if request.connection == 0 && request.nth == 1 {
                vec![end.clone()]
            } else {
                vec![Step::send(json(200, "{}"))]
            }
        });
        let port = front(authority.server(&["http/1.1"]), upstream.address()).await;
        let clients = authority.clients();
        for _ in 0..2 {
            assert_eq!(fetch(&clients, to(port)).await.unwrap().0, 200);
        }
        assert_eq!(upstream.requests().len(), 3);
    }
}

#[actix_rt::test]
async fn f11_f12_lengths_are_checked_inside_tls() {
    let authority = Authority::new();
    let short = once([&whole(200, &[], b"12345")[..], b"6789"].concat());
    let port = front(authority.server(&["http/1.1"]), short.address()).await;
    assert_eq!(fetch(&authority.clients(), to(port)).await.unwrap().1, "12345");

    let surplus = Chaos::always([&whole(200, &[], b"12345")[..], b"6789"].concat()).unwrap();
    let port = front(authority.server(&["http/1.1"]), surplus.address()).await;
    let clients = authority.clients();
    for round in 1..=2 {
        assert_eq!(fetch(&clients, to(port)).await.unwrap().1, "12345");
        assert_eq!(surplus.connections(), round);
    }
}

#[actix_rt::test]
async fn rel_can_1_dropping_a_tls_body_closes_the_socket() {
    let authority = Authority::new();
    let upstream = scripted(|_| {
        vec![Step::send([sse_head(), chunk(b"data: 1\n\n")].concat()), Step::AwaitClient]
    });
    let port = front(authority.server(&["http/1.1"]), upstream.address()).await;
    let reply = authority.clients().send(to(port)).await.unwrap();
    drop(reply);
    // The front lives on this thread and must run to pass the end on.
    let gone = async {
        while upstream.gone() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PROMPT, gone).await.unwrap();
}

/// Answers each HTTP/2 request with the size of its body.
async fn serve_h2(tls: TlsStream<TcpStream>, fail_first: Rc<Cell<bool>>) {
    let mut connection = h2::server::handshake(tls).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if fail_first.replace(false) {
            return;
        }
        let authority = request.uri().authority().unwrap().as_str().to_owned();
        let mut body = request.into_body();
        drop(actix_rt::spawn(async move {
            let mut size = 0;
            while let Some(Ok(piece)) = body.data().await {
                size += piece.len();
                body.flow_control().release_capacity(piece.len()).unwrap();
            }
            let head = http::Response::builder().header("x-authority", authority).body(());
            let mut stream = respond.send_response(head.unwrap(), false).unwrap();
            stream.send_data(Bytes::from(size.to_string()), true).unwrap();
        }));
    }
}

#[actix_rt::test]
async fn h2_is_spoken_where_it_is_asked_for() {
    let authority = Authority::new();
    let sessions = Rc::new(Cell::new(0));
    let counter = Rc::clone(&sessions);
    let port = listen(authority.server(&["h2"]), move |tls| {
        counter.set(counter.get() + 1);
        serve_h2(tls, Rc::default())
    })
    .await;
    let clients = authority.clients();
    for size in [2, 300_000, 3_000_000] {
        let mut out = to_h2(port);
        out.body = ninerouter_dialect::SplicedBody::whole(Bytes::from(vec![b'x'; size]));
        let reply = clients.send(out).await.unwrap();
        let name = reply.headers.get("x-authority").unwrap().to_str().unwrap();
        assert_eq!(name, format!("api.example:{port}"));
        assert_eq!(reply.body.collect(100, LONG).await.unwrap(), size.to_string());
    }
    assert_eq!(sessions.get(), 1);
    // A server that has only h2 is no server for a client that must not speak it.
    let got = fetch(&clients, to(port)).await.unwrap_err();
    assert_eq!(got, NetError::Tls(TlsFailure::Incompatible));
}

#[actix_rt::test]
async fn f29_a_dead_pooled_h2_connection_costs_one_silent_retry() {
    let authority = Authority::new();
    let fail_next = Rc::new(Cell::new(false));
    let shared = Rc::clone(&fail_next);
    let port =
        listen(authority.server(&["h2"]), move |tls| serve_h2(tls, Rc::clone(&shared))).await;
    let clients = authority.clients();
    assert_eq!(fetch(&clients, to_h2(port)).await.unwrap().1, "2");
    fail_next.set(true);
    assert_eq!(fetch(&clients, to_h2(port)).await.unwrap().1, "2");
    fail_next.set(false);
}

#[actix_rt::test]
async fn f05_silence_over_h2_ends_at_the_head_limit() {
    let authority = Authority::new();
    let port = listen(authority.server(&["h2"]), |tls| async {
        let mut connection = h2::server::handshake(tls).await.unwrap();
        let mut held = Vec::new();
        while let Some(Ok(request)) = connection.accept().await {
            held.push(request);
        }
    })
    .await;
    let mut out = to_h2(port);
    out.head_timeout = SHORT;
    assert_eq!(authority.clients().send(out).await.unwrap_err(), NetError::HeadTimeout);
}
