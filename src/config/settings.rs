//! The typed snapshot of all settings. Immutable: a change makes a new one.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::config::keys::{self, Key, SETTINGS, Since};
use crate::config::kind::{self, Misfit};
use crate::config::proxies;
use crate::provider::proxy::NoProxy;
use crate::routing::account::Tier;
use crate::routing::combo::Strategy;
use crate::routing::error_rule::ErrorRule;

pub use crate::routing::choose::AccountStrategy;

/// Values of the settings this version uses (`api.md` §6), parsed once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this router, for people.
    pub instance_name: String,
    /// Zone of days and reports.
    pub timezone: TimeZone,
    /// Whether clients need a key (security §7.3).
    pub require_api_key: RequireApiKey,
    /// The dashboard needs a password, also on this computer (SEC-ROUTE-4).
    pub require_login: bool,
    /// Admitted client addresses (SEC-IP-4).
    pub ip_whitelist: Vec<IpNet>,
    /// Loopback only when listed (SEC-IP-7).
    pub ip_whitelist_strict: bool,
    /// `Host` names, lower case, no port, no trailing dot (SEC-HOST-2).
    pub allowed_hosts: Vec<String>,
    /// Forwarding headers are believed when the peer is in `trusted_proxies`.
    pub trusted_proxy_enabled: bool,
    /// Proxy ranges, presets expanded.
    pub trusted_proxies: Vec<IpNet>,
    /// Header that carries the client's address.
    pub trusted_proxy_header: ProxyHeader,
    /// Public origin, without path.
    pub base_url: Option<Url>,
    /// The session cookie is sent over https only, whatever the connection looks like.
    pub auth_cookie_secure: bool,
    /// Browsers on https are told to stay there.
    pub hsts: bool,
    /// `Host` names of tunnels, lower case (SEC-TUN-1).
    pub tunnel_hosts: Vec<String>,
    /// The dashboard is served through tunnels.
    pub tunnel_dashboard_access: bool,
    /// Origins that may call inference paths; `*` = any.
    pub cors_allow_origins: Vec<String>,
    /// How an account of a provider is chosen (accounts §7.2).
    pub account_strategy: AccountStrategy,
    /// Dispatches in a row under round-robin.
    pub sticky_count: u32,
    /// Life of a conversation's binding; zero = no affinity.
    pub affinity_ttl: Duration,
    /// Strategy of combos that name none.
    pub combo_strategy_default: Strategy,
    /// Accounts tried per entry.
    pub max_accounts_per_entry: u32,
    /// Longest wait when everything is locked.
    pub wait_for_cooldown: Duration,
    /// Budgets count flat plans and free tiers at list price.
    pub count_notional: bool,
    /// Percent of a window kept in reserve.
    pub min_remaining_percent: u8,
    /// The reserve may be used when nothing else is left.
    pub reserve_soft: bool,
    /// Accounts may go beyond their plan at extra cost.
    pub allow_overage: bool,
    /// Between two looks at an account's usage page.
    pub quota_poll: Duration,
    /// First step of ladder A.
    pub cooldown_base: Duration,
    /// Cap of ladder A.
    pub cooldown_max: Duration,
    /// Order under the tier strategy: all four, each once.
    pub tier_order: [Tier; 4],
    /// Tier C replies name the upstream's model.
    pub report_real_model: bool,
    /// Replies carry `x-ninerouter-*`.
    pub routing_headers: bool,
    /// Replies carry the key's rate-limit headers.
    pub limit_headers: bool,
    /// Provider for model ids nobody knows.
    pub unknown_model_provider: Option<String>,
    /// Forbidden entries of a combo are skipped instead of refusing the request.
    pub skip_forbidden_entries: bool,
    /// How token counts are made.
    pub count_tokens: CountTokens,
    /// The operator's error rules.
    pub error_rules: Vec<ErrorRule>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Size and concurrency limits.
    pub limits: Limits,
    /// What running streams get at stop.
    pub drain: Duration,
    /// Hosts reached without the outbound proxy; empty = those of `NO_PROXY`.
    pub outbound_no_proxy: NoProxy,
    /// The outbound proxy looks up names.
    pub proxy_resolves_names: bool,
    /// Catalog hosts may resolve into 198.18/15.
    pub allow_fake_ip: bool,
    /// Content that requests name may come over plain http.
    pub allow_http_content: bool,
    /// Days request rows are kept; 0 = for ever.
    pub usage_retention_days: u32,
    /// Days attempt rows are kept; 0 = for ever.
    pub attempt_retention_days: u32,
    /// The audit log is kept.
    pub audit_log_enabled: bool,
    /// Bytes of an audit log file before it rotates.
    pub audit_log_max_size: u64,
    /// Bytes of captured bodies that are kept.
    pub request_log_bytes: u64,
    /// How long a capture runs that the environment switched on.
    pub request_log_time: Duration,
    /// A backup is made every day.
    pub backup_daily: bool,
    /// Daily backups kept.
    pub backup_keep: u32,
    /// Log filter.
    pub log_level: String,
    /// Log format.
    pub log_format: LogFormat,
}

/// Value of `require_api_key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequireApiKey {
    /// Unset: by listener (security §7.3).
    Auto,
    /// Always.
    Always,
    /// Keyless also for admitted addresses.
    Never,
}

/// Header a trusted proxy puts the client's address into (security §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, else `Forwarded`, else `X-Real-IP`.
    Auto,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
    /// `CF-Connecting-IP`.
    CfConnectingIp,
    /// `X-Real-IP`.
    XRealIp,
}

/// How token-count calls are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CountTokens {
    /// From the text's length.
    Estimate,
    /// By the upstream.
    Native,
}

impl CountTokens {
    /// Whether the upstream is asked.
    #[must_use]
    pub fn is_native(self) -> bool {
        self == Self::Native
    }
}

/// Format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// JSON in a container without terminal, else text.
    Auto,
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// Time limits (security §17). `None` = switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Name to addresses.
    pub resolve: Duration,
    /// TCP and TLS.
    pub connect: Duration,
    /// Wait for a pooled connection.
    pub pool: Duration,
    /// No byte of our body accepted.
    pub send_stall: Duration,
    /// Response head, streaming.
    pub head_stream: Duration,
    /// Response head, non-streaming.
    pub head: Duration,
    /// Response head of compaction calls.
    pub compact: Duration,
    /// Head to first content.
    pub first_content: Option<Duration>,
    /// Between upstream bytes.
    pub stream_idle: Duration,
    /// Between content while pings arrive.
    pub content_idle: Option<Duration>,
    /// Head to end.
    pub stream_total: Option<Duration>,
    /// Accept to first content, all attempts.
    pub request_total: Option<Duration>,
    /// Between keep-alive comments to the client.
    pub keep_alive: Duration,
    /// Accept to our own `200` when nothing arrived.
    pub early_head: Duration,
    /// The client accepts no byte.
    pub client_stall: Duration,
    /// Token refresh call.
    pub refresh: Duration,
    /// Quota call.
    pub quota: Duration,
    /// Head and first content of local providers.
    pub local_first: Duration,
    /// Response head of Morph.
    pub morph_head: Duration,
}

impl Timeouts {
    /// The longest a lease can be out: all attempts, then the longest stream, then a minute (accounts
    /// §0.2). `None` = no limit, when one of the two is switched off.
    #[must_use]
    pub fn longest_lease(&self) -> Option<Duration> {
        Some(self.request_total? + self.stream_total? + Duration::from_secs(60))
    }
}

/// Size and concurrency limits (security §10); sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest request body.
    pub body: usize,
    /// Largest audio upload.
    pub audio: usize,
    /// All request bodies in memory.
    pub bodies_in_memory: usize,
    /// Inference requests at a time.
    pub in_flight: usize,
    /// The same per provider.
    pub provider_in_flight: usize,
    /// The same per account with an API key.
    pub account_in_flight: u32,
    /// Client connections per worker.
    pub connections_per_worker: usize,
    /// Open dashboard feeds.
    pub feeds_total: usize,
}

/// What the machine says, for defaults that are found out at start.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Host name.
    pub host_name: String,
    /// Zone named by `TZ` or by the system.
    pub timezone: TimeZone,
    /// Networks of the container's own interfaces; empty outside a container (SEC-IP-4).
    pub container_networks: Vec<IpNet>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            host_name: "ninerouter".into(),
            timezone: TimeZone::UTC,
            container_networks: Vec::new(),
        }
    }
}

/// Why a setting is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingError {
    /// No such key.
    #[error("unknown setting `{key}`{}", did_you_mean(*.near))]
    Unknown {
        /// As given.
        key: String,
        /// A key with a like name.
        near: Option<&'static str>,
    },
    /// The key is given in snake_case and in camelCase.
    #[error("setting `{key}` is given twice; keep one spelling")]
    Twice {
        /// Its name.
        key: &'static str,
    },
    /// The value does not fit the key.
    #[error("setting `{key}`: {misfit}")]
    Misfit {
        /// Its name.
        key: &'static str,
        /// Class of the value and what is allowed.
        misfit: Misfit,
    },
    /// The value is refused because of what it would do, or of another setting.
    #[error("setting `{key}`: {why}")]
    Refused {
        /// Its name.
        key: &'static str,
        /// The rule that is broken and what to do.
        why: String,
    },
}

impl SettingError {
    /// The key it is about, as given.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown { key, .. } => key,
            Self::Twice { key } | Self::Misfit { key, .. } | Self::Refused { key, .. } => key,
        }
    }
}

fn did_you_mean(near: Option<&'static str>) -> String {
    near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

impl Default for Settings {
    fn default() -> Self {
        build(&Values::default(), &Found::default())
    }
}

impl Settings {
    /// Settings from `map` over the defaults. Keys in snake_case or camelCase; groups may be nested objects; null = default.
    ///
    /// # Errors
    /// Every problem of the map, not only the first.
    pub fn from_map(map: &BTreeMap<String, Value>) -> Result<Self, Vec<SettingError>> {
        let (settings, errors) = Self::resolve(map, &BTreeMap::new(), &Found::default());
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    /// Settings from the stored ones, with those of flags and environment (`locked`) on top.
    ///
    /// A stored value that does not fit falls back to its default, never to a looser one (SEC-IP-8), and is reported.
    #[must_use]
    pub fn resolve(
        stored: &BTreeMap<String, Value>,
        locked: &BTreeMap<&'static str, Value>,
        found: &Found,
    ) -> (Self, Vec<SettingError>) {
        let (mut values, mut errors) = Values::read(stored);
        for (key, value) in locked {
            values.0.insert(key, value.clone());
        }
        values.refuse_conflicts(&mut errors);
        (build(&values, found), errors)
    }
}

/// Flattens nested groups: `{"timeouts":{"head_ms":1}}` becomes `timeouts.head_ms`. Keys keep their spelling.
#[must_use]
pub fn flatten(map: &BTreeMap<String, Value>) -> Vec<(String, Value)> {
    let mut flat = Vec::with_capacity(map.len());
    for (key, value) in map {
        flatten_into(key, value, &mut flat);
    }
    flat
}

fn flatten_into(key: &str, value: &Value, flat: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(group) if keys::setting(key).is_none() && is_group(key) => {
            for (member, value) in group {
                flatten_into(&format!("{key}.{member}"), value, flat);
            }
        }
        _ => flat.push((key.to_owned(), value.clone())),
    }
}

fn is_group(key: &str) -> bool {
    let prefix = format!("{}.", keys::snake_case(key));
    prefix.starts_with("oauth.") || SETTINGS.iter().any(|k| k.name.starts_with(&prefix))
}

/// `oauth.<provider>.client_id` and `.client_secret`: known by pattern, and no part of the typed settings.
#[must_use]
pub fn is_oauth_key(key: &str) -> bool {
    let snake = keys::snake_case(key);
    snake.strip_prefix("oauth.").and_then(|rest| rest.split_once('.')).is_some_and(
        |(provider, field)| !provider.is_empty() && matches!(field, "client_id" | "client_secret"),
    )
}

/// Checked values by key; absent = default.
#[derive(Debug, Default)]
pub(crate) struct Values(pub(crate) BTreeMap<&'static str, Value>);

impl Values {
    /// Reads a map of settings and reports what does not fit.
    pub(crate) fn read(map: &BTreeMap<String, Value>) -> (Self, Vec<SettingError>) {
        let mut values = Self::default();
        let mut errors = Vec::new();
        for (name, value) in flatten(map) {
            let Some(key) = keys::setting(&name) else {
                if !is_oauth_key(&name) {
                    let near = keys::nearest_setting(&name);
                    errors.push(SettingError::Unknown { key: name, near });
                }
                continue;
            };
            if values.0.contains_key(key.name) {
                errors.push(SettingError::Twice { key: key.name });
                continue;
            }
            if value.is_null() {
                continue;
            }
            match key.kind.check(&value) {
                Ok(value) => drop(values.0.insert(key.name, value)),
                Err(misfit) => {
                    errors.push(SettingError::Misfit { key: key.name, misfit });
                    values.fall_back(key);
                }
            }
        }
        (values, errors)
    }

    /// An unreadable stored value may not loosen anything: an operator who wrote something about keys wanted them.
    fn fall_back(&mut self, key: &Key) {
        if key.name == "require_api_key" {
            self.0.insert(key.name, true.into());
        }
    }

    /// Rules that need more than one value. A broken one resets the looser side to its default.
    pub(crate) fn refuse_conflicts(&mut self, errors: &mut Vec<SettingError>) {
        let mut refuse = |values: &mut Self, key: &'static str, why: String| {
            values.0.remove(key);
            errors.push(SettingError::Refused { key, why });
        };
        if self.int("cooldown_base_s") > self.int("cooldown_max_s") {
            self.0.remove("cooldown_max_s");
            let why = "is above `cooldown_max_s`; raise that one too".into();
            refuse(self, "cooldown_base_s", why);
        }
        if self.bool("trusted_proxy_enabled")
            && let Some(wide) = proxies::too_wide(&self.list("trusted_proxies"))
        {
            // B6: whoever controls that much public space can forge every client address.
            self.0.remove("trusted_proxy_enabled");
            let why = format!(
                "range `{wide}` holds public addresses wider than /16 (IPv4) or /32 (IPv6); \
                 name the proxies' own addresses"
            );
            refuse(self, "trusted_proxies", why);
        }
        let any_origin = self.list("cors_allow_origins").iter().any(|o| o == "*");
        if any_origin && self.require_api_key() != RequireApiKey::Always {
            // SEC-CORS-1: any web page could otherwise use the router without a key.
            let why = "`*` needs `require_api_key` = true; or list the origins".into();
            refuse(self, "cors_allow_origins", why);
        }
        if self.bool("auto_combo") {
            let why = "the built-in combo `auto` is not supported yet by this version; \
                       make a combo with strategy `tier`";
            refuse(self, "auto_combo", why.into());
        }
    }

    fn value(&self, name: &'static str) -> Value {
        self.0.get(name).cloned().unwrap_or_else(|| {
            SETTINGS.iter().find(|key| key.name == name).map_or(Value::Null, |k| k.preset.to_json())
        })
    }

    fn bool(&self, name: &'static str) -> bool {
        self.value(name).as_bool().unwrap_or_default()
    }

    fn int(&self, name: &'static str) -> u64 {
        self.value(name).as_u64().unwrap_or_default()
    }

    fn u32(&self, name: &'static str) -> u32 {
        u32::try_from(self.int(name)).unwrap_or(u32::MAX)
    }

    fn u64(&self, name: &'static str) -> u64 {
        self.int(name)
    }

    fn size(&self, name: &'static str) -> usize {
        usize::try_from(self.int(name)).unwrap_or(usize::MAX)
    }

    fn mib(&self, name: &'static str) -> usize {
        self.size(name).saturating_mul(1 << 20)
    }

    fn text(&self, name: &'static str) -> Option<String> {
        self.value(name).as_str().map(str::to_owned)
    }

    fn list(&self, name: &'static str) -> Vec<String> {
        Vec::<String>::deserialize(self.value(name)).unwrap_or_default()
    }

    fn seconds(&self, name: &'static str) -> Duration {
        Duration::from_secs(self.int(name))
    }

    fn ms(&self, name: &'static str) -> Duration {
        Duration::from_millis(self.int(name))
    }

    fn ms_or_off(&self, name: &'static str) -> Option<Duration> {
        Some(self.ms(name)).filter(|limit| !limit.is_zero())
    }

    fn require_api_key(&self) -> RequireApiKey {
        match self.value("require_api_key").as_bool() {
            Some(true) => RequireApiKey::Always,
            Some(false) => RequireApiKey::Never,
            None => RequireApiKey::Auto,
        }
    }
}

fn build(values: &Values, found: &Found) -> Settings {
    let zone = values.text("timezone").and_then(|name| TimeZone::get(&name).ok());
    Settings {
        instance_name: values.text("instance_name").unwrap_or_else(|| found.host_name.clone()),
        timezone: zone.unwrap_or_else(|| found.timezone.clone()),
        require_api_key: values.require_api_key(),
        require_login: values.bool("require_login"),
        ip_whitelist: whitelist(values, found),
        ip_whitelist_strict: values.bool("ip_whitelist_strict"),
        allowed_hosts: values.list("allowed_hosts"),
        trusted_proxy_enabled: values.bool("trusted_proxy_enabled"),
        trusted_proxies: proxies::expand(&values.list("trusted_proxies")),
        trusted_proxy_header: proxy_header(values),
        base_url: values.text("base_url").and_then(|url| kind::web_url(&url)),
        auth_cookie_secure: values.bool("auth_cookie_secure"),
        hsts: values.bool("hsts"),
        tunnel_hosts: values.list("tunnel_hosts"),
        tunnel_dashboard_access: values.bool("tunnel_dashboard_access"),
        cors_allow_origins: values.list("cors_allow_origins"),
        account_strategy: values
            .text("account_strategy")
            .and_then(|word| AccountStrategy::parse(&word))
            .unwrap_or_default(),
        sticky_count: values.u32("sticky_count"),
        affinity_ttl: values.seconds("affinity_ttl_s"),
        combo_strategy_default: combo_strategy(values),
        max_accounts_per_entry: values.u32("max_accounts_per_entry"),
        count_notional: values.bool("count_notional"),
        wait_for_cooldown: values.seconds("wait_for_cooldown_s"),
        min_remaining_percent: u8::try_from(values.int("min_remaining_percent")).unwrap_or(99),
        reserve_soft: values.bool("reserve_soft"),
        allow_overage: values.bool("allow_overage"),
        quota_poll: Duration::from_secs(u64::from(values.u32("quota.poll_minutes")) * 60),
        cooldown_base: values.seconds("cooldown_base_s"),
        cooldown_max: values.seconds("cooldown_max_s"),
        tier_order: tier_order(values),
        report_real_model: values.bool("report_real_model"),
        routing_headers: values.bool("routing_headers"),
        limit_headers: values.bool("limit_headers"),
        unknown_model_provider: values.text("unknown_model_provider"),
        skip_forbidden_entries: values.bool("skip_forbidden_entries"),
        count_tokens: match values.text("count_tokens").as_deref() {
            Some("native") => CountTokens::Native,
            _ => CountTokens::Estimate,
        },
        error_rules: ErrorRule::parse_list(&values.value("error_rules")).unwrap_or_default(),
        timeouts: timeouts(values),
        limits: limits(values),
        drain: values.seconds("drain_seconds"),
        outbound_no_proxy: {
            let list = values.list("outbound_no_proxy");
            NoProxy::of(list.iter().map(String::as_str)).0
        },
        proxy_resolves_names: values.bool("proxy_resolves_names"),
        allow_fake_ip: values.bool("allow_fake_ip"),
        allow_http_content: values.bool("allow_http_content"),
        usage_retention_days: values.u32("usage_retention_days"),
        attempt_retention_days: values.u32("attempt_retention_days"),
        audit_log_enabled: values.bool("audit_log_enabled"),
        audit_log_max_size: values.u64("audit_log_max_size"),
        request_log_bytes: values.u64("request_log_max_mib").saturating_mul(1 << 20),
        request_log_time: Duration::from_secs(
            values.u64("request_log_hours").saturating_mul(3_600),
        ),
        backup_daily: values.bool("backup.daily"),
        backup_keep: values.u32("backup.keep"),
        log_level: values.text("log_level").unwrap_or_default(),
        log_format: match values.text("log_format").as_deref() {
            Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            _ => LogFormat::Auto,
        },
    }
}

fn whitelist(values: &Values, found: &Found) -> Vec<IpNet> {
    let list = values.list("ip_whitelist");
    let mut nets: Vec<IpNet> = list.iter().filter_map(|entry| kind::range(entry)).collect();
    if !values.0.contains_key("ip_whitelist") {
        nets.extend(&found.container_networks);
    }
    nets
}

fn proxy_header(values: &Values) -> ProxyHeader {
    match values.text("trusted_proxy_header").as_deref() {
        Some("x-forwarded-for") => ProxyHeader::XForwardedFor,
        Some("forwarded") => ProxyHeader::Forwarded,
        Some("cf-connecting-ip") => ProxyHeader::CfConnectingIp,
        Some("x-real-ip") => ProxyHeader::XRealIp,
        _ => ProxyHeader::Auto,
    }
}

fn combo_strategy(values: &Values) -> Strategy {
    match values.text("combo_strategy_default").as_deref() {
        Some("round-robin") => Strategy::RoundRobin,
        Some("weighted") => Strategy::Weighted,
        Some("tier") => Strategy::Tier,
        _ => Strategy::Fallback,
    }
}

fn tier_order(values: &Values) -> [Tier; 4] {
    let tiers: Vec<Tier> = values.list("tier_order").iter().filter_map(|name| tier(name)).collect();
    tiers.try_into().unwrap_or([Tier::Subscription, Tier::Cheap, Tier::Paid, Tier::Free])
}

/// The tier called `name`.
pub(crate) fn tier(name: &str) -> Option<Tier> {
    match name {
        "subscription" => Some(Tier::Subscription),
        "cheap" => Some(Tier::Cheap),
        "paid" => Some(Tier::Paid),
        "free" => Some(Tier::Free),
        _ => None,
    }
}

fn timeouts(values: &Values) -> Timeouts {
    // Two keys for one timer: the general one speaks when the exact one is not set.
    let keep_alive = if values.0.contains_key("timeouts.keep_alive_ms") {
        values.ms("timeouts.keep_alive_ms")
    } else {
        values.seconds("stream_keepalive_s")
    };
    Timeouts {
        resolve: values.ms("timeouts.resolve_ms"),
        connect: values.ms("timeouts.connect_ms"),
        pool: values.ms("timeouts.pool_ms"),
        send_stall: values.ms("timeouts.send_stall_ms"),
        head_stream: values.ms("timeouts.head_stream_ms"),
        head: values.ms("timeouts.head_ms"),
        compact: values.ms("timeouts.compact_ms"),
        first_content: values.ms_or_off("timeouts.first_content_ms"),
        stream_idle: values.ms("timeouts.stream_idle_ms"),
        content_idle: values.ms_or_off("timeouts.content_idle_ms"),
        stream_total: values.ms_or_off("timeouts.stream_total_ms"),
        request_total: values.ms_or_off("timeouts.request_total_ms"),
        keep_alive,
        early_head: values.ms("timeouts.early_head_ms"),
        client_stall: values.ms("timeouts.client_stall_ms"),
        refresh: values.ms("timeouts.refresh_ms"),
        quota: values.ms("timeouts.quota_ms"),
        local_first: values.ms("timeouts.local_first_ms"),
        morph_head: values.ms("timeouts.morph_head_ms"),
    }
}

fn limits(values: &Values) -> Limits {
    Limits {
        body: values.mib("limits.body_mib"),
        audio: values.mib("limits.audio_mib"),
        bodies_in_memory: values.mib("limits.bodies_in_memory_mib"),
        in_flight: values.size("limits.in_flight"),
        provider_in_flight: values.size("limits.provider_in_flight"),
        account_in_flight: values.u32("limits.account_in_flight"),
        connections_per_worker: values.size("limits.connections_per_worker"),
        feeds_total: values.size("limits.feeds_total"),
    }
}

/// Keys of `map` that are known but have no effect in this version, for a note to the operator.
#[must_use]
pub fn without_effect_yet(map: &BTreeMap<String, Value>) -> Vec<String> {
    flatten(map)
        .into_iter()
        .filter(|(name, _)| match keys::setting(name) {
            Some(key) => key.since == Since::Later,
            // Clients of sign-ins are no settings and have their effect.
            None => false,
        })
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> BTreeMap<String, Value> {
        BTreeMap::deserialize(value).unwrap()
    }

    fn one_error(value: Value) -> String {
        let errors = Settings::from_map(&map(value)).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    }

    #[test]
    fn defaults_are_those_of_the_specification() {
        let s = Settings::default();
        assert_eq!(s.require_api_key, RequireApiKey::Auto);
        assert_eq!(s.timeouts.head_stream, Duration::from_secs(60));
        assert_eq!(s.timeouts.head, Duration::from_secs(600));
        assert_eq!(s.timeouts.first_content, Some(Duration::from_secs(300)));
        assert_eq!(s.timeouts.keep_alive, Duration::from_secs(15));
        assert_eq!(s.limits.body, 64 << 20);
        assert_eq!((s.limits.in_flight, s.limits.provider_in_flight), (1024, 600));
        assert_eq!(s.limits.account_in_flight, 80);
        assert_eq!(s.tier_order, [Tier::Subscription, Tier::Cheap, Tier::Paid, Tier::Free]);
        assert_eq!(s.max_accounts_per_entry, 5);
        assert_eq!(s.sticky_count, 3);
        assert_eq!((s.cooldown_base.as_secs(), s.cooldown_max.as_secs()), (2, 300));
        assert!(s.routing_headers && s.reserve_soft && !s.trusted_proxy_enabled);
        assert!(s.trusted_proxies.iter().any(|n| n.to_string() == "192.168.0.0/16"));
        assert_eq!(s.ip_whitelist.len(), 3);
    }

    #[test]
    fn both_spellings_and_nested_groups_are_accepted() {
        let s = Settings::from_map(&map(json!({
            "stickyCount": 7,
            "require_api_key": true,
            "timeouts": {"headStreamMs": 1500, "first_content_ms": 0},
            "limits.in_flight": 10,
            "tierOrder": ["free", "cheap", "paid", "subscription"],
            "base_url": null,
        })))
        .unwrap();
        assert_eq!(s.sticky_count, 7);
        assert_eq!(s.require_api_key, RequireApiKey::Always);
        assert_eq!(s.timeouts.head_stream, Duration::from_millis(1500));
        assert_eq!(s.timeouts.first_content, None);
        assert_eq!(s.limits.in_flight, 10);
        assert_eq!(s.tier_order[0], Tier::Free);
    }

    #[test]
    fn errors_name_key_class_and_allowed_values() {
        for (given, want) in [
            (
                json!({"account_strategy": "best"}),
                "setting `account_strategy`: got a text of 4 characters, expected one of `priority`, `fill-first`, \
                 `round-robin`, `weighted`, `least-used`, `quota-balanced`",
            ),
            (
                json!({"timeouts": {"head_ms": 0}}),
                "setting `timeouts.head_ms`: got a number, expected a whole number from 1 to 86400000",
            ),
            (
                json!({"sticky_cuont": 3}),
                "unknown setting `sticky_cuont`; did you mean `sticky_count`?",
            ),
            (
                json!({"stickyCount": 3, "sticky_count": 3}),
                "setting `sticky_count` is given twice; keep one spelling",
            ),
        ] {
            assert_eq!(one_error(given), want);
        }
    }

    #[test]
    fn conflicts_are_refused() {
        for (given, part) in [
            (json!({"cooldown_base_s": 400}), "`cooldown_base_s`: is above"),
            (
                json!({"trusted_proxy_enabled": true, "trusted_proxies": ["10.0.0.0/8", "11.0.0.0/15"]}),
                "range `11.0.0.0/15`",
            ),
            (json!({"cors_allow_origins": ["*"]}), "needs `require_api_key` = true"),
            (json!({"auto_combo": true}), "not supported yet"),
        ] {
            let text = one_error(given);
            assert!(text.contains(part), "{text}");
        }
        let fine = json!({"cors_allow_origins": ["*"], "require_api_key": true});
        assert!(Settings::from_map(&map(fine)).is_ok());
    }

    #[test]
    fn a_broken_stored_value_falls_back_to_the_safe_side() {
        let stored = map(json!({
            "ip_whitelist": ["0.0.0.0/0", "junk"],
            "require_api_key": 3,
            "trusted_proxy_enabled": true,
            "trusted_proxies": ["0.0.0.0/0"],
        }));
        let (s, errors) = Settings::resolve(&stored, &BTreeMap::new(), &Found::default());
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!(s.ip_whitelist, Settings::default().ip_whitelist);
        assert_eq!(s.require_api_key, RequireApiKey::Always);
        assert!(!s.trusted_proxy_enabled);
    }

    #[test]
    fn locked_values_win_over_stored_ones() {
        let stored = map(json!({"sticky_count": 2, "limits.in_flight": 5}));
        let locked = BTreeMap::from([("sticky_count", json!(9))]);
        let (s, errors) = Settings::resolve(&stored, &locked, &Found::default());
        assert!(errors.is_empty());
        assert_eq!((s.sticky_count, s.limits.in_flight), (9, 5));
    }

    #[test]
    fn the_exact_keep_alive_key_wins() {
        let s = Settings::from_map(&map(json!({"stream_keepalive_s": 5}))).unwrap();
        assert_eq!(s.timeouts.keep_alive, Duration::from_secs(5));
        let both = json!({"stream_keepalive_s": 5, "timeouts.keep_alive_ms": 700});
        let s = Settings::from_map(&map(both)).unwrap();
        assert_eq!(s.timeouts.keep_alive, Duration::from_millis(700));
    }

    #[test]
    fn keys_of_later_versions_are_accepted_and_named() {
        let given = map(json!({"locale": "de", "oauth.claude.client_id": "x", "sticky_count": 1}));
        assert!(Settings::from_map(&given).is_ok());
        assert_eq!(without_effect_yet(&given), ["locale"]);
    }
}
