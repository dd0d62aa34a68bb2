//! Sample data of every view: typical, empty, and hostile. Shared by the gallery and the tests.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "sample data is fixed")]

use jiff::tz::TimeZone;
use maud::Markup;
use ninerouter_templates::account::{self, Account, LockLine, Window};
use ninerouter_templates::assets::{Assets, Script};
use ninerouter_templates::chart::{Bar, Bars, Group, Shares};
use ninerouter_templates::confirm::{self, Confirm};
use ninerouter_templates::endpoint::{Address, Endpoint, Requirement, endpoint};
use ninerouter_templates::error_page::{self, Problem};
use ninerouter_templates::key::{self, Created, KeyForm};
use ninerouter_templates::layout::{self, Head, Section, Shell, ShellStatus, Theme};
use ninerouter_templates::login::{FirstRun, Login, first_run, login};
use ninerouter_templates::moment::Now;
use ninerouter_templates::overview::{
    Alert, Alerts, Connect, FirstSteps, Overview, Stats, Usage, overview,
};
use ninerouter_templates::remote::{Guide, Remote};
use ninerouter_templates::request::{Row, Running, Step};
use ninerouter_templates::sudo::{self, Sudo};
use ninerouter_templates::{Form, Monogram, Names, Snippet, Stat, Tab, Toast, Tone};

mod catalog;

/// What the data is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A router in use.
    Typical,
    /// A fresh one.
    Empty,
    /// Names that want to be mark-up, and long ones.
    Hostile,
}

/// Strings that must come out as text.
pub(crate) const HOSTILE: [&str; 5] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "javascript:alert(1)",
    "' onmouseover='alert(1)",
    "\u{202e}gnp.exe\u{202c}\u{200b}\r\n\u{1b}[31mred",
];

/// The present of all samples: 2026-11-30 00:53:20 UTC.
pub(crate) const NOW_MS: i64 = 1_796_000_000_000;

/// Sample data of one kind.
#[derive(Debug)]
pub(crate) struct Sample {
    kind: Kind,
    assets: Assets,
    now: Now,
    theme: Theme,
}

impl Sample {
    /// With the URLs of `assets`.
    pub(crate) fn new(kind: Kind, assets: Assets, theme: Theme) -> Self {
        Self { kind, assets, now: Now { unix_ms: NOW_MS, zone: TimeZone::UTC }, theme }
    }

    /// `normal`, or one of the hostile strings grown to 300 characters.
    fn text(&self, normal: &str) -> String {
        if self.kind != Kind::Hostile {
            return normal.to_owned();
        }
        let at = normal.len() % HOSTILE.len();
        let mut text = format!("{} {normal} ", HOSTILE[at]);
        while text.chars().count() < 300 {
            text.push('W');
        }
        text
    }

    fn many<T>(&self, all: Vec<T>) -> Vec<T> {
        if self.kind == Kind::Empty { Vec::new() } else { all }
    }

    fn shell(&self) -> Shell {
        Shell {
            csrf: "c5rf-Sample_Token".into(),
            theme: self.theme,
            solid: false,
            shortcuts: true,
            instance: self.text("berlin"),
            version: "0.1.0".into(),
            status: ShellStatus {
                tone: Tone::Ok,
                health: "Healthy".into(),
                alerts: if self.kind == Kind::Empty { 0 } else { 2 },
                in_flight: 3,
                uptime: "4 d 6 h".into(),
            },
            now_ms: NOW_MS,
            toasts: Vec::new(),
        }
    }

    fn framed(
        &self,
        section: Section,
        title: &str,
        url: &str,
        live: Option<&str>,
        body: &Markup,
    ) -> Markup {
        let head = Head { section: Some(section), title, url, live };
        layout::page(&self.assets, &self.shell(), &head, body)
    }

    /// Every page by name, as a browser gets it.
    pub(crate) fn pages(&self) -> Vec<(&'static str, Markup)> {
        let assets = &self.assets;
        let on = |section, title: &str, body: Markup| {
            self.framed(section, title, "/dashboard", None, &body)
        };
        let mut all = vec![
            ("login", login(assets, &self.login(false))),
            ("set-up", login(assets, &self.login(true))),
            ("first-run", first_run(assets, &self.first_run())),
            (
                "overview",
                self.framed(
                    Section::Overview,
                    "Overview",
                    "/dashboard?period=today",
                    Some("/dashboard/live?topics=shell,alerts,stats,inflight,acct,req&view=card&since=1-7"),
                    &overview(assets, &self.overview()),
                ),
            ),
            ("endpoint", on(Section::Endpoint, "Endpoint", endpoint(assets, &self.endpoint()))),
            ("key-new", on(Section::Endpoint, "New key", key::form_page(&self.key_form()))),
            ("key-created", on(Section::Endpoint, "Copy your key now", key::created_page(assets, &self.created()))),
            ("confirm", on(Section::Endpoint, "Revoke", confirm::page(assets, &self.confirm()))),
            ("sudo", on(Section::Endpoint, "Enter your password", sudo::page(&self.sudo()))),
            ("not-found", on(Section::Overview, "No such page", error_page::content(&Problem::NotFound))),
            ("forbidden", error_page::bare_page(assets, self.theme, &self.forbidden())),
            (
                "unavailable",
                error_page::bare_page(assets, self.theme, &Problem::Unavailable { doing: "The database is being brought up to date.".into() }),
            ),
        ];
        all.extend(
            self.catalog_pages()
                .into_iter()
                .map(|(name, section, title, body)| (name, on(section, title, body))),
        );
        all
    }

    /// Every fragment by name, as the feed or an answer to htmx sends it.
    pub(crate) fn fragments(&self) -> Vec<(&'static str, Markup)> {
        let assets = &self.assets;
        let view = self.overview();
        let toast = Toast {
            tone: Tone::Ok,
            text: self.text("Saved."),
            undo: Some(("Undo".into(), "/dashboard/undo".into())),
        };
        let head = Head {
            section: Some(Section::Combos),
            title: "Combos",
            url: "/dashboard/combos",
            live: None,
        };
        let mut all = vec![
            ("fragment", layout::fragment(assets, &head, &maud::html! { h1 { "Combos" } })),
            ("shell", layout::shell_fragment(&self.shell().status)),
            ("toast", ninerouter_templates::toast_fragment(assets, &toast)),
            ("alerts", ninerouter_templates::overview::alerts(assets, &view.alerts)),
            ("stats", ninerouter_templates::overview::stats(&view.stats)),
            ("inflight", ninerouter_templates::request::running(&view.running)),
            ("req", ninerouter_templates::request::rows(&view.requests)),
            ("keys", key::list(assets, &self.keys(), true)),
            ("key-dialog", key::form_dialog(assets, &self.key_form())),
            ("created-dialog", key::created_dialog(assets, &self.created())),
            ("confirm-dialog", confirm::dialog(assets, &self.confirm())),
            ("sudo-dialog", sudo::dialog(assets, &self.sudo())),
            (
                "requirement",
                ninerouter_templates::endpoint::requirement("t", &self.endpoint().requirement),
            ),
        ];
        if let Some(one) = self.accounts().first() {
            all.push(("acct-card", account::card(assets, one)));
            all.push(("acct-row", account::row(assets, one)));
        }
        all.extend(self.catalog_fragments());
        all
    }

    fn login(&self, set_up: bool) -> Login {
        let form = if self.kind == Kind::Typical {
            Form::default()
        } else {
            Form { problem: Some(self.text("The password is wrong.")), ..Form::default() }
        };
        Login {
            theme: self.theme,
            csrf: "t".into(),
            next: "/dashboard/combos".into(),
            reason: self.text("Your session ended."),
            form,
            wait: None,
            set_up,
        }
    }

    fn first_run(&self) -> FirstRun {
        FirstRun {
            theme: self.theme,
            csrf: "t".into(),
            reason: self.text(
                "You signed in with the default password. Choose your own before anything else.",
            ),
            form: Form {
                errors: self
                    .many(vec![("repeat".into(), self.text("Enter the same password twice"))]),
                ..Form::default()
            },
            ask_current: false,
            may_skip: true,
        }
    }

    fn window(
        &self,
        label: &str,
        left: Option<u8>,
        text: &str,
        resets_s: i64,
        pace: &str,
    ) -> Window {
        Window {
            label: self.text(label),
            left_percent: left,
            text: text.into(),
            resets: Some(self.now.until(NOW_MS + resets_s * 1_000)),
            pace: pace.into(),
        }
    }

    fn account(&self, id: &str, provider: &str, label: &str, standing: &str) -> Account {
        Account {
            id: id.into(),
            provider: "claude".into(),
            mark: Monogram::new(provider, provider),
            label: self.text(label),
            about: self.text(provider),
            email: self.text("you@example.org"),
            standing: account::Standing::parse(standing).expect("a status word"),
            line: String::new(),
            until: None,
            enabled: true,
            windows: Vec::new(),
            no_windows: String::new(),
            credits: String::new(),
            locks: Vec::new(),
            facts: vec!["priority 10".into(), "1.2M tokens today".into()],
            in_flight: "1 of 8".into(),
            day: "310 requests, 1.2 % failed".into(),
            last_used: Some(self.now.ago(NOW_MS - 12_000)),
            as_of: Some(self.now.ago(NOW_MS - 40_000)),
            stale: false,
            refreshable: true,
            signed_in: true,
            managed: false,
            movable: true,
        }
    }

    /// Accounts, worst first.
    fn accounts(&self) -> Vec<Account> {
        let mut dead = self.account("0199-aa01", "Claude Code", "work", "sign_in_again");
        dead.line = self.text("the sign-in was revoked; sign in again or replace the credential");
        dead.no_windows = "No figures since 2026-11-29 18:02".into();
        let mut out = self.account("0199-aa02", "Codex", "seat 2", "out_of_quota");
        out.line = "its quota is used up".into();
        out.until = Some(self.now.until(NOW_MS + 2_890_000));
        out.windows = vec![
            self.window("Session (5 h)", Some(0), "0% left", 2_890, ""),
            self.window("Week", Some(38), "38% left", 260_000, ""),
        ];
        let mut blocked = self.account("0199-aa03", "Gemini CLI", "free", "partly_blocked");
        blocked.line = self.text("model:gemini-3-pro");
        blocked.until = Some(self.now.until(NOW_MS + 24_000));
        blocked.locks = vec![LockLine {
            scope: self.text("model:gemini-3-pro"),
            words: self.text("gemini-3-pro"),
            reason: self.text("rate limited (429)"),
            until: self.now.until(NOW_MS + 24_000),
        }];
        blocked.windows =
            vec![self.window("gemini-3-pro", Some(24), "24% left · 240 of 1,000", 61_000, "")];
        let mut ready = self.account("0199-aa04", "Claude Code", "private", "ready");
        ready.about = self.text("Claude Code · Max 5x");
        ready.windows = vec![
            self.window(
                "Session (5 h)",
                Some(62),
                "62% left",
                7_500,
                "at this pace empty in 1 h 20 m",
            ),
            self.window("Week", Some(81), "81% left", 360_000, ""),
        ];
        let mut key = self.account("0199-aa05", "DeepSeek", "main", "ready");
        (key.signed_in, key.refreshable) = (false, false);
        key.credits = "$12.50 left".into();
        key.no_windows = "No usage data from this provider · 84 requests today".into();
        key.as_of = None;
        let mut off = self.account("0199-aa06", "GLM", "old", "off");
        (off.enabled, off.stale) = (false, true);
        off.line = "You turned this off".into();
        self.many(vec![dead, out, blocked, ready, key, off])
    }

    fn stat(&self, label: &str, figure: &str, full: &str, note: &str) -> Stat {
        let unknown = self.kind == Kind::Empty;
        Stat {
            label: label.into(),
            figure: if unknown { "—".into() } else { figure.into() },
            full: if unknown { String::new() } else { full.into() },
            note: if unknown { "no request yet".into() } else { note.into() },
        }
    }

    fn stats(&self) -> Stats {
        let tab = |label: &str, period: &str| Tab {
            label: label.into(),
            url: format!("/dashboard?period={period}"),
            current: period == "today",
        };
        Stats {
            periods: vec![tab("Today", "today"), tab("7 d", "7d"), tab("30 d", "30d")],
            figures: vec![
                self.stat("Requests", "1,284", "", "99.2 % answered"),
                self.stat(
                    "Tokens",
                    "47.2M",
                    "47,230,113 tokens",
                    "44.9M in (38.1M cached) · 2.3M out",
                ),
                self.stat("You paid", "$1.84", "", "2 models unpriced"),
                self.stat("Saved", "$212.40", "", "of $214.24 list price"),
            ],
            live: true,
        }
    }

    fn request(&self, id: &str, asked: &str, tone: Tone, words: &str, skipped: bool) -> Row {
        let mut path = vec![Step { target: self.text("glm/glm-5"), skipped: None }];
        if skipped {
            path.insert(
                0,
                Step {
                    target: self.text("cc/claude-opus-4-6"),
                    skipped: Some(self.text("out of quota")),
                },
            );
        }
        Row {
            id: id.into(),
            at: self.now.clock(NOW_MS - 61_000),
            tool: self.text("Claude Code"),
            key: self.text("laptop"),
            asked: self.text(asked),
            path,
            account: self.text("private"),
            outcome: (tone, words.into()),
            tokens: ("41,203".into(), "38,912".into(), "1,120".into()),
            cost: "$0.0312".into(),
            first_token: "0.92 s".into(),
            total: "14.31 s".into(),
        }
    }

    fn overview(&self) -> Overview {
        let alerts = Alerts {
            shown: self.many(vec![
                Alert {
                    id: "al-1".into(),
                    tone: Tone::Bad,
                    title: self.text("Claude Code “work” must sign in again"),
                    consequence: self.text("The provider ended this sign-in. Requests go to the next target of each combo."),
                    action: Some(("Reconnect".into(), "/dashboard/accounts/0199-aa01/reconnect".into())),
                },
                Alert {
                    id: String::new(),
                    tone: Tone::Warn,
                    title: self.text("2 models have no price"),
                    consequence: "Their cost is not in the figures below.".into(),
                    action: None,
                },
            ]),
            more: 0,
        };
        Overview {
            sentence: self
                .text("2 accounts ready, 1 partly blocked, 1 out of quota, 1 to sign in."),
            alerts,
            connect: Connect {
                openai_url: self.text("http://192.168.1.20:20128/v1"),
                anthropic_url: "http://192.168.1.20:20128".into(),
                tunnel_url: (self.kind == Kind::Hostile)
                    .then(|| self.text("https://router.example.org/v1")),
                access: "Clients need an API key.".into(),
            },
            first_steps: (self.kind == Kind::Empty).then(|| FirstSteps {
                has_account: false,
                has_request: false,
                curl: self.curl(),
            }),
            stats: self.stats(),
            running: self.many(vec![
                Running {
                    id: "req_01".into(),
                    started: self.now.ago(NOW_MS - 8_000),
                    asked: self.text("opus"),
                    target: self.text("cc/claude-opus-4-6"),
                    account: self.text("private"),
                    tokens: "412 tokens".into(),
                    cancellable: true,
                },
                Running {
                    id: "req_02".into(),
                    started: self.now.ago(NOW_MS),
                    asked: self.text("fast"),
                    target: String::new(),
                    account: String::new(),
                    tokens: String::new(),
                    cancellable: false,
                },
            ]),
            accounts: self.accounts(),
            account_count: self.accounts().len(),
            usage: self.usage(),
            names: names("/dashboard"),
            requests: self.many(vec![
                self.request("req_10", "opus", Tone::Info, "streaming", false),
                self.request("req_09", "opus", Tone::Ok, "200 OK", true),
                self.request("req_08", "cc/claude-haiku-4-5", Tone::Bad, "429 rate limited", true),
                self.request("req_07", "fast", Tone::Ok, "200 OK", false),
            ]),
        }
    }

    fn usage(&self) -> Usage {
        let group = |name: &str, tint| Group { name: self.text(name), tint };
        let days =
            [("Sat 28 Nov", "28", 0), ("Sun 29 Nov", "29", 41_200), ("Mon 30 Nov", "30", 68_100)];
        let bar = |(at, (label, short, tokens)): (usize, (&str, &str, i64))| Bar {
            label: label.into(),
            short: short.into(),
            values: vec![tokens, tokens / 5],
            so_far: at == 2,
            no_data: tokens == 0,
        };
        let bars = Bars {
            id: "tokens",
            title: "Tokens per day".into(),
            unit: "tokens",
            groups: vec![group("Claude Code", 7), group("GLM", 2)],
            bars: days.into_iter().enumerate().map(bar).collect(),
        };
        Usage {
            days: 7,
            tokens: (self.kind != Kind::Empty).then_some(bars),
            tiers: Shares {
                id: "tier-share",
                title: "Tokens by tier".into(),
                parts: vec![(group("Subscription", 2), 109_300), (group("Free", 3), 21_860)],
            },
        }
    }

    fn remote(&self) -> Remote {
        Remote {
            sentence: "1 tunnel is named.".into(),
            guides: vec![Guide {
                title: "Tailscale Funnel".into(),
                effect: "Your machine's name answers on the internet.".into(),
                lines: Snippet {
                    title: "Tailscale Funnel".into(),
                    language: "shell".into(),
                    code: "tailscale funnel --bg 20128".into(),
                },
                end: "It ends with: tailscale funnel reset".into(),
            }],
            form: Form::default().with("tunnel_hosts", &self.text("router.example.org")),
            fixed_by: String::new(),
        }
    }

    fn curl(&self) -> Snippet {
        Snippet {
            title: "curl".into(),
            language: "shell".into(),
            code: self.text("curl -N http://127.0.0.1:20128/v1/chat/completions -H 'content-type: application/json' \\\n  -d '{\"model\":\"fast\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Say hello\"}]}'"),
        }
    }

    fn keys(&self) -> Vec<key::Row> {
        let row = |id: &str, name: &str, standing, limits: &[&str]| key::Row {
            id: id.into(),
            name: self.text(name),
            shown: "sk-nr1-9fK…c4Qz".into(),
            standing,
            limits: limits.iter().map(|limit| self.text(limit)).collect(),
            last_used: Some(self.now.ago(NOW_MS - 240_000)),
            expires: None,
            former_until: None,
            managed: false,
        };
        let mut old = row("k2", "old laptop", key::Standing::Expired, &[]);
        old.expires = Some(self.now.date(NOW_MS - 90_000_000));
        let mut rotated =
            row("k4", "ci", key::Standing::Active, &["20 requests/min", "$0.40 of $5.00 today"]);
        (rotated.former_until, rotated.last_used) =
            (Some(self.now.until(NOW_MS + 3_600_000)), None);
        self.many(vec![
            row("k1", "laptop", key::Standing::Active, &["combos fast, opus"]),
            rotated,
            old,
            row("k3", "stolen", key::Standing::Revoked, &[]),
        ])
    }

    fn endpoint(&self) -> Endpoint {
        let address = |clients: &str, url: &str, note: &str| Address {
            clients: clients.into(),
            url: self.text(url),
            note: note.into(),
        };
        Endpoint {
            csrf: "t".into(),
            sentence: self.text("Listens on 0.0.0.0:20128. Clients need an API key."),
            addresses: vec![
                address("OpenAI, Codex, Cursor, Cline", "http://192.168.1.20:20128/v1", ""),
                address("Claude Code", "http://192.168.1.20:20128", "Without /v1: Claude Code adds it."),
                address("Gemini CLI and SDKs", "http://192.168.1.20:20128/v1beta", ""),
            ],
            snippets: vec![
                self.curl(),
                Snippet {
                    title: "Claude Code".into(),
                    language: "shell".into(),
                    code: self.text("export ANTHROPIC_BASE_URL=http://192.168.1.20:20128\nexport ANTHROPIC_AUTH_TOKEN=sk-nr1-…\nclaude --model opus"),
                },
            ],
            keys: self.keys(),
            remote: self.remote(),
            requirement: Requirement {
                form: Form::default().with("require_api_key", "auto"),
                sentence: self.text("The router listens beyond this computer, so every client needs a key."),
                fixed_by: String::new(),
            },
        }
    }

    fn key_form(&self) -> KeyForm {
        let mut form = Form::default()
            .with("name", &self.text("laptop"))
            .with("expires", "90")
            .with("rpm", "20");
        if self.kind == Kind::Hostile {
            form.errors = vec![
                ("name".into(), self.text("Choose another name: this one is taken")),
                ("usd_day".into(), "Enter an amount like 5.00".into()),
            ];
        }
        let existing = (self.kind == Kind::Hostile).then(|| ("k1".to_owned(), 3));
        KeyForm { csrf: "t".into(), existing, form }
    }

    fn created(&self) -> Created {
        Created {
            name: self.text("laptop"),
            text: "sk-nr1-9fKexample0000000000000000000000000000c4Qz".into(),
            snippets: vec![self.curl()],
        }
    }

    fn confirm(&self) -> Confirm {
        Confirm {
            csrf: "t".into(),
            question: self.text("Revoke the key “laptop”?"),
            consequences: self.many(vec![
                self.text("Used 4 minutes ago by Claude Code from 192.168.1.7."),
                "It cannot be taken back.".into(),
            ]),
            verb: "Revoke key".into(),
            url: "/dashboard/endpoint/keys/k1/revoke".into(),
            values: vec![("rev".into(), "3".into())],
            choice: Some(("now".into(), "End its running requests too".into())),
            typed: (self.kind == Kind::Hostile).then(|| "DELETE".into()),
            back: ("Endpoint".into(), "/dashboard/endpoint".into()),
            form: Form::default(),
        }
    }

    fn sudo(&self) -> Sudo {
        Sudo {
            csrf: "t".into(),
            purpose: self.text("change who needs a key"),
            form: Form {
                problem: (self.kind == Kind::Hostile).then(|| "The password is wrong.".into()),
                ..Form::default()
            },
            wait: Some(self.now.until(NOW_MS + 240_000)),
            replay: None,
        }
    }

    fn forbidden(&self) -> Problem {
        Problem::Forbidden {
            reason: "The dashboard is open to admitted addresses only.".into(),
            seen: self.text("203.0.113.9"),
            remedy: "Add it to ip_whitelist from an admitted address, or run `ninerouter admin` on the computer itself.".into(),
        }
    }
}

/// URLs below `root`, as a server would name them, without hashes.
pub(crate) fn assets(root: &str, integrity: impl Fn(&str) -> String) -> Assets {
    let script = |name: &str| Script { url: format!("{root}/{name}"), integrity: integrity(name) };
    Assets {
        css: format!("{root}/app.css"),
        icons: format!("{root}/icons.svg"),
        app: script("app.js"),
        signed_in: vec![
            script("vendor/htmx-2.0.11.min.js"),
            script("vendor/htmx-ext-sse-2.2.4.min.js"),
            script("live.js"),
            script("order.js"),
        ],
    }
}

/// The switch of account names on a page.
pub(crate) fn names(page: &str) -> Names {
    Names { hidden: false, url: format!("/dashboard/names?hide=1&back={page}") }
}
