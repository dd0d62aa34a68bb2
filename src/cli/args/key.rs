//! `ninerouter key …` and `ninerouter budget …`: who may spend how much.

use clap::{Args, Subcommand};

use crate::cli::args::value::{Micros, Span, Until};

/// What to do with API keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; its text is printed once and cannot be shown again
    Create(Box<KeyCreateArgs>),
    /// List keys; their texts are not stored
    List,
    /// End a key
    Revoke(KeyRevokeArgs),
    /// Give a key a new text; the old one stays valid for a while
    Rotate(KeyRotateArgs),
}

/// Arguments of `key create`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
                  ninerouter key create laptop\n  \
                  ninerouter key create guest --expires 30d --models 'glm/*' --rpm 60 --usd-month 5\n  \
                  ninerouter key create ci -q > ci.key      the text alone")]
pub struct KeyCreateArgs {
    /// Name of the key, unique
    #[arg(value_name = "NAME")]
    pub name: String,
    /// End of its life: a span such as `90d` or `12h`, or a date
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<Until>,
    /// Only these models; patterns with `*`
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    pub models: Vec<String>,
    /// Only these providers
    #[arg(long, value_name = "PROVIDER,…", value_delimiter = ',')]
    pub providers: Vec<String>,
    /// Only these combos
    #[arg(long, value_name = "COMBO,…", value_delimiter = ',')]
    pub combos: Vec<String>,
    /// Only from these addresses
    #[arg(long = "allow-cidr", value_name = "CIDR,…", value_delimiter = ',')]
    pub allow_cidrs: Vec<String>,
    /// Only for these purposes: `inference`, `models`, `usage:own` [default: all]
    #[arg(long = "scope", value_name = "SCOPE,…", value_delimiter = ',')]
    pub scopes: Vec<String>,
    /// Most requests per minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rpm: Option<u32>,
    /// Most tokens per minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tpm: Option<u32>,
    /// Most requests at one time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_concurrent: Option<u32>,
    /// Most US dollars per day (UTC)
    #[arg(long, value_name = "USD")]
    pub usd_day: Option<Micros>,
    /// Most US dollars per month (UTC)
    #[arg(long, value_name = "USD")]
    pub usd_month: Option<Micros>,
    /// Most US dollars in its life
    #[arg(long, value_name = "USD")]
    pub usd_total: Option<Micros>,
    /// Keep the bodies of its requests for a day, redacted, to look into them
    #[arg(long)]
    pub capture_bodies: bool,
}

/// One key.
#[derive(Clone, Debug, Args)]
pub struct KeyArg {
    /// Name of the key, its id, or the beginning of its id
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// Arguments of `key revoke`.
#[derive(Clone, Debug, Args)]
pub struct KeyRevokeArgs {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArg,
    /// Cut running answers too
    #[arg(long)]
    pub now: bool,
}

/// Arguments of `key rotate`.
#[derive(Clone, Debug, Args)]
pub struct KeyRotateArgs {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArg,
    /// How long the old text stays valid, at most a day
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    pub grace: Span,
}

/// What to do with budgets.
#[derive(Clone, Debug, Subcommand)]
pub enum BudgetCommand {
    /// List budgets with what is spent
    List,
    /// Make a budget, or change the one of the same scope and window
    Set(BudgetSetArgs),
    /// Remove a budget
    #[command(visible_alias = "remove")]
    Rm(BudgetArg),
}

/// Arguments of `budget set`.
#[derive(Clone, Debug, Args)]
#[command(
    group = clap::ArgGroup::new("limit").required(true).multiple(true),
    after_help = "Examples:\n  \
                  ninerouter budget set all --window month --usd 50\n  \
                  ninerouter budget set provider:glm --window day --usd 2.50 --action warn\n  \
                  ninerouter budget set key:guest --window total --tokens 5000000"
)]
pub struct BudgetSetArgs {
    /// What is limited: `all`, `provider:ID`, `account:ACCOUNT`, `key:KEY` or `combo:NAME`
    #[arg(value_name = "SCOPE")]
    pub scope: String,
    /// Span that is counted
    #[arg(long, value_name = "WINDOW", value_parser = ["5h", "day", "week", "month", "total"])]
    pub window: String,
    /// Most US dollars
    #[arg(long, value_name = "USD", group = "limit")]
    pub usd: Option<Micros>,
    /// Most tokens
    #[arg(long, value_name = "N", group = "limit")]
    pub tokens: Option<u64>,
    /// Most requests
    #[arg(long, value_name = "N", group = "limit")]
    pub requests: Option<u64>,
    /// What happens at the limit
    #[arg(long, value_name = "ACTION", default_value = "block", value_parser = ["block", "warn"])]
    pub action: String,
    /// Time zone of days, weeks and months [default: that of the router]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// One budget.
#[derive(Clone, Debug, Args)]
pub struct BudgetArg {
    /// Its id or the beginning of it, or `SCOPE/WINDOW` as `budget list` shows it
    #[arg(value_name = "BUDGET")]
    pub budget: String,
}
