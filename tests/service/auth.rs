//! Who may call: security §7, endpoints §2.

use ninerouter::demo::chaos::{Chaos, reply};

use crate::support::client::request;
use crate::support::{Dialect, Reply, Router, Setup};

const GOOD: &str = "legacy-good-key-0001";
const EXPIRED: &str = "legacy-expired-key-01";
const MODELS: &str = "legacy-models-key-0001";
const NARROW: &str = "legacy-narrow-key-0001";
const SLOW: &str = "legacy-one-a-minute-01";
const ELSEWHERE: &str = "legacy-elsewhere-key1";

fn start(require: Option<&str>, args: &[&str]) -> (Chaos, Router) {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let mut setup = Setup::new()
        .upstream(Dialect::Chat, "chat", &chaos.url("/v1"))
        .upstream(Dialect::Chat, "other", &chaos.url("/v1"))
        .combo("mixed", &["other/m", "chat/m"])
        .key("good", GOOD, "")
        .key("expired", EXPIRED, "expires_at = 1700000000000")
        .key("models", MODELS, "scopes = [\"models\"]")
        .key("narrow", NARROW, "allowed_models = [\"chat/*\"]")
        .key("slow", SLOW, "rpm = 1")
        .key("elsewhere", ELSEWHERE, "allowed_cidrs = [\"10.0.0.0/8\"]");
    if let Some(value) = require {
        setup = setup.env("REQUIRE_API_KEY", value);
    }
    for arg in args {
        setup = setup.arg(arg);
    }
    (chaos, setup.start())
}

fn with(router: &Router, headers: &[(&str, &str)]) -> Reply {
    let body = Dialect::Chat.body("chat/m", false);
    router.send("POST", "/v1/chat/completions", headers, body.as_bytes())
}

fn bearer(router: &Router, key: &str) -> Reply {
    with(router, &[("authorization", &format!("Bearer {key}"))])
}

#[test]
fn t_ak_01_local_requests_need_no_key_unless_it_is_required() {
    for require in [None, Some("true"), Some("false")] {
        let (chaos, router) = start(require, &[]);
        let needed = require == Some("true");
        let open = if needed { 401 } else { 200 };
        let table = [
            ("none", None, open),
            ("dummy", Some("sk_9router"), open),
            ("valid", Some(GOOD), 200),
            ("expired", Some(EXPIRED), 401),
            ("wrong checksum", Some("sk-nr1-0000000000000000000000000000000000000X"), open),
        ];
        let mut asked = 0;
        for (name, key, status) in table {
            let got = match key {
                None => with(&router, &[]),
                Some(key) => bearer(&router, key),
            };
            assert_eq!(got.status, status, "{require:?} {name}: {}", got.brief());
            asked += usize::from(status == 200);
            assert_eq!(chaos.requests().len(), asked, "{require:?} {name}");
            if status == 401 {
                assert_eq!(got.header("www-authenticate"), Some("Bearer"));
                assert_eq!(Dialect::Chat.error_code(&got).as_deref(), Some("invalid_api_key"));
                assert!(!got.text().contains(key.unwrap_or("?")), "the key is echoed");
            }
        }
    }
}

#[test]
fn other_listener_and_forwarded_requests_need_a_key() {
    let (chaos, router) = start(None, &["--host", "0.0.0.0"]);
    assert_eq!(with(&router, &[]).status, 401);
    assert_eq!(bearer(&router, GOOD).status, 200);
    drop(router);
    let (upstream, router) = start(None, &[]);
    for header in ["x-forwarded-for", "forwarded", "via", "cf-connecting-ip", "x-real-ip"] {
        let got = with(&router, &[(header, "127.0.0.1")]);
        assert_eq!(got.status, 401, "{header}: a forwarded request is not local");
        let auth = format!("Bearer {GOOD}");
        let got = with(&router, &[(header, "127.0.0.1"), ("authorization", &auth)]);
        assert_eq!(got.status, 200, "{header}");
    }
    assert_eq!((chaos.requests().len(), upstream.requests().len()), (1, 5));
}

#[test]
fn e001_key_is_found_in_each_place() {
    let (_chaos, router) = start(Some("true"), &[]);
    let lower = format!("bearer   {GOOD}");
    let normal = format!("Bearer {GOOD}");
    let table: [&[(&str, &str)]; 7] = [
        &[("authorization", &normal)],
        &[("authorization", &lower)],
        &[("x-api-key", GOOD)],
        &[("x-goog-api-key", GOOD)],
        &[("api-key", GOOD)],
        // E003: a placeholder next to a real one.
        &[("authorization", "Bearer placeholder-key"), ("x-api-key", GOOD)],
        &[("x-api-key", "placeholder-key"), ("authorization", &normal)],
    ];
    for headers in table {
        assert_eq!(with(&router, headers).status, 200, "{headers:?}");
    }
    assert_eq!(router.get(&format!("/v1beta/models?key={GOOD}")).status, 200);
    assert_eq!(router.get(&format!("/v1/models?key={GOOD}")).status, 401);
    assert_eq!(with(&router, &[("authorization", "Basic abc")]).status, 401);
}

#[test]
fn hostile_credentials_are_refused() {
    let (chaos, router) = start(Some("true"), &[]);
    let long = format!("Bearer {}", "a".repeat(20_000));
    let table = [
        "Bearer ' OR '1'='1",
        "Bearer ${jndi:ldap://x}",
        "Bearer ",
        "Bearer",
        &long,
        "Bearer \u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
    ];
    for value in table {
        let got = with(&router, &[("authorization", value)]);
        assert!(matches!(got.status, 401 | 431), "{value:.40}: {}", got.brief());
    }
    assert_eq!(chaos.connections(), 0);
}

#[test]
fn e002_refusals_speak_the_dialect() {
    let (_chaos, router) = start(Some("true"), &[]);
    for dialect in Dialect::ALL {
        let got = router.ask(dialect, "chat/m", true);
        assert_eq!(got.status, 401, "{dialect:?} {}", got.brief());
        dialect.error_message(&got).unwrap();
    }
    // Probes need no key.
    assert_eq!(router.send("HEAD", "/v1/messages", &[], b"").status, 200);
    assert_eq!(router.send("OPTIONS", "/v1/messages", &[], b"").status, 204);
    assert_eq!(router.get("/healthz").status, 200);
    assert_eq!(router.get("/v1/models").status, 401);
}

#[test]
fn scopes_models_addresses_and_rates_of_a_key() {
    let (chaos, router) = start(Some("true"), &[]);
    let ask = |key: &str, model: &str| {
        let auth = format!("Bearer {key}");
        let body = Dialect::Chat.body(model, false);
        router.send("POST", "/v1/chat/completions", &[("authorization", &auth)], body.as_bytes())
    };
    let get = |key: &str, path: &str| {
        router.send("GET", path, &[("authorization", &format!("Bearer {key}"))], b"")
    };
    assert_eq!(ask(MODELS, "chat/m").status, 403);
    assert_eq!(get(MODELS, "/v1/models").status, 200);
    assert_eq!(get(MODELS, "/v1/usage").status, 403);
    assert_eq!(ask(ELSEWHERE, "chat/m").status, 403);
    assert_eq!(chaos.connections(), 0);
    // T-AK-05: the resolved targets are looked at.
    assert_eq!(ask(NARROW, "chat/m").status, 200);
    for model in ["other/m", "OTHER/m", "other/m(high)", "mixed"] {
        let got = ask(NARROW, model);
        assert_eq!(got.status, 403, "{model} {}", got.brief());
        assert_eq!(Dialect::Chat.error_code(&got).as_deref(), Some("model_not_allowed"));
    }
    assert_eq!(ask(SLOW, "chat/m").status, 200);
    let got = ask(SLOW, "chat/m");
    assert_eq!(got.status, 429, "{}", got.brief());
    let wait: u64 = got.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(chaos.requests().len(), 2);
}

#[test]
fn e009_pages_of_others_cannot_use_a_keyless_router() {
    let (chaos, router) = start(None, &[]);
    let table: [(&[(&str, &str)], u16); 9] = [
        (&[("origin", "https://evil.example")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("origin", "null")], 403),
        (&[("content-type", "text/plain")], 415),
        (&[("content-type", "application/x-www-form-urlencoded")], 415),
        (&[("host", "evil.example")], 421),
        (&[("host", "app.localhost:20128")], 200),
        (&[("content-type", "application/json; charset=utf-8")], 200),
        (&[("host", "127.0.0.1")], 200),
    ];
    for (headers, status) in table {
        let got = with(&router, headers);
        // A foreign host is not local, so a key is asked for first or the host is refused.
        let as_told = got.status == status || (status == 421 && got.status == 401);
        assert!(as_told, "{headers:?}: {}", got.brief());
    }
    assert_eq!(chaos.requests().len(), 3);
    // E011: with a key any content type will do.
    let auth = format!("Bearer {GOOD}");
    let got = with(&router, &[("content-type", "text/plain"), ("authorization", &auth)]);
    assert_eq!(got.status, 200);
    let got = with(&router, &[("host", "evil.example"), ("authorization", &auth)]);
    assert_eq!(got.status, 200);
}

#[test]
fn t_ak_04_key_text_is_in_no_file_and_no_log() {
    let (_chaos, router) = start(Some("true"), &["--log-level", "debug"]);
    assert_eq!(bearer(&router, GOOD).status, 200);
    assert_eq!(router.get(&format!("/v1beta/models?key={GOOD}")).status, 200);
    router.wait_rows(1, &["id"], "requests");
    let mut folders = vec![router.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(bytes) = std::fs::read(&path) else { continue };
            for secret in [GOOD, "key-chat"] {
                let found = memchr::memmem::find(&bytes, secret.as_bytes());
                assert_eq!(found, None, "{secret} in {}", path.display());
            }
        }
    }
    assert!(!router.output().contains(GOOD) && !router.output().contains("key-chat"));
}

/// T-BUG-13, T-AK-06.
#[test]
fn concurrency_limit_of_a_key_is_released_when_its_client_leaves() {
    use ninerouter::demo::chaos::{Reading, Step};
    let chaos = Chaos::start(Reading::Whole, |_| vec![Step::AwaitClient]).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "chat", &chaos.url("/v1"))
        .key("one", GOOD, "max_concurrent = 1")
        .start();
    let auth = format!("Bearer {GOOD}");
    let body = Dialect::Chat.body("chat/m", false);
    let bytes =
        request("POST", "/v1/chat/completions", &[("authorization", &auth)], body.as_bytes());
    for round in 1..=3 {
        let mut conn = router.connect();
        conn.send(&bytes);
        assert!(chaos.wait_requests(round, crate::support::PATIENCE), "round {round}");
        let refused = bearer(&router, GOOD);
        assert_eq!(refused.status, 429, "{}", refused.brief());
        assert!(refused.header("retry-after").is_some());
        drop(conn);
        assert!(chaos.wait_gone(round, crate::support::PATIENCE));
        crate::support::until(crate::support::PATIENCE, "the slot is free", || {
            let row = "requests WHERE status = 'client_cancelled'";
            (router.rows(&["id"], row).len() == round).then_some(())
        });
    }
}
