//! The dashboard in a real browser: headless Chromium under WebDriver against the real binary.
//!
//! Without a chromedriver the suite says so and passes; under `CI=true` it fails then. Pictures of what it saw go into
//! the folder that `NINEROUTER_SHOTS` names.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its own environment"
)]

mod driver;
#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::string_slice,
    reason = "shared with the other suites, which use more of it"
)]
mod support;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::driver::{Browser, Wish, chromedriver};
use crate::support::client::request;
use crate::support::{Dialect, PATIENCE, Router, Setup, until};

/// What a fresh router on this computer takes (security §5.2).
const FIRST: &str = "123456";
const CHOSEN: &str = "correct horse battery";
/// Pages of a router with the provider `sim`.
const PAGES: [&str; 8] = [
    "/dashboard",
    "/dashboard/endpoint",
    "/dashboard/providers",
    "/dashboard/combos",
    "/dashboard/logs",
    "/dashboard/palette",
    "/dashboard/providers/sim",
    "/dashboard/providers/claude/import",
];

/// A router with a custom provider `sim` and no account, whose upstream streams, and holds the end of each answer until
/// it is released.
fn fresh() -> (Chaos, Router) {
    let story = Dialect::Chat.story();
    let opened = format!("{}{}", story.start, story.content[0]);
    let opened = reply::chunk(opened.as_bytes());
    let rest = format!("{}{}{}{}", story.content[1], story.finish, story.usage, story.done);
    let rest = reply::chunk(rest.as_bytes());
    let whole = reply::json(200, &Dialect::Chat.answer());
    let models = reply::json(200, r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#);
    let chaos = Chaos::start(Reading::Whole, move |request| {
        if request.target().ends_with("/models") {
            return vec![Step::send(models.clone())];
        }
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if asked["stream"] != true {
            return vec![Step::send(whole.clone())];
        }
        vec![
            Step::send(reply::sse_head()),
            Step::send(opened.clone()),
            Step::Hold,
            Step::send(rest.clone()),
            Step::send(reply::LAST_CHUNK),
        ]
    })
    .unwrap();
    let router = Setup::new().node(Dialect::Chat, "sim", &chaos.url(Dialect::Chat.base())).start();
    (chaos, router)
}

/// Signs in for the first time and chooses a password.
fn first_run(browser: &Browser, base: &str) {
    browser.go(&format!("{base}/dashboard"));
    browser.wait_url("/login");
    browser.fill("input[name=password]", FIRST);
    browser.click("form button[type=submit]");
    browser.wait_url("/dashboard/first-run");
    browser.fill("input[name=new]", CHOSEN);
    browser.fill("input[name=repeat]", CHOSEN);
    browser.click("form button.primary[type=submit]");
    browser.wait_text("h1", "Overview");
}

fn base(router: &Router) -> String {
    format!("http://{}", router.address)
}

/// No complaint on the console, and no request to another host.
fn is_quiet(browser: &Browser, base: &str) {
    assert_eq!(browser.complaints(), Vec::<String>::new(), "on {}", browser.url());
    stays_at_home(browser, base);
}

/// No request to another host. What the browser asks itself (`chrome:`, its first tab) goes nowhere.
fn stays_at_home(browser: &Browser, base: &str) {
    let leaves = |url: &String| ["http", "ws", "ftp"].iter().any(|scheme| url.starts_with(scheme));
    let foreign: Vec<_> = browser
        .requested()
        .into_iter()
        .filter(|url| leaves(url) && !url.starts_with(base))
        .collect();
    assert!(foreign.is_empty(), "requests to others: {foreign:?}");
}

/// T-CSP-01: no page makes the browser complain of its policy.
#[test]
fn an_operator_sets_a_router_up_and_watches_it_work() {
    let Some(chromedriver) = chromedriver() else { return };
    let (chaos, router) = fresh();
    let base = base(&router);
    let browser = Browser::start(&chromedriver, Wish::default());
    first_run(&browser, &base);
    browser.wait_text("main", "No account yet");
    browser.picture("first-run");

    // An account with a key.
    browser.go(&format!("{base}/dashboard/providers"));
    browser.go(&format!("{base}/dashboard/providers/sim"));
    browser.click_text("main a.btn", "Add API key");
    browser.fill("#dialog input[name=label]", "work");
    browser.fill("#dialog input[name=api_key]", "sk-upstream-0123456789");
    browser.click("#dialog button.primary[type=submit]");
    browser.wait_text("main", "work");
    assert!(!browser.source().contains("sk-upstream-0123456789"), "a secret is never sent back");
    browser.picture("provider");

    // A combo.
    browser.go(&format!("{base}/dashboard/combos/new"));
    browser.fill("input[name=name]", "daily");
    browser.fill("#combo-new_target", "sim/m");
    browser.click("#combo-form button.primary[type=submit]");
    browser.wait_text("main", "daily");
    browser.picture("combo");

    // A key.
    browser.go(&format!("{base}/dashboard/endpoint"));
    browser.click_text("main a.btn", "New key");
    browser.fill("#dialog input[name=name]", "laptop");
    browser.click("#dialog button.primary[type=submit]");
    let text = browser.wait_text("#key-text", "sk-nr1-");
    browser.picture("key");
    browser.click_text("#dialog a.btn", "I have copied it");
    browser.wait_text("#keys", "laptop");

    // A request is seen while it runs, and everything that it changes, without a reload.
    browser.go(&format!("{base}/dashboard"));
    browser.wait_text("#stats", "Requests");
    browser.find("[data-live=on]");
    browser.script("window.stays = true");
    let bearer = format!("Bearer {text}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = Dialect::Chat.body("daily", true);
    let mut client = router.connect();
    client.send(&request("POST", "/v1/chat/completions", &headers, body.as_bytes()));
    browser.wait_text("#inflight", "sim/m");
    browser.wait_text("#req-rows", "streaming");
    browser.picture("running");
    chaos.release();
    assert_eq!(client.head(false).unwrap().status, 200);
    client.read_to(b"[DONE]");
    browser.wait_text("#req-rows", "200 OK");
    browser.wait_text("#inflight", "Nothing is running");
    browser.wait_text("#stats .stat", "1");
    browser.wait_text("article.acct", "1 request");
    assert_eq!(browser.script("return window.stays"), json!(true), "nothing was reloaded");
    browser.picture("overview");

    // The key is revoked and admits nobody.
    browser.go(&format!("{base}/dashboard/endpoint"));
    browser.click("#keys details.menu summary");
    browser.click_text("#keys .pop a", "Revoke");
    browser.click_text("#dialog button", "Revoke key");
    browser.wait_text("#keys", "Revoked");
    let status = router.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).status;
    assert_eq!(status, 401);
    is_quiet(&browser, &base);
}

#[test]
fn t_ui_b1_every_page_fits_every_screen_in_both_colours() {
    let Some(chromedriver) = chromedriver() else { return };
    let (_chaos, router) = stocked();
    let base = base(&router);
    // Something for the charts.
    assert_eq!(router.ask(Dialect::Chat, "daily", false).status, 200);
    let browser = Browser::start(&chromedriver, Wish::default());
    first_run(&browser, &base);
    until(PATIENCE, "the request is in the chart", || {
        browser.go(&format!("{base}/dashboard"));
        (!browser.all(".chart.wide").is_empty()).then_some(())
    });
    for page in PAGES {
        for scheme in ["dark", "light"] {
            browser.prefer(scheme);
            for width in [1440, 820, 390] {
                browser.resize(width, 900);
                browser.go(&format!("{base}{page}"));
                browser.find("main h1");
                let over = browser.script(
                    "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
                );
                let name =
                    page.trim_start_matches("/dashboard").trim_matches('/').replace('/', "-");
                let name = if name.is_empty() { "overview" } else { &name };
                browser.picture(&format!("{name}-{width}-{scheme}"));
                assert_eq!(over, json!(0), "{page} at {width} px is too wide");
                assert_eq!(browser.script(ONE_H1), json!(1), "{page}");
                assert_eq!(browser.script(DOUBLE_IDS), json!([]), "{page}");
                assert_eq!(browser.script(INLINE), json!(0), "{page}");
                assert_eq!(browser.script(NAMELESS), json!([]), "{page}");
            }
        }
        is_quiet(&browser, &base);
    }
}

const ONE_H1: &str = "return document.querySelectorAll('h1').length";
const DOUBLE_IDS: &str = "const ids = [...document.querySelectorAll('[id]')].map(e => e.id);\
    return ids.filter((id, at) => ids.indexOf(id) !== at)";
const INLINE: &str = "return document.querySelectorAll('[style], script:not([src])').length + \
    [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length";
const NAMELESS: &str = "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')]\
    .filter(e => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim() || e.title))\
    .map(e => e.outerHTML.slice(0, 120))";

/// A router with accounts of hostile and of long names, keys and a combo.
fn stocked() -> (Chaos, Router) {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let long = "x".repeat(80);
    let router = Setup::new()
        .node(Dialect::Chat, "sim", &chaos.url(Dialect::Chat.base()))
        .account("sim", "work")
        .account("sim", "<img src=x onerror=alert(1)>")
        .account("sim", &long)
        .combo("daily", &["sim/m", "sim/other"])
        .key("<script>alert(1)</script>", "sk-test-0123456789abcdef", "rpm = 60")
        .start();
    (chaos, router)
}

/// T-CSP-02: what others write is text wherever it is shown, also when it comes by the feed.
#[test]
fn t_csp_02_hostile_texts_are_shown_as_text() {
    let Some(chromedriver) = chromedriver() else { return };
    let (_chaos, router) = stocked();
    let base = base(&router);
    let browser = Browser::start(&chromedriver, Wish::default());
    first_run(&browser, &base);
    browser.wait_text("article.acct", "<img src=x onerror=alert(1)>");
    browser.find("[data-live=on]");
    let model = "sim/<img src=x onerror=alert(2)>\u{202e}x";
    let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    let headers = [("user-agent", "<script>alert(3)</script>")];
    router.send("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes());
    browser.wait_text("#req-rows", "<img src=x onerror=alert(2)>");
    browser.go(&format!("{base}/dashboard/endpoint"));
    browser.wait_text("#keys", "<script>alert(1)</script>");
    browser.go(&format!("{base}/dashboard/logs?level=debug"));
    browser.find("main h1");
    assert_eq!(
        browser.script("return document.querySelectorAll('main img, main script').length"),
        json!(0)
    );
    is_quiet(&browser, &base);
}

/// T-UI-B4: the same without script.
#[test]
fn t_ui_b4_forms_work_without_script() {
    let Some(chromedriver) = chromedriver() else { return };
    let (_chaos, router) = fresh();
    let base = base(&router);
    let browser = Browser::start(&chromedriver, Wish { without_script: true });
    first_run(&browser, &base);
    browser.go(&format!("{base}/dashboard/endpoint"));
    browser.click_text("main a.btn", "New key");
    browser.wait_url("/dashboard/endpoint/keys/new");
    // What is wrong is said beside the field.
    browser.fill("input[name=name]", "laptop");
    browser.fill("input[name=usd_day]", "a lot");
    browser.click("main form button.primary[type=submit]");
    browser.find("main [role=alert]");
    assert_eq!(browser.all("[aria-invalid=true]").len(), 1);
    browser.fill("input[name=usd_day]", "5.00");
    browser.click("main form button.primary[type=submit]");
    let text = browser.wait_text("#key-text", "sk-nr1-");
    browser.click_text("main a.btn", "I have copied it");
    browser.wait_text("#keys", "laptop");
    assert!(!browser.source().contains(&text), "the text is shown once");
    let bearer = format!("Bearer {text}");
    let admitted = || router.send("GET", "/v1/models", &[("authorization", &bearer)], b"").status;
    assert_eq!(admitted(), 200);
    browser.click("#keys details.menu summary");
    browser.click_text("#keys .pop a", "Revoke");
    browser.click_text("main form button", "Revoke key");
    browser.wait_text("#toasts", "Key revoked");
    until(PATIENCE, "the key is refused", || (admitted() == 401).then_some(()));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// T-UI-B10: what needs the password asks for it, and keeps what was entered.
#[test]
fn t_ui_b10_the_password_is_asked_for_and_the_change_goes_on() {
    let Some(chromedriver) = chromedriver() else { return };
    let (_chaos, router) = fresh();
    let base = base(&router);
    let browser = Browser::start(&chromedriver, Wish::default());
    first_run(&browser, &base);
    // A fresh sign-in has entered the password once, not twice.
    browser.click("#nav form[action='/logout'] button");
    browser.wait_url("/login");
    browser.fill("input[name=password]", CHOSEN);
    browser.click("form button[type=submit]");
    browser.wait_text("h1", "Overview");
    browser.go(&format!("{base}/dashboard/endpoint"));
    browser.click("#requirement input[value=true]");
    browser.click("#requirement button[type=submit]");
    browser.fill("#sudo input[name=password]", "not the password");
    browser.click("#sudo button.primary");
    browser.wait_text("#sudo [role=alert]", "Try again");
    browser.fill("#sudo input[name=password]", CHOSEN);
    browser.click("#sudo button.primary");
    browser.wait_text("#toasts", "Saved");
    let checked = "return document.querySelector('#requirement input[value=true]').checked";
    assert_eq!(browser.script(checked), json!(true));
    assert_eq!(router.get("/v1/models").status, 401, "it is in use");
    // The feed goes on with the session, and nobody notes anything but the question itself.
    browser.find("[data-live=on]");
    is_quiet(&browser, &base);
}

/// T-UI-B3: the palette and the keys of pages, without a pointer; and the log begins at its end.
#[test]
fn t_ui_b3_keys_go_everywhere() {
    const CONTROL: &str = "\u{e009}";
    const ENTER: &str = "\u{e007}";
    const DOWN: &str = "\u{e015}";
    let Some(chromedriver) = chromedriver() else { return };
    let (_chaos, router) = stocked();
    let base = base(&router);
    let browser = Browser::start(&chromedriver, Wish::default());
    first_run(&browser, &base);
    browser.press(&[CONTROL, "k"]);
    browser.find("#dialog[open] #palette-q:focus");
    browser.picture("palette");
    for key in ["d", "a", "i", "l", "y"] {
        browser.press(&[key]);
    }
    until(PATIENCE, "the combo is found, and nothing else", || {
        let found = browser.all("#palette-hits a");
        (found.len() == 1 && browser.text(&found[0])?.contains("daily")).then_some(())
    });
    browser.press(&[DOWN]);
    browser.find("#palette-hits a:focus");
    browser.press(&[ENTER]);
    browser.wait_text("h1", "daily");
    let is_open = "return document.getElementById('dialog').open";
    until(PATIENCE, "the palette closes", || {
        (browser.script(is_open) == json!(false)).then_some(())
    });
    // Enter in the search goes to the best of what was found.
    browser.press(&[CONTROL, "k"]);
    browser.find("#dialog[open] #palette-q:focus");
    for key in ["p", "r", "o", "v"] {
        browser.press(&[key]);
    }
    browser.press(&[ENTER]);
    browser.wait_text("h1", "Providers");
    browser.resize(1_000, 260);
    browser.press(&["g"]);
    browser.press(&["l"]);
    browser.wait_text("h1", "Logs");
    browser.find("#log-lines li");
    let last = "const log = document.querySelector('.log'), last = document.querySelector('#log-lines li:last-child');\
        const at = (part) => part.getBoundingClientRect().bottom;\
        return [log.scrollHeight > log.clientHeight, at(last) <= at(log) + 1]";
    assert_eq!(browser.script(last), json!([true, true]), "the newest line is in view");
    // Rows by j, what a page makes new by n.
    browser.resize(1_440, 900);
    browser.press(&["g"]);
    browser.press(&["c"]);
    browser.wait_text("h1", "Combos");
    browser.press(&["j"]);
    browser.find("#combo-list a:focus");
    browser.press(&["n"]);
    browser.wait_text("h1", "New combo");
    is_quiet(&browser, &base);
}

/// T-UI-B6: two tabs edit one combo; the second learns of the first, and loses nothing of its own.
#[test]
fn t_ui_b6_a_change_in_between_is_told() {
    let Some(chromedriver) = chromedriver() else { return };
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let url = chaos.url(Dialect::Chat.base());
    let router = Setup::new().upstream(Dialect::Chat, "sim", &url).start();
    let socket = router.data_dir().join("admin.sock");
    let combo = json!({"name": "daily", "entries": ["sim/m"]});
    let made = support::admin::call(&socket, "POST", "/api/combos", Some(&combo)).json();
    let id = made["id"].as_str().unwrap();
    let base = base(&router);
    let browser = Browser::start(&chromedriver, Wish::default());
    first_run(&browser, &base);
    browser.go(&format!("{base}/dashboard/combos/{id}"));
    browser.fill("input[name=description]", "mine");
    let change = json!({"description": "theirs"});
    let path = format!("/api/combos/{id}");
    assert_eq!(support::admin::call(&socket, "PATCH", &path, Some(&change)).status, 200);
    browser.click("#combo-form button.primary[type=submit]");
    browser.wait_text("#combo-form [role=alert]", "changed meanwhile");
    let mine = "return document.querySelector('input[name=description]').value";
    assert_eq!(browser.script(mine), json!("mine"));
    browser.click("#combo-form button.primary[type=submit]");
    browser.wait_text("#toasts", "saved");
    let stored = support::admin::call(&socket, "GET", &path, None).json();
    assert_eq!(stored["description"], "mine");
}
