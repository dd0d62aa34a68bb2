//! A browser under WebDriver: chromedriver as a child process, and the few commands of its protocol that the suite uses.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::client::{Conn, request};
use crate::support::{PATIENCE, until};

/// Member under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Where the programs are; `None` when this machine has none. Under `CI=true` that fails the suite.
pub(crate) fn chromedriver() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("chromedriver"))
        .find(|file| file.is_file());
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(found.is_some() || !ci, "CI=true, and there is no chromedriver in PATH");
    if found.is_none() {
        eprintln!("skipped: no chromedriver in PATH");
    }
    found
}

/// Differences between two browsers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Pages run no script.
    pub(crate) without_script: bool,
}

/// A browser with one tab. Dropping it ends both processes.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

/// An element of the page.
#[derive(Clone, Debug)]
pub(crate) struct Element(String);

impl Browser {
    #[expect(clippy::disallowed_methods, reason = "tests run the real browser")]
    pub(crate) fn start(chromedriver: &Path, wish: Wish) -> Self {
        let mut driver = Command::new(chromedriver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("chromedriver prints its port").unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        // Its further lines go nowhere, but somebody must read them.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            session: String::new(),
            _profile: profile,
        };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let mut options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--window-size=1440,900", "--hide-scrollbars", "--no-first-run", profile],
            "perfLoggingPrefs": {"enableNetwork": true, "enablePage": false},
        });
        if wish.without_script {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": options,
        }}});
        let answer = browser.call("POST", "/session", Some(&capabilities));
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    pub(crate) fn go(&self, url: &str) {
        self.command("POST", "/url", Some(&json!({"url": url})));
    }

    pub(crate) fn url(&self) -> String {
        text_of(&self.command("GET", "/url", None))
    }

    pub(crate) fn source(&self) -> String {
        text_of(&self.command("GET", "/source", None))
    }

    /// Every element that fits now.
    pub(crate) fn all(&self, css: &str) -> Vec<Element> {
        let found = self.command(
            "POST",
            "/elements",
            Some(&json!({"using": "css selector", "value": css})),
        );
        let elements = found.as_array().expect("a list").iter();
        elements.map(|element| Element(text_of(&element[ELEMENT]))).collect()
    }

    /// The first element that fits, as soon as there is one.
    pub(crate) fn find(&self, css: &str) -> Element {
        until(PATIENCE, &format!("an element `{css}` on {}", self.url()), || {
            self.all(css).into_iter().next()
        })
    }

    /// Waits until an element that fits shows a text with `part` in it.
    pub(crate) fn wait_text(&self, css: &str, part: &str) -> String {
        let mut last = Vec::new();
        let what = format!("`{part}` in `{css}` on {}", self.url());
        until_or(&what, &mut last, |last| {
            *last = self.all(css).iter().filter_map(|element| self.text(element)).collect();
            last.iter().find(|text| text.contains(part)).cloned()
        })
    }

    /// Waits until the address bar shows an address with `part` in it.
    pub(crate) fn wait_url(&self, part: &str) {
        until(PATIENCE, &format!("the address {part}, not {}", self.url()), || {
            self.url().contains(part).then_some(())
        });
    }

    /// Clicks the first element that fits and can be clicked.
    pub(crate) fn click(&self, css: &str) {
        let what = format!("a click on `{css}` of {}", self.url());
        until(PATIENCE, &what, || {
            let elements = self.all(css);
            elements.iter().find_map(|element| self.try_click(element).ok())
        });
    }

    /// Clicks the element that shows exactly this text.
    pub(crate) fn click_text(&self, css: &str, text: &str) {
        let what = format!("a click on `{css}` “{text}” of {}", self.url());
        until(PATIENCE, &what, || {
            let elements = self.all(css);
            let named = elements
                .iter()
                .filter(|element| self.text(element).is_some_and(|own| own.trim() == text));
            named.into_iter().find_map(|element| self.try_click(element).ok())
        });
    }

    /// Replaces the text of a field.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let what = format!("a text for `{css}` on {}", self.url());
        until(PATIENCE, &what, || {
            let element = self.all(css).into_iter().next()?;
            let at = format!("/element/{}", element.0);
            self.try_command("POST", &format!("{at}/clear"), Some(&json!({}))).ok()?;
            self.try_command("POST", &format!("{at}/value"), Some(&json!({"text": text}))).ok()
        });
    }

    /// Presses keys at the same time, wherever the focus is.
    pub(crate) fn press(&self, keys: &[&str]) {
        let step = |kind: &str, key: &&str| json!({"type": kind, "value": key});
        let down = keys.iter().map(|key| step("keyDown", key));
        let up = keys.iter().rev().map(|key| step("keyUp", key));
        let steps: Vec<Value> = down.chain(up).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": steps});
        self.command("POST", "/actions", Some(&json!({"actions": [keyboard]})));
    }

    /// The text that people see.
    pub(crate) fn text(&self, element: &Element) -> Option<String> {
        let path = format!("/element/{}/text", element.0);
        self.try_command("GET", &path, None).ok().map(|text| text_of(&text))
    }

    /// Runs a script and gives what it returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", Some(&json!({"script": script, "args": []})))
    }

    /// Width of the viewport, as of a phone or a desk.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
    }

    /// What the operating system prefers: `dark` or `light`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    fn devtools(&self, cmd: &str, params: &Value) {
        self.command("POST", "/goog/cdp/execute", Some(&json!({"cmd": cmd, "params": params})));
    }

    /// Everything since the last look that went to the console as a warning or an error; violations of the content
    /// security policy are among it.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser");
        let bad = entries
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        let messages = bad.map(|entry| text_of(&entry["message"]));
        // The browser notes every status of 4xx; those that a form is answered with are part of the talk.
        let is_talk = |text: &String| {
            ["409", "422", "428"].iter().any(|status| text.contains(&format!("status of {status}")))
        };
        messages.filter(|text| !is_talk(text)).collect()
    }

    /// Addresses of every request since the last look.
    pub(crate) fn requested(&self) -> Vec<String> {
        let entries = self.log("performance");
        let urls = entries.iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let sent = message["method"] == "Network.requestWillBeSent";
            sent.then(|| text_of(&message["params"]["request"]["url"]))
        });
        urls.collect()
    }

    /// Writes a picture of the page into the folder that `NINEROUTER_SHOTS` names, if it names one.
    pub(crate) fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("NINEROUTER_SHOTS") else { return };
        let picture = text_of(&self.command("GET", "/screenshot", None));
        let bytes = STANDARD.decode(picture).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.command("POST", "/se/log", Some(&json!({"type": kind})));
        entries.as_array().cloned().unwrap_or_default()
    }

    fn try_click(&self, element: &Element) -> Result<Value, String> {
        self.try_command("POST", &format!("/element/{}/click", element.0), Some(&json!({})))
    }

    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.try_command(method, path, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    fn try_command(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.call(method, &format!("/session/{}{path}", self.session), body);
        match answer["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", answer["message"])),
            None => Ok(answer),
        }
    }

    /// One call; the member `value` of its answer.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.answer(method, path, body).expect("chromedriver answers")
    }

    fn answer(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut connection = Conn::open(self.address);
        connection.send(&request(method, path, &[("connection", "close")], body.as_bytes()));
        let reply = connection.reply(false)?;
        Some(reply.json()["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // A driver that is silent has failed the test already.
            let _answer = self.answer("DELETE", &format!("/session/{}", self.session), None);
        }
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// As [`until`], and says what was there instead.
fn until_or<T>(
    what: &str,
    last: &mut Vec<String>,
    mut check: impl FnMut(&mut Vec<String>) -> Option<T>,
) -> T {
    let start = crate::support::now();
    loop {
        if let Some(found) = check(last) {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; there is {last:?}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}
