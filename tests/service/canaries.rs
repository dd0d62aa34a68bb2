//! T-LOG-01: whatever way a secret comes in, nothing that is written down, shown or sent holds it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Issued, Place, Scripted};
use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::pages::crawl;
use crate::support::audit::row;
use crate::support::feed::Feed;
use crate::support::management::call;
use crate::support::terminal::Installation;
use crate::support::{Browser, Dialect, PATIENCE, Reply, Router, Setup, oauth, until};

const PASSWORD: &str = "correct horse battery";
/// Secrets that look like nothing.
const PLAIN: [&str; 4] =
    ["canary-one-quietly", "canary-two-quietly", "canary-three-quietly", "canary-four-quietly"];
/// The model of the last request: whoever hears of it has heard of all before.
const LAST: &str = "the-last-model";
/// What the management API shows.
const SHOWN: [&str; 18] = [
    "accounts",
    "alerts",
    "aliases",
    "audit?limit=100",
    "audit/export",
    "backups",
    "budgets",
    "combos",
    "config/export",
    "jobs",
    "keys",
    "logs?limit=500",
    "nodes",
    "providers",
    "proxies",
    "requests?limit=100",
    "settings",
    "status",
];

/// Every place where something of a running router may be read, with what stands there.
struct Places(Vec<(String, String)>);

impl Places {
    fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.push((name.into(), text.into()));
    }

    /// A reply as a client reads it.
    fn add_reply(&mut self, name: &str, reply: &Reply) {
        self.add(name, format!("{:?}\n{}", reply.headers, reply.text()));
    }

    #[track_caller]
    fn hold_none_of<S: AsRef<str>>(&self, canaries: impl IntoIterator<Item = S>) {
        assert!(self.0.iter().any(|(_, text)| !text.is_empty()));
        for canary in canaries {
            let canary = canary.as_ref();
            for (name, text) in &self.0 {
                let at = text.find(canary).map(|at| {
                    text[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev()
                });
                let before = at.map(|before| before.collect::<String>());
                assert_eq!(before, None, "{canary} in {name}");
            }
        }
    }
}

/// A router whose feed is read all the while.
struct Watched<'a> {
    router: &'a Router,
    heard: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl<'a> Watched<'a> {
    fn new(router: &'a Router) -> Self {
        let socket = router.data_dir().join("admin.sock");
        let mut feed = Feed::open(&socket, "/api/events?level=trace", "");
        assert_eq!(feed.status, 200);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            while let Some(event) = feed.next() {
                let is_last = event.data.contains(LAST) && event.data.contains("request finished");
                into.lock().unwrap().push(event.data);
                if is_last {
                    return;
                }
            }
        });
        Self { router, heard, reader }
    }

    /// Looks into every corner.
    fn places(self) -> Places {
        let Self { router, heard, reader } = self;
        let mut places = Places(Vec::new());
        router.ask(Dialect::Chat, LAST, false);
        reader.join().unwrap();
        places.add("the live feed", heard.lock().unwrap().join("\n"));
        for path in SHOWN {
            let reply = call(router, "GET", &format!("/api/{path}"), Value::Null);
            assert_eq!(reply.status, 200, "{path}: {}", reply.brief());
            places.add_reply(path, &reply);
        }
        let export = "/api/requests/export?bodies=true";
        places.add_reply("requests with bodies", &call(router, "GET", export, Value::Null));
        let mut browser = Browser::signed_in(router, PASSWORD);
        crawl(&mut browser, |path, page| places.add_reply(path, page));
        // There are no metrics: nothing to hide there.
        assert_eq!(router.get("/metrics").status, 404);
        assert_eq!(call(router, "GET", "/metrics", Value::Null).status, 404);
        let process = format!("/proc/{}/cmdline", router.pid().as_raw_nonzero());
        places.add("the process list", fs::read_to_string(process).unwrap());
        places.add("standard error", router.output());
        for (path, text) in files_below(&router.data_dir()) {
            places.add(path.display().to_string(), text);
        }
        places
    }
}

fn loud(setup: Setup) -> Setup {
    setup.env("INITIAL_PASSWORD", PASSWORD).arg("--log-level").arg("trace")
}

fn with_vendor(vendor: &Authority) -> Setup {
    let set = |setup: Setup, (name, url): (String, String)| setup.env(&name, &url);
    vendor.environment().into_iter().fold(loud(Setup::new()), set)
}

/// One of each kind, put together at run time so that no scanner takes this file for a leak.
fn markers() -> Vec<String> {
    let word = "Mark3r_".repeat(7);
    let plain = "Mark3r".repeat(8);
    let upper = "MARK3R77".repeat(2);
    vec![
        format!("sk-{plain}"),
        format!("sk-proj-{word}"),
        ["sk", "ant", "api03", &word].join("-"),
        format!("AIza{}", &word[..35]),
        format!("ya29.{word}"),
        format!("1//{word}"),
        format!("gho_{plain}"),
        format!("ghp_{plain}"),
        format!("ghs_{plain}"),
        format!("github_pat_{word}"),
        format!("glpat-{word}"),
        format!("xoxb-{plain}"),
        format!("AKIA{upper}"),
        format!("ASIA{upper}"),
        format!("eyJ{plain}.{plain}.{plain}"),
        format!("-----BEGIN PRIVATE KEY-----\n{plain}\n-----END PRIVATE KEY-----"),
    ]
}

/// Every file below `dir`, as text.
fn files_below(dir: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.push((
                    path.clone(),
                    String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
                ));
            }
        }
    }
    found
}

#[test]
fn t_log_01_no_secret_of_a_request_is_kept_or_shown() {
    let all = markers();
    let inside = all.clone();
    let chaos = Chaos::start(Reading::Whole, move |request| {
        let text = inside.get(request.index).map_or("no", String::as_str);
        let message =
            json!({"error": {"message": format!("bad key {text}"), "refresh_token": text}});
        vec![Step::send(reply::json(400, &message.to_string()))]
    })
    .unwrap();
    let log_file = tempfile::tempdir().unwrap();
    let log_path = log_file.path().join("ninerouter.log");
    let router = loud(Setup::new())
        .upstream(Dialect::Chat, "up", &chaos.url("/v1"))
        .arg("--log-file")
        .arg(log_path.to_str().unwrap())
        .start();
    call(&router, "POST", "/api/capture", json!({"mode": "all", "minutes": 5}));
    let watched = Watched::new(&router);
    let mut answers = Places(Vec::new());
    for marker in &all {
        let line = marker.replace('\n', " ");
        let query = format!("/v1/chat/completions?key={}", line.replace(' ', "%20"));
        let bearer = format!("Bearer {line}");
        let open = [
            ("content-type", "application/json"),
            ("user-agent", line.as_str()),
            ("cookie", line.as_str()),
        ];
        let offered = [("x-goog-api-key", line.as_str()), ("authorization", bearer.as_str())];
        let body = json!({"model": "up/m", "api_key": marker,
            "messages": [{"role": "user", "content": format!("my key is {marker}")}]});
        let body = body.to_string();
        answers.add_reply("an answer", &router.send("POST", &query, &open, body.as_bytes()));
        let both = [&open[..], &offered].concat();
        answers.add_reply("an answer", &router.send("POST", &query, &both, body.as_bytes()));
        answers.add_reply("an answer", &router.send("GET", &query, &both, b""));
        let account = json!({"provider": "nobody", "api_key": marker});
        answers.add_reply("a refusal", &call(&router, "POST", "/api/accounts", account));
        if !line.contains(' ') {
            call(&router, "GET", &format!("/api/requests?q={line}"), Value::Null);
        }
    }
    row(&router, "debug_logging_on");
    until(PATIENCE, "every captured request is written", || {
        let export = call(&router, "GET", "/api/requests/export?bodies=true", Value::Null).text();
        (export.matches("client_response").count() >= all.len()).then_some(())
    });
    let mut places = watched.places();
    for (path, text) in files_below(log_file.path()) {
        places.add(path.display().to_string(), text);
    }
    let of_log_file = |(name, text): &(String, String)| {
        Path::new(name) == log_path && text.contains("request finished")
    };
    assert!(places.0.iter().any(of_log_file));
    places.0.append(&mut answers.0);
    places.hold_none_of(all.iter().map(|marker| marker.lines().nth(1).unwrap_or(marker)));
}

/// Not every vendor's keys have a pattern, and a vendor that refuses one may quote it.
#[test]
fn t_log_01_a_key_that_its_upstream_quotes_stays_with_the_router() {
    let quoting = |dialect: Dialect, status: u16| {
        Chaos::start(Reading::Whole, move |request| {
            let named = ["authorization", "x-api-key", "x-goog-api-key"];
            let key = named.iter().find_map(|name| request.header(name)).unwrap_or_default();
            let message = format!("`{key}` is no key; see https://vendor.example/?key={key}&x=1");
            let error = dialect.error(status, "invalid_request_error", "bad_key", &message);
            let begun = dialect.story();
            vec![Step::send(match status {
                // A refusal that calls itself a success, and one in the middle of a stream.
                200 => reply::json(200, &error),
                299 => reply::sse(
                    format!("{}{}event: error\ndata: {error}\n\n", begun.start, begun.content[0])
                        .as_bytes(),
                ),
                _ => reply::json(status, &error),
            })]
        })
        .unwrap()
    };
    let mut setup = loud(Setup::new());
    let mut upstreams = Vec::new();
    for dialect in Dialect::ALL {
        for status in [200, 299, 400, 401, 403, 404, 422, 429, 500, 529] {
            let name = format!("{}{status}", dialect.name().to_lowercase());
            let chaos = quoting(dialect, status);
            setup = setup.upstream(dialect, &name, &chaos.url(dialect.base()));
            upstreams.push((dialect, status, name, chaos));
        }
    }
    let router = setup.start();
    call(&router, "POST", "/api/capture", json!({"mode": "all", "minutes": 5}));
    let watched = Watched::new(&router);
    let mut answers = Places(Vec::new());
    for (dialect, status, name, _) in &upstreams {
        for client in Dialect::ALL {
            // What a stream says in its own dialect is handed on as it is.
            if *status == 299 && client == *dialect {
                continue;
            }
            let answer = router.ask(client, &format!("{name}/m"), *status == 299);
            answers.add_reply(&format!("{client:?} at {name}"), &answer);
        }
        let clear = call(&router, "GET", &format!("/api/accounts?q={name}"), Value::Null).json();
        let id = clear["data"][0]["id"].as_str().unwrap_or_else(|| panic!("{name}: {clear}"));
        let tested = call(&router, "POST", &format!("/api/accounts/{id}/test"), json!({}));
        answers.add_reply(&format!("test of {name}"), &tested);
    }
    assert!(upstreams.iter().all(|(_, _, _, chaos)| !chaos.requests().is_empty()));
    let lab = quoting(Dialect::Chat, 401);
    let base = json!({
        "type": "openai-compatible", "base_url": lab.url("/v1"), "network": "loopback",
        "api_key": PLAIN[0], "model_id": "m",
    });
    answers.add_reply("a trial", &call(&router, "POST", "/api/nodes/validate", base));
    assert!(!lab.requests().is_empty());
    let mut places = watched.places();
    places.0.append(&mut answers.0);
    places.hold_none_of(upstreams.iter().map(|(_, _, name, _)| format!("key-{name}")));
    places.hold_none_of([PLAIN[0]]);
}

#[test]
fn t_log_01_no_code_and_no_token_of_a_sign_in_that_fails() {
    let [code, access, refresh, _] = PLAIN;
    let vendor = Authority::start(&Clock::System).unwrap();
    let mut router = with_vendor(&vendor).start();
    router.stop();
    let [old, fresh] = [oauth::claude("old", 2, 8), oauth::claude("fresh", 1, 8)];
    let issued = |suffix: &str| Issued {
        access_token: format!("{access}-{suffix}"),
        refresh_token: format!("{refresh}-{suffix}"),
        expires_at: 0,
    };
    oauth::store(&router, &old, &issued("old"), -10);
    oauth::store(&router, &fresh, &issued("fresh"), 5 * 3_600);
    router.launch();
    let watched = Watched::new(&router);
    let mut answers = Places(Vec::new());
    let quoting = |text: &str| {
        let described =
            json!({"error": "invalid_request", "error_description": format!("`{text}` is odd")});
        [
            Scripted::reply(400, described.to_string()),
            Scripted::reply(500, format!("<html>{text}</html>"))
                .header("content-type", "text/html"),
            Scripted::reply(
                400,
                json!({"error": "invalid_grant", "error_description": text}).to_string(),
            ),
        ]
    };
    vendor.script(Place::Token, quoting(code));
    let mut states = Vec::new();
    for way in ["paste", "paste", "callback", "refusal"] {
        let wish = json!({"browser": "here"});
        let begun = call(&router, "POST", "/api/accounts/connect/cc/start", wish).json();
        let url = begun["authorize_url"].as_str().unwrap();
        let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let session =
            format!("/api/accounts/connect/sessions/{}", begun["session_id"].as_str().unwrap());
        let back = match way {
            "refusal" => format!(
                "/callback?error=server_error&error_description=access_token%3D{code}&state={state}"
            ),
            _ => format!("/callback?code={code}&state={state}"),
        };
        let answer = match way {
            "paste" => {
                let input = json!({"input": format!("http://localhost:1{back}")});
                call(&router, "POST", &format!("{session}/paste"), input)
            }
            _ => router.get(&back),
        };
        answers.add_reply(way, &answer);
        answers.add_reply("the sign-in", &call(&router, "GET", &session, Value::Null));
        states.push(state);
    }
    for account in [&old, &fresh] {
        let suffix = &account.label;
        vendor.script(Place::Token, quoting(&format!("{refresh}-{suffix}")));
        for _ in 0..3 {
            let path = format!("/api/accounts/{}/refresh", account.id);
            answers.add_reply("a refresh", &call(&router, "POST", &path, json!({})));
        }
    }
    let words = format!("`Bearer {access}-fresh` is no token of {access}-fresh");
    let refusal = Dialect::Anth.error(401, "authentication_error", "x", &words);
    vendor.script(Place::Messages, [(); 4].map(|()| Scripted::reply(401, &refusal)));
    vendor.script(Place::Usage, [Scripted::reply(401, &refusal)]);
    vendor.script(Place::Profile, [Scripted::reply(401, &refusal)]);
    for path in ["test", "quota/refresh"] {
        let path = format!("/api/accounts/{}/{path}", fresh.id);
        answers.add_reply(&path, &call(&router, "POST", &path, json!({})));
    }
    answers.add_reply("an answer", &router.ask(Dialect::Anth, "cc/claude-opus-5", false));
    assert!(vendor.counts().token_calls > 0, "{:?}", vendor.counts());
    let mut places = watched.places();
    places.0.append(&mut answers.0);
    places.hold_none_of([code, access, refresh]);
    // A state is in the address that the operator opens, and nowhere else.
    places.0.retain(|(name, _)| name != "the sign-in");
    places.hold_none_of(&states);
}

#[test]
fn t_log_01_no_password_of_a_proxy() {
    let [environment, setting, stored, wrong] = PLAIN;
    let url = |password: &str| format!("http://me:{password}@127.0.0.1:1");
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router = loud(Setup::new())
        .env("HTTPS_PROXY", &url(environment))
        .env("HTTP_PROXY", &url(environment))
        .upstream(Dialect::Chat, "up", &chaos.url("/v1"))
        .start();
    let watched = Watched::new(&router);
    let mut answers = Places(Vec::new());
    let mut tell = |name: &str, reply: Reply| {
        answers.add_reply(name, &reply);
        reply
    };
    tell("through the environment's", router.ask(Dialect::Chat, "up/m", false));
    for bad in
        ["http://me:PW@exa mple:1", "ftp://me:PW@h:1", "http://me:PW@h:99999", "http://me:PW@"]
    {
        let bad = bad.replace("PW", wrong);
        let proxy = json!({"name": "bad", "url": bad});
        let refused = tell("a bad proxy", call(&router, "POST", "/api/proxies", proxy));
        assert_eq!(refused.status, 422, "{}", refused.brief());
        let wish = json!({"outbound_proxy_url": bad});
        let refused = tell("a bad setting", call(&router, "PATCH", "/api/settings", wish));
        assert_eq!(refused.status, 422, "{}", refused.brief());
    }
    let wish = json!({"outbound_proxy_url": url(setting)});
    assert_eq!(tell("the setting", call(&router, "PATCH", "/api/settings", wish)).status, 200);
    tell("through the setting's", router.ask(Dialect::Chat, "up/m", false));
    let proxy = json!({"name": "office", "url": url(stored)});
    let made = tell("a proxy", call(&router, "POST", "/api/proxies", proxy));
    assert_eq!(made.status, 201, "{}", made.brief());
    let path = format!("/api/proxies/{}/test", made.json()["id"].as_str().unwrap());
    let tested = tell("its test", call(&router, "POST", &path, json!({})));
    assert_eq!(tested.json()["ok"], false, "{}", tested.brief());
    let mut places = watched.places();
    places.0.append(&mut answers.0);
    places.hold_none_of(PLAIN);
}

/// A file that is wrong is told of by place and by rule, never by quoting what may be a secret.
#[test]
fn t_log_01_no_secret_of_a_configuration_that_is_wrong() {
    let secret = PLAIN[0];
    let files = [
        format!("[[accounts]]\nprovider = \"openai\"\nlabel = \"x\"\napi_key = \"{secret}\n"),
        format!("[[accounts]]\nprovider = \"openai\"\nlabel = \"x\"\napi_key = {secret}\n"),
        format!("[[accounts]]\nprovider = \"nobody\"\nlabel = \"x\"\napi_key = \"{secret}\"\n"),
        format!("[[accounts]]\nprovider = \"openai\"\nlabel = \"x\"\napi_key = [\"{secret}\"]\n"),
        format!(
            "[[accounts]]\nprovider = \"openai\"\nlabel = \"x\"\napi_key = \"env:NO_{secret}\"\napi_key = \"{secret}\"\n"
        ),
        format!("[settings]\noutbound_proxy_url = \"http://me:{secret}@exa mple:1\"\n"),
        format!("[settings]\njwt_secret = \"{secret}\"\nsticky_count = \"x\"\n"),
        format!("[[proxies]]\nname = \"p\"\nurl = \"http://me:{secret}@:0\"\n"),
        format!("[[proxies]]\nname = \"p\"\nurl = \"http://me:{secret}@h:1\"\nenabled = \"x\"\n"),
        format!(
            "[[nodes]]\nname = \"n\"\nprefix = \"n\"\ntype = \"openai-compatible\"\nbase_url = \"https://me:{secret}@h/v1\"\n"
        ),
        format!("[[keys]]\nname = \"k\"\nkey = \"{secret}\"\nrpm = \"x\"\n"),
        format!("[[keys]]\nname = \"k\"\nkey = \"{secret} with blanks\"\n"),
    ];
    let mut places = Places(Vec::new());
    let home = Installation::new();
    let router = loud(Setup::new()).start();
    let path = home.home().join("wrong.toml");
    for (at, text) in files.iter().enumerate() {
        fs::write(&path, text).unwrap();
        let done = home.run_with(&["config", "validate", path.to_str().unwrap()], "");
        assert_ne!(done.code, 0, "file {at}: {done:?}");
        places.add(format!("`config validate` of file {at}"), done.out + &done.err);
        let body = json!({"text": text});
        let checked = call(&router, "POST", "/api/config/validate", body);
        places.add_reply(&format!("/api/config/validate of file {at}"), &checked);
        let mut start = loud(Setup::new()).prepare();
        fs::write(start.config_file(), text).unwrap();
        start.spawn(&["serve", "--port", "0", "--no-background"]);
        assert_ne!(start.wait(PATIENCE).code(), Some(0), "file {at}");
        places.add(format!("the start with file {at}"), start.output());
    }
    for (name, value) in [
        ("HTTPS_PROXY", format!("http://me:{secret}@exa mple:1")),
        ("NINEROUTER_MASTER_KEY", secret.to_owned()),
        ("NINEROUTER_ENDPOINT_OPENAI_API", format!("https://me:{secret}@h/v1")),
        ("NINEROUTER_OUTBOUND_DEFAULT", secret.to_owned()),
    ] {
        let mut start = loud(Setup::new()).env(name, &value).prepare();
        start.spawn(&["serve", "--port", "0", "--no-background"]);
        assert_ne!(start.wait(PATIENCE).code(), Some(0), "{name}: {}", start.output());
        if name != "NINEROUTER_OUTBOUND_DEFAULT" {
            places.add(format!("the start with {name}"), start.output());
        }
    }
    places.hold_none_of([secret]);
}

#[test]
fn t_log_01_no_secret_in_what_commands_print() {
    let [key, proxy, client, master] = PLAIN;
    let mut home = Installation::new()
        .env("HTTPS_PROXY", &format!("http://me:{proxy}@127.0.0.1:1"))
        .env("NINEROUTER_OAUTH_XAI_CLIENT_ID", "an-id-of-mine")
        .env("NINEROUTER_OAUTH_XAI_CLIENT_SECRET", client)
        .env("JWT_SECRET", &format!("{master}-{master}-{master}"));
    home.serve();
    let add = ["account", "add", "openai", "--label", "mine", "--key-stdin"];
    home.run_with(&add, &format!("{key}\n"));
    home.run_with(&["proxy", "add", "office"], &format!("http://me:{proxy}@127.0.0.1:2\n")).ok();
    home.run("proxy test office");
    for line in [
        "account list",
        "account list --json",
        "proxy list",
        "proxy list --json",
        "config export",
        "config show",
        "status --json",
        "logs -n 500",
        "audit list",
        "doctor",
        "doctor --json --full",
    ] {
        home.run(line);
    }
    home.stop();
    home.run("doctor");
    home.run("config export");
    let printed = home.printed();
    assert!(printed.contains("doctor") && printed.contains("office"), "{printed}");
    let mut places = Places(vec![("what was printed".to_owned(), printed)]);
    places.add("what was typed", home.typed().join(" "));
    for (path, text) in files_below(&home.data_dir()) {
        places.add(path.display().to_string(), text);
    }
    places.hold_none_of(PLAIN);
}
