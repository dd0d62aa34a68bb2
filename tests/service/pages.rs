//! The pages of the dashboard over HTTP: what every page must be, and what forms do without a script (dashboard §1, §6).

use std::collections::{BTreeSet, VecDeque};

use ninerouter::demo::chaos::{Chaos, reply};
use serde_json::json;

use crate::support::browser::{field, set_cookies};
use crate::support::{Browser, Dialect, PATIENCE, Reply, Router, Setup, until};

const PASSWORD: &str = "correct horse battery";
/// Largest page (dashboard §6).
const LARGEST: usize = 120 << 10;
/// Texts that want to be mark-up.
const HOSTILE: [&str; 3] =
    ["<img src=x onerror=alert(1)>", "\"><script>alert(1)</script>", "' onmouseover='alert(1)"];

fn setup() -> Setup {
    Setup::new().env("INITIAL_PASSWORD", PASSWORD)
}

fn stocked() -> (Chaos, Router) {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let mut setup = setup().node(Dialect::Chat, "sim", &chaos.url(Dialect::Chat.base()));
    for text in HOSTILE {
        setup = setup.account("sim", &text.replace('"', "\\\""));
    }
    let router =
        setup.combo("daily", &["sim/m"]).key("laptop", "sk-test-0123456789abcdef", "").start();
    (chaos, router)
}

/// Values of an attribute, in order.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let mark = format!(" {attribute}=\"");
    html.split(&mark).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Every page that links lead to, from Overview on; each is looked at once.
pub(crate) fn crawl(
    browser: &mut Browser<'_>,
    mut look: impl FnMut(&str, &Reply),
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from(["/dashboard".to_owned()]);
    while let Some(path) = open.pop_front() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let reply = browser.get(&path);
        look(&path, &reply);
        for link in values(&reply.text(), "href") {
            let link = link.replace("&amp;", "&");
            let link = link.split('#').next().unwrap().to_owned();
            let is_file = link.contains("/export") || link.contains("/download");
            // One provider of the catalog is as good as all 75.
            let is_one_of_many =
                path == "/dashboard/providers" && link.starts_with("/dashboard/providers/");
            if link.starts_with("/dashboard") && !is_file && !is_one_of_many {
                open.push_back(link);
            }
        }
    }
    seen
}

fn is_sound(path: &str, reply: &Reply) {
    let html = reply.text();
    assert_eq!(reply.status, 200, "{path}: {}", reply.brief());
    assert!(html.len() <= LARGEST, "{path}: {} bytes", html.len());
    assert_eq!(html.matches("<h1").count(), 1, "{path}");
    let head = html.split("</head>").next().unwrap();
    assert_eq!(head.matches("<title>").count(), 1, "{path}");
    assert!(!html.contains(" style=\"") && !html.contains("<script>"), "{path}");
    for handler in ["onclick", "onerror", "onload", "onmouseover", "onsubmit", "hx-on"] {
        assert!(
            !html.contains(&format!(" {handler}=")) || html.contains("&quot;"),
            "{path}: {handler}"
        );
        assert!(values(&html, handler).is_empty(), "{path}: {handler}");
    }
    let mut ids = BTreeSet::new();
    for id in values(&html, "id") {
        assert!(ids.insert(id), "{path}: two elements have the id `{id}`");
    }
    for id in values(&html, "for") {
        assert!(ids.contains(id), "{path}: a label is for `{id}`, which is not there");
    }
    let policy = reply.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{path}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
}

#[test]
fn every_page_of_an_empty_router_is_sound_and_every_link_leads_somewhere() {
    let router = setup().start();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let seen = crawl(&mut browser, is_sound);
    for page in
        ["/dashboard/endpoint", "/dashboard/providers", "/dashboard/combos", "/dashboard/logs"]
    {
        assert!(seen.contains(page), "no link leads to {page}");
    }
    is_sound("/dashboard/providers/claude", &browser.get("/dashboard/providers/claude"));
    let missing = browser.get("/dashboard/nothing");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("No such page"), "{}", missing.brief());
}

#[test]
fn every_page_of_a_router_in_use_is_sound_and_shows_names_as_text() {
    let (_chaos, router) = stocked();
    assert_eq!(router.ask(Dialect::Chat, "sim/m", false).status, 200);
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let mut all = String::new();
    crawl(&mut browser, |path, reply| {
        is_sound(path, reply);
        all.push_str(&reply.text());
    });
    assert!(all.contains("&lt;img src=x onerror=alert(1)&gt;"), "the account is shown");
    assert!(!all.contains("<img"), "and it is text");
    for secret in ["key-<img", "sk-test-0123456789abcdef", "key-sim"] {
        assert!(!all.contains(secret), "no page holds a secret");
    }
}

/// A page asked for by htmx is the content alone, and a dialog's address is a page in the address bar.
#[test]
fn a_page_is_whole_for_a_browser_and_a_part_for_htmx() {
    let router = setup().start();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let part = browser.send("GET", "/dashboard/endpoint", &[("hx-request", "true")], b"").text();
    assert!(part.contains("<h1>Endpoint</h1>") && !part.contains("<html"), "{part}");
    let restored = [("hx-request", "true"), ("hx-history-restore-request", "true")];
    assert!(browser.send("GET", "/dashboard/endpoint", &restored, b"").text().contains("<html"));
    let dialog = "/dashboard/f/endpoint/keys/new";
    let shown = browser.send("GET", dialog, &[("hx-request", "true")], b"").text();
    assert!(shown.contains("dialog-title") && !shown.contains("<h1"), "{shown}");
    let opened = browser.get(dialog);
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/dashboard/endpoint/keys/new"))
    );
}

/// Without a script: post, redirect, message; the message is shown once.
#[test]
fn a_form_without_script_redirects_and_says_what_happened() {
    let router = setup().start();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let page = browser.get("/dashboard/endpoint/keys/new").text();
    let csrf = field(&page, "_csrf");
    let refused = browser
        .form("/dashboard/endpoint/keys", &[("_csrf", &csrf), ("name", ""), ("rpm", "many")]);
    assert_eq!(refused.status, 422, "{}", refused.brief());
    assert!(refused.text().contains("aria-invalid") && refused.text().contains("value=\"many\""));
    let made = browser.form("/dashboard/endpoint/keys", &[("_csrf", &csrf), ("name", "laptop")]);
    let text = made.text();
    let key = text.split("sk-nr1-").nth(1).unwrap().split('<').next().unwrap();
    assert!(
        !browser.get("/dashboard/endpoint").text().contains(key),
        "the text is in one answer alone"
    );
    let keys = browser.api("GET", "/api/keys", &json!(null)).json();
    let id = keys["data"][0]["id"].as_str().unwrap();
    let path = format!("/dashboard/endpoint/keys/{id}/revoke");
    let done = browser.form(&path, &[("_csrf", &csrf)]);
    assert_eq!((done.status, done.header("location")), (303, Some("/dashboard/endpoint")));
    let flash = set_cookies(&done).into_iter().find(|line| line.starts_with("nr_flash=")).unwrap();
    assert!(flash.contains("HttpOnly") && flash.contains("Max-Age=60"), "{flash}");
    assert!(browser.get("/dashboard/endpoint").text().contains("Key revoked."));
    assert!(!browser.get("/dashboard/endpoint").text().contains("Key revoked."));
}

/// Who sends what a page does not take is told what it takes.
#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let router = setup().start();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let csrf = browser.csrf.clone();
    for (method, path, allow) in [
        ("POST", "/dashboard", "GET, HEAD"),
        ("GET", "/dashboard/logs/level", "POST"),
        ("GET", "/dashboard/aliases", "POST"),
        ("DELETE", "/dashboard/combos", "GET, HEAD, POST"),
        ("PUT", "/dashboard/accounts/7", "DELETE, GET, HEAD, PATCH, POST"),
    ] {
        let reply = browser.send(method, path, &[("x-csrf-token", &csrf)], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
        assert!(reply.text().contains("Not here"), "{}", reply.brief());
    }
    let nowhere = browser.send("POST", "/dashboard/nowhere", &[("x-csrf-token", &csrf)], b"");
    assert_eq!((nowhere.status, nowhere.header("allow")), (404, None));
}

/// Names of accounts are numbers on every page and in the feed, once this browser or the setting wants it.
#[test]
fn names_can_be_hidden_on_every_page_and_in_the_feed() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router = setup()
        .node(Dialect::Chat, "sim", &chaos.url(Dialect::Chat.base()))
        .account("sim", "ada-private")
        .combo("daily", &["sim/m"])
        .start();
    assert_eq!(router.ask(Dialect::Chat, "daily", false).status, 200);
    let mut browser = Browser::signed_in(&router, PASSWORD);
    assert!(browser.get("/dashboard").text().contains("ada-private"));
    let csrf = browser.csrf.clone();
    let hidden =
        browser.form("/dashboard/names?hide=1&back=%2Fdashboard%2Fcombos", &[("_csrf", &csrf)]);
    assert_eq!((hidden.status, hidden.header("location")), (303, Some("/dashboard/combos")));
    let mut all = String::new();
    crawl(&mut browser, |path, reply| {
        // The form that changes the name holds it, in a field that does not show it.
        let text = reply.text().replace("value=\"ada-private\"", "");
        assert!(!text.contains("ada-private"), "{path}: {text}");
        all.push_str(&text);
    });
    assert!(all.contains("Account 1") && all.contains("class=\"veil\""));
    let page = browser.get("/dashboard").text();
    let feed = values(&page, "sse-connect")[0].replace("&amp;", "&");
    let mut stream = router.connect();
    stream.send(&browser.request("GET", &feed, &[], b""));
    assert_eq!(stream.head(false).unwrap().status, 200);
    assert_eq!(router.ask(Dialect::Chat, "daily", false).status, 200);
    let told = String::from_utf8_lossy(&stream.read_to(b"200 OK")).into_owned();
    assert!(told.contains("Account 1") && !told.contains("ada-private"), "{told}");
    // The browser's own choice goes before the setting.
    let shown = browser.form("/dashboard/names?hide=0", &[("_csrf", &csrf)]);
    assert_eq!(shown.header("location"), Some("/dashboard"));
    let setting = json!({"hide_names": true});
    assert_eq!(browser.api("PATCH", "/api/settings", &setting).status, 200);
    assert!(browser.get("/dashboard").text().contains("ada-private"));
    let mut other = Browser::signed_in(&router, PASSWORD);
    assert!(!other.get("/dashboard").text().contains("ada-private"));
}

/// The palette finds pages, providers, accounts, combos and models, and goes to the best of what it found.
#[test]
fn the_palette_finds_what_has_a_page() {
    let (_chaos, router) = stocked();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let mut found = |query: &str| {
        let path = format!("/dashboard/f/palette/found?q={query}");
        browser.send("GET", &path, &[("hx-request", "true")], b"").text()
    };
    assert!(found("").contains("href=\"/dashboard/combos\""));
    assert!(
        found("daily").contains("href=\"/dashboard/combos/")
            && found("claude").contains("Claude Code")
    );
    let account = found("onerror");
    assert!(account.contains("/dashboard/accounts/") && account.contains("&lt;img"), "{account}");
    assert!(found("no-such-thing").contains("Nothing is called"));
    let go = "/dashboard/f/palette?go=first&q=comb";
    let gone = browser.send("GET", go, &[("hx-request", "true")], b"");
    assert_eq!(gone.status, 204);
    assert!(gone.header("hx-location").unwrap().contains("/dashboard/combos"), "{}", gone.brief());
    let gone = browser.get("/dashboard/palette?go=first&q=comb");
    assert_eq!((gone.status, gone.header("location")), (303, Some("/dashboard/combos")));
}

/// Several accounts at once, without a script: switched, tested, and deleted after a question.
#[test]
fn ticked_accounts_are_changed_together() {
    let (_chaos, router) = stocked();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let csrf = browser.csrf.clone();
    let made = |label: &str| json!({"provider": "sim", "api_key": format!("key-of-{label}"), "label": label, "check": false});
    let ids: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|label| {
            let made = browser.api("POST", "/api/accounts", &made(label));
            assert_eq!(made.status, 201, "{}", made.brief());
            made.json()["account"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let sim = browser.api("GET", "/api/providers/sim", &json!(null)).json();
    let provider = format!("/dashboard/providers/{}", sim["id"].as_str().unwrap());
    let page = &format!("{provider}/accounts/batch");
    let mut send = |fields: &[(&str, &str)]| {
        let mut all =
            vec![("_csrf", csrf.as_str()), ("ids", ids[0].as_str()), ("ids", ids[1].as_str())];
        all.extend_from_slice(fields);
        browser.form(page, &all)
    };
    let off = send(&[("action", "disable")]);
    assert_eq!((off.status, off.header("location")), (303, Some(provider.as_str())));
    let tested = send(&[("action", "test")]);
    assert_eq!(tested.status, 303, "{}", tested.brief());
    let asked = send(&[("action", "delete")]);
    assert!(
        asked.status == 200 && asked.text().contains("Delete 2 accounts?"),
        "{}",
        asked.brief()
    );
    let state = |browser: &mut Browser<'_>, id: &str| {
        browser.api("GET", &format!("/api/accounts/{id}"), &json!(null))
    };
    assert_eq!(state(&mut browser, &ids[0]).json()["enabled"], false);
    let shown = browser.get(&provider).text();
    assert!(shown.contains("Test 2 accounts"), "the job stands on its provider's page");
    let all = [("_csrf", csrf.as_str()), ("ids", ids[0].as_str()), ("ids", ids[1].as_str())];
    let gone = browser.form(page, &[&all[..], &[("action", "delete"), ("sure", "true")]].concat());
    assert_eq!(gone.status, 303, "{}", gone.brief());
    assert_eq!(state(&mut browser, &ids[1]).status, 404);
    let none = browser.form(page, &[("_csrf", &csrf), ("action", "disable")]);
    assert_eq!(none.status, 303);
    assert!(browser.get(&provider).text().contains("Tick the accounts"));
    // What was switched is taken back by the message about it.
    let id = &ids[2];
    let path = format!("/dashboard/accounts/{id}");
    let off = browser.send(
        "POST",
        &path,
        &[
            ("x-csrf-token", &csrf),
            ("hx-request", "true"),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        b"enabled=false",
    );
    assert!(off.text().contains(&format!("hx-post=\"{path}?enabled=true\"")), "{}", off.text());
    assert_eq!(state(&mut browser, id).json()["enabled"], false);
    browser.form(&format!("{path}?enabled=true"), &[("_csrf", &csrf)]);
    assert_eq!(state(&mut browser, id).json()["enabled"], true);
}

/// A real request to a combo from its page, and what it leaves on the pages: figures, a chart, a row.
#[test]
fn a_combo_is_tried_from_its_page_and_the_charts_show_it() {
    let (_chaos, router) = stocked();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let csrf = browser.csrf.clone();
    let empty = browser.get("/dashboard").text();
    assert!(
        empty.contains("No request in the last 7 days") && !empty.contains("<svg class=\"chart")
    );
    let combos = browser.api("GET", "/api/combos", &json!(null)).json();
    let id = combos["data"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/dashboard/combos/{id}/test");
    let tried = browser.form(&path, &[("_csrf", &csrf), ("message", "say <b>hello</b>")]);
    let page = tried.text();
    assert_eq!(tried.status, 200, "{}", tried.brief());
    assert!(page.contains("Answered by sim/m") && page.contains("answered"), "{page}");
    let charted = until(PATIENCE, "the request is counted", || {
        let page = browser.get("/dashboard").text();
        page.contains("<svg class=\"chart wide\"").then_some(page)
    });
    assert!(charted.contains("Tokens by tier") && charted.contains("Show as table"), "{charted}");
    let month = browser.get("/dashboard?period=30d").text();
    assert!(month.contains("last 30 days, by provider"), "{month}");
    assert!(browser.get("/dashboard/combos").text().contains("1 request in 24 h"));
}

/// The form that takes over sign-ins of official clients.
#[test]
fn an_import_asks_for_a_file_and_never_shows_it_again() {
    let router = setup().start();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let csrf = browser.csrf.clone();
    let page = "/dashboard/providers/claude/import";
    let form = browser.get(page);
    is_sound(page, &form);
    assert!(form.text().contains("No sign-in of this vendor"), "{}", form.text());
    let nothing = browser.form(page, &[("_csrf", &csrf), ("data", " ")]);
    assert_eq!(nothing.status, 422);
    assert!(nothing.text().contains("Tick a sign-in, or paste its file."));
    let secret = "{\"nonsense\": \"sk-secret-of-mine\"}";
    let refused = browser.form(page, &[("_csrf", &csrf), ("data", secret), ("label", "mine")]);
    assert_eq!(refused.status, 422, "{}", refused.brief());
    let text = refused.text();
    assert!(text.contains("value=\"mine\"") && !text.contains("sk-secret-of-mine"), "{text}");
}

/// The feed of a page draws what changed with the id that the page has.
#[test]
fn the_feed_of_a_page_sends_its_parts() {
    let (_chaos, router) = stocked();
    let mut browser = Browser::signed_in(&router, PASSWORD);
    let page = browser.get("/dashboard").text();
    let feed = values(&page, "sse-connect")[0].replace("&amp;", "&");
    assert!(feed.starts_with("/dashboard/live?topics=") && feed.contains("since="), "{feed}");
    let mut stream = router.connect();
    stream.send(&browser.request("GET", &feed, &[], b""));
    let head = stream.head(false).unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(router.ask(Dialect::Chat, "sim/m", false).status, 200);
    let told = String::from_utf8_lossy(&stream.read_to(b"200 OK")).into_owned();
    assert!(told.contains("event: req") && told.contains("<tr id=\"req-"), "{told}");
}
