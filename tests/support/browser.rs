//! A browser without a screen: keeps cookies, fills in forms, knows the CSRF token of its session.

use serde_json::Value;

use super::client::{Reply, request};
use super::router::Router;

/// One browser, at one router.
pub(crate) struct Browser<'a> {
    router: &'a Router,
    /// Headers that every request carries.
    pub(crate) headers: Vec<(String, String)>,
    /// What the router had it keep.
    pub(crate) cookies: Vec<(String, String)>,
    /// As the management API told it.
    pub(crate) csrf: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(router: &'a Router) -> Self {
        Self { router, headers: Vec::new(), cookies: Vec::new(), csrf: String::new() }
    }

    /// With a header on every request.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A browser that has signed in with `password`.
    pub(crate) fn signed_in(router: &'a Router, password: &str) -> Self {
        let mut browser = Self::new(router);
        let reply = browser.sign_in(password);
        assert_eq!(reply.status, 303, "{}", reply.brief());
        browser
    }

    /// The bytes of a request with its cookies.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let cookies: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let cookies = cookies.join("; ");
        let mut all: Vec<(&str, &str)> =
            self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        all.extend_from_slice(headers);
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        request(method, path, &all, body)
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let bytes = self.request(method, path, headers, body);
        let reply =
            self.router.raw(&bytes).unwrap_or_else(|| panic!("no answer to {method} {path}"));
        self.keep(&reply);
        reply
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    /// Sends a form.
    pub(crate) fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[form], body.as_bytes())
    }

    /// Opens the form and sends it with a password.
    pub(crate) fn sign_in(&mut self, password: &str) -> Reply {
        let csrf = field(&self.get("/login").text(), "_csrf");
        let reply = self.form("/login", &[("_csrf", &csrf), ("password", password)]);
        if reply.status == 303 {
            self.learn_csrf();
        }
        reply
    }

    /// Asks for the token of the present session.
    pub(crate) fn learn_csrf(&mut self) {
        let session = self.get("/api/auth/session");
        if session.status == 200 {
            self.csrf = session.json()["csrf_token"].as_str().unwrap().to_owned();
        }
    }

    /// A management call with everything it needs.
    pub(crate) fn api(&mut self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let csrf = self.csrf.clone();
        self.send(method, path, &[("x-csrf-token", &csrf)], body.as_bytes())
    }

    /// Enters the password again.
    pub(crate) fn sudo(&mut self, password: &str) -> Reply {
        let reply = self.api("POST", "/api/auth/sudo", &serde_json::json!({"password": password}));
        if reply.status == 200 {
            self.csrf = reply.json()["csrf_token"].as_str().unwrap().to_owned();
        }
        reply
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn keep(&mut self, reply: &Reply) {
        for line in set_cookies(reply) {
            let (pair, attributes) = line.split_once(';').unwrap_or((&line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(found, _)| found != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

/// Every `Set-Cookie` line of a reply.
pub(crate) fn set_cookies(reply: &Reply) -> Vec<String> {
    let lines = reply.headers.iter().filter(|(name, _)| name == "set-cookie");
    lines.map(|(_, value)| value.clone()).collect()
}

/// The value of a hidden field of a page.
pub(crate) fn field(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("no field `{name}` in {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}
