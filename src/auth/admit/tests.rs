//! The table of security §7.3 cell by cell, and what keyless callers must bring (T-AK-01…03,
//! T-HOST-01…03, T-TUN-01, E001–E003, E009, E011).

use std::net::SocketAddr;

use super::*;
use crate::auth::address::ProxySettings;
use crate::auth::candidate::tests::headers;
use crate::auth::ipset::IpSet;
use crate::auth::key::{Scopes, lookup_mac};
use crate::auth::refusal::RefusalKind;
use crate::clock::Clock;
use crate::config::proxies::expand;
use crate::config::settings::ProxyHeader;
use crate::id::KeyId;

const MATERIAL: [u8; 32] = [7; 32];
const NOW: UnixMs = 1_795_543_500_000;

const VALID: &str = "valid-key-text";
const DISABLED: &str = "disabled-key-text";
const EXPIRED: &str = "expired-key-text";
const DUMMY: &str = "sk_9router";
/// Of our form, with a checksum that does not fit.
const MISTYPED: &str = "sk-nr1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA000000";

struct Door {
    policy: AdmitPolicy,
    ring: KeyRing,
    failed: FailedKeys,
    loopback_only: bool,
    peer: Peer,
    scope: Scope,
    is_post: bool,
    query: Option<&'static str>,
}

impl Door {
    fn new(require: RequireApiKey, loopback_only: bool) -> Self {
        let record = |text: &str| {
            KeyRecord::unlimited(KeyId::new(), text.into(), lookup_mac(&MATERIAL, text))
        };
        let disabled = KeyRecord { enabled: false, ..record(DISABLED) };
        let expired = KeyRecord { expires_at: Some(NOW - 1), ..record(EXPIRED) };
        let whitelist = IpSet::parse(&["127.0.0.0/8", "::1", "172.17.0.0/16"]).unwrap();
        let proxy = ProxySettings {
            enabled: false,
            trusted: IpSet::new(expand(&["private".to_owned()])),
            header: ProxyHeader::Auto,
        };
        let policy = AdmitPolicy { require, hosts: HostPolicy::default(), whitelist, proxy };
        Self {
            policy,
            ring: KeyRing::new(&MATERIAL, None, [record(VALID), disabled, expired]),
            failed: FailedKeys::new(Clock::manual(NOW)),
            loopback_only,
            peer: peer("127.0.0.1"),
            scope: Scope::Inference,
            is_post: true,
            query: None,
        }
    }

    fn from(mut self, ip: &str) -> Self {
        self.peer = peer(ip);
        self
    }

    fn ask(&self, lines: &[(&str, &str)]) -> Result<Admitted, Refusal> {
        admit(&AdmitCx {
            headers: &headers(lines),
            target_authority: None,
            key_query: self.query,
            is_post: self.is_post,
            scope: self.scope,
            peer: self.peer,
            local_ip: Some("172.17.0.2".parse().unwrap()),
            listener_loopback_only: self.loopback_only,
            policy: &self.policy,
            ring: &self.ring,
            failed: &self.failed,
            now: NOW,
        })
    }

    /// Asks as a well-behaved program would, with these lines on top.
    fn post(&self, lines: &[(&str, &str)]) -> Result<Admitted, Refusal> {
        let base = [("host", "localhost:20128"), ("content-type", "application/json")];
        self.ask(&[&base, lines].concat())
    }

    fn with_key(&self, key: Option<&str>) -> Result<Admitted, Refusal> {
        let line = key.map(|key| format!("Bearer {key}"));
        let lines: Vec<_> = line.iter().map(|value| ("authorization", value.as_str())).collect();
        self.post(&lines)
    }
}

fn peer(ip: &str) -> Peer {
    Peer::Tcp(SocketAddr::new(ip.parse().unwrap(), 50_000))
}

fn status(result: &Result<Admitted, Refusal>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(refusal) => refusal.status(),
    }
}

#[test]
fn t_ak_01_the_table_of_7_3_all_nine_cells() {
    use RequireApiKey::{Always, Auto, Never};
    // Setting × who asks where: a local request on a loopback-only listener, a whitelisted client
    // and a stranger on another one.
    let cells = [
        (Always, true, "127.0.0.1", false),
        (Always, false, "172.17.0.5", false),
        (Always, false, "203.0.113.5", false),
        (Auto, true, "127.0.0.1", true),
        (Auto, false, "172.17.0.5", false),
        (Auto, false, "203.0.113.5", false),
        (Never, true, "127.0.0.1", true),
        (Never, false, "172.17.0.5", true),
        (Never, false, "203.0.113.5", false),
        // and the corners: local on another listener, a stranger on a loopback one
        (Auto, false, "127.0.0.1", false),
        (Never, false, "127.0.0.1", true),
        (Auto, true, "203.0.113.5", false),
        (Never, true, "172.17.0.5", false),
    ];
    for (require, loopback_only, ip, keyless) in cells {
        let door = Door::new(require, loopback_only).from(ip);
        let anonymous = if keyless { 200 } else { 401 };
        for (key, want) in [
            (None, anonymous),
            (Some(DUMMY), anonymous),
            (Some(MISTYPED), anonymous),
            (Some(VALID), 200),
            (Some(DISABLED), 401),
            (Some(EXPIRED), 401),
        ] {
            let result = door.with_key(key);
            let cell = format!("{require:?} {loopback_only} {ip} {key:?}");
            assert_eq!(status(&result), want, "{cell}: {result:?}");
            if let Ok(admitted) = result {
                let is_known = admitted.caller.key().is_some();
                assert_eq!(is_known, key == Some(VALID), "{cell}");
            }
        }
    }
}

#[test]
fn e002_refusals_say_why() {
    let door = Door::new(RequireApiKey::Always, true);
    for (key, want) in [
        (None, Refusal::KeyMissing),
        (Some(DUMMY), Refusal::KeyUnknown),
        (Some(MISTYPED), Refusal::KeyMistyped),
        (Some(DISABLED), Refusal::KeyInvalid(KeyFault::Disabled)),
        (Some(EXPIRED), Refusal::KeyInvalid(KeyFault::Expired)),
    ] {
        let refusal = door.with_key(key).unwrap_err();
        assert_eq!(refusal, want);
        assert_eq!((refusal.kind(), refusal.code()), (RefusalKind::Auth, "invalid_api_key"));
        assert!(refusal.asks_for_key());
        assert!(!refusal.to_string().contains("key-text"), "no refusal repeats a key");
    }
}

#[test]
fn t_ak_02_zero_keys_never_mean_open() {
    let mut door = Door::new(RequireApiKey::Auto, false).from("203.0.113.5");
    door.ring = KeyRing::new(&MATERIAL, None, []);
    assert_eq!(door.with_key(None).unwrap_err(), Refusal::KeyMissing);
    assert_eq!(door.with_key(Some(DUMMY)).unwrap_err(), Refusal::KeyUnknown);
}

#[test]
fn e001_every_place_of_a_key_works_and_a_query_only_where_the_route_says() {
    let mut door = Door::new(RequireApiKey::Always, false).from("203.0.113.5");
    for line in [
        ("authorization", "Bearer valid-key-text"),
        ("authorization", "bearer   valid-key-text"),
        ("x-api-key", VALID),
        ("x-goog-api-key", VALID),
        ("api-key", VALID),
    ] {
        assert_eq!(status(&door.post(&[line])), 200, "{line:?}");
    }
    assert_eq!(status(&door.post(&[])), 401, "no query is handed in on other routes");
    door.query = Some("alt=sse&key=valid-key-text");
    assert_eq!(status(&door.post(&[])), 200);
}

#[test]
fn e003_a_placeholder_next_to_a_valid_key_does_no_harm() {
    let door = Door::new(RequireApiKey::Always, false).from("203.0.113.5");
    for placeholder in [DUMMY, DISABLED, "x"] {
        let bearer = format!("Bearer {placeholder}");
        let lines = [("authorization", bearer.as_str()), ("x-api-key", VALID)];
        assert_eq!(status(&door.post(&lines)), 200, "{placeholder}");
    }
}

#[test]
fn t_ak_03_hostile_keys_are_401() {
    let door = Door::new(RequireApiKey::Always, false).from("203.0.113.5");
    let huge = format!("Bearer {}", "x".repeat(1 << 20));
    for lines in [
        vec![("authorization", "Bearer ' OR '1'='1")],
        vec![("authorization", "Bearer ${jndi:ldap://x}")],
        vec![("authorization", "Bearer schlüssel-text")],
        vec![("authorization", huge.as_str())],
        vec![
            ("authorization", "Bearer valid-key-text"),
            ("authorization", "Bearer valid-key-text"),
        ],
    ] {
        assert_eq!(status(&door.post(&lines)), 401, "{:?}", lines[0].1.get(..30));
    }
}

#[test]
fn t_host_01_keyless_with_a_foreign_host_is_421() {
    for (require, loopback_only) in [(RequireApiKey::Auto, true), (RequireApiKey::Never, false)] {
        let door = Door::new(require, loopback_only);
        let json = ("content-type", "application/json");
        let with = |host: &str, more: &[(&str, &str)]| {
            status(&door.ask(&[&[("host", host), json], more].concat()))
        };
        assert_eq!(with("evil.example", &[]), 421);
        assert_eq!(with("evil.example", &[("authorization", "Bearer sk_9router")]), 421);
        assert_eq!(with("evil.example", &[("x-api-key", VALID)]), 200, "a key lifts it");
        assert_eq!(with("localhost", &[]), 200);
        assert_eq!(status(&door.ask(&[json])), 421, "HTTP/1.0 without Host");
    }
    let door = Door::new(RequireApiKey::Always, true);
    assert_eq!(status(&door.ask(&[("host", "evil.example")])), 401, "no key would do");
}

#[test]
fn t_host_02_keyless_from_another_site_is_403() {
    for (require, loopback_only) in [(RequireApiKey::Auto, true), (RequireApiKey::Never, false)] {
        let door = Door::new(require, loopback_only);
        for line in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_eq!(door.post(&[line]).unwrap_err(), Refusal::ForeignOrigin, "{line:?}");
            assert_eq!(status(&door.post(&[line, ("x-api-key", VALID)])), 200, "{line:?}");
        }
        assert_eq!(status(&door.post(&[("origin", "http://localhost:20128")])), 200);
    }
}

#[test]
fn t_host_03_a_rebinding_page_gets_nowhere() {
    let mut door = Door::new(RequireApiKey::Auto, true);
    door.is_post = false;
    let lines = [
        ("host", "attacker.test:20128"),
        ("origin", "http://attacker.test:20128"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
    ];
    assert_eq!(status(&door.ask(&lines)), 421);
}

#[test]
fn t_route_03_a_malformed_host_is_400_with_or_without_a_key() {
    let door = Door::new(RequireApiKey::Auto, true);
    for host in ["localhost:20128/#@x", "localhost/login?"] {
        assert_eq!(status(&door.ask(&[("host", host)])), 400);
        assert_eq!(status(&door.ask(&[("host", host), ("x-api-key", VALID)])), 400);
    }
}

#[test]
fn allowed_hosts_bind_everybody() {
    let mut door = Door::new(RequireApiKey::Always, false).from("203.0.113.5");
    door.policy.hosts = HostPolicy::new(&["router.example".into()], None, &[]);
    let with = |host: &str| status(&door.ask(&[("host", host), ("x-api-key", VALID)]));
    assert_eq!(with("router.example"), 200);
    assert_eq!(with("other.example"), 421);
    assert_eq!(with("localhost"), 200);
}

#[test]
fn a_safe_host_that_is_no_loopback_name_is_not_local() {
    let lines = [("host", "ninerouter:20128"), ("content-type", "application/json")];
    assert_eq!(status(&Door::new(RequireApiKey::Auto, true).ask(&lines)), 401);
    assert_eq!(status(&Door::new(RequireApiKey::Never, false).ask(&lines)), 200);
}

#[test]
fn e009_e011_keyless_bodies_must_be_json_and_keyed_ones_need_not() {
    let mut door = Door::new(RequireApiKey::Auto, true);
    let host = ("host", "localhost");
    for (content_type, want) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("", 415),
    ] {
        let lines = [host, ("content-type", content_type)];
        assert_eq!(status(&door.ask(&lines)), want, "{content_type}");
        let keyed = [host, ("content-type", content_type), ("x-api-key", VALID)];
        assert_eq!(status(&door.ask(&keyed)), 200, "{content_type}");
    }
    assert_eq!(status(&door.ask(&[host])), 415);
    door.is_post = false;
    assert_eq!(status(&door.ask(&[host])), 200, "a GET has no body");
}

#[test]
fn keyless_callers_may_not_use_the_query() {
    let mut door = Door::new(RequireApiKey::Auto, true);
    door.query = Some("key=sk_9router");
    assert_eq!(status(&door.post(&[])), 401);
}

#[test]
fn e029_usage_needs_a_key_with_its_scope() {
    let mut door = Door::new(RequireApiKey::Auto, true);
    door.scope = Scope::UsageOwn;
    door.is_post = false;
    assert_eq!(status(&door.with_key(None)), 401);
    assert_eq!(status(&door.with_key(Some(VALID))), 200);
    let narrow = KeyRecord {
        scopes: Scopes::from_names(["inference"]),
        ..KeyRecord::unlimited(KeyId::new(), "n".into(), lookup_mac(&MATERIAL, "narrow-key-text"))
    };
    door.ring = door.ring.with_records([narrow]);
    let refusal = door.with_key(Some("narrow-key-text")).unwrap_err();
    assert_eq!(refusal, Refusal::ScopeMissing(Scope::UsageOwn));
    assert_eq!(refusal.status(), 403);
}

#[test]
fn sec_ak_5_address_comes_before_scope_and_counts_the_client() {
    let mut door = Door::new(RequireApiKey::Always, false).from("10.0.0.1");
    door.policy.proxy.enabled = true;
    let narrow = KeyRecord {
        scopes: Scopes::default(),
        allowed_cidrs: Some(IpSet::parse(&["203.0.113.0/24"]).unwrap()),
        ..KeyRecord::unlimited(KeyId::new(), "n".into(), lookup_mac(&MATERIAL, "narrow-key-text"))
    };
    door.ring = door.ring.with_records([narrow]);
    let from = |client: &str| {
        door.post(&[("x-api-key", "narrow-key-text"), ("x-forwarded-for", client)]).unwrap_err()
    };
    assert_eq!(from("198.51.100.1"), Refusal::AddressNotAllowed);
    assert_eq!(from("203.0.113.9"), Refusal::ScopeMissing(Scope::Inference));
}

#[test]
fn sec_ip_5_a_proxied_request_never_profits_from_the_proxys_address() {
    let mut door = Door::new(RequireApiKey::Never, false);
    // Proxy mode off: the marks of a proxy on the same machine take the convenience away.
    assert_eq!(status(&door.post(&[("x-forwarded-for", "203.0.113.5")])), 401);
    door.policy.proxy.enabled = true;
    assert_eq!(status(&door.post(&[("x-forwarded-for", "203.0.113.5")])), 401);
    assert_eq!(status(&door.post(&[("x-forwarded-for", "unknown")])), 401);
    assert_eq!(status(&door.post(&[("x-forwarded-for", "172.17.0.9")])), 200);
    assert_eq!(status(&door.post(&[])), 200);
}

#[test]
fn t_tun_01_tunnelled_requests_always_need_a_key() {
    for require in [RequireApiKey::Auto, RequireApiKey::Never] {
        let mut door = Door::new(require, require == RequireApiKey::Auto);
        door.policy.hosts = HostPolicy::new(&[], None, &["tunnel.example".into()]);
        door.policy.proxy.enabled = true;
        let shaped = [
            ("cf-connecting-ip", "127.0.0.1"),
            ("cdn-loop", "cloudflare"),
            ("x-forwarded-for", "127.0.0.1"),
        ];
        assert_eq!(status(&door.post(&shaped)), 401, "{require:?}");
        let json = ("content-type", "application/json");
        assert_eq!(status(&door.ask(&[("host", "Tunnel.Example.:443"), json])), 401);
        let keyed = [&shaped[..], &[("x-api-key", VALID)]].concat();
        assert_eq!(status(&door.post(&keyed)), 200);
    }
}

#[test]
fn sec_ak_7_failures_are_limited_and_valid_keys_are_not() {
    let door = Door::new(RequireApiKey::Always, false).from("203.0.113.5");
    for _ in 0..30 {
        assert_eq!(status(&door.with_key(Some(DUMMY))), 401);
    }
    let refusal = door.with_key(Some(DUMMY)).unwrap_err();
    assert!(matches!(refusal, Refusal::TooManyFailures { retry_after_s: 1.. }), "{refusal:?}");
    assert_eq!((refusal.status(), refusal.retry_after_s().is_some()), (429, true));
    assert_eq!(status(&door.with_key(Some(VALID))), 200);
    let keyless = Door::new(RequireApiKey::Auto, true);
    for _ in 0..40 {
        assert_eq!(status(&keyless.with_key(Some(DUMMY))), 200, "a dummy is no failure there");
    }
}

#[test]
fn unix_socket_peers_are_local() {
    let mut door = Door::new(RequireApiKey::Auto, true);
    door.peer = Peer::Unix;
    assert_eq!(status(&door.ask(&[("content-type", "application/json")])), 200);
}
