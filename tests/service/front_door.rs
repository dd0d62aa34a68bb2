//! What every request and every reload meets: headers, readiness, logs, listeners, the demo's port.

use std::net::TcpListener;

use ninerouter::demo::chaos::{Chaos, reply};
use rustix::process::Signal;

use crate::support::client::request;
use crate::support::{Dialect, PATIENCE, Router, Setup, until};

const ORIGIN: (&str, &str) = ("origin", "https://good.example");
const KEY: &str = "a-key-of-another-router";

fn values<'a>(reply: &'a crate::support::Reply, name: &str) -> Vec<&'a str> {
    reply.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
}

#[test]
fn e008_cors_headers_come_once_and_with_inference_alone() {
    let router = Setup::new().setting("cors_allow_origins", "[\"https://good.example\"]").start();
    for (method, path, status) in [
        ("OPTIONS", "/v1/messages", 204),
        ("GET", "/v1/models", 403),
        ("GET", "/v1/messages", 405),
        ("POST", "/v1/messages", 403),
    ] {
        let got = router.send(method, path, &[ORIGIN], b"{}");
        assert_eq!(got.status, status, "{method} {path}: {}", got.brief());
        assert_eq!(values(&got, "access-control-allow-origin"), [ORIGIN.1], "{method} {path}");
        assert_eq!(values(&got, "vary"), ["origin"], "{method} {path}");
        let policy = values(&got, "cross-origin-resource-policy");
        assert_eq!(policy, ["cross-origin"], "{method} {path}");
    }
    for path in ["/healthz", "/readyz", "/", "/dashboard", "/api/keys", "/assets/nothing.css"] {
        let got = router.send("GET", path, &[ORIGIN], b"");
        assert!(got.header("access-control-allow-origin").is_none(), "{path}");
        assert_eq!(got.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
    }
    let foreign = router.send("GET", "/v1/models", &[("origin", "https://evil.example")], b"");
    assert!(foreign.header("access-control-allow-origin").is_none());
    assert_eq!(foreign.header("cross-origin-resource-policy"), Some("same-origin"));
}

#[test]
fn a_refusal_that_closes_says_so_and_closes() {
    let router = Setup::new().start();
    let mut conn = router.connect();
    conn.send(
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
          transfer-encoding: chunked\r\n\r\nzz\r\n",
    );
    let got = conn.reply(false).unwrap();
    assert_eq!((got.status, got.header("connection")), (400, Some("close")), "{}", got.brief());
    assert!(conn.is_closed_by_router());
}

#[test]
fn public_paths_check_the_host_of_an_absolute_target() {
    let router = Setup::new().start();
    for (target, status) in [("http://localhost/readyz", 200), ("http://evil.example/readyz", 400)]
    {
        assert_eq!(router.send("GET", target, &[], b"").status, status, "{target}");
    }
}

#[test]
fn pages_send_whoever_is_not_signed_in_to_the_sign_in() {
    let router = Setup::new().start();
    for method in ["GET", "HEAD", "POST", "PATCH", "DELETE"] {
        let got = router.send(method, "/dashboard", &[], b"");
        assert_eq!((got.status, got.header("location")), (303, Some("/login")), "{method}");
    }
    let head = router.send("HEAD", "/login", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let got = router.send("PUT", "/login", &[], b"");
    assert_eq!((got.status, got.header("allow")), (405, Some("GET, HEAD, POST")));
}

#[test]
fn sec_ak_2_the_last_use_of_a_key_is_noted() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router =
        Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).key("mine", KEY, "").start();
    let body = Dialect::Chat.body("one/m", false);
    let headers = [("x-api-key", KEY), ("user-agent", "curl/8.5.0")];
    let got = router.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
    assert_eq!(got.status, 200, "{}", got.brief());
    let used = "api_keys WHERE last_used_at IS NOT NULL";
    let rows = router.wait_rows(1, &["name", "last_used"], used);
    assert_eq!(rows[0]["name"], "mine");
    assert!(rows[0]["last_used"].to_string().contains("curl"), "{rows:?}");
}

#[test]
fn the_log_level_of_the_config_file_shows_requests_and_no_key() {
    let mut router = Setup::new().setting("log_level", "\"debug\"").key("mine", KEY, "").start();
    let target = format!("/v1beta/models/none/such:generateContent?key={KEY}");
    let id = ("x-request-id", "seen-in-the-log");
    let body = r#"{"contents":[{"parts":[{"text":"a prompt"}]}]}"#;
    assert_eq!(router.send("POST", &target, &[id], body.as_bytes()).status, 404);
    let forged = r#"{"model":"x\n9999 INFO forged\u001b[2J","max_tokens":1,"messages":[{"role":"user","content":"y"}]}"#;
    assert_eq!(router.post("/v1/messages", forged).status, 404);
    let line = until(PATIENCE, "requests are logged", || {
        let output = router.output();
        assert!(!output.contains(KEY) && !output.contains("a prompt"), "{output}");
        let lines = || output.lines().filter(|l| l.contains("request finished"));
        lines().find(|l| l.contains("forged"))?;
        lines().find(|l| l.contains("seen-in-the-log")).map(str::to_owned)
    });
    assert!(line.contains("generateContent") && line.contains("404"), "{line}");
    assert!(!router.output().lines().any(|l| l.starts_with("9999") || l.contains('\u{1b}')));
    // Hot: the next reading of the file silences it.
    let quiet = std::fs::read_to_string(router.config_file()).unwrap().replace("debug", "info");
    std::fs::write(router.config_file(), quiet).unwrap();
    reload(&mut router, 1);
    let before = router.output().matches("request finished").count();
    router.post("/v1/messages", forged);
    assert!(router.stop().success());
    assert_eq!(router.output().matches("request finished").count(), before);
}

/// SIGHUP, and the end of the `nth` reload.
fn reload(router: &mut Router, nth: usize) {
    router.signal(Signal::HUP);
    until(PATIENCE, "it reloads", || {
        (router.output().matches("configuration reloaded").count() >= nth).then_some(())
    });
}

#[test]
fn a_reload_reads_the_env_files_too() {
    let mut router = Setup::new().start();
    assert_eq!(router.get("/v1/models").status, 200);
    std::fs::write(router.data_dir().join(".env"), "REQUIRE_API_KEY=true\nPORT=1\n").unwrap();
    reload(&mut router, 1);
    assert_eq!(router.get("/v1/models").status, 401);
    assert!(!router.output().contains("restart needed"), "the flag wins over PORT");
    std::fs::write(router.data_dir().join(".env"), "REQUIRE_API_KEY=perhaps\n").unwrap();
    router.signal(Signal::HUP);
    until(PATIENCE, "it complains", || router.output().contains("not reloaded").then_some(()));
    assert_eq!(router.get("/v1/models").status, 401, "the old one stays");
    std::fs::remove_file(router.data_dir().join(".env")).unwrap();
    reload(&mut router, 2);
    assert_eq!(router.get("/v1/models").status, 200);
}

#[test]
fn a_changed_config_file_is_taken_without_a_signal_and_a_bad_one_is_not() {
    let router = Setup::new().toml("[aliases]\nfirst = \"openai/gpt-4o\"\n").background().start();
    let listed = |name: &str| router.get("/v1/models").text().contains(name).then_some(());
    until(PATIENCE, "the file is read at the start", || listed("first"));
    let file = router.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    // As editors do it: a new file takes the old one's place.
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, text.replace("first", "second")).unwrap();
    std::fs::rename(&fresh, &file).unwrap();
    until(PATIENCE, "the change is seen", || listed("second"));
    std::fs::write(&file, "[aliases]\nthird = 3\n").unwrap();
    until(PATIENCE, "it complains", || router.output().contains("not reloaded").then_some(()));
    assert!(listed("second").is_some(), "the old one stays");
}

#[test]
fn a_swapped_link_is_seen() {
    // As Kubernetes does it: the file is a link through a folder that is a link.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let put = |version: &str, alias: &str| {
        std::fs::create_dir(at(version)).unwrap();
        let text = format!("[aliases]\n{alias} = \"openai/gpt-4o\"\n");
        std::fs::write(at(version).join("nr.toml"), text).unwrap();
    };
    put("v1", "first");
    std::os::unix::fs::symlink("v1", at("data")).unwrap();
    std::os::unix::fs::symlink("data/nr.toml", at("nr.toml")).unwrap();
    let router =
        Setup::new().env("NINEROUTER_CONFIG", at("nr.toml").to_str().unwrap()).background().start();
    let listed = |name: &str| router.get("/v1/models").text().contains(name).then_some(());
    until(PATIENCE, "the file is read at the start", || listed("first"));
    put("v2", "second");
    std::os::unix::fs::symlink("v2", at("data.new")).unwrap();
    std::fs::rename(at("data.new"), at("data")).unwrap();
    until(PATIENCE, "the swap is seen", || listed("second"));
}

#[test]
fn a_change_that_needs_a_restart_ends_a_supervised_router_and_never_in_a_loop() {
    let mut router = Setup::new().env("NINEROUTER_AUTO_RESTART", "1").start();
    let workers = |router: &Router, n: u32| {
        let file = router.data_dir().join(".env");
        std::fs::write(file, format!("NINEROUTER_WORKERS={n}\n")).unwrap();
        router.signal(Signal::HUP);
    };
    // More than any machine gets by itself.
    for n in 9..12 {
        workers(&router, n);
        assert_eq!(router.wait(PATIENCE).code(), Some(0), "{}", router.output());
        router.launch();
    }
    assert_eq!(router.output().matches("restarting: the number of workers changed").count(), 3);
    workers(&router, 12);
    until(PATIENCE, "it says why it goes on", || {
        router.output().contains("three times in the last five minutes").then_some(())
    });
    assert_eq!(router.get("/healthz").status, 200);
}

#[test]
fn without_supervision_it_says_that_a_restart_is_needed_and_takes_the_rest() {
    let mut router = Setup::new().start();
    let file = router.data_dir().join(".env");
    std::fs::write(file, "NINEROUTER_WORKERS=9\nREQUIRE_API_KEY=true\n").unwrap();
    reload(&mut router, 1);
    assert!(router.output().contains("restart needed: the number of workers changed"));
    assert_eq!(router.get("/v1/models").status, 401);
}

#[test]
fn sec_ak_8_a_key_taken_out_of_the_file_is_refused_after_the_reload() {
    let mut router = Setup::new().setting("require_api_key", true).key("mine", KEY, "").start();
    let ask = |router: &Router| router.send("GET", "/v1/models", &[("api-key", KEY)], b"").status;
    assert_eq!(ask(&router), 200);
    let file = router.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let without = text.split("[[keys]]").next().unwrap().to_owned();
    std::fs::write(&file, ["prune = true\n", &without].concat()).unwrap();
    reload(&mut router, 1);
    assert_eq!(ask(&router), 401);
}

#[test]
fn a_file_with_the_name_of_the_socket_is_left_alone() {
    let mut router = Setup::new().prepare();
    let path = router.config_file().with_file_name("not-a-socket");
    std::fs::write(&path, "precious").unwrap();
    let host = format!("unix:{}", path.display());
    router.spawn(&["serve", "--port", "0", "--host", &host]);
    assert!(!router.wait(PATIENCE).success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn demo_takes_port_from_the_environment_and_leaves_nothing_behind() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Setup::new()
        .env("PORT", &free.to_string())
        .env("TMPDIR", folder.path().to_str().unwrap())
        .prepare();
    demo.spawn(&["demo"]);
    until(PATIENCE, "demo is there", || demo.output().contains("\ncurl ").then_some(()));
    assert!(demo.output().contains(&format!("localhost:{free}/v1")), "{}", demo.output());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    demo.address = ([127, 0, 0, 1], free).into();
    assert!(demo.raw(&request("GET", "/healthz", &[], b"")).is_some());
    // A second one finds the port taken and takes another.
    let mut second = Setup::new().env("PORT", &free.to_string()).prepare();
    second.spawn(&["demo"]);
    until(PATIENCE, "the second is there", || second.output().contains("\ncurl ").then_some(()));
    assert!(!second.output().contains(&format!("localhost:{free}/v1")));
    demo.signal(Signal::INT);
    assert_eq!(demo.wait(PATIENCE).code(), Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Also of what is refused before anybody knows which route is meant.
#[test]
fn refusals_below_api_have_the_shape_of_the_management_api() {
    let router = Setup::new().start();
    let long = format!("/api/keys/{}", "k".repeat(9 * 1024));
    let wide = "w".repeat(33 * 1024);
    for (path, headers, status, code) in [
        ("/api/keys/%1B", &[][..], 400, "invalid_path"),
        ("/api/keys/%zz", &[], 400, "invalid_path"),
        (&long, &[], 414, "uri_too_long"),
        ("/api/keys", &[("x-wide", wide.as_str())], 431, "header_too_long"),
        ("/api/nothing", &[], 404, "not_found"),
    ] {
        let got = router.send("GET", path, headers, b"");
        assert_eq!(got.status, status, "{path:.40}: {}", got.brief());
        let error = &got.json()["error"];
        assert_eq!(error["code"], code, "{path:.40}: {error}");
        assert_eq!(error["request_id"].as_str(), got.header("x-request-id"), "{path:.40}");
        assert!(error.get("type").is_none(), "{path:.40}: {error}");
    }
}
