//! Sample data of the pages on providers, accounts, combos and logs.

use maud::Markup;
use ninerouter_templates::account_page::{self, AccountForm, AccountPage, LastError, SecretForm};
use ninerouter_templates::add::{self, KeyForm, ModelForm, Param};
use ninerouter_templates::chart::{self, Shares};
use ninerouter_templates::combo::{
    self, Candidate, Combos, Editor, Entry, Simulation, Starter, Stop,
};
use ninerouter_templates::connect::{self, Approval, Progress, SignIn, Start};
use ninerouter_templates::import::{self, Import};
use ninerouter_templates::job::{self, Job, State};
use ninerouter_templates::layout::Section;
use ninerouter_templates::logs::{
    self, Audit, AuditFilter, AuditRow, Console, Filter, Level, Line,
};
use ninerouter_templates::node::{self, NodeForm, Trial};
use ninerouter_templates::palette::{self, Hit, Palette};
use ninerouter_templates::provider::{self, Model, Models, Provider, Settings, Way};
use ninerouter_templates::providers::{self, Group, Providers, Tile};
use ninerouter_templates::{Choice, Form, Monogram, Tab, Tone};

use crate::sample::{Kind, NOW_MS, Sample, names};

type Named = (&'static str, Markup);

fn tab(label: &str, url: &str, current: bool) -> Tab {
    Tab { label: label.into(), url: url.into(), current }
}

fn pair(value: &str, words: &str) -> (String, String) {
    (value.into(), words.into())
}

impl Sample {
    /// Pages of this file, each with its section, title and content.
    pub(crate) fn catalog_pages(&self) -> Vec<(&'static str, Section, &'static str, Markup)> {
        let assets = &self.assets;
        let (p, c, l) = (Section::Providers, Section::Combos, Section::Logs);
        vec![
            ("providers", p, "Providers", providers::providers(assets, &self.providers())),
            ("provider", p, "Claude Code", self.provider_page()),
            ("key-add", p, "Add API key", add::key_page(assets, &self.key_add(false))),
            ("keys-add", p, "Add many keys", add::key_page(assets, &self.key_add(true))),
            ("model-add", p, "Add model", add::model_page(&self.model_form())),
            ("connect", p, "Sign in", connect::start_page(assets, &self.start())),
            ("sign-in-browser", p, "Sign in", connect::sign_in(assets, &self.sign_in(true, None))),
            ("sign-in-device", p, "Sign in", connect::sign_in(assets, &self.sign_in(false, None))),
            ("import", p, "Import", import::page(&self.import_form())),
            ("palette", l, "Go to …", palette::page(assets, &self.palette())),
            ("account", p, "private", account_page::account_page(assets, &self.account_page())),
            ("account-edit", p, "Edit", account_page::edit_page(&self.account_form())),
            ("account-secret", p, "Replace", account_page::secret_page(&self.secret_form())),
            ("node", p, "Add custom provider", node::node_page(assets, &self.node_form())),
            ("combos", c, "Combos", combo::combos(assets, &self.combos())),
            ("combo", c, "opus", combo::editor(assets, &self.editor())),
            ("logs", l, "Logs", logs::console(assets, &self.console())),
            ("audit", l, "Audit", logs::audit(assets, &self.audit())),
        ]
    }

    /// Fragments of this file.
    pub(crate) fn catalog_fragments(&self) -> Vec<Named> {
        let assets = &self.assets;
        let mut all = vec![
            ("key-add-dialog", add::key_dialog(assets, &self.key_add(false))),
            ("model-add-dialog", add::model_dialog(assets, &self.model_form())),
            ("import-dialog", import::dialog(assets, &self.import_form())),
            ("palette-dialog", palette::dialog(assets, &self.palette())),
            ("palette-hits", palette::hits(&self.palette())),
            ("connect-dialog", connect::start_dialog(assets, &self.start())),
            ("account-edit-dialog", account_page::edit_dialog(assets, &self.account_form())),
            ("secret-dialog", account_page::secret_dialog(assets, &self.secret_form())),
            ("account-state", account_page::state(assets, &self.account_page())),
            ("account-form", account_page::account_form(&self.account_form())),
            ("accounts", provider::account_list(assets, "claude", &self.accounts(), true)),
            ("provider-settings", provider::settings("t", "claude", &self.settings())),
            ("node-form", node::form(assets, &self.node_form())),
            ("combo-form", combo::editor_form(assets, &self.editor())),
            ("simulation", combo::simulation(&self.simulation())),
            ("trial", combo::trial(&self.trial())),
            ("job", job::card(&self.job())),
            ("job-started", job::started(&self.job())),
            ("log", logs::lines(&self.log_lines())),
            (
                "verified",
                logs::verified(assets, Some(&(Tone::Ok, self.text("The chain is whole."))), true),
            ),
            (
                "connected",
                connect::progress(&self.sign_in(
                    true,
                    Some(Progress::Done {
                        text: self.text("Connected as you@example.org, plan Max."),
                        url: "/dashboard/accounts/0199-aa04".into(),
                    }),
                )),
            ),
            (
                "connect-failed",
                connect::progress(&self.sign_in(
                    true,
                    Some(Progress::Failed(self.text("The vendor refused the code."))),
                )),
            ),
        ];
        all.extend(self.tiles().iter().take(1).map(|tile| ("prov", providers::tile(tile))));
        all.extend(
            self.combos().combos.iter().take(1).map(|row| ("combo-row", combo::row(assets, row))),
        );
        all.extend(
            self.models().shown.iter().take(1).map(|model| ("model", provider::model(model))),
        );
        all
    }

    fn tile(&self, id: &str, name: &str, prefix: &str, tier: &str) -> Tile {
        Tile {
            id: id.into(),
            mark: Monogram::new(id, name),
            name: self.text(name),
            prefix: prefix.into(),
            tier: tier.into(),
            status: None,
            counts: Vec::new(),
            day: String::new(),
            button: if tier == "subscription" { "Connect".into() } else { "Add key".into() },
            button_url: String::new(),
        }
    }

    fn tiles(&self) -> Vec<Tile> {
        let mut claude = self.tile("claude", "Claude Code", "cc", "subscription");
        claude.counts = vec![(Tone::Ok, "1 ready".into()), (Tone::Bad, "1 to sign in".into())];
        claude.day = "310 requests in 24 h".into();
        let mut codex = self.tile("codex", "Codex", "cx", "subscription");
        codex.counts = vec![(Tone::Bad, self.text("1 out of quota"))];
        let mut deepseek = self.tile("deepseek", "DeepSeek", "deepseek", "cheap");
        deepseek.counts = vec![(Tone::Ok, "1 ready".into())];
        self.many(vec![claude, codex, deepseek])
    }

    fn providers(&self) -> Providers {
        let mut closed = self.tile("qwen", "Qwen Code", "qw", "free");
        closed.status = Some((Tone::Bad, self.text("closed by vendor 2026-04-15")));
        let groups = vec![
            Group { title: "Connected".into(), tiles: self.tiles() },
            Group {
                title: "Subscription".into(),
                tiles: vec![
                    self.tile("github", "GitHub Copilot", "gh", "subscription"),
                    self.tile("kiro", "Kiro", "kr", "subscription"),
                    self.tile("antigravity", "Antigravity", "ag", "subscription"),
                ],
            },
            Group {
                title: "Free".into(),
                tiles: vec![closed, self.tile("gemini-cli", "Gemini CLI", "gc", "free")],
            },
            Group {
                title: "API key".into(),
                tiles: [
                    "OpenAI",
                    "Anthropic",
                    "OpenRouter",
                    "Groq",
                    "Mistral",
                    "xAI",
                    "Together AI",
                ]
                .iter()
                .map(|name| (name, name.to_lowercase().replace(" ", "-")))
                .map(|(name, id)| self.tile(&id, name, &id, "paid"))
                .collect(),
            },
        ];
        Providers {
            sentence: "3 providers connected, 68 more to choose from.".into(),
            query: if self.kind == Kind::Typical { String::new() } else { self.text("x") },
            filter: "all".into(),
            filters: [
                "All",
                "Connected",
                "Needs attention",
                "Subscription",
                "Free",
                "API key",
                "Local",
                "Custom",
            ]
            .iter()
            .map(|name| tab(name, "/dashboard/providers?filter=x", *name == "All"))
            .collect(),
            groups: self.many(groups),
        }
    }

    fn model(&self, id: &str, enabled: bool) -> Model {
        Model {
            key: self.text(id),
            path: format!("claude/{id}"),
            name: self.text("Claude Opus 4.6"),
            context: "200k".into(),
            output: "64k".into(),
            capabilities: ["vision", "tools", "reasoning", "pdf"].map(String::from).to_vec(),
            price: "$5.00 in · $0.50 cached · $25.00 out".into(),
            source: "catalog".into(),
            test: enabled.then(|| (Tone::Ok, "0.92 s".into(), self.now.ago(NOW_MS - 7_200_000))),
            enabled,
            managed: false,
        }
    }

    fn models(&self) -> Models {
        let shown = match self.kind {
            Kind::Hostile => vec![self.model("claude-opus-4-6", true)],
            Kind::Typical | Kind::Empty => vec![
                self.model("cc/claude-opus-4-6", true),
                self.model("cc/claude-sonnet-4-6", true),
                self.model("cc/claude-haiku-4-5", false),
            ],
        };
        Models {
            query: String::new(),
            shown: self.many(shown),
            total: 14,
            next: Some("/dashboard/providers/claude?models=50".into()),
        }
    }

    fn settings(&self) -> Settings {
        let mut form = Form::default()
            .with("enabled", "true")
            .with("sticky_count", "3")
            .with("headers", &self.text("X-Team: a"));
        if self.kind == Kind::Hostile {
            form.errors =
                vec![("max_in_flight".into(), "Enter a whole number from 1 to 1000".into())];
        }
        Settings {
            rev: 4,
            form,
            strategies: vec![
                pair("", "As in Settings"),
                pair("priority", "By priority"),
                pair("round_robin", "In turn"),
            ],
            tiers: vec![pair("", "As in the catalog"), pair("subscription", "Subscription")],
            proxies: vec![pair("inherit", "As in Settings"), pair("direct", "Direct")],
            endpoints: vec![("api".into(), self.text("https://api.anthropic.com/v1/messages"))],
            managed: false,
        }
    }

    fn provider(&self) -> Provider {
        Provider {
            csrf: "t".into(),
            id: "claude".into(),
            mark: Monogram::new("claude", "Claude Code"),
            name: self.text("Claude Code"),
            facts: vec!["cc/".into(), "Anthropic".into(), "subscription".into()],
            sentence: self.text("1 account ready, 1 out of quota until 14:05."),
            status: (self.kind == Kind::Hostile).then(|| (Tone::Warn, self.text("limited by its vendor"))),
            notice: self.text("The vendor restricts this sign-in to its own client; using it elsewhere may break its terms."),
            vendor_url: Some("https://claude.ai".into()),
            custom: false,
            ways: vec![
                Way { label: "Sign in".into(), icon: "user", effect: "Opens the vendor's page; you approve there.".into(), url: "/dashboard/providers/claude/connect".into() },
                Way { label: "Add API key".into(), icon: "key", effect: "Paste a key from the vendor's console.".into(), url: "/dashboard/providers/claude/keys/new".into() },
                Way { label: "Import".into(), icon: "upload", effect: "Takes the sign-in of a CLI on this computer.".into(), url: "/dashboard/providers/claude/import".into() },
            ],
            accounts: self.accounts(),
            part: (self.kind == Kind::Hostile).then(|| provider::Part {
                words: "6 of 5,000".into(),
                next: Some("/dashboard/providers/claude?accounts=x#accounts".into()),
                first: None,
            }),
            models: self.models(),
            settings: self.settings(),
            names: names("/dashboard/providers/claude"),
        }
    }

    /// Long work stands above what it works on.
    fn provider_page(&self) -> Markup {
        let jobs = self.many(vec![self.job()]);
        maud::html! { (job::cards(&jobs)) (provider::provider(&self.assets, &self.provider())) }
    }

    fn job(&self) -> Job {
        let item = |name: &str, tone, word: &str, message: &str| job::Item {
            name: self.text(name),
            tone,
            word: word.into(),
            message: if message.is_empty() { String::new() } else { self.text(message) },
        };
        Job {
            id: "0199-bb01".into(),
            title: self.text("Add 12 keys to Claude Code"),
            state: State::Running,
            done: Some((7, 12)),
            progress: "7 of 12 · 1 failed · about 8 s left".into(),
            items: vec![
                item("team c", Tone::Bad, "failed", "The provider refused the key (401)."),
                item("team a", Tone::Ok, "done", ""),
                item("team b", Tone::Neutral, "waits", ""),
            ],
        }
    }

    fn key_add(&self, many: bool) -> KeyForm {
        let mut form = Form::default().with("check", "true").with("label", &self.text("main"));
        if self.kind == Kind::Hostile {
            form.problem = Some(self.text("The provider refused this key (401: invalid x-api-key). Check it, or save it anyway."));
        }
        KeyForm {
            csrf: "t".into(),
            provider: "glm".into(),
            name: self.text("GLM"),
            form,
            endpoints: vec![pair("", "z.ai (world)"), pair("china", "bigmodel.cn (China)")],
            params: vec![Param {
                name: "project".into(),
                label: self.text("Project"),
                required: true,
            }],
            key_url: Some("https://z.ai/keys".into()),
            save_anyway: self.kind == Kind::Hostile,
            many,
            service_account: false,
        }
    }

    fn model_form(&self) -> ModelForm {
        ModelForm {
            csrf: "t".into(),
            provider: "glm".into(),
            provider_name: self.text("GLM"),
            form: Form::default().with("caps", "tools"),
            capabilities: ["vision", "tools", "reasoning", "json", "pdf", "audio"]
                .iter()
                .map(|cap| pair(cap, cap))
                .collect(),
        }
    }

    fn start(&self) -> Start {
        Start {
            csrf: "t".into(),
            provider: "kiro".into(),
            name: self.text("Kiro"),
            notice: self.text("The vendor restricts this sign-in to its own client."),
            form: Form::default(),
            fields: vec![
                ("region".into(), "Region".into(), "Empty: us-east-1.".into()),
                ("start_url".into(), "Start URL".into(), String::new()),
            ],
            both: true,
            lacking: String::new(),
            url: "/dashboard/providers/kiro/connect".into(),
        }
    }

    fn import_form(&self) -> Import {
        Import {
            csrf: "t".into(),
            provider: "claude".into(),
            name: self.text("Claude Code"),
            candidates: self.many(vec![import::Candidate {
                key: self.text("file:0"),
                name: self.text("you@example.org"),
                plan: self.text("max 5x"),
                place: self.text("/home/me/.claude/.credentials.json"),
                ends: Some(self.now.until(NOW_MS + 3_600_000)),
            }]),
            nothing: String::new(),
            form: Form::default(),
        }
    }

    fn palette(&self) -> Palette {
        let hit = |name: &str, about: &str, url: &str, keys: &str| Hit {
            name: self.text(name),
            about: self.text(about),
            url: url.into(),
            keys: keys.into(),
        };
        Palette {
            query: self.text("o"),
            hits: self.many(vec![
                hit("Overview", "Page", "/dashboard", "g o"),
                hit("work", "Account · Claude Code", "/dashboard/accounts/0199-aa01", ""),
            ]),
            shortcuts: true,
        }
    }

    fn sign_in(&self, browser: bool, progress: Option<Progress>) -> SignIn {
        let url = "https://auth.example.com/authorize?client_id=x&scope=a+b".to_owned();
        SignIn {
            csrf: "t".into(),
            id: "0199-cc01".into(),
            provider: "kiro".into(),
            name: self.text("Kiro"),
            way: if browser {
                Approval::Browser { url }
            } else {
                Approval::Device { code: "WDJB-MJHT".into(), url }
            },
            progress: progress
                .unwrap_or_else(|| Progress::Waiting(self.text("Waiting for you to approve…"))),
            expires: Some(self.now.until(NOW_MS + 580_000)),
            paste: browser,
            form: Form::default(),
        }
    }

    fn account_form(&self) -> AccountForm {
        let form = Form::default()
            .with("label", &self.text("private"))
            .with("priority", "10")
            .with("proxy", "inherit")
            .with("notes", &self.text("second seat"));
        AccountForm {
            csrf: "t".into(),
            id: "0199-aa04".into(),
            label: self.text("private"),
            hide_label: self.kind == Kind::Hostile,
            rev: 7,
            form,
            proxies: vec![pair("inherit", "As for the provider"), pair("direct", "Direct")],
            tiers: vec![pair("", "As for the provider"), pair("free", "Free")],
            endpoints: Vec::new(),
            params: vec![Param { name: "region".into(), label: "Region".into(), required: false }],
            managed: self.kind == Kind::Empty,
        }
    }

    fn account_page(&self) -> AccountPage {
        let mut account = self.account("0199-aa04", "Claude Code", "private", "ready");
        let rich = self.accounts().into_iter().find(|one| !one.locks.is_empty());
        if let Some(other) = rich {
            (account.locks, account.windows) = (other.locks, other.windows);
        }
        AccountPage {
            account,
            provider: ("claude".into(), self.text("Claude Code")),
            credential: vec![
                pair("Access token", "ends in 42 m"),
                pair("Stored", "renewed 12 times"),
            ],
            last_error: (self.kind != Kind::Empty).then(|| LastError {
                text: self.text(
                    "Claude Code asked to slow down (429). Requests went to the next account.",
                ),
                at: Some(self.now.ago(NOW_MS - 300_000)),
                raw: self.text("429 {\"error\":{\"type\":\"rate_limit_error\"}}"),
            }),
            requests: self.overview().requests,
            form: self.account_form(),
            names: names("/dashboard/accounts/0199-aa04"),
        }
    }

    fn secret_form(&self) -> SecretForm {
        SecretForm {
            csrf: "t".into(),
            id: "0199-aa05".into(),
            label: self.text("main"),
            stored: "set · ends with c4Qz".into(),
            form: Form::default(),
        }
    }

    fn node_form(&self) -> NodeForm {
        let network = |value: &str, label: &str, effect: &str| Choice {
            value: value.into(),
            label: label.into(),
            effect: effect.into(),
        };
        NodeForm {
            csrf: "t".into(),
            existing: (self.kind == Kind::Hostile).then(|| ("n1".to_owned(), self.text("vLLM"), 2)),
            form: Form::default()
                .with("name", &self.text("vLLM"))
                .with("network", "private")
                .with("auth_style", "bearer"),
            types: vec![
                pair("openai_chat", "OpenAI Chat"),
                pair("anthropic", "Anthropic Messages"),
            ],
            auth_styles: vec![
                pair("bearer", "Bearer"),
                pair("x-api-key", "x-api-key"),
                pair("none", "None"),
            ],
            networks: vec![
                network("public", "On the internet", "Addresses of private networks are refused."),
                network("private", "In my network", "Addresses of private networks are allowed."),
                network("loopback", "On this computer", "This computer alone is allowed."),
            ],
            model_sources: vec![pair("fetch", "Asked for"), pair("manual", "By hand")],
            called_url: self.text("http://192.168.1.30:8000/v1/chat/completions"),
            trial: (self.kind != Kind::Empty).then(|| Trial {
                tone: Tone::Ok,
                word: "Reached".into(),
                facts: vec![
                    pair("Called", "http://192.168.1.30:8000/v1/models"),
                    pair("Answer", &self.text("200 in 84 ms")),
                    pair("Models", "3"),
                ],
            }),
        }
    }

    fn stop(&self, target: &str, tone: Tone, why: &str, until: bool) -> Stop {
        Stop {
            target: self.text(target),
            tone,
            why: why.into(),
            until: until.then(|| self.now.until(NOW_MS + 2_880_000)),
        }
    }

    fn combos(&self) -> Combos {
        let row = |id: &str, name: &str, serving: &str| combo::Row {
            id: id.into(),
            name: self.text(name),
            strategy: "In order".into(),
            enabled: true,
            path: vec![
                self.stop("cc/claude-opus-4-6", Tone::Ok, "", false),
                self.stop("cx/gpt-5.2", Tone::Bad, "out of quota", true),
                self.stop("glm/glm-5", Tone::Ok, "", false),
            ],
            serving: self.text(serving),
            day: "310 requests in 24 h, 99.1 % answered".into(),
            managed: false,
        };
        let mut off = row("c3", "night", "");
        off.enabled = false;
        let starter = |title: &str, effect: &str, missing: &[&str]| Starter {
            title: title.into(),
            effect: effect.into(),
            targets: vec!["cc/claude-opus-4-6".into(), "glm/glm-5".into()],
            missing: missing.iter().map(|name| self.text(name)).collect(),
            template: "maximise".into(),
        };
        Combos {
            csrf: "t".into(),
            sentence: "3 combos, all can serve.".into(),
            combos: self.many(vec![
                row("c1", "opus", "cc/claude-opus-4-6 · private"),
                row("c2", "fast", "glm/glm-5 · main"),
                off,
            ]),
            starters: vec![
                starter(
                    "Maximise subscription",
                    "Your plans first, a cheap key when they are used up.",
                    &[],
                ),
                starter("Zero cost", "Free tiers only.", &["Gemini CLI"]),
                starter("Always on", "Everything you have, in order of price.", &[]),
            ],
            aliases: self.many(vec![
                (self.text("gpt-4o"), self.text("opus")),
                ("claude-3-5-sonnet".into(), "cc/claude-sonnet-4-6".into()),
            ]),
            alias_form: Form::default(),
            targets: vec![self.text("cc/claude-opus-4-6"), "fast".into()],
        }
    }

    fn editor(&self) -> Editor {
        let entry = |key: &str, target: &str, state: Option<(Tone, String)>, error: &str| Entry {
            key: key.into(),
            target: self.text(target),
            weight: "1".into(),
            enabled: true,
            account: String::new(),
            accounts: vec![pair("", "Any account"), ("a1".into(), self.text("private"))],
            state,
            facts: ["200k", "vision, tools", "$5.00 in", "subscription"].map(String::from).to_vec(),
            error: error.into(),
        };
        let choice = |value: &str, label: &str, effect: &str| Choice {
            value: value.into(),
            label: label.into(),
            effect: effect.into(),
        };
        Editor {
            csrf: "t".into(),
            existing: (self.kind != Kind::Empty).then(|| ("c1".to_owned(), self.text("opus"), 3)),
            form: Form::default()
                .with("name", &self.text("opus"))
                .with("strategy", "fallback")
                .with("enabled", "true"),
            strategies: vec![
                choice("fallback", "In order", "The first that can serve does."),
                choice("round_robin", "In turn", "Each entry gets its turn."),
                choice("weighted", "By weight", "Shares as you set them."),
            ],
            entries: self.many(vec![
                entry("e1", "cc/claude-opus-4-6", Some((Tone::Ok, "Ready".into())), ""),
                entry("e2", "cx/gpt-5.2", Some((Tone::Bad, "Out of quota".into())), ""),
                entry(
                    "new-1",
                    "glm/glm-5",
                    None,
                    if self.kind == Kind::Hostile { "There is no such model" } else { "" },
                ),
            ]),
            weighted: self.kind == Kind::Hostile,
            warnings: self.many(vec![
                self.text("glm/glm-5 reads no images: requests with one go on to the next entry."),
            ]),
            targets: vec!["cc/claude-opus-4-6".into()],
            served: (self.kind != Kind::Empty).then(|| Shares {
                id: "served-share",
                title: "Requests by model".into(),
                parts: vec![
                    (chart::Group { name: self.text("cc/claude-opus-4-6"), tint: 1 }, 310),
                    (chart::Group { name: self.text("glm/glm-4.7"), tint: 2 }, 12),
                ],
            }),
            pretend: vec![("claude".into(), self.text("Claude Code")), pair("codex", "Codex")],
            managed: false,
        }
    }

    fn simulation(&self) -> Simulation {
        let candidate = |target: &str, why: &str| Candidate {
            target: self.text(target),
            about: self.text("private · subscription"),
            why: why.into(),
            until: (!why.is_empty()).then(|| self.now.until(NOW_MS + 2_880_000)),
        };
        Simulation {
            model: self.text("opus"),
            serves: if self.kind == Kind::Empty { String::new() } else { self.text("glm/glm-5") },
            order: self.many(vec![
                candidate("cc/claude-opus-4-6", "pretended to be out"),
                candidate("cx/gpt-5.2", "out of quota"),
                candidate("glm/glm-5", ""),
            ]),
            unusable: self.many(vec![self.text("if/kimi: no account")]),
            problem: String::new(),
        }
    }

    fn trial(&self) -> combo::Trial {
        let attempt = |target: &str, outcome, why: &str, took: &str| combo::Attempt {
            target: self.text(target),
            account: self.text("work"),
            outcome,
            why: self.text(why),
            took: took.into(),
        };
        combo::Trial {
            outcome: (Tone::Ok, "Answered by glm/glm-4.7".into()),
            attempts: self.many(vec![
                attempt(
                    "cc/claude-opus-4-6",
                    (Tone::Bad, "failed"),
                    "429 · rate limited",
                    "312 ms",
                ),
                attempt("glm/glm-4.7", (Tone::Ok, "answered"), "", "1.42 s"),
            ]),
            answer: self.text("ready"),
            facts: vec!["1.80 s".into(), "12 tokens in, 1 out".into()],
            problem: String::new(),
        }
    }

    fn log_lines(&self) -> Vec<Line> {
        let line = |s: i64, level, component: &str, message: &str, fields: &[(&str, &str)]| Line {
            at: self.now.clock(NOW_MS - s * 1_000),
            level,
            component: component.into(),
            message: self.text(message),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), self.text(value)))
                .collect(),
        };
        self.many(vec![
            line(90, Level::Info, "server", "listening", &[("address", "0.0.0.0:20128")]),
            line(
                61,
                Level::Info,
                "gateway",
                "request served",
                &[("request_id", "req_09"), ("provider", "glm"), ("status", "200")],
            ),
            line(
                40,
                Level::Warn,
                "quota",
                "usage could not be read; the last figures stay",
                &[("account", "seat 2"), ("status", "429")],
            ),
            line(
                12,
                Level::Error,
                "refresh",
                "the vendor ended this sign-in; sign in again",
                &[("account", "work")],
            ),
            line(1, Level::Debug, "net", "connection reused", &[("host", "api.z.ai")]),
        ])
    }

    fn log_tabs(&self, audit: bool) -> Vec<Tab> {
        vec![
            tab("Console", "/dashboard/logs?tab=console", !audit),
            tab("Audit", "/dashboard/logs?tab=audit", audit),
        ]
    }

    fn console(&self) -> Console {
        Console {
            csrf: "t".into(),
            tabs: self.log_tabs(false),
            sentence: "The server logs from info up.".into(),
            levels: ["Errors", "Warnings", "Info", "Debug"]
                .iter()
                .map(|name| tab(name, "/dashboard/logs?level=x", *name == "Info"))
                .collect(),
            filter: Filter { q: self.text("x"), ..Filter::default() },
            lines: self.log_lines(),
            older: Some("/dashboard/logs?cursor=1".into()),
            download_url: "/dashboard/logs/download".into(),
            may_debug: true,
        }
    }

    fn audit(&self) -> Audit {
        let row = |seq: i64, sentence: &str, event: &str, tone: Tone, word: &str| AuditRow {
            seq,
            at: self.now.date(NOW_MS - 60_000 * (100 - seq)),
            sentence: self.text(sentence),
            event: event.into(),
            outcome: (tone, word.into()),
            actor: self.text("session 3f9a"),
            ip: "192.168.1.7".into(),
            path: self.text("POST /api/auth/password"),
            detail: self.text("{\n  \"sessions_ended\": 2\n}"),
        };
        Audit {
            tabs: self.log_tabs(true),
            sentence: "Every change of security is kept, each row sealed by the one before.".into(),
            filter: AuditFilter::default(),
            events: vec![pair("", "Any event"), pair("auth", "Sign-in")],
            rows: self.many(vec![
                row(42, "Password changed from 192.168.1.7", "password.changed", Tone::Ok, "Done"),
                row(41, "Sign-in refused from 203.0.113.9", "login.failed", Tone::Bad, "Denied"),
            ]),
            older: None,
            export_url: "/dashboard/audit/export".into(),
            verified: (self.kind != Kind::Empty)
                .then(|| (Tone::Ok, "The chain is whole: 42 rows.".into())),
        }
    }
}
