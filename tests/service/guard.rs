//! Who may reach which route (security §2, §6, §8).

use ninerouter::api::{Class, ROUTES};
use ninerouter::gateway::route::{Class as RouteClass, fixed};
use serde_json::Value;

use crate::support::client::request;
use crate::support::{Browser, Conn, Reply, Router, Setup, admin};

const PASSWORD: &str = "correct horse battery";
const KEY: &str = "sk-test-0123456789abcdef";

/// Paths with parameters, and paths that exist on no listener of this router.
const MORE: [(&str, &str, &str); 22] = [
    ("GET", "/v1/models/x", "Inference"),
    ("GET", "/v1/responses/x", "Inference"),
    ("DELETE", "/v1/responses/x", "Inference"),
    ("GET", "/v1/responses/x/input_items", "Inference"),
    ("POST", "/v1/responses/x/cancel", "Inference"),
    ("POST", "/v1/messages/batches", "Inference"),
    ("GET", "/v1beta/models/x", "Inference"),
    ("POST", "/v1beta/models/x:generateContent", "Inference"),
    ("POST", "/v1beta/models/x:streamGenerateContent", "Inference"),
    ("POST", "/v1beta/models/x:countTokens", "Inference"),
    ("POST", "/openai/deployments/x/chat/completions", "Inference"),
    ("POST", "/morphllm/v1/chat/completions", "Inference"),
    ("GET", "/oauth/callback/claude", "Callback"),
    ("GET", "/dashboard", "Ui"),
    ("GET", "/dashboard/live", "Ui"),
    ("GET", "/dashboard/f/keys", "Ui"),
    ("GET", "/dashboard/first-run", "Ui"),
    ("POST", "/dashboard/first-run", "Ui"),
    ("POST", "/dashboard/sudo", "Ui"),
    ("GET", "/metrics", "none"),
    ("GET", "/sync/v1/vaults/x", "none"),
    ("GET", "/api/nothing", "none"),
];

fn routes() -> Vec<(String, String, String)> {
    let own = |method: &str, path: &str, class: &str| {
        (method.to_owned(), path.to_owned(), class.to_owned())
    };
    let fixed = fixed().flat_map(|(methods, path, class)| {
        let methods = methods.split(", ").filter(|method| *method != "HEAD");
        methods.map(move |method| own(method, path, &format!("{class:?}"))).collect::<Vec<_>>()
    });
    let managed = ROUTES.iter().map(|route| {
        let class = match route.class {
            Class::Admin => "Admin",
            Class::Sudo => "Sudo",
        };
        own(route.method, route.path, class)
    });
    let more = MORE.iter().map(|(method, path, class)| own(method, path, class));
    let mut all: Vec<_> = fixed.chain(more).chain(managed).collect();
    // Whoever signs out asks for nothing more.
    all.sort_by_key(|(_, path, _)| path == "/logout");
    all
}

/// How a route takes a request: `in`, or the refusal of who may not. `location` is where a 303 leads.
fn verdict(status: u16, location: &str, body: impl FnOnce() -> Vec<u8>) -> String {
    let to_login = location == "/login"
        || location.starts_with("/login?next=")
        || location.starts_with("/login?why=ended");
    match status {
        303 if to_login => "303".to_owned(),
        401 | 403 | 428 => status.to_string(),
        404 => {
            let body = String::from_utf8(body()).unwrap_or_default();
            let unknown = ["no such endpoint", "no such route"].iter().any(|m| body.contains(m));
            if unknown { "404".to_owned() } else { "in".to_owned() }
        }
        _ => "in".to_owned(),
    }
}

fn asked(router: &Router, bytes: &[u8]) -> String {
    let mut conn = Conn::open(router.address);
    conn.send(bytes);
    let head = conn.head(bytes.starts_with(b"HEAD ")).expect("an answer");
    // A feed never ends: its head says enough.
    let location = head.header("location").unwrap_or_default().to_owned();
    verdict(head.status, &location, || {
        let mut body = Vec::new();
        while let crate::support::Piece::Data(data) = conn.piece() {
            body.extend(data);
        }
        body
    })
}

/// A body no handler does anything with.
const BROKEN: &[u8] = b"[";

/// T-ROUTE-01, the single most valuable security test: every route × every credential, against a table that people
/// read. A line that changes is a change of who may do what.
#[test]
fn t_route_01_who_may_reach_which_route() {
    let router = Setup::new()
        .env("INITIAL_PASSWORD", PASSWORD)
        .setting("require_api_key", true)
        .key("laptop", KEY, "")
        .start();
    let socket = router.data_dir().join("admin.sock");
    let session = Browser::signed_in(&router, PASSWORD);
    let mut sudo = Browser::signed_in(&router, PASSWORD);
    assert_eq!(sudo.sudo(PASSWORD).status, 200);
    let nobody = Browser::new(&router);
    let mut lines = vec![format!(
        "{:<7}{:<52}{:<11}{:<6}{:<6}{:<9}{:<6}{}",
        "", "route", "class", "none", "key", "session", "sudo", "socket"
    )];
    for (method, path, class) in routes() {
        let target = path.replace("...}", "}").replace(['{', '}'], "");
        let body = if method == "GET" { b"".as_slice() } else { BROKEN };
        let key = format!("Bearer {KEY}");
        let token = |browser: &Browser<'_>| browser.csrf.clone();
        let with = |browser: &Browser<'_>, headers: &[(&str, &str)]| {
            asked(&router, &browser.request(&method, &target, headers, body))
        };
        let none = with(&nobody, &[]);
        let by_key = with(&nobody, &[("authorization", &key)]);
        let by_session = with(&session, &[("x-csrf-token", &token(&session))]);
        let by_sudo = with(&sudo, &[("x-csrf-token", &token(&sudo))]);
        let by_socket = if is_feed(&target) {
            "in".to_owned()
        } else {
            let bytes = request(&method, &target, &[("connection", "close")], body);
            let reply = admin::raw(&socket, &bytes);
            verdict(reply.status, "", || reply.body)
        };
        lines.push(format!(
            "{method:<7}{path:<52}{class:<11}{none:<6}{by_key:<6}{by_session:<9}{by_sudo:<6}{by_socket}"
        ));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// Answers that go on until somebody leaves.
fn is_feed(path: &str) -> bool {
    path == "/api/events"
}

#[test]
fn every_class_has_a_route_in_the_table() {
    let classes: Vec<String> = routes().into_iter().map(|(_, _, class)| class).collect();
    for class in ["Public", "Inference", "Ui", "Admin", "Sudo", "Callback"] {
        assert!(classes.iter().any(|found| found == class), "{class}");
    }
    assert!(!fixed().any(|(_, _, class)| matches!(class, RouteClass::Metrics | RouteClass::Sync)));
}

/// T-ROUTE-02, T-ROUTE-03, T-ROUTE-04.
#[test]
fn t_route_02_to_04_no_spelling_of_a_path_gets_in() {
    let router = Setup::new().start();
    for path in [
        "/api/keysX",
        "/api/keys/",
        "/API/keys",
        "/api//keys",
        "/api/%6beys",
        "/api/keys%2f..",
        "/api/keys%00",
        "/api/./keys",
        "/dashboard/../api/keys",
        "/v1/../api/keys",
        "//api/keys",
        "/api/keys;x=1",
        "/api/keys?x=/login",
        "/api/keys#/login",
        "/login/../api/keys",
        "/assets/..%2fapi/keys",
        "/dashboard/%2e%2e/api/keys",
        "/dashboard//",
    ] {
        let reply = router.send("GET", path, &[], b"");
        assert!(matches!(reply.status, 303 | 400 | 401 | 404), "{path}: {}", reply.brief());
        assert!(!reply.text().contains("\"data\""), "{path}");
    }
    for host in ["localhost:20128/#@x", "localhost/login?", "localhost@evil"] {
        let reply = router.send("GET", "/api/keys", &[("host", host)], b"");
        assert_eq!(reply.status, 400, "{host}");
    }
    let reply = router.send("GET", "http://a/login", &[("host", "localhost")], b"");
    assert_eq!(reply.status, 400, "two hosts");
    let reply = router.send("GET", "http://localhost/api/keys", &[], b"");
    assert_eq!(reply.status, 401);
    for (name, value) in [
        ("x-http-method-override", "GET"),
        ("x-method-override", "GET"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
    ] {
        let reply = router.send("POST", "/api/keys", &[(name, value)], b"{}");
        assert!(matches!(reply.status, 401 | 403), "{name}: {}", reply.brief());
    }
    for method in ["TRACE", "CONNECT", "BREW"] {
        let reply = router.send(method, "/api/keys", &[], b"");
        assert!(matches!(reply.status, 400 | 405), "{method}: {}", reply.brief());
    }
    let options = router.send("OPTIONS", "/api/keys", &[("origin", "https://a.example")], b"");
    assert_eq!(options.status, 204);
    assert!(options.header("access-control-allow-origin").is_none());
}

/// T-IP-08 and T-IP-09 over HTTP: a header that names a trusted address opens nothing, and closes what is local.
#[test]
fn t_ip_08_and_09_spoofed_addresses_open_nothing() {
    let router =
        Setup::new().env("INITIAL_PASSWORD", PASSWORD).setting("require_login", false).start();
    assert_eq!(router.get("/dashboard").status, 200, "local");
    for (name, value) in [
        ("x-real-ip", "127.0.0.1"),
        ("cf-connecting-ip", "::1"),
        ("x-client-ip", "127.0.0.1"),
        ("x-9r-real-ip", "127.0.0.1"),
        ("x-originating-ip", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("true-client-ip", "127.0.0.1"),
    ] {
        for path in ["/dashboard", "/api/keys"] {
            let reply = router.send("GET", path, &[(name, value)], b"");
            assert_eq!(reply.status, 403, "{name} {path}: {}", reply.brief());
        }
        let browser = Browser::signed_in(&router, PASSWORD);
        let bytes = browser.request("GET", "/api/keys", &[(name, value)], b"");
        assert_eq!(router.raw(&bytes).unwrap().status, 403, "{name}: not even with a session");
    }
}

#[test]
fn sec_ip_4_only_listed_addresses_are_admitted_and_told_what_was_seen() {
    let router = Setup::new()
        .env("INITIAL_PASSWORD", PASSWORD)
        .setting("ip_whitelist", r#"["192.0.2.0/24"]"#)
        .setting("ip_whitelist_strict", true)
        .start();
    let page = router.get("/dashboard");
    assert_eq!(page.status, 403);
    assert!(page.text().contains("127.0.0.1"), "{}", page.brief());
    let call = router.get("/api/keys");
    assert_eq!((call.status, call.json()["error"]["code"].as_str()), (403, Some("ip_denied")));
    assert_eq!(router.get("/login").status, 200, "the form is public");
    assert_eq!(Browser::new(&router).sign_in(PASSWORD).status, 403);
    assert_eq!(router.get("/v1/models").status, 200, "it is no matter of the inference API");
}

#[test]
fn t_tun_01_and_02_the_dashboard_is_not_served_through_tunnels() {
    let router = Setup::new()
        .env("INITIAL_PASSWORD", PASSWORD)
        .setting("tunnel_hosts", r#"["tunnel.example"]"#)
        .start();
    let marked =
        [("host", "x.trycloudflare.com"), ("cf-ray", "8f"), ("cf-connecting-ip", "192.0.2.7")];
    let named = [("host", "TUNNEL.example.:443")];
    for headers in [&marked[..], &named[..]] {
        for path in ["/dashboard", "/login", "/api/keys"] {
            let reply = router.send("GET", path, headers, b"");
            assert_eq!(reply.status, 403, "{path} {headers:?}: {}", reply.brief());
        }
        assert_eq!(router.send("GET", "/v1/models", headers, b"").status, 401, "needs a key");
    }
    let open = Setup::new()
        .env("INITIAL_PASSWORD", PASSWORD)
        .setting("tunnel_hosts", r#"["tunnel.example"]"#)
        .setting("tunnel_dashboard_access", true)
        .start();
    assert_eq!(open.send("GET", "/login", &named, b"").status, 200);
    assert_eq!(open.send("GET", "/api/keys", &named, b"").status, 401);
}

#[test]
fn sec_host_2_listed_hosts_bind_the_dashboard_too() {
    let router = Setup::new().setting("allowed_hosts", r#"["router.example"]"#).start();
    for path in ["/dashboard", "/login", "/api/keys"] {
        let reply = router.send("GET", path, &[("host", "evil.example")], b"");
        assert_eq!(reply.status, 421, "{path}");
    }
    assert_eq!(router.send("GET", "/login", &[("host", "router.example")], b"").status, 200);
}

#[test]
fn a_request_of_htmx_or_of_a_feed_is_told_where_to_sign_in() {
    let router = Setup::new().start();
    let hx = [("hx-request", "true"), ("hx-current-url", "http://localhost/dashboard/keys?a=b")];
    let reply = router.send("GET", "/dashboard/f/keys", &hx, b"");
    let to = Some("/login?next=%2Fdashboard%2Fkeys%3Fa%3Db");
    assert_eq!((reply.status, reply.header("hx-redirect")), (401, to));
    let restore = [("hx-request", "true"), ("hx-history-restore-request", "true")];
    assert_eq!(router.send("GET", "/dashboard", &restore, b"").status, 303);
    let feed = [("accept", "text/event-stream")];
    assert_eq!(router.send("GET", "/dashboard/live?topics=req", &feed, b"").status, 401);
    let evil = [("hx-request", "true"), ("hx-current-url", "https://evil.example//evil")];
    let reply = router.send("GET", "/dashboard/f/keys", &evil, b"");
    assert_eq!(reply.header("hx-redirect"), Some("/login"));
}

/// T-HDR-01: the headers of one reply per class.
#[test]
fn t_hdr_01_headers_of_one_route_per_class() {
    let router = Setup::new().env("INITIAL_PASSWORD", PASSWORD).start();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let mut shown = String::new();
    let mut show = |name: &str, reply: &Reply| {
        let mut lines: Vec<String> = reply
            .headers
            .iter()
            .filter(|(name, _)| {
                !matches!(name.as_str(), "date" | "x-request-id" | "content-length" | "set-cookie")
                    && !name.starts_with("x-ninerouter-")
            })
            .map(|(name, value)| format!("  {name}: {value}"))
            .collect();
        lines.sort();
        shown.push_str(&format!("{name} {}\n{}\n", reply.status, lines.join("\n")));
    };
    show("Public GET /healthz", &router.get("/healthz"));
    show("Public GET /login", &router.get("/login"));
    let css = router.get("/login").text();
    let css =
        css.split('"').find(|part| part.starts_with("/assets/app.") && part.ends_with(".css"));
    show("Public GET the style sheet", &router.get(css.expect("a style sheet")));
    show("Inference GET /v1/models", &router.get("/v1/models"));
    show("Ui GET /dashboard, signed in", &browser.get("/dashboard"));
    show("Ui GET /dashboard", &router.get("/dashboard"));
    show("Admin GET /api/keys, signed in", &browser.get("/api/keys"));
    show("Admin GET /api/keys", &router.get("/api/keys"));
    show(
        "Sudo POST /api/auth/logout-all",
        &browser.api("POST", "/api/auth/logout-all", &Value::Null),
    );
    show("Callback GET /callback", &router.get("/callback"));
    show("none GET /nothing", &router.get("/nothing"));
    insta::assert_snapshot!(shown);
}

#[test]
fn sec_hdr_1_hsts_is_for_browsers_that_came_by_https() {
    let router = Setup::new()
        .setting("hsts", true)
        .setting("trusted_proxy_enabled", true)
        .setting("trusted_proxies", r#"["loopback"]"#)
        .start();
    let by = |scheme: &str| {
        let headers = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", scheme)];
        router.send("GET", "/login", &headers, b"")
    };
    assert_eq!(by("https").header("strict-transport-security"), Some("max-age=31536000"));
    assert_eq!(by("http").header("strict-transport-security"), None);
}
