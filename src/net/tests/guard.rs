//! The outbound guard at work: names, literals, policies, redirects.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::rig::{LONG, Names, SHORT, clients, clients_with, destination, fetch, once, post};
use crate::demo::chaos::Chaos;
use crate::demo::chaos::reply::{head, json};
use crate::net::verdict::Range;
use crate::net::{
    Clients, DestClass, DnsFailure, Initiator, NetError, NetSettings, NetShared, Purpose, Refusal,
};
use crate::provider::node::NetworkPolicy;
use rustls::RootCertStore;

fn upstream() -> Chaos {
    Chaos::always(json(200, "{}")).unwrap()
}

fn resolving(answers: &[(&str, &[&[&str]])]) -> Clients {
    let settings = NetSettings { connect: SHORT, ..NetSettings::default() };
    clients_with(settings, Names::with(answers), RootCertStore::empty())
}

async fn reach(
    clients: &Clients,
    host: &str,
    upstream: &Chaos,
    network: NetworkPolicy,
) -> Result<u16, NetError> {
    let mut out = post(&format!("http://{host}:{}/", upstream.address().port()), "{}");
    out.dest = destination(network);
    clients.send(out).await.map(|reply| reply.status)
}

fn blocked(range: Range) -> Result<u16, NetError> {
    Err(Refusal::Address(range).into())
}

#[actix_rt::test]
async fn a_name_leads_to_its_addresses_in_turn() {
    let upstream = upstream();
    // Nobody listens on the first two.
    let clients = resolving(&[("a.example", &[&["::1", "127.0.0.2", "127.0.0.1"]])]);
    assert_eq!(reach(&clients, "a.example", &upstream, NetworkPolicy::Loopback).await, Ok(200));
    let got = upstream.requests().remove(0);
    let port = upstream.address().port();
    assert_eq!(got.header("host"), Some(format!("a.example:{port}")));
}

#[actix_rt::test]
async fn t_out_03_one_private_address_blocks_the_name() {
    let upstream = upstream();
    for answer in [&["8.8.8.8", "127.0.0.1"][..], &["127.0.0.1", "8.8.8.8"]] {
        let clients = resolving(&[("mixed.example", &[answer])]);
        let got = reach(&clients, "mixed.example", &upstream, NetworkPolicy::Public).await;
        assert_eq!(got, blocked(Range::Loopback));
    }
    let clients = resolving(&[("mixed.example", &[&["127.0.0.1", "169.254.169.254"]])]);
    let got = reach(&clients, "mixed.example", &upstream, NetworkPolicy::Loopback).await;
    assert_eq!(got, blocked(Range::Metadata));
    assert_eq!(upstream.connections(), 0);
}

#[actix_rt::test]
async fn t_out_04_a_name_that_moves_to_loopback_is_judged_again() {
    let upstream = upstream();
    let clients = resolving(&[("rebind.example", &[&["203.0.114.1"], &["127.0.0.1"]])]);
    let policy = NetworkPolicy::Public;
    let first = reach(&clients, "rebind.example", &upstream, policy).await;
    assert!(matches!(first, Err(NetError::ConnectTimeout | NetError::Connect(_))), "{first:?}");
    let second = reach(&clients, "rebind.example", &upstream, policy).await;
    assert_eq!(second, blocked(Range::Loopback));
    assert_eq!(upstream.connections(), 0);
}

#[actix_rt::test]
async fn an_answer_is_used_again_but_judged_for_each_policy() {
    let upstream = upstream();
    // A second question would get an address where nobody listens.
    let clients = resolving(&[("a.example", &[&["127.0.0.1"], &["127.0.0.9"]])]);
    assert_eq!(reach(&clients, "a.example", &upstream, NetworkPolicy::Loopback).await, Ok(200));
    let got = reach(&clients, "a.example", &upstream, NetworkPolicy::Public).await;
    assert_eq!(got, blocked(Range::Loopback));
    let both = NetworkPolicy::PrivateAndLoopback;
    assert_eq!(reach(&clients, "a.example", &upstream, both).await, Ok(200));
    // Pools are per policy: the idle connection of the first was not lent to the third.
    assert_eq!(upstream.connections(), 2);
}

/// A failure is no answer: it is not kept.
#[actix_rt::test]
async fn t_bug_02_and_03_a_name_that_did_not_resolve_is_looked_up_again() {
    let upstream = upstream();
    let clients = resolving(&[("late.example", &[&[], &["127.0.0.1"]])]);
    let first = reach(&clients, "late.example", &upstream, NetworkPolicy::Loopback).await;
    assert_eq!(first, Err(NetError::Dns(DnsFailure::NotFound)));
    let second = reach(&clients, "late.example", &upstream, NetworkPolicy::Loopback).await;
    assert_eq!(second, Ok(200));
}

/// T-BUG-08.
#[actix_rt::test]
async fn t_out_02_spellings_of_loopback_are_refused_and_reach_it_when_allowed() {
    let upstream = upstream();
    let clients = clients();
    for host in ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "①②⑦.0.0.1"] {
        let got = reach(&clients, host, &upstream, NetworkPolicy::Public).await;
        assert!(matches!(got, Err(NetError::Blocked { .. })), "{host}: {got:?}");
    }
    assert_eq!(upstream.connections(), 0);
    for host in ["127.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let got = reach(&clients, host, &upstream, NetworkPolicy::Loopback).await;
        assert_eq!(got, Ok(200), "{host}");
    }
    let got = upstream.requests().remove(0);
    assert!(got.header("host").unwrap().starts_with("127.0.0.1:"));
}

#[actix_rt::test]
async fn t_out_07_v6_spellings_of_loopback_are_refused() {
    let upstream = upstream();
    for host in ["[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1]"] {
        let got = reach(&clients(), host, &upstream, NetworkPolicy::Public).await;
        assert!(matches!(got, Err(NetError::Blocked { .. })), "{host}: {got:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[actix_rt::test]
async fn t_out_08_policy_loopback_reaches_loopback_and_not_metadata() {
    let upstream = upstream();
    let clients = clients();
    assert_eq!(reach(&clients, "127.0.0.1", &upstream, NetworkPolicy::Loopback).await, Ok(200));
    for policy in [NetworkPolicy::Loopback, NetworkPolicy::PrivateAndLoopback] {
        let got = reach(&clients, "169.254.169.254", &upstream, policy).await;
        assert!(matches!(got, Err(NetError::Blocked { .. })), "{got:?}");
    }
    let text = reach(&clients, "127.0.0.1", &upstream, NetworkPolicy::Public).await.unwrap_err();
    assert_eq!(
        text.to_string(),
        "outbound request blocked: the host is a loopback address: choose the network policy `loopback` to allow it"
    );
}

#[actix_rt::test]
async fn t_out_13_a_silent_resolver_ends_at_its_limit() {
    let settings = NetSettings { resolve: Duration::from_millis(50), ..NetSettings::default() };
    let clients = clients_with(settings, Names::with(&[]), RootCertStore::empty());
    let got = clients.send(post("http://nowhere.example:4000/", "{}")).await.unwrap_err();
    assert_eq!(got, NetError::Dns(DnsFailure::TimedOut));
}

#[actix_rt::test]
async fn f03_a_name_without_addresses() {
    let clients = resolving(&[("gone.example", &[&[]])]);
    let got = clients.send(post("http://gone.example:4000/", "{}")).await.unwrap_err();
    assert_eq!(got, NetError::Dns(DnsFailure::NotFound));
}

#[actix_rt::test]
async fn the_dockers_host_may_be_private_under_loopback() {
    let clients = resolving(&[
        ("host.docker.internal", &[&["10.255.255.1"]]),
        ("other.example", &[&["10.255.255.1"]]),
    ]);
    let upstream = upstream();
    let got = reach(&clients, "host.docker.internal", &upstream, NetworkPolicy::Loopback).await;
    assert!(!matches!(got, Err(NetError::Blocked { .. })), "{got:?}");
    let got = reach(&clients, "other.example", &upstream, NetworkPolicy::Loopback).await;
    assert_eq!(got, blocked(Range::Private));
}

#[actix_rt::test]
async fn fake_addresses_are_for_catalog_hosts_over_tls_when_allowed() {
    for (allow, class, scheme, refused) in [
        (false, DestClass::Catalog, "https", true),
        (true, DestClass::Catalog, "https", false),
        (true, DestClass::Catalog, "http", true),
        (true, DestClass::Node, "https", true),
        (true, DestClass::Override, "https", true),
    ] {
        let settings =
            NetSettings { connect: SHORT, allow_fake_ip: allow, ..NetSettings::default() };
        let names = Names::with(&[("api.example", &[&["198.18.0.7"]])]);
        let clients = clients_with(settings, names, RootCertStore::empty());
        let mut out = post(&format!("{scheme}://api.example/"), "{}");
        out.dest = destination(NetworkPolicy::Public);
        out.dest.class = class;
        let got = clients.send(out).await.unwrap_err();
        let want = NetError::from(Refusal::Address(Range::Benchmark));
        assert_eq!(got == want, refused, "{allow} {class:?} {scheme}: {got:?}");
    }
}

#[actix_rt::test]
async fn t_out_05_a_redirect_is_an_answer_and_carries_nothing_further() {
    let other = upstream();
    for status in [301, 302, 303, 307, 308] {
        let location = other.url("/stolen");
        let fields = [("location", location.as_str()), ("content-length", "0")];
        let first = once(head(status, &fields));
        let (got, _) = fetch(&clients(), &first).await.unwrap();
        assert_eq!(got, status);
    }
    assert_eq!(other.connections(), 0);
}

#[actix_rt::test]
async fn errors_name_no_address_and_no_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut out = post(&format!("http://127.0.0.1:{port}/?key=canary"), "{}");
    out.head_timeout = LONG;
    let text = format!("{0} {0:?}", clients().send(out).await.unwrap_err());
    for leak in ["127.0", &port.to_string(), "canary"] {
        assert!(!text.contains(leak), "{text}");
    }
}

#[actix_rt::test]
async fn new_settings_hold_for_clients_that_live() {
    let names = Names::with(&[("api.example", &[&["198.18.0.7"]])]);
    let settings = NetSettings { connect: SHORT, ..NetSettings::default() };
    let shared = NetShared::with(settings.clone(), names, RootCertStore::empty()).unwrap();
    let clients = Clients::new(Arc::clone(&shared));
    let ask = async || {
        let mut out = post("https://api.example/", "{}");
        out.dest = destination(NetworkPolicy::Public);
        out.dest.class = DestClass::Catalog;
        clients.send(out).await.unwrap_err()
    };
    let refused = NetError::from(Refusal::Address(Range::Benchmark));
    assert_eq!(ask().await, refused);
    shared.update(NetSettings { allow_fake_ip: true, ..settings });
    assert_ne!(ask().await, refused);
}

#[test]
fn debug_of_a_request_shows_no_credential() {
    let text = format!("{:?}", post("https://a.b/?key=canary", "canary"));
    assert!(!text.contains("canary"), "{text}");
}

#[actix_rt::test]
async fn each_refusal_is_told_once_and_nothing_else_is() {
    let upstream = upstream();
    let names = Names::with(&[("inside.example", &[&["127.0.0.1"]]), ("nowhere.example", &[&[]])]);
    let shared = NetShared::with(NetSettings::default(), names, RootCertStore::empty()).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&told);
    shared.on_blocked(move |blocked| {
        let host = blocked.host.clone().unwrap_or_default();
        into.lock().unwrap().push((host, blocked.why, blocked.initiator.purpose));
    });
    let clients = Clients::new(Arc::clone(&shared));
    let loopback = Refusal::Address(Range::Loopback);
    for (host, network) in [
        ("inside.example", NetworkPolicy::Loopback),
        ("inside.example", NetworkPolicy::Public),
        ("nowhere.example", NetworkPolicy::Public),
        ("127.1", NetworkPolicy::Public),
    ] {
        // What became of it is told to the listener.
        drop(reach(&clients, host, &upstream, network).await);
    }
    let initiator = Initiator::new(Purpose::NodeTest);
    let dest = destination(NetworkPolicy::Public);
    clients.judge("http://127.0.0.1/?key=canary", dest, &initiator).unwrap_err();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], ("inside.example".to_owned(), loopback, Purpose::Inference));
    for (row, purpose) in [(1, Purpose::Inference), (2, Purpose::NodeTest)] {
        assert_eq!((told[row].0.as_str(), told[row].2), ("127.0.0.1", purpose));
        assert!(told[row].1.to_string().contains("loopback"), "{told:?}");
    }
}
