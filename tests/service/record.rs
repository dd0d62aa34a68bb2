//! What is recorded of a router's life, as its operator meets it: the audit log, the operational log, the request log
//! and captured bodies.

use std::fs;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::audit::{row, row_that};
use crate::support::client::request;
use crate::support::feed::Feed;
use crate::support::management::{call, read};
use crate::support::terminal::Installation;
use crate::support::{Dialect, PATIENCE, Reply, Setup, admin, until};

/// The lines of a file of objects. The helper leaves the framing of chunks in: a line of hexadecimal digits is no object.
fn objects(reply: &Reply) -> Vec<Value> {
    let text = reply.text();
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn t_aud_01_what_is_changed_and_what_is_refused_has_its_row() {
    let chaos = Chaos::start(Reading::Whole, |_| {
        vec![Step::send(reply::whole(302, &[("location", "http://192.0.2.1/")], b""))]
    })
    .unwrap();
    let router = Setup::new()
        .setting("require_api_key", true)
        .upstream(Dialect::Chat, "up", &chaos.url("/v1"))
        .key("laptop", "sk-test-0123456789abcdef", "")
        .start();
    let started = row(&router, "server_started");
    assert_eq!(started["detail"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(started["detail"]["config_hash"].as_str().unwrap().len(), 16);
    assert!(row(&router, "boot_security_report")["detail"]["findings"].is_array());

    let made = call(&router, "POST", "/api/keys", json!({"name": "second"}));
    let made = made.json();
    let noted = row(&router, "api_key_created");
    assert_eq!((&noted["detail"]["status"], &noted["actor"]), (&Value::Null, &json!("cli")));
    assert_eq!((&noted["status"], &noted["path"]), (&json!(201), &json!("/api/keys")));
    let id = made["key"]["id"].as_str().unwrap();
    call(&router, "POST", &format!("/api/keys/{id}/revoke"), json!({}));
    assert_eq!(row(&router, "api_key_revoked")["detail"]["id"], id);
    call(&router, "PATCH", "/api/settings", json!({"sticky_count": 4}));
    let by_file = row_that(&router, "settings_changed", |row| row["actor"] == "system");
    assert_eq!(by_file["detail"]["source"], "config_file");
    assert!(
        by_file["detail"]["objects"].as_array().unwrap().contains(&json!("add node up")),
        "{by_file}"
    );
    let by_hand = row_that(&router, "settings_changed", |row| row["actor"] == "cli");
    assert_eq!(by_hand["detail"]["keys"], json!(["sticky_count"]));
    call(&router, "PATCH", "/api/settings", json!({"ip_whitelist": ["127.0.0.1"]}));
    assert_eq!(row(&router, "whitelist_changed")["detail"]["keys"], json!(["ip_whitelist"]));

    // What is refused at the door, and what an upstream did that is never followed.
    assert_eq!(router.send("GET", "/v1/models", &[], b"").status, 401);
    let denied = row(&router, "keyless_denied");
    assert_eq!((&denied["client_ip"], &denied["status"]), (&json!("127.0.0.1"), &json!(401)));
    let wrong = [("authorization", "Bearer sk-wrong-0123456789abcdef")];
    assert_eq!(router.send("GET", "/v1/models", &wrong, b"").status, 401);
    assert_eq!(row(&router, "api_auth_failed")["outcome"], "denied");
    let right = [
        ("authorization", "Bearer sk-test-0123456789abcdef"),
        ("content-type", "application/json"),
    ];
    let body = br#"{"model":"up/m","messages":[{"role":"user","content":"hi"}]}"#;
    router.send("POST", "/v1/chat/completions", &right, body);
    assert_eq!(row(&router, "upstream_redirect_refused")["detail"]["status"], Value::Null);

    let all = fs::read_to_string(router.data_dir().join("audit.log")).unwrap();
    assert!(!all.contains("sk-wrong") && !all.contains(made["text"].as_str().unwrap()));
    let found = call(&router, "POST", "/api/audit/verify", json!({})).json();
    assert_eq!(found["ok"], true, "{found}");
    let export = call(&router, "GET", "/api/audit/export", Value::Null);
    assert!(objects(&export).len() > 5);
    assert_eq!(row(&router, "logs_exported")["detail"]["what"], "audit");
}

#[test]
fn the_chain_goes_on_over_restarts_and_a_change_of_it_is_found() {
    let mut router = Setup::new().start();
    call(&router, "POST", "/api/keys", json!({"name": "laptop"}));
    row(&router, "api_key_created");
    router.stop();
    router.launch();
    row(&router, "server_stopping");
    router.kill();
    router.launch();
    let found = call(&router, "POST", "/api/audit/verify", json!({})).json();
    assert_eq!(found["ok"], true, "{found}");
    router.stop();
    let path = router.data_dir().join("audit.log");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("api_key_created", "api_key_updated")).unwrap();
    router.launch();
    let found = call(&router, "POST", "/api/audit/verify", json!({})).json();
    assert_eq!(found["ok"], false);
    assert_eq!(found["file_differences"][0]["kind"], "differs", "{found}");
}

#[test]
fn an_audit_log_that_is_switched_off_says_so_last() {
    let router = Setup::new().start();
    let change =
        |on: bool| call(&router, "PATCH", "/api/settings", json!({"audit_log_enabled": on}));
    assert_eq!(change(false).status, 200);
    call(&router, "POST", "/api/keys", json!({"name": "unseen"}));
    assert_eq!(change(true).status, 200);
    let enabled = row(&router, "audit_enabled");
    assert_eq!(enabled["actor"], "cli");
    let page = read(&router, "/api/audit?limit=2");
    assert_eq!(page["data"][1]["event"], "audit_disabled");
    assert!(page["next"].is_string());
}

#[test]
fn t_log_05_lines_are_inert_and_can_be_searched_exported_and_made_louder() {
    let router = Setup::new().start();
    let lines = |query: &str| read(&router, &format!("/api/logs?{query}"))["data"].clone();
    assert_eq!(lines("level=debug&q=request+finished"), json!([]));
    let made = call(&router, "PATCH", "/api/logs/level", json!({"level": "debug", "minutes": 1}));
    assert_eq!((made.status, &made.json()["usual"]), (200, &json!("info")), "{}", made.brief());
    for bad in [json!({"level": "loud"}), json!({"level": "debug", "minutes": 16}), json!({})] {
        assert_eq!(call(&router, "PATCH", "/api/logs/level", bad).status, 422);
    }
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body =
        json!({"model": "\u{1b}[2J\u{202e}evil\n<script>", "messages": messages}).to_string();
    let headers = [("content-type", "application/json")];
    router.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
    let found = until(PATIENCE, "the line is there", || {
        let found = lines("level=debug&q=request+finished&target=gateway");
        found.as_array().unwrap().first().cloned()
    });
    assert_eq!(found["fields"]["model"], "␛[2J⟨U+202E⟩evil␊<script>");
    assert_eq!((&found["level"], &found["message"]), (&json!("debug"), &json!("request finished")));
    assert!(!router.output().contains('\u{202e}') && !router.output().contains("\u{1b}[2J"));
    let export = call(&router, "GET", "/api/logs/export", Value::Null).text();
    assert!(
        export.lines().all(|line| serde_json::from_str::<Value>(line).is_ok())
            && !export.is_empty()
    );
    let page = read(&router, "/api/logs?limit=1");
    let next = page["next"].as_str().unwrap();
    let older = read(&router, &format!("/api/logs?limit=1&cursor={next}"));
    assert!(older["data"][0]["id"].as_i64() < page["data"][0]["id"].as_i64());
}

fn streams(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).unwrap()["stream"] == true
}

/// An upstream that answers, streamed where that is asked for.
fn answering(dialect: Dialect) -> Chaos {
    Chaos::start(Reading::Whole, move |request| {
        vec![Step::send(match streams(&request.body) {
            true => reply::sse(&dialect.story().without_usage()),
            false => reply::json(200, &dialect.answer()),
        })]
    })
    .unwrap()
}

#[test]
fn requests_are_listed_by_filter_and_shown_whole() {
    let chaos = answering(Dialect::Chat);
    let router = Setup::new()
        .upstream(Dialect::Chat, "up", &chaos.url("/v1"))
        .combo("fast", &["up/m"])
        .toml("[[prices]]\nprovider = \"up\"\nmodel = \"m\"\ninput = \"1.50\"\noutput = \"6\"\n")
        .start();
    for model in ["fast", "up/m", "nobody/m"] {
        router.ask(Dialect::Chat, model, false);
    }
    let list = |query: &str| read(&router, &format!("/api/requests?{query}"));
    let rows = until(PATIENCE, "three rows", || {
        let page = list("limit=10");
        (page["data"].as_array().unwrap().len() == 3).then(|| page["data"].clone())
    });
    assert_eq!((&rows[2]["requested_model"], &rows[2]["path"]), (&json!("fast"), &json!(["up/m"])));
    let count = |query: &str| list(query)["data"].as_array().unwrap().len();
    for (query, want) in [
        ("status=ok", 2),
        ("status=4xx", 1),
        ("status=404", 1),
        ("q=NOBODY", 1),
        ("q=100%25", 0),
        ("streaming=true", 0),
        ("fallback=false", 3),
        ("min_ms=600000", 0),
        ("provider=up&tool=other", 2),
        ("captured=true", 0),
        ("from=5&to=6", 0),
    ] {
        assert_eq!(count(query), want, "{query}");
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = list(&format!("limit=1{cursor}"));
        seen.push(page["data"][0]["id"].clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let all: Vec<Value> = rows.as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(seen, all);
    for bad in ["status=soon", "min_ms=-1", "nonsense=1", "cursor=x"] {
        let reply = call(&router, "GET", &format!("/api/requests?{bad}"), Value::Null);
        assert!(matches!(reply.status, 400 | 422), "{bad}: {}", reply.brief());
    }

    let id = rows[2]["id"].as_str().unwrap();
    let one = read(&router, &format!("/api/requests/{id}"));
    assert_eq!(
        (&one["attempts"][0]["target"], &one["attempts"][0]["outcome"]),
        (&json!("up/m"), &json!("ok"))
    );
    assert_eq!(
        (&one["routing"]["combo"], &one["bodies_available"]),
        (&json!("fast"), &json!(false))
    );
    assert_eq!(
        one["cost"]["formula"],
        "7 input × $1.50/M + 4 cached × $1.50/M + 5 output × $6.00/M"
    );
    assert_eq!(
        call(&router, "GET", &format!("/api/requests/{id}/bodies"), Value::Null).status,
        404
    );
    let report = call(&router, "GET", &format!("/api/requests/{id}/report"), Value::Null);
    assert_eq!(report.status, 200, "{}", report.brief());
    let mut report = zip::ZipArchive::new(std::io::Cursor::new(report.body)).unwrap();
    let file = |name: &str, report: &mut zip::ZipArchive<_>| -> Value {
        serde_json::from_reader(report.by_name(name).unwrap()).unwrap()
    };
    assert_eq!(file("request.json", &mut report)["id"], id);
    let versions = file("versions.json", &mut report);
    assert_eq!(versions["ninerouter"], env!("CARGO_PKG_VERSION"));
    let export = call(&router, "GET", "/api/requests/export?status=ok", Value::Null);
    assert_eq!(objects(&export).len(), 2);
    let gone = call(&router, "DELETE", "/api/requests?before=9000000000000", Value::Null);
    assert_eq!(gone.json()["removed"], 3, "{}", gone.brief());
    assert_eq!(count(""), 0);
}

/// T-UI-RQ1: the four bodies, whole and streamed, of the same dialect and of two.
#[test]
fn the_four_bodies_are_captured_while_it_is_asked_for() {
    let upstream = answering(Dialect::Anth);
    let mut router = Setup::new().upstream(Dialect::Anth, "up", &upstream.url("/v1")).start();
    router.ask(Dialect::Anth, "up/m", false);
    let state = || read(&router, "/api/status")["capture"].clone();
    assert_eq!(state(), Value::Null);
    for bad in [
        json!({}),
        json!({"mode": "key"}),
        json!({"mode": "all", "minutes": 1441}),
        json!({"mode": "key", "api_key_id": "x"}),
    ] {
        assert_eq!(call(&router, "POST", "/api/capture", bad).status, 422);
    }
    call(&router, "POST", "/api/capture", json!({"mode": "all", "minutes": 5}));
    assert_eq!(state()["mode"], "all");
    for (dialect, stream) in [
        (Dialect::Anth, false),
        (Dialect::Anth, true),
        (Dialect::Chat, false),
        (Dialect::Chat, true),
    ] {
        assert_eq!(router.ask(dialect, "up/m", stream).status, 200);
    }
    router.ask(Dialect::Chat, "nobody/m", false);
    let rows = until(PATIENCE, "five captured rows", || {
        let page = read(&router, "/api/requests?captured=true");
        (page["data"].as_array().unwrap().len() == 5).then(|| page["data"].clone())
    });
    for row in rows.as_array().unwrap() {
        let path = format!("/api/requests/{}/bodies", row["id"].as_str().unwrap());
        let bodies = until(PATIENCE, "the file is written", || {
            let reply = call(&router, "GET", &path, Value::Null);
            (reply.status == 200).then(|| reply.json())
        });
        assert!(row["body_bytes"].as_i64().unwrap() > 0, "{row}");
        let parts = bodies["parts"].as_array().unwrap();
        let heads: Vec<&Value> =
            parts.iter().filter(|part| part.get("headers").is_some()).collect();
        let names: Vec<&str> = heads.iter().map(|part| part["part"].as_str().unwrap()).collect();
        if row["status"] == "error" {
            assert_eq!(names, ["client_request", "client_response"], "{bodies}");
            continue;
        }
        assert_eq!(
            names,
            ["client_request", "upstream_request", "upstream_response", "client_response"],
            "{bodies}"
        );
        assert_eq!(heads[1]["attempt"], 1);
        assert_eq!(heads[0]["body"]["model"], "up/m");
        assert_eq!(heads[1]["body"]["model"], "m");
        let text = bodies.to_string();
        assert!(!text.contains("key-up"), "{text}");
        let events = |name: &str| {
            parts.iter().filter(|p| p["part"] == name && p.get("sse").is_some()).count()
        };
        match row["stream"].as_bool().unwrap() {
            true => assert!(
                events("upstream_response") > 2 && events("client_response") > 2,
                "{bodies}"
            ),
            false => {
                assert!(heads[2]["body"].is_object() && heads[3]["body"].is_object(), "{bodies}");
            }
        }
    }
    call(&router, "DELETE", "/api/capture", Value::Null);
    assert_eq!(state(), Value::Null);
    row(&router, "debug_logging_off");
    router.stop();
}

/// T-BOOT-09.
#[test]
fn enable_request_logs_captures_from_the_start_and_failed_mode_only_failures() {
    let upstream = answering(Dialect::Chat);
    let router = Setup::new()
        .upstream(Dialect::Chat, "up", &upstream.url("/v1"))
        .env("ENABLE_REQUEST_LOGS", "true")
        .start();
    assert_eq!(read(&router, "/api/status")["capture"]["mode"], "all");
    assert_eq!(row(&router, "debug_logging_on")["detail"]["source"], "environment");
    call(&router, "POST", "/api/capture", json!({"mode": "failed", "minutes": 5}));
    router.ask(Dialect::Chat, "up/m", false);
    router.ask(Dialect::Chat, "nobody/m", false);
    let rows = until(PATIENCE, "both rows", || {
        let page = read(&router, "/api/requests");
        (page["data"].as_array().unwrap().len() == 2).then(|| page["data"].clone())
    });
    assert_eq!((&rows[0]["captured"], &rows[1]["captured"]), (&json!(true), &json!(false)));
}

#[test]
fn a_key_can_have_the_bodies_of_its_requests_kept() {
    let upstream = answering(Dialect::Chat);
    let router = Setup::new()
        .upstream(Dialect::Chat, "up", &upstream.url("/v1"))
        .key("plain", "sk-plain-0123456789abcdef", "")
        .key("watched", "sk-watched-0123456789abcdef", "capture_bodies = true\n")
        .start();
    let made = call(&router, "POST", "/api/keys", json!({"name": "late", "capture_bodies": false}));
    let made = made.json();
    let id = made["key"]["id"].as_str().unwrap();
    assert_eq!(made["key"]["capture_bodies"], false);
    let path = format!("/api/keys/{id}");
    let changed = call(&router, "PATCH", &path, json!({"capture_bodies": true})).json();
    assert_eq!(changed["capture_bodies"], true, "{changed}");
    assert_eq!(row(&router, "debug_logging_on")["detail"]["id"], id);
    // A change of something else leaves it alone.
    assert_eq!(call(&router, "PATCH", &path, json!({"rpm": 60})).json()["capture_bodies"], true);

    let body = Dialect::Chat.body("up/m", false);
    let late = made["text"].as_str().unwrap();
    for key in ["sk-plain-0123456789abcdef", "sk-watched-0123456789abcdef", late] {
        let authorization = format!("Bearer {key}");
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let reply = router.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.brief());
    }
    let rows = until(PATIENCE, "three rows", || {
        let page = read(&router, "/api/requests");
        (page["data"].as_array().unwrap().len() == 3).then(|| page["data"].clone())
    });
    let kept: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["captured"]).collect();
    assert_eq!(kept, [&json!(true), &json!(true), &json!(false)]);
    let bodies = format!("/api/requests/{}/bodies", rows[0]["id"].as_str().unwrap());
    let bodies = until(PATIENCE, "the file is written", || {
        let reply = call(&router, "GET", &bodies, Value::Null);
        (reply.status == 200).then(|| reply.json())
    });
    assert!(!bodies.to_string().contains(late), "{bodies}");
    call(&router, "PATCH", &path, json!({"capture_bodies": false}));
    assert_eq!(row(&router, "debug_logging_off")["detail"]["id"], id);
}

#[test]
fn a_request_that_runs_can_be_cancelled() {
    let upstream = Chaos::start(Reading::Whole, |request| {
        let story = Dialect::Chat.story();
        let begun = format!("{}{}", story.start, story.content[0]);
        let begun = [reply::sse_head(), reply::chunk(begun.as_bytes())].concat();
        // The head of a whole answer never comes, nor does the end of a stream.
        match streams(&request.body) {
            true => vec![Step::send(begun), Step::AwaitClient],
            false => vec![Step::AwaitClient],
        }
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "up", &upstream.url("/v1")).start();
    let socket = router.data_dir().join("admin.sock");
    for stream in [false, true] {
        let mut feed = Feed::open(&socket, "/api/events?topics=inflight", "");
        let mut client = router.connect();
        let body = Dialect::Chat.body("up/m", stream);
        client.send(&request("POST", "/v1/chat/completions", &[], body.as_bytes()));
        let running = feed.wait_for("the request runs", |heard| {
            heard.name == "inflight" && heard.json()[0]["target"] == "up/m"
        });
        // The head of a stream comes with its first content.
        let head = stream.then(|| client.head(false).unwrap());
        let running = running.json();
        let path = format!("/api/requests/{}/cancel", running[0]["request_id"].as_str().unwrap());
        assert_eq!(call(&router, "POST", &path, json!({})).status, 200);
        let ended = head.unwrap_or_else(|| client.head(false).unwrap());
        let ended = client.rest(ended);
        assert!(ended.text().contains("cancelled"), "{}", ended.brief());
        assert_eq!((ended.status, ended.complete), if stream { (200, false) } else { (503, true) });
        until(PATIENCE, "its row is there", || {
            (call(&router, "POST", &path, json!({})).status == 409).then_some(())
        });
    }
    assert_eq!(call(&router, "POST", "/api/requests/req_none/cancel", json!({})).status, 404);
}

#[test]
fn commands_show_the_log_and_the_audit_log() {
    let mut home = Installation::new();
    home.run("logs").ended(74).warns("no router is running");
    home.run("key create first").ok();
    home.run("audit list").ok().says("api_key_created");
    home.serve();
    home.run("audit verify").ok().says("The audit log is whole");
    home.run("logs -n 500").ok().says(" INFO ");
    assert!(home.run("logs --json --level info").ok().json()["data"].is_array());
    let mut follow = home.start_command(&["logs", "-f", "-n", "1", "--level", "debug"]);
    follow.hears("\n");
    let socket = home.data_dir().join("admin.sock");
    let louder = json!({"level": "debug", "minutes": 1});
    assert_eq!(admin::call(&socket, "PATCH", "/api/logs/level", Some(&louder)).status, 200);
    home.run("key create second").ok();
    follow.hears("event=api_key_created");
    drop(follow);
    home.stop();
    let path = home.data_dir().join("audit.log");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"first\"", "\"other\"")).unwrap();
    home.run("audit verify").ended(1).says("is another one in audit.log");
}
