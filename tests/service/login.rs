//! Signing in to the dashboard over HTTP: first run, sessions, forged requests, limits (security §5).

use serde_json::{Value, json};

use crate::check;
use crate::support::browser::{field, set_cookies};
use crate::support::client::request;
use crate::support::router::printed_port;
use crate::support::terminal::Installation;
use crate::support::{Browser, Conn, PATIENCE, Reply, Router, Setup, admin, for_all, now, until};

const GOOD: &str = "correct horse battery";

fn start() -> Router {
    Setup::new().env("INITIAL_PASSWORD", GOOD).start()
}

/// A router that the network reaches.
fn open(setup: Setup) -> Router {
    setup.arg("--host").arg("0.0.0.0").start()
}

/// A browser elsewhere: its requests come from this machine, but not for its own name.
fn away(router: &Router) -> Browser<'_> {
    Browser::new(router).with("host", "router.example")
}

fn code(reply: &Reply) -> String {
    reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// A page without its tokens.
fn without_tokens(page: &str) -> String {
    let csrf = field(page, "_csrf");
    page.replace(&csrf, "")
}

/// T-FIRST-08 as well.
#[test]
fn t_first_03_the_documented_password_opens_the_dashboard_of_this_computer() {
    let router = Setup::new().start();
    let mut browser = Browser::new(&router);
    let asked = browser.get("/dashboard/keys?x=1");
    assert_eq!(asked.header("location"), Some("/login?next=%2Fdashboard%2Fkeys%3Fx%3D1"));
    let page = browser.get("/login?next=%2Fdashboard%2Fkeys%3Fx%3D1");
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("123456"), "the page never tells it");
    assert_eq!(field(&page.text(), "next"), "/dashboard/keys?x=1");
    let reply = browser.sign_in("123456");
    assert_eq!(reply.header("location"), Some("/dashboard/first-run"));
    let line =
        set_cookies(&reply).into_iter().find(|line| line.starts_with("auth_token=")).unwrap();
    assert!(line.ends_with("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"), "{line}");
    let first = browser.get("/dashboard/first-run");
    assert!(first.status == 200 && first.text().contains("Later"), "{}", first.brief());
    let session = browser.get("/api/auth/session").json();
    assert_eq!((&session["must_change"], &session["sudo_until"]), (&json!(true), &Value::Null));
    assert_eq!((&session["ip"], &session["peer_ip"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
    // It may be put off on this computer; only settings of who may do what stay shut (T-FIRST-08).
    let csrf = field(&first.text(), "_csrf");
    let later = browser.form("/dashboard/first-run", &[("_csrf", &csrf), ("skip", "true")]);
    assert_eq!((later.status, later.header("location")), (303, Some("/dashboard")));
    assert_eq!(browser.get("/dashboard").status, 200);
    assert_eq!(browser.api("POST", "/api/keys", &json!({"name": "laptop"})).status, 201);
    let refused = browser.api("PATCH", "/api/settings", &json!({"require_api_key": false}));
    assert_eq!((refused.status, code(&refused).as_str()), (428, "sudo_required"));
    let refused = browser.api("POST", "/api/auth/sudo", &json!({"password": "123456"}));
    assert_eq!((refused.status, code(&refused).as_str()), (403, "password_change_required"));
    // A password ends this.
    let csrf = field(&browser.get("/dashboard/first-run").text(), "_csrf");
    let unequal =
        browser.form("/dashboard/first-run", &[("_csrf", &csrf), ("new", GOOD), ("repeat", "x")]);
    assert_eq!(unequal.status, 422);
    let weak = [("_csrf", csrf.as_str()), ("new", "password"), ("repeat", "password")];
    assert_eq!(browser.form("/dashboard/first-run", &weak).status, 422);
    let chosen =
        browser.form("/dashboard/first-run", &[("_csrf", &csrf), ("new", GOOD), ("repeat", GOOD)]);
    assert_eq!((chosen.status, chosen.header("location")), (303, Some("/dashboard")));
    assert_eq!(browser.get("/api/auth/session").json()["must_change"], false);
    assert_eq!(Browser::new(&router).sign_in("123456").status, 401);
    Browser::signed_in(&router, GOOD);
}

#[test]
fn t_first_04_from_the_network_the_first_sign_in_needs_the_code_of_the_log() {
    let router = open(Setup::new());
    let code_file = router.data_dir().join("setup-code");
    let code = std::fs::read_to_string(&code_file).unwrap().trim().to_owned();
    assert!(router.output().contains(&code), "it is printed");
    for mut browser in [away(&router), Browser::new(&router)] {
        let page = browser.get("/login").text();
        assert!(page.contains("Set-up code"), "{page}");
        assert_eq!(browser.sign_in("123456").status, 401);
    }
    let mut browser = away(&router);
    let csrf = field(&browser.get("/login").text(), "_csrf");
    let reply = browser.form("/login", &[("_csrf", &csrf), ("code", &code)]);
    assert_eq!(reply.header("location"), Some("/dashboard/first-run"), "{}", reply.brief());
    // Nothing else until a password is chosen.
    let blocked = browser.get("/dashboard");
    assert_eq!((blocked.status, blocked.header("location")), (303, Some("/dashboard/first-run")));
    let blocked = browser.send("GET", "/dashboard", &[("hx-request", "true")], b"");
    assert_eq!(
        (blocked.status, blocked.header("hx-redirect")),
        (403, Some("/dashboard/first-run"))
    );
    let blocked = browser.get("/api/keys");
    assert_eq!((blocked.status, self::code(&blocked).as_str()), (403, "password_change_required"));
    let page = browser.get("/dashboard/first-run").text();
    assert!(!page.contains("Later"));
    let csrf = field(&page, "_csrf");
    let skipped = browser.form("/dashboard/first-run", &[("_csrf", &csrf), ("skip", "true")]);
    assert_eq!(skipped.status, 422);
    let chosen =
        browser.form("/dashboard/first-run", &[("_csrf", &csrf), ("new", GOOD), ("repeat", GOOD)]);
    assert_eq!(chosen.status, 303, "{}", chosen.brief());
    assert_eq!(browser.get("/api/keys").status, 200);
    assert!(!code_file.exists());
}

#[test]
fn t_first_04_code_and_password_can_come_in_one_form() {
    let router = open(Setup::new());
    let code = std::fs::read_to_string(router.data_dir().join("setup-code")).unwrap();
    let mut browser = away(&router);
    let csrf = field(&browser.get("/login").text(), "_csrf");
    let fields = [("_csrf", csrf.as_str()), ("code", code.trim()), ("new", GOOD), ("repeat", GOOD)];
    let reply = browser.form("/login", &fields);
    assert_eq!((reply.status, reply.header("location")), (303, Some("/dashboard")));
    assert_eq!(browser.get("/api/auth/session").json()["must_change"], false);
}

#[test]
fn t_first_06_every_failure_reads_the_same() {
    let wrong = {
        let router = start();
        let mut browser = Browser::new(&router);
        let page = browser.sign_in("wrong one").text();
        for _ in 0..4 {
            assert_eq!(browser.sign_in("wrong one").status, 401);
        }
        let limited = browser.sign_in(GOOD);
        assert_eq!(limited.status, 429, "T-LIM-01: also the right one");
        let wait: u32 = limited.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait));
        assert_eq!(without_tokens(&limited.text()), without_tokens(&page));
        page
    };
    let router = Setup::new().start();
    let unset = Browser::new(&router).sign_in("wrong one");
    assert_eq!(unset.status, 401);
    assert_eq!(without_tokens(&unset.text()), without_tokens(&wrong));
}

#[test]
fn t_pw_02_an_overlong_password_is_400() {
    let router = start();
    assert_eq!(Browser::new(&router).sign_in(&"x".repeat(1_025)).status, 400);
    let mut browser = Browser::new(&router);
    let csrf = field(&browser.get("/login").text(), "_csrf");
    let large = browser.form("/login", &[("_csrf", &csrf), ("password", &"x".repeat(5_000))]);
    assert_eq!(large.status, 413, "a sign-in form has 4 KiB");
}

#[test]
fn t_lim_03_a_spoofed_address_begins_no_new_count() {
    let router = start();
    for n in 0..5 {
        let mut browser = Browser::new(&router).with("x-forwarded-for", &format!("192.0.2.{n}"));
        assert_eq!(browser.sign_in("wrong one").status, 403, "a proxied stranger is not admitted");
    }
    let mut browser = Browser::new(&router);
    for _ in 0..5 {
        assert_eq!(browser.sign_in("wrong one").status, 401);
    }
    assert_eq!(browser.sign_in(GOOD).status, 429);
}

#[test]
fn t_lim_02_behind_a_trusted_proxy_each_client_has_its_own_count() {
    let router = Setup::new()
        .env("INITIAL_PASSWORD", GOOD)
        .setting("trusted_proxy_enabled", true)
        .setting("trusted_proxies", r#"["loopback"]"#)
        .setting("ip_whitelist", r#"["192.0.2.0/24", "2001:db8::/32"]"#)
        .start();
    let from = |client: &str| Browser::new(&router).with("x-forwarded-for", client);
    for _ in 0..5 {
        assert_eq!(from("192.0.2.1").sign_in("wrong one").status, 401);
    }
    assert_eq!(from("192.0.2.1").sign_in(GOOD).status, 429);
    assert_eq!(from("203.0.113.9, 192.0.2.1").sign_in(GOOD).status, 429, "the left part is forged");
    assert_eq!(from("192.0.2.2").sign_in(GOOD).status, 303);
    for n in 0..5 {
        assert_eq!(from(&format!("2001:db8::{n}")).sign_in("wrong one").status, 401);
    }
    assert_eq!(from("2001:db8::ffff").sign_in(GOOD).status, 429, "one network");
}

#[test]
fn sec_csrf_3_the_form_needs_its_cookie_its_field_and_its_place() {
    let router = start();
    let mut browser = Browser::new(&router);
    let page = browser.get("/login");
    let line = set_cookies(&page).join("\n");
    assert!(line.starts_with("nr_pre=") && line.contains("Max-Age=600; HttpOnly; SameSite=Strict"));
    let csrf = field(&page.text(), "_csrf");
    let fields = [("_csrf", csrf.as_str()), ("password", GOOD)];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let mut forged = Browser::new(&router).with(name, value);
        forged.cookies = browser.cookies.clone();
        assert_eq!(forged.form("/login", &fields).status, 403, "{name}: {value}");
    }
    let mut without = Browser::new(&router);
    assert_eq!(without.form("/login", &fields).status, 403, "without its cookie");
    let no_field = browser.form("/login", &[("password", GOOD)]);
    assert_eq!(no_field.status, 403);
    assert_eq!(
        browser.form("/login", &[("_csrf", &csrf), ("password", GOOD)]).status,
        403,
        "the page was drawn again"
    );
    let csrf = field(&browser.get("/login").text(), "_csrf");
    let mut good = Browser::new(&router).with("origin", "http://localhost");
    good.cookies = browser.cookies.clone();
    assert_eq!(good.form("/login", &[("_csrf", &csrf), ("password", GOOD)]).status, 303);
}

#[test]
fn t_csrf_01_to_04_changes_need_source_token_and_json() {
    let router = start();
    let mut browser = Browser::signed_in(&router, GOOD);
    let mut other = Browser::signed_in(&router, GOOD);
    let csrf = browser.csrf.clone();
    let mut post = |headers: &[(&str, &str)]| {
        let reply = browser.send("POST", "/api/server/reload", headers, b"{}");
        (reply.status, code(&reply))
    };
    let failed = (403, "csrf_failed".to_owned());
    let token = ("x-csrf-token", csrf.as_str());
    assert_eq!(post(&[]), failed);
    assert_eq!(post(&[("x-csrf-token", "AAAA")]), failed);
    assert_eq!(post(&[("x-csrf-token", &other.csrf)]), failed, "T-CSRF-03");
    assert_eq!(post(&[token, ("sec-fetch-site", "same-site")]), failed, "T-CSRF-02");
    assert_eq!(post(&[token, ("sec-fetch-site", "cross-site")]), failed);
    assert_eq!(post(&[token, ("origin", "https://evil.example")]), failed);
    assert_eq!(post(&[token, ("origin", "null")]), failed);
    let text = post(&[token, ("content-type", "text/plain")]);
    assert_eq!(text, (415, "unsupported_media_type".to_owned()), "T-CSRF-04");
    let form = post(&[("content-type", "application/x-www-form-urlencoded")]);
    assert_eq!(form.0, 415);
    for good in [
        vec![token],
        vec![token, ("sec-fetch-site", "same-origin"), ("origin", "null")],
        vec![token, ("sec-fetch-site", "none")],
        vec![token, ("origin", "http://localhost")],
    ] {
        assert_eq!(post(&good).0, 200, "{good:?}");
    }
    // The pages' forms are guarded in the same way.
    let reply = other.form("/dashboard/first-run", &[("skip", "true")]);
    assert_eq!(reply.status, 403);
    let reply = other.form("/logout", &[]);
    assert_eq!(reply.status, 403);
    assert_eq!(other.get("/logout").status, 405, "SEC-CSRF-4");
}

#[test]
fn t_ses_01_and_05_forged_cookies_are_no_session_and_the_first_valid_one_counts() {
    let router = start();
    let browser = Browser::signed_in(&router, GOOD);
    let token = browser.cookie("auth_token").unwrap().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let asked = |cookie: &str| router.send("GET", "/dashboard", &[("cookie", cookie)], b"").status;
    for bad in [
        format!("auth_token={}.{}.", parts[0], parts[1]),
        format!("auth_token={}.{}.AAAA", parts[0], parts[1]),
        format!("auth_token={token}."),
        "auth_token=".to_owned(),
        "auth_token=eyJhbGciOiJub25lIn0.e30.".to_owned(),
        format!("AUTH_TOKEN={token}"),
        format!("auth_token=\"{token}\""),
    ] {
        assert_eq!(asked(&bad), 303, "{bad}");
    }
    assert_eq!(asked(&format!("auth_token=tossed; auth_token={token}")), 200);
    assert_eq!(asked(&format!("theme=dark; __Host-auth_token=x; auth_token={token}")), 200);
}

#[test]
fn t_ses_02_03_and_06_sessions_end() {
    let router = start();
    let mut mine = Browser::signed_in(&router, GOOD);
    let mut other = Browser::signed_in(&router, GOOD);
    let listed = mine.get("/api/auth/sessions").json();
    assert_eq!(listed["total"], 2);
    let foreign =
        listed["data"].as_array().unwrap().iter().find(|s| s["current"] == false).unwrap();
    let path = format!("/api/auth/sessions/{}", foreign["id"].as_str().unwrap());
    assert_eq!(mine.api("DELETE", &path, &Value::Null).status, 204);
    let gone = other.get("/dashboard");
    assert_eq!((gone.status, gone.header("location")), (303, Some("/login?why=ended")));
    assert!(other.cookie("auth_token").is_none(), "the browser forgets it");
    assert_eq!(mine.api("DELETE", &path, &Value::Null).status, 404);
    // Sign out: the copy of the cookie is worth nothing (T-SES-02).
    let copy = mine.cookies.clone();
    let csrf = mine.csrf.clone();
    let out = mine.form("/logout", &[("_csrf", &csrf)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login?why=out")));
    assert_eq!(out.header("clear-site-data"), Some(r#""cache","storage""#));
    let mut thief = Browser::new(&router);
    thief.cookies = copy;
    assert_eq!(thief.get("/api/keys").status, 401);
    // Everybody (T-SES-03): needs the password once more.
    let (mut mine, mut other) =
        (Browser::signed_in(&router, GOOD), Browser::signed_in(&router, GOOD));
    let all = mine.api("POST", "/api/auth/logout-all", &Value::Null);
    assert_eq!((all.status, code(&all).as_str()), (428, "sudo_required"));
    let before = mine.cookie("auth_token").unwrap().to_owned();
    assert_eq!(mine.sudo(GOOD).status, 200);
    assert_ne!(mine.cookie("auth_token").unwrap(), before, "SEC-SES-3");
    assert_eq!(mine.api("POST", "/api/auth/logout-all", &Value::Null).status, 204);
    assert_eq!((mine.get("/api/keys").status, other.get("/api/keys").status), (401, 401));
    // Another password (T-SES-06).
    let (mut mine, mut other) =
        (Browser::signed_in(&router, GOOD), Browser::signed_in(&router, GOOD));
    let change = |current: &str| json!({"current": current, "new": "another good one"});
    assert_eq!(mine.api("POST", "/api/auth/password", &change("wrong one")).status, 422);
    assert_eq!(mine.api("POST", "/api/auth/password", &change(GOOD)).status, 204);
    assert_eq!((mine.get("/api/keys").status, other.get("/api/keys").status), (200, 401));
    assert_eq!(Browser::new(&router).sign_in(GOOD).status, 401);
}

#[test]
fn t_ses_04_name_and_secure_follow_the_connection() {
    let proxied = |secure: Option<&str>| {
        let mut setup = Setup::new()
            .env("INITIAL_PASSWORD", GOOD)
            .setting("trusted_proxy_enabled", true)
            .setting("trusted_proxies", r#"["loopback"]"#)
            .setting("ip_whitelist", r#"["192.0.2.0/24"]"#);
        if let Some(value) = secure {
            setup = setup.env("AUTH_COOKIE_SECURE", value);
        }
        setup.start()
    };
    let name = |router: &Router, headers: &[(&str, &str)]| {
        let mut browser = Browser::new(router);
        for (name, value) in headers {
            browser = browser.with(name, value);
        }
        let reply = browser.sign_in(GOOD);
        let lines = set_cookies(&reply);
        let line = lines.iter().find(|line| line.contains("auth_token=")).expect("a session");
        assert_eq!(line.starts_with("__Host-"), line.ends_with("; Secure"), "{line}");
        line.starts_with("__Host-")
    };
    let https = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")];
    let http = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "http")];
    let router = proxied(None);
    assert!(name(&router, &https) && !name(&router, &http) && !name(&router, &[]));
    let forced = proxied(Some("true"));
    assert!(name(&forced, &http) && name(&forced, &[]));
    assert!(name(&proxied(Some("false")), &https));
}

#[test]
fn sec_route_4_without_the_demand_for_a_password_this_computer_may_look() {
    let router = Setup::new().setting("require_login", false).start();
    assert_eq!(router.get("/dashboard").status, 200);
    assert_eq!(router.post("/dashboard/first-run", "").status, 303);
    for path in ["/api/keys", "/api/settings"] {
        assert_eq!(router.get(path).status, 401, "{path}");
    }
    let foreign = [("host", "router.example")];
    assert_eq!(router.send("GET", "/dashboard", &foreign, b"").status, 303);
    let open = open(Setup::new().setting("require_login", false));
    assert_eq!(open.get("/dashboard").status, 303, "not while others reach it");
}

#[test]
fn sec_pw_4_the_servers_own_user_resets_the_password() {
    let router = start();
    let mut browser = Browser::signed_in(&router, GOOD);
    let socket = router.data_dir().join("admin.sock");
    let set = |new: &str| {
        admin::call(&socket, "POST", "/api/auth/password", Some(&json!({ "new": new })))
    };
    assert_eq!(set("password").status, 422);
    assert_eq!(set("another good one").status, 204);
    assert_eq!(browser.get("/api/keys").status, 401);
    Browser::signed_in(&router, "another good one");
    assert_eq!(admin::call(&socket, "GET", "/api/auth/session", None).status, 404);
}

/// SEC-PW-3: how long an answer takes does not tell whether there is a password, or how near the guess was. One check is
/// a thousand times what any difference around it may be, so twice is far from both.
#[test]
fn t_pw_01_wrong_right_and_no_password_take_the_same_work() {
    let (with_password, without) = (start(), open(Setup::new()));
    let take = |router: &Router, password: &str, status: u16| {
        let mut browser = Browser::new(router);
        let csrf = field(&browser.get("/login").text(), "_csrf");
        let fields = [("_csrf", csrf.as_str()), ("password", password), ("code", password)];
        let begun = now();
        let reply = browser.form("/login", &fields);
        assert_eq!(reply.status, status, "{}", reply.brief());
        begun.elapsed()
    };
    // In turn, so that whatever else this machine does meets all of them. A sign-in that skips the hash takes a fiftieth
    // of the others' time; the bound leaves the rest to the machine.
    let mut spans = [const { Vec::new() }; 3];
    for _ in 0..5 {
        spans[0].push(take(&with_password, GOOD, 303));
        spans[1].push(take(&with_password, "wrong horse battery", 401));
        spans[2].push(take(&without, "wrong horse battery", 401));
    }
    let [right, wrong, nothing] = spans.map(|mut spans| {
        spans.sort();
        spans[2]
    });
    for other in [right, nothing] {
        assert!(wrong < other * 5 && other < wrong * 5, "{wrong:?}, {right:?}, {nothing:?}");
    }
}

#[test]
fn t_pw_03_a_hundred_sign_ins_at_once_take_bounded_memory() {
    let router = Setup::new()
        .env("INITIAL_PASSWORD", GOOD)
        .setting("trusted_proxy_enabled", true)
        .setting("trusted_proxies", r#"["loopback"]"#)
        .setting("ip_whitelist", r#"["198.51.100.0/24"]"#)
        .start();
    let resident = || {
        let status = format!("/proc/{}/status", router.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    Browser::new(&router).with("x-forwarded-for", "198.51.100.200").sign_in(GOOD);
    let before = resident();
    let clients: Vec<usize> = (0..100).collect();
    for_all(&clients, 100, |n| {
        let mut browser = Browser::new(&router).with("x-forwarded-for", &format!("198.51.100.{n}"));
        let reply = browser.sign_in("wrong one");
        // Who waits for two seconds is sent away.
        check!(matches!(reply.status, 401 | 503), "{}", reply.brief());
        Ok(())
    });
    let grown = resident().saturating_sub(before);
    assert!(grown < 60 << 10, "{grown} KiB");
}

#[test]
fn sec_pw_4_and_sec_ip_7_the_commands_of_who_is_shut_out() {
    let mut home = Installation::new();
    let reset = ["admin", "reset-password", "--password-stdin"];
    // Without a router.
    home.run_with(&reset, "short").ended(2).warns("8 bytes");
    home.run_with(&reset, GOOD).ok();
    home.run("config set ip_whitelist 192.0.2.0/24").ok();
    home.run("config set ip_whitelist_strict true").ok();
    let address = home.serve();
    let sign_in = |password: &str| {
        let mut conn = Conn::open(address);
        conn.send(&request("GET", "/login", &[("connection", "close")], b""));
        let page = conn.reply(false).unwrap();
        let cookie = set_cookies(&page)[0].split(';').next().unwrap().to_owned();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("_csrf", field(&page.text(), "_csrf").as_str()),
                ("password", password),
            ])
            .finish();
        let headers = [
            ("connection", "close"),
            ("cookie", cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let mut conn = Conn::open(address);
        conn.send(&request("POST", "/login", &headers, body.as_bytes()));
        conn.reply(false).unwrap().status
    };
    assert_eq!(sign_in(GOOD), 403, "this address is not admitted");
    home.run("admin reset-whitelist").ok().says("127.0.0.0/8");
    assert_eq!(sign_in(GOOD), 303);
    // Through the running router.
    home.run_with(&reset, "another good one\n").ok();
    assert_eq!((sign_in(GOOD), sign_in("another good one")), (401, 303));
    // The limit of attempts is the router's own, and who holds its data folder lifts it.
    while sign_in("wrong one") != 429 {}
    assert_eq!(sign_in("another good one"), 429);
    home.run("admin unlock-login").ok().warns("forgotten");
    assert_eq!(sign_in("another good one"), 303);
    assert!(!home.printed().contains("another good one"));
}

/// Whoever tries the demo changes things in it at once; what needs the password again nobody can, there is none.
#[test]
fn the_demo_asks_for_no_password_and_gives_no_sudo() {
    let mut demo = Setup::new().prepare();
    demo.spawn(&["demo", "--port", "0"]);
    let port = until(PATIENCE, "the demo prints its port", || printed_port(&demo.output()));
    demo.address = ([127, 0, 0, 1], port).into();
    until(PATIENCE, "the demo is ready", || (demo.get("/readyz").status == 200).then_some(()));
    assert_eq!(demo.get("/api/keys").status, 401);
    let mut browser = Browser::new(&demo);
    assert_eq!(browser.get("/dashboard").status, 200);
    browser.learn_csrf();
    assert_eq!(browser.api("POST", "/api/keys", &json!({"name": "laptop"})).status, 201);
    let settings = browser.api("PATCH", "/api/settings", &json!({"require_api_key": true}));
    assert_eq!((settings.status, code(&settings).as_str()), (428, "sudo_required"));
    assert_eq!(browser.sudo("123456").status, 422);
    let mut stranger = Browser::new(&demo).with("host", "router.example");
    assert_eq!(stranger.get("/dashboard").status, 303);
}

/// T-AUD-01 for everything about signing in and being kept out; T-AUD-07 and T-AUD-08 on the way.
#[test]
fn t_aud_01_the_audit_log_tells_who_came_in_and_who_did_not() {
    let router = Setup::new()
        .env("INITIAL_PASSWORD", GOOD)
        .setting("tunnel_hosts", r#"["tunnel.example"]"#)
        .setting("allowed_hosts", r#"["router.example", "tunnel.example"]"#)
        .start();
    let agent = "x\"}{\"event\":\"forged";
    assert_eq!(Browser::new(&router).with("user-agent", agent).sign_in("wrong one").status, 401);
    let mut mine = Browser::signed_in(&router, GOOD);
    assert_eq!(mine.sudo("wrong one").status, 422);
    assert_eq!(mine.sudo(GOOD).status, 200);
    let key = [("authorization", "Bearer sk-nobody-0000000000")];
    assert_eq!(router.send("GET", "/api/keys", &key, b"").status, 401);
    assert_eq!(mine.send("POST", "/api/server/reload", &[], b"").status, 403);
    let spoofed = [("x-forwarded-for", "127.0.0.1")];
    assert_eq!(router.send("GET", "/api/keys", &spoofed, b"").status, 403);
    assert_eq!(router.send("GET", "/login", &[("host", "evil.example")], b"").status, 421);
    assert_eq!(router.send("GET", "/login", &[("host", "tunnel.example")], b"").status, 403);
    let forged = [("cookie", "auth_token=a.b.c")];
    assert_eq!(router.send("GET", "/dashboard", &forged, b"").status, 303);
    let list = json!({"ip_whitelist": ["192.0.2.0/24"]});
    assert_eq!(mine.api("PATCH", "/api/settings", &list).status, 200);
    let new = json!({"current": GOOD, "new": "another good one"});
    assert_eq!(mine.api("POST", "/api/auth/password", &new).status, 204);
    mine.learn_csrf();
    assert_eq!(mine.api("POST", "/api/auth/logout", &Value::Null).status, 204);
    let mut last = Browser::new(&router);
    for _ in 0..5 {
        assert_eq!(last.sign_in("wrong one").status, 401);
    }
    assert_eq!(last.sign_in("wrong one").status, 429);
    let columns = ["event", "outcome", "client_ip", "peer_ip", "detail"];
    let wanted = [
        ("login_attempt", "failed"),
        ("login_attempt", "ok"),
        ("sudo_failed", "failed"),
        ("sudo_granted", "ok"),
        ("auth_bypass_attempt", "denied"),
        ("csrf_failed", "denied"),
        ("proxy_header_ignored", "ok"),
        ("ip_denied", "denied"),
        ("host_rejected", "denied"),
        ("tunnel_access_attempt", "denied"),
        ("session_invalid", "denied"),
        ("whitelist_changed", "ok"),
        ("password_changed", "ok"),
        ("logout", "ok"),
        ("login_rate_limited", "denied"),
    ];
    let rows = until(PATIENCE, "every event is stored", || {
        let rows = router.rows(&columns, "audit_events order by seq");
        let has = |(event, outcome): &(&str, &str)| {
            rows.iter().any(|row| row["event"] == *event && row["outcome"] == *outcome)
        };
        wanted.iter().all(has).then_some(rows)
    });
    let text = Value::from(rows.clone()).to_string();
    for secret in [GOOD, "another good one", "wrong one", "sk-nobody"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(!rows.iter().any(|row| row["event"] == "forged"));
    let attempt = rows.iter().find(|row| row["event"] == "login_attempt").unwrap();
    assert_eq!(
        (&attempt["client_ip"], &attempt["peer_ip"]),
        (&json!("127.0.0.1"), &json!("127.0.0.1"))
    );
    let tunnel = rows.iter().find(|row| row["event"] == "tunnel_access_attempt").unwrap();
    assert!(tunnel["detail"].as_str().unwrap().contains("tunnel.example"), "{tunnel}");
}
