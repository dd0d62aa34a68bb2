//! Every stored setting, declared once: name, type, default, environment names, doc line.
//!
//! Help texts, the table in the README, validation and the typed snapshot are made from this table.

use serde_json::Value;

use crate::config::kind::Kind;

/// Default of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// Not set.
    Unset,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'static str),
    /// A list of texts.
    List(&'static [&'static str]),
    /// Found out at start; the text says how.
    Found(&'static str),
}

impl Preset {
    /// The default as JSON; null when there is none or it is found out at start.
    #[must_use]
    pub fn to_json(self) -> Value {
        match self {
            Self::Unset | Self::Found(_) => Value::Null,
            Self::Bool(b) => b.into(),
            Self::Int(n) => n.into(),
            Self::Text(t) => t.into(),
            Self::List(l) => l.to_vec().into(),
        }
    }

    /// The default for tables and help texts.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Unset => "unset".into(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Text(t) => t.into(),
            Self::List([]) => "none".into(),
            Self::List(l) => l.join(", "),
            Self::Found(how) => how.into(),
        }
    }
}

/// When a key begins to have an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// This version uses it.
    Now,
    /// Known, accepted and without effect in this version.
    Later,
}

/// Declaration of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Name in `api.md` §6, snake_case; for variables without a setting the variable's name.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// Value when nothing sets it.
    pub preset: Preset,
    /// Environment variables that set it, first one wins.
    pub env: &'static [&'static str],
    /// Command-line flag that sets it.
    pub flag: Option<&'static str>,
    /// One line for people.
    pub doc: &'static str,
    /// Takes effect at the next start only.
    pub restart: bool,
    /// Changing it in the dashboard needs the password again.
    pub sudo: bool,
    /// Whether this version uses it.
    pub since: Since,
}

impl Key {
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        preset: Preset,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            preset,
            env: &[],
            flag: None,
            doc,
            restart: false,
            sudo: false,
            since: Since::Now,
        }
    }

    pub(super) const fn env(mut self, names: &'static [&'static str]) -> Self {
        self.env = names;
        self
    }

    pub(super) const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    pub(super) const fn restart(mut self) -> Self {
        self.restart = true;
        self
    }

    pub(super) const fn sudo(mut self) -> Self {
        self.sudo = true;
        self
    }

    pub(super) const fn later(mut self) -> Self {
        self.since = Since::Later;
        self
    }

    /// True when the value must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::ProxyUrl)
    }
}

/// The setting called `name`, in snake_case or camelCase.
#[must_use]
pub fn setting(name: &str) -> Option<&'static Key> {
    let snake = snake_case(name);
    SETTINGS.iter().find(|key| key.name == snake)
}

/// The nearest setting name, for messages about an unknown one.
#[must_use]
pub fn nearest_setting(name: &str) -> Option<&'static str> {
    nearest(&snake_case(name), SETTINGS.iter().map(|key| key.name))
}

/// The candidate most like `word`, when one is like it at all.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, c)| *distance <= 2.max(c.len() / 4))
        .map(|(_, c)| c)
}

/// `camelCase` as `snake_case`; dots stay (api.md §6: every key is accepted in both).
#[must_use]
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

const MS_DAY: i64 = 86_400_000;
const TIERS: &[&str] = &["subscription", "cheap", "paid", "free"];

/// Time limit in ms that may not be switched off.
const fn timer(name: &'static str, ms: i64, doc: &'static str) -> Key {
    Key::new(name, Kind::Int { min: 1, max: MS_DAY }, Preset::Int(ms), doc)
}

/// Time limit in ms; 0 switches it off (security §17, *may be 0*).
const fn timer_or_off(name: &'static str, ms: i64, doc: &'static str) -> Key {
    Key::new(name, Kind::Int { min: 0, max: MS_DAY }, Preset::Int(ms), doc)
}

const fn number(name: &'static str, min: i64, max: i64, preset: i64, doc: &'static str) -> Key {
    Key::new(name, Kind::Int { min, max }, Preset::Int(preset), doc)
}

const fn switch(name: &'static str, preset: bool, doc: &'static str) -> Key {
    Key::new(name, Kind::Bool, Preset::Bool(preset), doc)
}

const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(name, kind, Preset::Unset, doc)
}

/// The settings of `api.md` §6, in its order.
pub static SETTINGS: &[Key] = &[
    Key::new("instance_name", Kind::Text { max: 80 }, Preset::Found("host name"), "Name of this router")
        .env(&["INSTANCE_NAME"]).later(),
    Key::new("timezone", Kind::Zone, Preset::Found("system"), "Time zone of reports; `TZ` is the default"),
    Key::new("locale", Kind::Text { max: 20 }, Preset::Text("en"), "Language of the dashboard").later(),
    Key::new("theme", Kind::Choice(&["auto", "light", "dark"]), Preset::Text("auto"), "Colours of the dashboard"),
    switch("solid_panels", false, "Dashboard panels without transparency"),
    switch("shortcuts", true, "Keyboard shortcuts of the dashboard"),
    switch("hide_names", false, "The dashboard shows numbers in place of accounts' names and e-mail addresses"),
    number("port", 0, 65_535, 20_128, "Port to listen on; 0 takes any free one")
        .env(&["PORT"])
        .flag("--port")
        .restart(),
    Key::new("host", Kind::Texts, Preset::List(&["127.0.0.1", "::1"]), "Addresses to listen on, comma separated: IP addresses, `localhost`, `*`, `unix:/path`")
        .env(&["NINEROUTER_HOST", "HOSTNAME"])
        .flag("--host")
        .restart(),
    Key::new("workers", Kind::Int { min: 1, max: 256 }, Preset::Found("cores, at most 8"), "HTTP worker threads")
        .env(&["NINEROUTER_WORKERS"])
        .restart(),
    Key::new("require_api_key", Kind::AutoBool, Preset::Text("auto"), "Whether clients need an API key; auto: not on this computer while only loopback is served")
        .env(&["REQUIRE_API_KEY"])
        .flag("--require-api-key")
        .sudo(),
    switch("require_login", true, "Dashboard needs a password; when off, this computer may look without one, and change nothing").sudo(),
    Key::new("ip_whitelist", Kind::Addresses, Preset::List(&["127.0.0.0/8", "::1/128", "172.17.0.0/16"]), "Client addresses admitted to the dashboard; never a replacement for sign-in")
        .env(&["NINEROUTER_IP_WHITELIST"])
        .sudo(),
    switch("ip_whitelist_strict", false, "Loopback is admitted only when the list says so").sudo(),
    Key::new("allowed_hosts", Kind::Hosts, Preset::List(&[]), "Further `Host` names that are answered without an API key; when set, no other is answered at all")
        .env(&["NINEROUTER_ALLOWED_HOSTS"])
        .sudo(),
    switch("trusted_proxy_enabled", false, "Believe forwarding headers of the trusted proxies; `NINEROUTER_TRUSTED_PROXIES` turns it on").sudo(),
    Key::new("trusted_proxies", Kind::Proxies, Preset::List(&["private"]), "Addresses of reverse proxies, or `loopback`, `private`, `cloudflare`")
        .env(&["NINEROUTER_TRUSTED_PROXIES"])
        .sudo(),
    Key::new("trusted_proxy_header", Kind::Choice(&["auto", "x-forwarded-for", "forwarded", "cf-connecting-ip", "x-real-ip"]), Preset::Text("auto"), "Header that carries the client's address").sudo(),
    unset("base_url", Kind::Origin, "Public address of this router: links, host check")
        .env(&["BASE_URL", "NEXT_PUBLIC_BASE_URL"])
        .sudo(),
    Key::new("auth_cookie_secure", Kind::AutoBool, Preset::Text("auto"), "Send the session cookie over https only; auto: when a trusted proxy says that the browser came by https")
        .env(&["AUTH_COOKIE_SECURE"])
        .sudo(),
    switch("hsts", false, "Tell browsers to use https only").sudo(),
    Key::new("cors_allow_origins", Kind::Origins, Preset::List(&[]), "Web origins that may call the inference paths").sudo(),
    switch("audit_log_enabled", true, "Keep the audit log, table and file").sudo(),
    number("audit_log_max_size", 65_536, 1_073_741_824, 10_485_760, "Bytes of an audit log file before it rotates").sudo(),
    Key::new("tunnel_hosts", Kind::Hosts, Preset::List(&[]), "Host names of tunnels to this router").sudo(),
    switch("tunnel_dashboard_access", false, "Serve the dashboard through tunnels").sudo(),
    switch("metrics_enabled", false, "Serve Prometheus metrics").sudo().later(),
    unset("metrics_token", Kind::Secret, "Token for metrics from elsewhere").sudo().later(),
    switch("public_status_page", false, "Serve a status page without sign-in").sudo().later(),
    Key::new("account_strategy", Kind::Choice(&["priority", "fill-first", "round-robin", "weighted", "least-used", "quota-balanced"]), Preset::Text("priority"), "How an account of a provider is chosen"),
    number("sticky_count", 1, 1_000, 3, "Requests an account serves in a row under round-robin"),
    number("affinity_ttl_s", 0, 604_800, 3_600, "Seconds a conversation stays with its account; 0 turns that off"),
    Key::new("combo_strategy_default", Kind::Choice(&["fallback", "priority", "round-robin", "weighted", "tier"]), Preset::Text("fallback"), "Strategy of new combos"),
    number("max_accounts_per_entry", 1, 100, 5, "Accounts tried per combo entry"),
    number("wait_for_cooldown_s", 0, 30, 0, "Longest wait, in seconds, when everything is cooling down"),
    number("min_remaining_percent", 0, 99, 0, "Percent of a quota window kept in reserve"),
    switch("reserve_soft", true, "Use the reserve when nothing else is left"),
    switch("allow_overage", false, "Use an account beyond its plan at extra cost"),
    number("cooldown_base_s", 1, 3_600, 2, "First cool-down after a throttle without a hint"),
    number("cooldown_max_s", 1, 86_400, 300, "Longest cool-down after a throttle without a hint"),
    Key::new("tier_order", Kind::Order(TIERS), Preset::List(TIERS), "Order of price classes under the tier strategy"),
    switch("report_real_model", false, "Translated replies name the upstream's model").later(),
    switch("routing_headers", true, "Replies carry `x-ninerouter-*` headers"),
    switch("limit_headers", false, "Replies carry rate-limit headers of the API key").later(),
    unset("unknown_model_provider", Kind::Text { max: 80 }, "Provider that gets model ids nobody knows"),
    switch("auto_combo", false, "Offer the built-in combo `auto`"),
    switch("skip_forbidden_entries", false, "Skip combo entries an API key may not use, instead of refusing"),
    Key::new("count_tokens", Kind::Choice(&["estimate", "native"]), Preset::Text("estimate"), "How token-count calls are answered: from the text, or by the upstream where it has a counter"),
    switch("responses_store", false, "Keep stored responses").later(),
    switch("compact_via_morph", false, "Send compaction to Morph").later(),
    switch("count_notional", false, "Budgets count flat plans and free tiers at list price"),
    Key::new("error_rules", Kind::ErrorRules, Preset::List(&[]), "Own rules for upstream errors, before the built-in ones"),
    number("quota.poll_minutes", 5, 1_440, 15, "Minutes between quota polls"),
    timer("timeouts.resolve_ms", 3_000, "Name to addresses"),
    timer("timeouts.connect_ms", 10_000, "TCP and TLS to an upstream").env(&["UPSTREAM_CONNECT_TIMEOUT_MS"]),
    timer("timeouts.pool_ms", 5_000, "Wait for a pooled connection").later(),
    timer("timeouts.send_stall_ms", 30_000, "Upstream accepts no byte of the request"),
    timer("timeouts.head_stream_ms", 60_000, "Response head of a streaming call").env(&["CHAT_UPSTREAM_TIMEOUT_MS"]),
    timer("timeouts.head_ms", 600_000, "Response head of a non-streaming call"),
    timer("timeouts.compact_ms", 300_000, "Response head of a compaction call").env(&["CHAT_COMPACT_UPSTREAM_TIMEOUT_MS"]).later(),
    timer_or_off("timeouts.first_content_ms", 300_000, "Head to first content; 0 = off"),
    timer("timeouts.stream_idle_ms", 120_000, "Silence between upstream bytes").env(&["CHAT_STREAM_IDLE_TIMEOUT_MS"]),
    timer_or_off("timeouts.content_idle_ms", 300_000, "Only pings, no content; 0 = off"),
    timer_or_off("timeouts.stream_total_ms", 3_600_000, "Whole stream; 0 = off"),
    timer_or_off("timeouts.request_total_ms", 900_000, "All attempts until the first content; 0 = off"),
    timer("timeouts.keep_alive_ms", 15_000, "Between keep-alive comments to the client; wins over `stream_keepalive_s`"),
    timer("timeouts.early_head_ms", 15_000, "Until the client gets its response head although no upstream answered"),
    timer("timeouts.client_stall_ms", 60_000, "Client accepts no byte"),
    timer("timeouts.refresh_ms", 30_000, "Token refresh call"),
    timer("timeouts.quota_ms", 10_000, "Quota call"),
    timer("timeouts.local_first_ms", 600_000, "Head and first content of local providers"),
    timer("timeouts.morph_head_ms", 25_000, "Response head of Morph").env(&["MORPH_UPSTREAM_TIMEOUT_MS"]).later(),
    number("limits.body_mib", 1, 1_024, 64, "Largest request body in MiB"),
    number("limits.audio_mib", 1, 1_024, 100, "Largest audio upload in MiB").later(),
    number("limits.bodies_in_memory_mib", 1, 1_048_576, 512, "All request bodies in memory, MiB"),
    number("limits.in_flight", 1, 1_000_000, 1_024, "Inference requests at a time"),
    number("limits.provider_in_flight", 1, 1_000_000, 600, "The same per provider"),
    number("limits.account_in_flight", 1, 1_000_000, 80, "The same per account with an API key"),
    number("limits.connections_per_worker", 16, 1_000_000, 8_192, "Client connections per worker").restart(),
    number("limits.feeds_total", 1, 10_000, 64, "Open dashboard feeds").later(),
    number("drain_seconds", 0, 3_600, 30, "Seconds running streams get at stop").env(&["NINEROUTER_DRAIN_SECONDS"]),
    unset("outbound_proxy_url", Kind::ProxyUrl, "Proxy for all calls to upstreams, instead of the one of `HTTPS_PROXY`; accounts and providers may have their own"),
    Key::new("outbound_no_proxy", Kind::HostRules, Preset::List(&[]), "Hosts reached without it, instead of those of `NO_PROXY`: `host`, `.suffix`, addresses, CIDR ranges, `*`, each with an optional `:port`"),
    switch("proxy_resolves_names", false, "Proxies look up the catalog's hosts, because this machine cannot; their addresses are then not checked"),
    switch("allow_http_content", false, "Fetch images and files over plain http").sudo(),
    number("stream_keepalive_s", 1, 3_600, 15, "Seconds between keep-alive comments to the client"),
    switch("allow_fake_ip", false, "Catalog hosts may resolve into 198.18.0.0/15").sudo(),
    unset("antigravity.client_version", Kind::Text { max: 80 }, "Version sent to Antigravity").later(),
    unset("codex.originator", Kind::Text { max: 80 }, "Originator sent to Codex").later(),
    unset("codex.version", Kind::Text { max: 80 }, "Version sent to Codex").later(),
    unset("github.editor_version", Kind::Text { max: 80 }, "Editor version sent to Copilot").later(),
    Key::new("codex_system", Kind::Text { max: 20 }, Preset::Text("developer"), "Role of the system text for Codex").later(),
    switch("codex_image_tool", false, "Offer Codex' image tool").later(),
    switch("kiro_trim", false, "Trim long conversations for Kiro").later(),
    unset("morph", Kind::Json, "Settings of the Morph namespace").later(),
    number("usage_retention_days", 0, 36_500, 90, "Days request rows are kept; 0 = for ever"),
    number("attempt_retention_days", 0, 36_500, 30, "Days attempt rows are kept; 0 = for ever"),
    number("request_log_max_mib", 1, 1_048_576, 200, "MiB of captured bodies"),
    number("request_log_hours", 1, 8_760, 24, "Hours a body capture runs that was switched on by the environment").env(&["NINEROUTER_REQUEST_LOG_HOURS"]),
    Key::new("log_level", Kind::LogFilter, Preset::Text("info"), "Log level or filter")
        .env(&["NINEROUTER_LOG", "RUST_LOG"])
        .flag("--log-level"),
    Key::new("log_format", Kind::Choice(&["auto", "text", "json"]), Preset::Text("auto"), "Log format; auto: json in a container without a terminal")
        .env(&["NINEROUTER_LOG_FORMAT"])
        .flag("--log-format")
        .restart(),
    switch("backup.daily", true, "Make a backup every day"),
    number("backup.keep", 1, 1_000, 7, "Daily backups kept"),
    unset("backup.s3_endpoint", Kind::Url, "Object storage for backups").sudo().later(),
    unset("backup.s3_bucket", Kind::Text { max: 255 }, "Its bucket").sudo().later(),
    unset("backup.s3_prefix", Kind::Text { max: 255 }, "Its prefix").sudo().later(),
    unset("backup.s3_region", Kind::Text { max: 80 }, "Its region").sudo().later(),
    unset("backup.s3_key_id", Kind::Text { max: 255 }, "Its key id").sudo().later(),
    unset("backup.s3_secret", Kind::Secret, "Its secret").sudo().later(),
    unset("sync_url", Kind::Url, "Server of configuration sync; unset = off").env(&["CLOUD_URL", "NEXT_PUBLIC_CLOUD_URL"]).sudo().later(),
    switch("sync_enabled", false, "Synchronise the configuration").sudo().later(),
    switch("sync_secrets", false, "Synchronise credentials, encrypted").sudo().later(),
    unset("sync_include", Kind::Texts, "Kinds of objects that are synchronised").sudo().later(),
    Key::new("notify.webhooks", Kind::Json, Preset::List(&[]), "Webhooks for alerts").sudo().later(),
    unset("notify.quiet_hours", Kind::Text { max: 80 }, "Hours without notifications").later(),
    Key::new("sync_serve", Kind::Choice(&["off", "listed", "open"]), Preset::Text("off"), "Serve sync vaults").sudo().later(),
    Key::new("sync_vaults_allowed", Kind::Texts, Preset::List(&[]), "Vaults that are served").sudo().later(),
    Key::new("experimental", Kind::Texts, Preset::List(&[]), "Experiments that are switched on").later(),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_is_declared_once_and_its_default_fits_its_type() {
        let mut seen = HashSet::new();
        for key in SETTINGS {
            assert!(seen.insert(key.name), "{} twice", key.name);
            assert!(!key.doc.is_empty() && !key.doc.ends_with('.'), "{}", key.name);
            let preset = key.preset.to_json();
            if !preset.is_null() {
                assert_eq!(key.kind.check(&preset), Ok(preset.clone()), "{}", key.name);
            }
        }
    }

    #[test]
    fn camel_case_finds_the_same_key() {
        for (camel, snake) in [
            ("ipWhitelist", "ip_whitelist"),
            ("timeouts.headStreamMs", "timeouts.head_stream_ms"),
            ("backup.s3Endpoint", "backup.s3_endpoint"),
            ("quota.pollMinutes", "quota.poll_minutes"),
            ("port", "port"),
        ] {
            assert_eq!(setting(camel).map(|k| k.name), Some(snake), "{camel}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_neighbour() {
        assert_eq!(nearest_setting("sticky_cuont"), Some("sticky_count"));
        assert_eq!(nearest_setting("stickyCuont"), Some("sticky_count"));
        assert_eq!(nearest_setting("qqqqqqqqqqqq"), None);
    }
}
