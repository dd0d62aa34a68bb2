//! Through outbound proxies: what they are asked, what carries, how they fail, and that nothing goes out without them.

use std::sync::Arc;

use bytes::Bytes;
use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::rig::{LONG, Names, PROMPT, SHORT, clients_with, post, scripted};
use super::tls::{Authority, front};
use crate::demo::chaos::reply::{chunk, head, json, sse_head};
use crate::demo::chaos::{Chaos, PATIENCE, Reading, Step};
use crate::demo::proxy::{Proxy, Script, Speaks};
use crate::net::error::{ConnectFailure, DnsFailure};
use crate::net::tls::TlsFailure;
use crate::net::url::UrlRefusal;
use crate::net::verdict::Range;
use crate::net::{
    Clients, DestClass, NetError, NetSettings, NetShared, Outgoing, ProxyFailure, Refusal, Route,
};
use crate::provider::node::NetworkPolicy;
use crate::provider::proxy::{NoProxy, ProxyUrl};

/// Stands in every login of these tests, and in no error.
const PASSWORD: &str = "hunter2";

fn url(text: &str) -> ProxyUrl {
    ProxyUrl::parse(text).unwrap()
}

fn through(proxy: &ProxyUrl) -> Route {
    Route::through(proxy.clone(), NoProxy::default())
}

fn sent(out: Outgoing, route: &Route) -> Outgoing {
    Outgoing { route: route.clone(), ..out }
}

fn settings(proxy: &ProxyUrl) -> NetSettings {
    NetSettings { connect: LONG, proxies: vec![Arc::new(proxy.clone())], ..NetSettings::default() }
}

fn names() -> Arc<Names> {
    Names::with(&[
        ("api.example", &[&["127.0.0.1"]]),
        ("proxy.example", &[&["127.0.0.1"]]),
        ("public.example", &[&["93.184.216.34"]]),
        ("both.example", &[&["2606:2800::1", "93.184.216.34", "93.184.216.35"]]),
        ("fake.example", &[&["198.18.3.4"]]),
        ("nowhere.example", &[&[]]),
    ])
}

fn plain_clients(proxy: &ProxyUrl) -> Clients {
    clients_with(settings(proxy), names(), RootCertStore::empty())
}

async fn fetch(clients: &Clients, out: Outgoing) -> Result<(u16, Bytes), NetError> {
    let reply = clients.send(out).await?;
    Ok((reply.status, reply.body.collect(1 << 20, LONG).await?))
}

/// The failure, after a look at its text.
async fn failure(clients: &Clients, out: Outgoing) -> NetError {
    let error = fetch(clients, out).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains(PASSWORD), "{text}");
    error
}

async fn why(clients: &Clients, out: Outgoing) -> ProxyFailure {
    match failure(clients, out).await {
        NetError::Proxy { proxy, why } => {
            assert!(proxy.contains("://") && !proxy.contains('@'), "{proxy}");
            why
        }
        other => panic!("{other:?}"),
    }
}

fn connect_proxy(proxy: &Proxy) -> ProxyUrl {
    url(&format!("http://{}", proxy.address()))
}

#[actix_rt::test]
async fn every_kind_of_proxy_carries_every_kind_of_target_to_a_judged_address() {
    let authority = Authority::new();
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let tls = front(authority.server(&["http/1.1"]), upstream.address()).await;
    for (speaks, scheme) in [
        (Speaks::Connect, "http"),
        (Speaks::Connect, "https"),
        (Speaks::Socks5, "socks5"),
        (Speaks::Socks5, "socks5h"),
    ] {
        let proxy = Proxy::start(Script::honest(speaks)).unwrap();
        let port = match scheme {
            "https" => {
                let config = authority.server_with(&["http/1.1"], "proxy.example", |_| {}, true);
                front(config, proxy.address()).await
            }
            _ => proxy.address().port(),
        };
        let by = url(&format!("{scheme}://proxy.example:{port}"));
        let clients = clients_with(settings(&by), names(), authority.roots());
        let plain = upstream.address().port();
        for (target, h2) in [
            (format!("http://127.0.0.1:{plain}/a"), false),
            (format!("http://api.example:{plain}/b"), false),
            (format!("https://api.example:{tls}/c"), false),
            (format!("https://api.example:{tls}/d"), true),
        ] {
            let before = (upstream.requests().len(), proxy.opened());
            for _ in 0..2 {
                let mut out = sent(post(&target, "{}"), &through(&by));
                out.dest.h2 = h2;
                assert_eq!(fetch(&clients, out).await.unwrap().0, 200, "{scheme} {target}");
            }
            let requests = upstream.requests();
            assert_eq!(requests.len(), before.0 + 2, "{scheme} {target}");
            assert_eq!(proxy.opened(), before.1 + 1, "{scheme} {target}: the way is used again");
            let asked = proxy.asked().pop().unwrap();
            let want = if target.starts_with("https") { tls } else { plain };
            assert_eq!(asked, format!("127.0.0.1:{want}"), "{scheme} {target}");
            // Neither the credential nor the target's name is the proxy's business, and the reverse.
            let host = requests.last().unwrap().header("host").unwrap();
            assert!(target.contains(&host), "{scheme} {target}: {host}");
            assert_eq!(requests.last().unwrap().header("proxy-authorization"), None);
        }
    }
}

#[actix_rt::test]
async fn logins_are_given_asked_for_and_refused() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    for (speaks, scheme) in [(Speaks::Connect, "http"), (Speaks::Socks5, "socks5")] {
        let login = Some(("me@home".to_owned(), PASSWORD.to_owned()));
        let proxy = Proxy::start(Script { login, ..Script::honest(speaks) }).unwrap();
        let at = proxy.address();
        let good = url(&format!("{scheme}://me%40home:{PASSWORD}@{at}"));
        let out = || post(&upstream.url("/"), "{}");
        let clients = plain_clients(&good);
        assert_eq!(fetch(&clients, sent(out(), &through(&good))).await.unwrap().0, 200);
        let bad = url(&format!("{scheme}://other:{PASSWORD}@{at}"));
        let refused = why(&clients, sent(out(), &through(&bad))).await;
        assert_eq!(refused, ProxyFailure::LoginRefused, "{scheme}");
        let none = url(&format!("{scheme}://{at}"));
        let needed = why(&clients, sent(out(), &through(&none))).await;
        assert_eq!(needed, ProxyFailure::LoginNeeded, "{scheme}");
        assert_eq!(proxy.opened(), 1, "{scheme}");
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[actix_rt::test]
async fn f63_a_proxy_that_fails_is_named_and_nothing_goes_out_without_it() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let long_head = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 20 << 10]].concat();
    let no_end = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(4 << 10)].concat();
    let raw = |text: &str| text.as_bytes().to_vec();
    let table: Vec<(Vec<u8>, ProxyFailure)> = vec![
        (raw("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n"), ProxyFailure::LoginRefused),
        (raw("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n"), ProxyFailure::LoginKind),
        (raw("HTTP/1.1 403 x\r\ncontent-length: 9\r\n\r\nforbidden"), ProxyFailure::Status(403)),
        (raw("HTTP/1.1 502 x\r\n\r\n"), ProxyFailure::NoUpstream(502)),
        (raw("HTTP/1.1 302 x\r\nlocation: http://login/\r\n\r\n"), ProxyFailure::Status(302)),
        (raw("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), ProxyFailure::Early),
        (raw("SSH-2.0-OpenSSH_9.2\r\n"), ProxyFailure::Foreign),
        (raw("\x05\x00"), ProxyFailure::Foreign),
        (raw("HTTP/1.1 abc\r\n\r\n"), ProxyFailure::Foreign),
        (raw("HTTP/1.1 200 O"), ProxyFailure::Closed),
        (Vec::new(), ProxyFailure::Closed),
        (long_head, ProxyFailure::Foreign),
        (no_end, ProxyFailure::Foreign),
    ];
    for (answer, want) in table {
        let proxy = Chaos::start(Reading::Head, {
            let answer = answer.clone();
            move |_| vec![Step::send(answer.clone()), Step::Close]
        })
        .unwrap();
        let by = url(&format!("http://me:{PASSWORD}@{}", proxy.address()));
        let out = sent(post(&upstream.url("/"), "{}"), &through(&by));
        let got = why(&plain_clients(&by), out).await;
        assert_eq!(got, want, "{}", String::from_utf8_lossy(&answer[..answer.len().min(60)]));
        let asked = proxy.requests();
        assert!(asked[0].header("proxy-authorization").unwrap().starts_with("Basic "));
        assert_eq!(asked[0].target(), upstream.address().to_string());
        assert!(asked.iter().all(|asked| asked.header("x-api-key").is_none()));
    }
    assert_eq!(upstream.connections(), 0, "never directly");
}

#[actix_rt::test]
async fn f63_a_proxy_that_is_not_there_or_does_not_answer() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = url(&format!("http://me:{PASSWORD}@{}", free.local_addr().unwrap()));
    drop(free);
    let to_upstream = |by: &ProxyUrl| sent(post(&upstream.url("/"), "{}"), &through(by));
    let got = failure(&plain_clients(&nobody), to_upstream(&nobody)).await;
    let address = nobody.address();
    assert_eq!(
        got.to_string(),
        format!(
            "the proxy `{address}` cannot be reached: connection refused; check that it runs, and its address"
        )
    );
    assert_eq!(got.code(), "proxy");

    let unknown = url("http://nowhere.example:3128");
    let got = why(&plain_clients(&unknown), to_upstream(&unknown)).await;
    assert_eq!(got, ProxyFailure::Dns(DnsFailure::NotFound));

    let short = |by: &ProxyUrl| {
        let settings = NetSettings { connect: SHORT, ..settings(by) };
        clients_with(settings, names(), RootCertStore::empty())
    };
    let silent = Chaos::start(Reading::Head, |_| vec![Step::Hold]).unwrap();
    for (scheme, want) in [
        ("http", ProxyFailure::Slow),
        ("socks5", ProxyFailure::Slow),
        ("https", ProxyFailure::NoAnswer),
    ] {
        let by = url(&format!("{scheme}://{}", silent.address()));
        assert_eq!(why(&short(&by), to_upstream(&by)).await, want, "{scheme}");
    }
    assert!(silent.wait_gone(3, PATIENCE), "its connections are closed");

    let other = Authority::new();
    let tls = front(other.server_with(&[], "proxy.example", |_| {}, true), silent.address()).await;
    let by = url(&format!("https://proxy.example:{tls}"));
    let got = why(&plain_clients(&by), to_upstream(&by)).await;
    assert_eq!(got, ProxyFailure::Tls(TlsFailure::UnknownIssuer));
    assert_eq!(upstream.connections(), 0, "never directly");
}

#[actix_rt::test]
async fn a_way_that_was_opened_slowly_in_the_upstreams_tls_is_the_upstreams_time_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(Script::honest(Speaks::Connect)).unwrap();
    let by = connect_proxy(&proxy);
    let settings = NetSettings { connect: SHORT, ..settings(&by) };
    let clients = clients_with(settings, names(), RootCertStore::empty());
    let target = format!("https://api.example:{}/", silent.local_addr().unwrap().port());
    let got = failure(&clients, sent(post(&target, "{}"), &through(&by))).await;
    assert_eq!((got, proxy.opened()), (NetError::ConnectTimeout, 1));
}

#[actix_rt::test]
async fn socks_refusals_have_their_reason() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    for (code, want) in [
        (1, ProxyFailure::NoSocksUpstream("general failure")),
        (2, ProxyFailure::Ruleset),
        (3, ProxyFailure::NoSocksUpstream("network unreachable")),
        (4, ProxyFailure::NoSocksUpstream("host unreachable")),
        (5, ProxyFailure::NoSocksUpstream("connection refused")),
        (6, ProxyFailure::NoSocksUpstream("TTL expired")),
        (7, ProxyFailure::Command),
        (8, ProxyFailure::NoSocksUpstream("address type not supported")),
        (99, ProxyFailure::Foreign),
    ] {
        let script = Script { refuses: Some(code), ..Script::honest(Speaks::Socks5) };
        let proxy = Proxy::start(script).unwrap();
        let by = url(&format!("socks5://{}", proxy.address()));
        let got =
            why(&plain_clients(&by), sent(post(&upstream.url("/"), "{}"), &through(&by))).await;
        assert_eq!(got, want, "{code}");
    }
    for garbage in [&b"HTTP/1.1 400 x\r\n\r\n"[..], b"\x04\x00", b"\x05\x09"] {
        let foreign = Chaos::start(Reading::Nothing, {
            let garbage = Bytes::copy_from_slice(garbage);
            move |_| vec![Step::Send(garbage.clone()), Step::AwaitClient]
        })
        .unwrap();
        let by = url(&format!("socks5://{}", foreign.address()));
        let got =
            why(&plain_clients(&by), sent(post(&upstream.url("/"), "{}"), &through(&by))).await;
        assert_eq!(got, ProxyFailure::Foreign, "{garbage:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[actix_rt::test]
async fn interim_answers_and_odd_successes_open_the_way() {
    for answer in [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\n\n",
        // The length of an answer to CONNECT means nothing.
        "HTTP/1.1 201 \r\ncontent-length: 500\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        // It plays the upstream too, once the way is open.
        let both = Chaos::start(Reading::Whole, move |request| {
            let opens = request.nth == 0;
            vec![Step::send(if opens { answer.as_bytes().to_vec() } else { json(200, "{}") })]
        })
        .unwrap();
        let by = url(&format!("http://{}", both.address()));
        let out = sent(post("http://127.0.0.1:9999/v1", "{}"), &through(&by));
        assert_eq!(fetch(&plain_clients(&by), out).await.unwrap().0, 200, "{answer:?}");
        assert_eq!(both.requests()[0].target(), "127.0.0.1:9999");
        assert_eq!(both.requests()[1].target(), "/v1", "not the absolute form");
    }
}

#[actix_rt::test]
async fn t_out_11_hosts_that_are_spared_are_reached_directly() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let proxy = Proxy::start(Script::honest(Speaks::Connect)).unwrap();
    let by = connect_proxy(&proxy);
    let clients = plain_clients(&by);
    let port = upstream.address().port();
    for (list, host, ways) in [
        ("api.example", "api.example", 0),
        ("127.0.0.0/8", "127.0.0.1", 0),
        // Names are compared, not what they resolve to.
        ("127.0.0.0/8", "api.example", 1),
        ("*", "api.example", 0),
    ] {
        let before = proxy.opened();
        let route = Route::through(by.clone(), NoProxy::parse(list).0);
        let out = sent(post(&format!("http://{host}:{port}/"), "{}"), &route);
        assert_eq!(fetch(&clients, out).await.unwrap().0, 200);
        assert_eq!(proxy.opened() - before, ways, "{list} {host}");
    }
}

#[actix_rt::test]
async fn a_proxy_that_is_switched_off_is_no_direct_connection() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let route = Route::closed("home", "it is switched off; switch it on");
    let clients = plain_clients(&url("http://127.0.0.1:1"));
    let got = fetch(&clients, sent(post(&upstream.url("/"), "{}"), &route)).await.unwrap_err();
    assert_eq!(
        got.to_string(),
        "the proxy `home` is to be used, but it is switched off; switch it on"
    );
    assert_eq!(upstream.connections(), 0);
}

fn of_class(class: DestClass, target: &str, route: &Route) -> Outgoing {
    let mut out = sent(post(target, "{}"), route);
    (out.dest.class, out.dest.network) = (class, NetworkPolicy::Public);
    out
}

/// Security §9.6, class by class. The proxy leads every way to one server with a certificate for `name`.
struct Judging {
    proxy: Proxy,
    authority: Authority,
}

impl Judging {
    async fn new(speaks: Speaks, name: &str) -> Self {
        let authority = Authority::new();
        let upstream = Box::leak(Box::new(Chaos::always(json(200, "{}")).unwrap()));
        let config = authority.server_with(&["http/1.1"], name, |_| {}, true);
        let tls = front(config, upstream.address()).await;
        let leads_to = Some(([127, 0, 0, 1], tls).into());
        let proxy = Proxy::start(Script { leads_to, ..Script::honest(speaks) }).unwrap();
        Self { proxy, authority }
    }

    async fn asks(
        &self,
        scheme: &str,
        change: impl FnOnce(&mut NetSettings),
        class: DestClass,
        target: &str,
    ) -> Result<String, NetError> {
        let by = url(&format!("{scheme}://{}", self.proxy.address()));
        let mut settings = settings(&by);
        change(&mut settings);
        let clients = clients_with(settings, names(), self.authority.roots());
        let before = self.proxy.asked().len();
        let got = fetch(&clients, of_class(class, target, &through(&by))).await;
        let asked = self.proxy.asked();
        match got {
            Ok(_) => Ok(asked.last().unwrap().clone()),
            Err(error) => {
                assert_eq!(asked.len(), before, "{target}: refused before the proxy heard of it");
                Err(error)
            }
        }
    }
}

fn here(_: &mut NetSettings) {}

fn there(settings: &mut NetSettings) {
    settings.proxy_resolves_names = true;
}

fn refused<T>(why: impl Into<Refusal>) -> Result<T, NetError> {
    Err(NetError::Blocked { why: why.into() })
}

#[actix_rt::test]
async fn sec_out_6_addresses_are_judged_here_and_the_proxy_gets_the_judged_one() {
    for (speaks, scheme) in [(Speaks::Connect, "http"), (Speaks::Socks5, "socks5")] {
        let rig = Judging::new(speaks, "public.example").await;
        for class in [DestClass::Catalog, DestClass::Node, DestClass::Override, DestClass::Content]
        {
            // TLS names the host: the certificate is for `public.example`.
            let got = rig.asks(scheme, here, class, "https://public.example/v1").await;
            assert_eq!(got, Ok("93.184.216.34:443".to_owned()), "{scheme} {class:?}");
            let got = rig.asks(scheme, here, class, "https://api.example/v1").await;
            assert_eq!(got, refused(Refusal::Address(Range::Loopback)), "{scheme} {class:?}");
            let got = rig.asks(scheme, here, class, "https://169.254.169.254/").await;
            assert_eq!(got, refused(UrlRefusal::Address(Range::Metadata)), "{scheme} {class:?}");
        }
    }
}

#[actix_rt::test]
async fn sec_out_6_a_proxy_looks_up_catalog_hosts_alone() {
    let [by_us, by_proxy]: [fn(&mut NetSettings); 2] = [here, there];
    for (speaks, scheme, change) in [
        (Speaks::Connect, "http", by_proxy),
        (Speaks::Socks5, "socks5", by_proxy),
        (Speaks::Socks5, "socks5h", by_us),
    ] {
        let rig = Judging::new(speaks, "nowhere.example").await;
        let target = "https://nowhere.example/v1";
        let got = rig.asks(scheme, change, DestClass::Catalog, target).await;
        assert_eq!(got, Ok("nowhere.example:443".to_owned()), "{scheme}");
        for class in [DestClass::Node, DestClass::Override] {
            let got = rig.asks(scheme, change, class, target).await;
            assert_eq!(got, Err(NetError::Dns(DnsFailure::NotFound)), "{scheme} {class:?}");
        }
        let got = rig.asks(scheme, change, DestClass::Content, target).await;
        assert_eq!(got, refused(Refusal::Unjudged), "{scheme}");
    }
}

#[actix_rt::test]
async fn sec_out_6_content_in_clear_takes_no_proxy() {
    let rig = Judging::new(Speaks::Connect, "public.example").await;
    let got = rig.asks("http", here, DestClass::Content, "http://public.example/cat.png").await;
    assert_eq!(got, refused(Refusal::PlainThroughProxy));
}

#[actix_rt::test]
async fn fake_addresses_pass_for_catalog_hosts_over_tls_when_the_operator_says_so() {
    let rig = Judging::new(Speaks::Connect, "fake.example").await;
    let allowed = |settings: &mut NetSettings| settings.allow_fake_ip = true;
    let target = "https://fake.example/v1";
    let got = rig.asks("http", allowed, DestClass::Catalog, target).await;
    assert_eq!(got, Ok("198.18.3.4:443".to_owned()));
    let benchmark = || refused(Refusal::Address(Range::Benchmark));
    assert_eq!(rig.asks("http", here, DestClass::Catalog, target).await, benchmark());
    for class in [DestClass::Node, DestClass::Override, DestClass::Content] {
        assert_eq!(rig.asks("http", allowed, class, target).await, benchmark(), "{class:?}");
    }
    let in_clear = "http://fake.example/v1";
    assert_eq!(rig.asks("http", allowed, DestClass::Catalog, in_clear).await, benchmark());
    let literal = rig.asks("http", allowed, DestClass::Catalog, "https://198.18.3.4/v1").await;
    assert_eq!(literal, refused(UrlRefusal::Address(Range::Benchmark)));
}

#[actix_rt::test]
async fn the_next_address_is_tried_when_the_proxy_does_not_reach_one() {
    let proxy = scripted(|request| {
        let answer = if request.index < 2 { "502 x" } else { "403 x" };
        vec![Step::send(format!("HTTP/1.1 {answer}\r\n\r\n").into_bytes()), Step::Close]
    });
    let by = url(&format!("http://{}", proxy.address()));
    let out = of_class(DestClass::Node, "https://both.example/", &through(&by));
    assert_eq!(why(&plain_clients(&by), out).await, ProxyFailure::Status(403));
    let asked: Vec<String> = proxy.requests().iter().map(|asked| asked.target()).collect();
    // IPv4 first: it is not this machine that connects.
    assert_eq!(asked, ["93.184.216.34:443", "[2606:2800::1]:443", "93.184.216.35:443"]);
}

#[actix_rt::test]
async fn ipv6_targets_go_through_socks_as_such() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let leads_to = Some(upstream.address());
    let proxy = Proxy::start(Script { leads_to, ..Script::honest(Speaks::Socks5) }).unwrap();
    let by = url(&format!("socks5://{}", proxy.address()));
    let out = sent(post("http://[::1]:8123/v1", "{}"), &through(&by));
    assert_eq!(fetch(&plain_clients(&by), out).await.unwrap().0, 200);
    assert_eq!(proxy.asked(), ["[::1]:8123"]);
    assert_eq!(upstream.requests()[0].header("host").as_deref(), Some("[::1]:8123"));
}

#[actix_rt::test]
async fn two_logins_do_not_share_connections() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let proxy = Proxy::start(Script::honest(Speaks::Connect)).unwrap();
    let [a, b] = ["a", "b"].map(|user| url(&format!("http://{user}:x@{}", proxy.address())));
    let proxies = vec![Arc::new(a.clone()), Arc::new(b.clone())];
    let settings = NetSettings { proxies, ..NetSettings::default() };
    let clients = clients_with(settings, names(), RootCertStore::empty());
    for (by, ways) in [(&a, 1), (&b, 2), (&a, 2), (&b, 2)] {
        let out = sent(post(&upstream.url("/"), "{}"), &through(by));
        assert_eq!(fetch(&clients, out).await.unwrap().0, 200);
        assert_eq!(proxy.opened(), ways);
    }
    let out = post(&upstream.url("/"), "{}");
    assert_eq!(fetch(&clients, out).await.unwrap().0, 200);
    assert_eq!((proxy.opened(), upstream.connections()), (2, 3), "nor with direct calls");
}

#[actix_rt::test]
async fn a_proxy_that_is_taken_away_loses_its_connections_and_running_streams_go_on() {
    let upstream = scripted(|request| match request.target().as_str() {
        "/stream" => vec![
            Step::send([sse_head(), chunk(b"data: 1\n\n")].concat()),
            Step::Hold,
            Step::send([chunk(b"data: 2\n\n"), b"0\r\n\r\n".to_vec()].concat()),
        ],
        _ => vec![Step::send(json(200, "{}"))],
    });
    let proxy = Proxy::start(Script::honest(Speaks::Connect)).unwrap();
    let by = connect_proxy(&proxy);
    let shared = NetShared::with(settings(&by), names(), RootCertStore::empty()).unwrap();
    let [idle, busy] = [(); 2].map(|()| Clients::new(Arc::clone(&shared)));
    let to = |path| sent(post(&upstream.url(path), "{}"), &through(&by));
    assert_eq!(fetch(&idle, to("/")).await.unwrap().0, 200);
    let running = busy.send(to("/stream")).await.unwrap();
    assert_eq!((proxy.opened(), upstream.gone()), (2, 0));

    shared.update(NetSettings::default());
    for clients in [&idle, &busy] {
        assert_eq!(fetch(clients, post(&upstream.url("/"), "{}")).await.unwrap().0, 200);
    }
    assert!(upstream.wait_gone(1, PATIENCE), "the idle one is closed");
    assert_eq!(upstream.gone(), 1, "the busy one is not");
    upstream.release();
    let rest = running.body.collect(1 << 20, LONG).await.unwrap();
    assert_eq!(rest, "data: 1\n\ndata: 2\n\n");

    // A request that began before may still go through it, on a connection of its own.
    for ways in 3..=4 {
        assert_eq!(fetch(&idle, to("/")).await.unwrap().0, 200);
        assert_eq!(proxy.opened(), ways);
    }
}

#[actix_rt::test]
async fn f63_a_proxy_that_dies_in_the_middle_of_an_answer_ends_it_as_broken() {
    let upstream = scripted(|_| {
        let half = [head(200, &[("content-length", "10")]), b"12345".to_vec()].concat();
        vec![Step::send(half), Step::AwaitClient]
    });
    let proxy = Proxy::start(Script::honest(Speaks::Connect)).unwrap();
    let by = connect_proxy(&proxy);
    let clients = plain_clients(&by);
    let reply = clients.send(sent(post(&upstream.url("/"), "{}"), &through(&by))).await.unwrap();
    drop(proxy);
    let ended = tokio::time::timeout(LONG, reply.body.collect(1 << 20, LONG)).await.unwrap();
    assert!(matches!(ended, Err(NetError::Truncated | NetError::Reset { .. })), "{ended:?}");
    let next = why(&clients, sent(post(&upstream.url("/"), "{}"), &through(&by))).await;
    assert_eq!(next, ProxyFailure::Unreachable(ConnectFailure::Refused));
}

#[actix_rt::test]
async fn rel_can_1_dropping_a_call_closes_the_connection_to_the_proxy() {
    let silent = Chaos::start(Reading::Head, |_| vec![Step::AwaitClient]).unwrap();
    let by = url(&format!("http://{}", silent.address()));
    let clients = plain_clients(&by);
    let call = clients.send(sent(post("http://127.0.0.1:9999/", "{}"), &through(&by)));
    assert!(tokio::time::timeout(SHORT, call).await.is_err());
    assert!(silent.wait_gone(1, PROMPT));
}
