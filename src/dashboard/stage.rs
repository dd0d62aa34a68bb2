//! What surrounds the content of every page: who visits, how the router stands, where the live feed goes on; and the
//! ways in which a page answers.

use jiff::tz::TimeZone;
use ninerouter_templates::confirm::{self, Confirm};
use ninerouter_templates::error_page::{self, Problem};
use ninerouter_templates::format::span;
use ninerouter_templates::layout::{self, Head, Section, Shell, ShellStatus, Theme};
use ninerouter_templates::moment::Now;
use ninerouter_templates::{Markup, Toast, Tone, toast_fragment};
use serde_json::{Value, json};

use crate::dashboard::assets;
use crate::dashboard::flash;
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::show::{Sight, provider_names};
use crate::dashboard::visit::{Page, Visit};

/// Why the API did not do what a page asked for.
#[derive(Debug)]
pub(super) struct Refused {
    /// HTTP status.
    pub(super) status: u16,
    /// Member `error` of the reply.
    pub(super) error: Value,
}

impl Visit {
    /// Reads an object or a list.
    pub(super) async fn read(&self, target: &str) -> Result<Value, Refused> {
        self.ask("GET", target, None).await
    }

    /// Does something. The answer of a 204 is null.
    pub(super) async fn ask(
        &self,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let reply = self.call(method, target, body).await;
        let status = reply.status;
        let answer = reply.into_json().unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(Refused { status, error: answer.part("/error").clone() })
    }

    /// Address of this page.
    pub(super) fn url(&self) -> String {
        let path = self.path.trim_end_matches('/');
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("/dashboard{path}{query}")
    }

    /// A form or question is wanted as a dialog's body: by its address, or because it was sent out of one.
    pub(super) fn wants_dialog(&self) -> bool {
        self.hx.is_fragment && (self.method != "GET" || self.path.starts_with("/f/"))
    }

    /// The present of the router's clock.
    pub(super) fn now_ms(&self) -> i64 {
        self.api.clock().now_ms()
    }

    pub(super) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

/// What surrounds a page.
#[derive(Debug)]
pub(super) struct Stage {
    shell: Shell,
    since: String,
    /// `GET /api/status`.
    pub(super) status: Value,
    /// Members `settings` and `meta` of `GET /api/settings`.
    pub(super) settings: Value,
    /// What objects are shown against.
    pub(super) sight: Sight,
}

/// What a page is.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) section: Section,
    pub(super) title: &'a str,
    /// Topics and further members of the query of its feed; `None` = it is not live.
    pub(super) feed: Option<&'a str>,
}

impl Stage {
    /// Looks at the router as the visitor.
    pub(super) async fn set(visit: &Visit) -> Result<Self, Refused> {
        // Before anything is read: what changes from now on comes by the feed.
        let since = visit.api.newest_event().to_string();
        let status = visit.read("/api/status").await?;
        let settings = visit.read("/api/settings").await?;
        let providers = visit.read("/api/providers?filter=connected&limit=500").await?;
        let now = Now { unix_ms: visit.now_ms(), zone: zone(&settings) };
        let hidden = names::hidden(visit, &settings).await?;
        let sight = Sight { now, providers: provider_names(&providers), hidden };
        let shell = Shell {
            csrf: visit.csrf.clone(),
            theme: theme(visit, &settings),
            solid: settings.is("/settings/solid_panels"),
            shortcuts: settings.is("/settings/shortcuts"),
            instance: status.text("/name").to_owned(),
            version: status.text("/version").to_owned(),
            status: shell_status(&status),
            now_ms: sight.now.unix_ms,
            toasts: toast_of(visit).into_iter().collect(),
        };
        Ok(Self { shell, since, status, settings, sight })
    }

    /// The page around its content: whole, or as htmx wants it.
    pub(super) fn page(&self, visit: &Visit, about: About<'_>, content: &Markup) -> Page {
        self.page_with_status(200, visit, about, content)
    }

    /// The same under another status: 422, 409.
    pub(super) fn page_with_status(
        &self,
        status: u16,
        visit: &Visit,
        about: About<'_>,
        content: &Markup,
    ) -> Page {
        let section = Some(about.section);
        let live = about
            .feed
            .map(|topics| format!("/dashboard/live?topics={topics}&since={}", self.since));
        let url = visit.url();
        let head = Head { section, title: about.title, url: &url, live: live.as_deref() };
        self.framed(status, visit, &head, content)
    }

    fn framed(&self, status: u16, visit: &Visit, head: &Head<'_>, content: &Markup) -> Page {
        let assets = assets::urls();
        let html = if visit.hx.is_fragment {
            let mut html = layout::fragment(assets, head, content).into_string();
            for toast in &self.shell.toasts {
                html.push_str(&toast_fragment(assets, toast).into_string());
            }
            html
        } else {
            layout::page(assets, &self.shell, head, content).into_string()
        };
        let page = Page::html(status, html);
        if visit.cookie(flash::COOKIE).is_some() {
            page.header("set-cookie", flash::clear())
        } else {
            page
        }
    }
}

/// How the router stands, for rail and top bar: of `GET /api/status` and of the event `shell`.
pub(super) fn shell_status(status: &Value) -> ShellStatus {
    let count = |at: &str| usize::try_from(status.int(at).unwrap_or_default()).unwrap_or_default();
    let usable = count("/accounts/ready") + count("/accounts/low");
    let known =
        usable + count("/accounts/out") + count("/accounts/attention") + count("/accounts/off");
    let (tone, health) = match (known, usable) {
        (0, _) => (Tone::Info, "No account yet"),
        (_, 0) => (Tone::Bad, "No account ready"),
        _ if count("/accounts/attention") > 0 => (Tone::Warn, "Needs attention"),
        _ => (Tone::Ok, "Healthy"),
    };
    ShellStatus {
        tone,
        health: health.to_owned(),
        alerts: count("/alerts"),
        in_flight: count("/in_flight"),
        uptime: status.int("/uptime_s").map(span).unwrap_or_default(),
    }
}

/// The zone of the settings; UTC for one that this build does not know.
pub(super) fn zone(settings: &Value) -> TimeZone {
    let name = settings.text("/settings/timezone");
    let named = (!name.is_empty()).then(|| TimeZone::get(name).ok()).flatten();
    named.unwrap_or_else(TimeZone::system)
}

fn theme(visit: &Visit, settings: &Value) -> Theme {
    Theme::parse(visit.cookie("nr_theme").unwrap_or_else(|| settings.text("/settings/theme")))
}

fn toast_of(visit: &Visit) -> Option<Toast> {
    flash::read(visit.cookie(flash::COOKIE)?, visit.now_ms())
}

/// Good news.
pub(super) fn good(text: impl Into<String>) -> Toast {
    Toast { tone: Tone::Ok, text: text.into(), undo: None }
}

/// Good news that can be taken back by posting to `url`.
pub(super) fn undoable(text: impl Into<String>, url: String) -> Toast {
    Toast { undo: Some(("Undo".to_owned(), url)), ..good(text) }
}

/// Whether a switch is to be on: its form says so, or the address of what takes it back.
pub(super) fn switched_on(visit: &Visit) -> bool {
    match visit.form.get("enabled") {
        Some(word) => word == "true",
        None => visit.query("enabled").as_deref() == Some("true"),
    }
}

/// Something worked, but not as hoped for.
pub(super) fn mixed(text: impl Into<String>) -> Toast {
    Toast { tone: Tone::Warn, text: text.into(), undo: None }
}

/// Something did not work.
pub(super) fn bad(text: impl Into<String>) -> Toast {
    Toast { tone: Tone::Bad, text: text.into(), undo: None }
}

/// After a change: the page at `path` as it is now, with a message. Without script the browser goes there.
pub(super) fn done(visit: &Visit, path: &str, toast: &Toast) -> Page {
    let cookie = flash::set(toast, visit.now_ms(), visit.is_https());
    let page = if visit.hx.is_fragment {
        // The page of the form leaves the history: Back does not lead to it again.
        let to = json!({"path": path, "target": "#main", "swap": "innerHTML", "push": "", "replace": "true"});
        Page::empty(204).header("hx-location", to.to_string()).header("hx-trigger", "close-dialog")
    } else {
        Page::see_other(path)
    };
    page.header("set-cookie", cookie)
}

/// After a change that the live feed shows: a message alone. Without script the browser goes to `path`.
pub(super) fn told(visit: &Visit, path: &str, toast: &Toast) -> Page {
    if !visit.hx.is_fragment {
        return done(visit, path, toast);
    }
    let html = toast_fragment(assets::urls(), toast).into_string();
    Page::html(200, html).header("hx-trigger", "close-dialog")
}

impl Refused {
    /// Its message, for people.
    pub(super) fn message(&self) -> String {
        let message = self.error.text("/message");
        if message.is_empty() {
            "The router did not say why.".to_owned()
        } else {
            message.to_owned()
        }
    }

    /// Word for programs.
    pub(super) fn code(&self) -> &str {
        self.error.text("/code")
    }

    /// The answer of an action without a form of its own: a message, where there is a page to show it on.
    pub(super) async fn told(self, visit: &Visit, path: &str) -> Page {
        match self.status {
            422 | 409 | 403 | 429 | 501..=504 if visit.hx.is_fragment => {
                told(visit, path, &bad(self.message()))
            }
            422 | 409 | 429 | 501..=504 => done(visit, path, &bad(self.message())),
            _ => self.page(visit).await,
        }
    }

    /// A page that says what went wrong.
    pub(super) async fn page(self, visit: &Visit) -> Page {
        let problem = match self.status {
            404 => Problem::NotFound,
            405 => Problem::WrongMethod,
            409 => Problem::Conflict { what: self.message(), reload: visit.url() },
            429 => Problem::TooMany { until: None },
            501 => Problem::Missing { what: self.message() },
            503 => Problem::Unavailable { doing: self.message() },
            403 | 428 => Problem::Forbidden {
                reason: self.message(),
                seen: String::new(),
                remedy: String::new(),
            },
            400 | 422 => Problem::Forbidden {
                reason: self.message(),
                seen: String::new(),
                remedy: "Go back and correct it; nothing was changed.".to_owned(),
            },
            _ => Problem::Failed { request_id: visit.request_id.clone() },
        };
        problem_page(visit, &problem).await
    }
}

/// A question before something is done for good: as a dialog's body, or as a page.
pub(super) async fn confirmed(
    visit: &Visit,
    section: Section,
    status: u16,
    view: Confirm,
) -> Result<Page, Refused> {
    if visit.wants_dialog() {
        return Ok(Page::html(status, confirm::dialog(assets::urls(), &view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let about = About { section, title: &view.question, feed: None };
    Ok(stage.page_with_status(status, visit, about, &confirm::page(assets::urls(), &view)))
}

/// A page that says what went wrong, within the frame where the router can draw one.
pub(super) async fn problem_page(visit: &Visit, problem: &Problem) -> Page {
    let title = problem.title();
    match Stage::set(visit).await {
        Ok(stage) => {
            let url = visit.url();
            let head = Head { section: None, title, url: &url, live: None };
            stage.framed(problem.status(), visit, &head, &error_page::content(problem))
        }
        Err(_why) => {
            let theme = Theme::parse(visit.cookie("nr_theme").unwrap_or_default());
            let html = error_page::bare_page(assets::urls(), theme, problem).into_string();
            Page::html(problem.status(), html)
        }
    }
}
