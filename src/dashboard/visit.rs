//! One request of a browser that the guard let in, and what a page answers to it.
//!
//! The guard (`server::guard`) has looked at host, tunnel, address, session, the demand for a new password, and, for
//! requests that change something, at their source and CSRF token. A page does what its API twin does: through
//! [`Visit::call`], as the same caller.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Value;

use crate::api::{Api, Body, Reply, Request};
use crate::auth::audit::Caller;
use crate::auth::session::SessionChange;

/// A request of a browser.
#[derive(Clone)]
pub struct Visit {
    /// The management API on this thread.
    pub api: Rc<Api>,
    /// Who visits.
    pub caller: Caller,
    /// CSRF token of the session, for `hx-headers` and the hidden field `_csrf`; empty without a session.
    pub csrf: String,
    /// False where this computer may look without signing in (`require_login` off): forms lead to the sign-in.
    pub is_signed_in: bool,
    /// A default password is in use: a banner asks for another one.
    pub must_change: bool,
    /// Only this computer reaches the router: choosing a password can be put off.
    pub is_loopback_only: bool,
    /// What htmx says about the request.
    pub hx: Hx,
    /// HTTP method, upper case; `HEAD` arrives as `GET`.
    pub method: String,
    /// Path below `/dashboard`, as sent: empty, `/`, `/keys` …
    pub path: String,
    /// Query, as sent.
    pub query: String,
    /// Form fields, without `_csrf`.
    pub form: Form,
    /// The body, where it is no form.
    pub body: Bytes,
    /// `Content-Type`, lower case, without parameters.
    pub content_type: String,
    /// `Cookie`, as sent: theme, messages of the request before.
    pub cookies: String,
    /// `Last-Event-ID` of a feed that goes on.
    pub last_event_id: Option<String>,
    /// What the browser's address bar shows: `http://localhost:20128`. For text alone, never for links (SEC-HOST-3).
    pub origin: String,
    /// Id in logs and errors.
    pub request_id: String,
}

impl fmt::Debug for Visit {
    /// Without form, cookies and token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("hx", &self.hx)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl Visit {
    /// Asks the management API as the visitor. `target` is path and query.
    pub async fn call(&self, method: &str, target: &str, body: Option<&Value>) -> Reply {
        let request = Request::new(method, target, self.caller.clone());
        let request = match body {
            Some(body) => request.with(body),
            None => request,
        };
        self.api.call(request, &self.request_id).await
    }

    /// The first cookie of this name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.cookies, name)
    }

    /// A value of the query, decoded; of a repeated name the last.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.filter(|(found, _)| found == name).last().map(|(_, value)| value.into_owned())
    }
}

/// The first cookie of this name in a `Cookie` header.
pub(super) fn cookie<'a>(cookies: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = cookies.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

/// What htmx says about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hx {
    /// It is htmx's, and wants a part of the page. False for a history restore, which wants the whole.
    pub is_fragment: bool,
    /// A link or form of the page that htmx took over.
    pub is_boosted: bool,
}

/// Fields of a form, in the order they were sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Form(Vec<(String, String)>);

impl fmt::Debug for Form {
    /// Names alone: values may be passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// Reads `application/x-www-form-urlencoded`. Broken escapes stand for themselves.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.remove(at).1)
    }

    /// The first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Every field of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Form {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// What a page answers. The server adds the security headers and the cookies of a changed session.
#[derive(Debug)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// What it carries.
    pub content: Content,
    /// Further headers: `HX-Trigger`, `Set-Cookie` of a message …
    pub headers: Vec<(&'static str, String)>,
    /// The session began, moved to another id, or ended.
    pub session: Option<SessionChange>,
}

/// Content of a [`Page`].
#[derive(Debug)]
pub enum Content {
    /// A page or a part of one.
    Html(String),
    /// What an API reply carries: a feed, a download, nothing.
    Other(Body),
}

impl Page {
    /// HTML under a status.
    #[must_use]
    pub fn html(status: u16, html: impl Into<String>) -> Self {
        Self { status, content: Content::Html(html.into()), headers: Vec::new(), session: None }
    }

    /// A status alone.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, content: Content::Other(Body::None), headers: Vec::new(), session: None }
    }

    /// The browser goes to another page of ours. `path` begins with `/`.
    #[must_use]
    pub fn see_other(path: impl Into<String>) -> Self {
        Self::empty(303).header("location", path)
    }

    /// As [`Page::see_other`], for htmx: the whole page changes.
    #[must_use]
    pub fn go_to(hx: Hx, path: impl Into<String>) -> Self {
        if hx.is_fragment {
            Self::empty(204).header("hx-redirect", path)
        } else {
            Self::see_other(path)
        }
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a session that changed.
    #[must_use]
    pub fn session(mut self, change: Option<SessionChange>) -> Self {
        self.session = change;
        self
    }
}

/// Where to go after the sign-in: a page of the dashboard on this host (SEC-HDR-2).
#[must_use]
pub fn next_page(next: Option<&str>) -> &str {
    const START: &str = "/dashboard";
    let Some(next) = next else { return START };
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let below = path == START || path.starts_with("/dashboard/");
    let plain = !next.contains(['\\']) && !next.chars().any(char::is_control);
    let straight = !path.contains("//") && !path.split('/').any(|part| matches!(part, "." | ".."));
    // A fragment or a feed is no page to look at.
    let is_page = !path.starts_with("/dashboard/f/") && path != "/dashboard/live";
    if below && plain && straight && is_page && next.len() <= 1_024 { next } else { START }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_hdr_2_the_sign_in_leads_to_no_other_place() {
        for good in ["/dashboard", "/dashboard/keys?tab=new", "/dashboard/combos/a#b"] {
            assert_eq!(next_page(Some(good)), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/dashboardx",
            "/api/keys",
            "/dashboard//evil.example",
            "/dashboard/../api/keys",
            "/dashboard/\r\nset-cookie: a=b",
            "/dashboard/\u{0}",
            "/dashboard\\..",
            "/dashboard/f/keys",
            "/dashboard/live?topics=acct",
            "javascript:alert(1)",
        ] {
            assert_eq!(next_page(Some(bad)), "/dashboard", "{bad:?}");
        }
        assert_eq!(next_page(None), "/dashboard");
    }

    #[test]
    fn a_form_is_read_in_order_and_prints_no_value() {
        let mut form = Form::parse(b"_csrf=t&a=1+2&a=%C3%A9&b=%zz&c");
        assert_eq!(form.take("_csrf").as_deref(), Some("t"));
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1 2", "\u{e9}"]);
        assert_eq!((form.get("b"), form.get("c"), form.get("d")), (Some("%zz"), Some(""), None));
        assert_eq!(format!("{form:?}"), r#"["a", "a", "b", "c"]"#);
    }
}
