//! `ninerouter combo|alias|model|provider|proxy …`, `route`, `chat`, `usage`, `doctor`: what is routed where, and how it goes.

use clap::{Args, Subcommand};

use crate::cli::args::value::Span;

/// What to do with combos.
#[derive(Clone, Debug, Subcommand)]
pub enum ComboCommand {
    /// List combos
    List,
    /// Show one combo with the state of its entries
    Show(ComboArg),
    /// Make a combo, or give an existing one new entries
    Set(Box<ComboSetArgs>),
    /// Remove a combo
    #[command(visible_alias = "remove")]
    Rm(ComboArg),
}

/// One combo.
#[derive(Clone, Debug, Args)]
pub struct ComboArg {
    /// Name of the combo
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Arguments of `combo set`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
                        ninerouter combo set coding cc/claude-opus-4-6 glm/glm-4.7\n  \
                        ninerouter combo set cheap glm/glm-4.7 ds/deepseek-chat --strategy weighted --weights 3,1")]
pub struct ComboSetArgs {
    /// Name of the combo: what clients send as model
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Its entries in order: `prefix/model`, an alias, or `combo:NAME`
    #[arg(value_name = "MODEL", required = true)]
    pub models: Vec<String>,
    /// Order in which entries are tried [default for a new combo: setting `combo_strategy_default`]
    #[arg(long, value_name = "STRATEGY", value_parser = ["fallback", "round-robin", "weighted", "tier"])]
    pub strategy: Option<String>,
    /// Weight of each entry, in order
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub weights: Vec<u16>,
    /// Remark for lists
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Keep a conversation on the entry that served it
    #[arg(long, value_name = "BOOL")]
    pub sticky: Option<bool>,
    /// Most upstream attempts of one request
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<u32>,
    /// Switch the combo on or off
    #[arg(long, value_name = "BOOL")]
    pub enabled: Option<bool>,
    /// Check everything and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What to do with aliases.
#[derive(Clone, Debug, Subcommand)]
pub enum AliasCommand {
    /// List aliases
    List,
    /// Make an alias, or point it elsewhere
    Set(AliasSetArgs),
    /// Remove an alias
    #[command(visible_alias = "remove")]
    Rm(AliasArg),
}

/// Arguments of `alias set`.
#[derive(Clone, Debug, Args)]
pub struct AliasSetArgs {
    /// Which alias.
    #[command(flatten)]
    pub alias: AliasArg,
    /// What it stands for: `prefix/model` or `combo:NAME`
    #[arg(value_name = "MODEL")]
    pub target: String,
}

/// One alias.
#[derive(Clone, Debug, Args)]
pub struct AliasArg {
    /// The name clients send; may hold `*`
    #[arg(value_name = "ALIAS")]
    pub alias: String,
}

/// What to do with models.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelCommand {
    /// List models
    List(ModelListArgs),
}

/// Filters of `model list`.
#[derive(Clone, Debug, Default, Args)]
pub struct ModelListArgs {
    /// Only models that an account can serve
    #[arg(long)]
    pub available: bool,
    /// Only of this provider
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Only with this text in id or name
    #[arg(short = 's', long = "search", visible_alias = "q", value_name = "TEXT")]
    pub search: Option<String>,
}

/// What to do with providers.
#[derive(Clone, Debug, Subcommand)]
pub enum ProviderCommand {
    /// List providers
    List(ProviderListArgs),
    /// Show one provider: how to connect, endpoints, settings
    Show(ProviderArg),
    /// Change settings of a provider
    Set(Box<ProviderSetArgs>),
}

/// Filters of `provider list`.
#[derive(Clone, Debug, Default, Args)]
pub struct ProviderListArgs {
    /// Only providers with an account
    #[arg(long)]
    pub connected: bool,
    /// Only with this text in id, prefix or name
    #[arg(short = 's', long = "search", visible_alias = "q", value_name = "TEXT")]
    pub search: Option<String>,
}

/// One provider.
#[derive(Clone, Debug, Args)]
pub struct ProviderArg {
    /// Provider: id, prefix, or the prefix of an own node
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
}

/// Arguments of `provider set`.
#[derive(Clone, Debug, Args)]
#[command(
    group = clap::ArgGroup::new("setting").required(true).multiple(true),
    override_usage = "ninerouter provider set PROVIDER OPTION…"
)]
pub struct ProviderSetArgs {
    /// Which provider.
    #[command(flatten)]
    pub provider: ProviderArg,
    /// Switch the provider on or off
    #[arg(long, value_name = "BOOL", group = "setting")]
    pub enabled: Option<bool>,
    /// Choice among its accounts
    #[arg(long, value_name = "STRATEGY", group = "setting")]
    pub account_strategy: Option<String>,
    /// Consecutive requests per account under rotation
    #[arg(long, value_name = "N", group = "setting")]
    pub sticky_count: Option<u32>,
    /// How long a conversation stays with its account
    #[arg(long, value_name = "SPAN", group = "setting")]
    pub affinity_ttl: Option<Span>,
    /// Most requests at one time over all its accounts
    #[arg(long, value_name = "N", group = "setting")]
    pub max_in_flight: Option<u32>,
    /// Refresh tokens this long before they end
    #[arg(long, value_name = "SPAN", group = "setting")]
    pub refresh_lead: Option<Span>,
    /// Use its accounts only while more than this share of their quota is left
    #[arg(long, value_name = "PERCENT", group = "setting", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub min_remaining: Option<u8>,
    /// Price class
    #[arg(long, value_name = "TIER", group = "setting", value_parser = ["subscription", "cheap", "paid", "free"])]
    pub tier: Option<String>,
    /// Way to the provider: `direct`, `inherit`, or the name of a proxy
    #[arg(long, value_name = "PROXY", group = "setting")]
    pub proxy: Option<String>,
    /// Put settings back to their default, by their name in `provider show`; may be repeated
    #[arg(long = "unset", value_name = "SETTING", group = "setting")]
    pub unset: Vec<String>,
}

/// What to do with outbound proxies.
#[derive(Clone, Debug, Subcommand)]
pub enum ProxyCommand {
    /// List proxies
    List,
    /// Add a proxy; its address is read from standard input or asked for, since it may hold a password
    Add(ProxyAddArgs),
    /// Remove a proxy
    #[command(visible_alias = "remove")]
    Rm(ProxyArg),
    /// Reach the outside through a proxy; exit 1 when that fails
    Test(ProxyArg),
}

/// Arguments of `proxy add`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
                        ninerouter proxy add office < office.proxy      the file holds: socks5h://user:password@host:1080")]
pub struct ProxyAddArgs {
    /// Name of the proxy, unique
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Hosts that are reached directly: names, suffixes, ranges
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    pub no_proxy: Vec<String>,
}

/// One proxy.
#[derive(Clone, Debug, Args)]
pub struct ProxyArg {
    /// Name of the proxy, its id, or the beginning of its id
    #[arg(value_name = "PROXY")]
    pub proxy: String,
}

/// Arguments of `route`.
#[derive(Clone, Debug, Args)]
pub struct RouteArgs {
    /// Model, alias or combo, as a client sends it
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Dialect of the client
    #[arg(long, value_name = "DIALECT", value_parser = ["openai", "responses", "anthropic", "gemini"])]
    pub dialect: Option<String>,
    /// Also list what is skipped, and why
    #[arg(long)]
    pub explain: bool,
    /// As a client with this key would be served
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// The long help of `chat`.
pub(super) const CHAT: &str = "\
Send one message to a model through the running router.

The request goes over the router's own listener, as any client's. Where a key is needed it is taken from the \
environment variable NINEROUTER_API_KEY. The answer is printed as it comes; what served it, tokens and cost \
follow on standard error.";

/// Arguments of `chat`.
#[derive(Clone, Debug, Args)]
pub struct ChatArgs {
    /// Model, alias or combo
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The message; `-` reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Instructions before the message
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Longest answer
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
}

/// Arguments of `usage`.
#[derive(Clone, Debug, Args)]
pub struct UsageArgs {
    /// Days, today included
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    pub days: u16,
    /// One line for each of these
    #[arg(long, value_name = "WHAT", default_value = "model", value_parser = ["model", "provider", "account", "key", "combo"])]
    pub by: String,
}

/// Arguments of `doctor`.
#[derive(Clone, Debug, Default, Args)]
pub struct DoctorArgs {
    /// Also resolve and reach the hosts of providers that have accounts
    #[arg(long)]
    pub net: bool,
    /// Also test each account, with the smallest request its provider has
    #[arg(long)]
    pub accounts: bool,
    /// Read the whole database, not only its outline
    #[arg(long)]
    pub full: bool,
    /// End with 1 when there are warnings
    #[arg(long)]
    pub strict: bool,
    /// Where the router listens, when that differs from the environment.
    #[command(flatten)]
    pub address: super::AddressArgs,
}
