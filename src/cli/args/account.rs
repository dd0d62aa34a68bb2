//! `ninerouter account …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::args::value::Pair;

/// The long help of `account add`.
const ADD: &str = "\
Add an account: sign in, give a key, or import what another program has stored.

A provider with a sign-in prints an address. Open it in a browser on any computer. The command ends by itself \
when the browser can reach this computer; else paste the address the browser ended at, or the code the page shows.

A provider with keys asks for one, or reads it from standard input with --key-stdin. A key is never an argument: \
others could read it in the process list.";

/// What to do with accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account: sign in, give a key, or import what another program has stored
    #[command(long_about = ADD)]
    Add(Box<AccountAddArgs>),
    /// List accounts with their state
    List(AccountListArgs),
    /// Show one account whole, with its quota
    Show(AccountArg),
    /// Change an account
    Set(Box<AccountSetArgs>),
    /// Replace the key of an account; the new one is read from standard input or asked for
    SetKey(AccountArg),
    /// Send the provider the smallest request that proves the credential; exit 1 when it fails
    Test(AccountArgs),
    /// Get a new access token now, and read the quota again
    Refresh(AccountArgs),
    /// Sign in again to an account whose sign-in has died
    Reconnect(ReconnectArgs),
    /// Switch accounts on
    Enable(AccountArgs),
    /// Switch accounts off; running requests end as usual
    Disable(AccountArgs),
    /// Remove an account and its credential
    #[command(visible_alias = "rm")]
    Remove(AccountRemoveArgs),
    /// Forget the cool-downs and locks of an account
    ClearLocks(ClearLocksArgs),
    /// Let an account that asks for a new sign-in try its old one once more
    TryAgain(AccountArg),
}

/// One account.
#[derive(Clone, Debug, Args)]
pub struct AccountArg {
    /// `provider/label`, its id, or the beginning of its id
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
}

/// Several accounts.
#[derive(Clone, Debug, Args)]
pub struct AccountArgs {
    /// `provider/label`, its id, or the beginning of its id
    #[arg(value_name = "ACCOUNT", required = true)]
    pub accounts: Vec<String>,
}

/// Where the browser of a sign-in runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Browser {
    /// On the computer of the router: it comes back to it by itself
    Here,
    /// On another computer: the vendor's page shows a code, where it has such a page
    Elsewhere,
}

impl Browser {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Who refreshes an imported sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Ownership {
    /// The router alone; the program it came from will be signed out
    Own,
    /// The router, beside the program it came from; for vendors whose refresh tokens do not change
    Copy,
    /// The program it came from; the router reads its file again when the token ends
    Follow,
}

impl Ownership {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Copy => "copy",
            Self::Follow => "follow",
        }
    }
}

/// Arguments of `account add`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
                  ninerouter account add claude --label work\n  \
                  ninerouter account add glm --key-stdin < glm.key\n  \
                  ninerouter account add claude --import --ownership follow\n  \
                  ninerouter provider list            which providers there are")]
pub struct AccountAddArgs {
    /// Provider: id, prefix, or the prefix of an own node
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Name of the account, unique for its provider
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Read the key from standard input
    #[arg(long, conflicts_with_all = ["import", "scan"])]
    pub key_stdin: bool,
    /// Store a key without asking the provider whether it is valid
    #[arg(long, conflicts_with_all = ["import", "scan"])]
    pub no_check: bool,
    /// Value that the provider needs beside the key; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<Pair>,
    /// Import a credential file; without FILE the place where the vendor's program keeps it, `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "scan")]
    pub import: Option<Option<PathBuf>>,
    /// List what could be imported from this computer, and import nothing
    #[arg(long)]
    pub scan: bool,
    /// Who refreshes an imported sign-in [default: the vendor's program where refresh tokens change]
    #[arg(long, value_enum, value_name = "WHO", requires = "import")]
    pub ownership: Option<Ownership>,
    /// How the sign-in goes.
    #[command(flatten)]
    pub means: Means,
    /// What most accounts leave as it is.
    #[command(flatten)]
    pub columns: AccountColumns,
    /// Options of single vendors' sign-ins.
    #[command(flatten)]
    pub sign_in: SignInArgs,
}

/// How a sign-in goes.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Means {
    /// Sign in with a code shown here instead of a redirect, where the vendor has both
    #[arg(long)]
    pub device: bool,
    /// Where your browser runs [default: elsewhere over ssh]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub browser: Option<Browser>,
}

/// Options that some vendors' sign-ins take.
#[derive(Clone, Debug, Default, Args)]
pub struct SignInArgs {
    /// Region of the sign-in, for vendors that have several
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Base address of the vendor's own installation
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Start address of the organisation
    #[arg(long, value_name = "URL")]
    pub start_url: Option<String>,
    /// Id of an OAuth client of your own
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Cloud project that requests are charged to
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
}

/// Fields of an account that an operator may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct AccountColumns {
    /// Order among the provider's accounts, 1 first
    #[arg(long, value_name = "N")]
    pub priority: Option<u16>,
    /// Share under weighted choice
    #[arg(long, value_name = "N")]
    pub weight: Option<u16>,
    /// Most requests at one time
    #[arg(long, value_name = "N")]
    pub max_concurrent: Option<u32>,
    /// Tag that combos can name; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Price class
    #[arg(long, value_name = "TIER", value_parser = ["subscription", "cheap", "paid", "free"])]
    pub tier: Option<String>,
    /// Only these models; patterns with `*`
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    pub allow_models: Vec<String>,
    /// Never these models; patterns with `*`
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    pub exclude_models: Vec<String>,
    /// Use the account only while more than this share of its quota is left
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub min_remaining: Option<u8>,
    /// Let the vendor charge beyond what the plan includes
    #[arg(long, value_name = "BOOL")]
    pub allow_overage: Option<bool>,
    /// Way to the provider: `direct`, `inherit`, or the name of a proxy
    #[arg(long, value_name = "PROXY")]
    pub proxy: Option<String>,
    /// Remark of your own
    #[arg(long, value_name = "TEXT")]
    pub notes: Option<String>,
}

/// Filters of `account list`.
#[derive(Clone, Debug, Default, Args)]
pub struct AccountListArgs {
    /// Only of this provider
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Only in this state, for example `ready`, `out_of_quota`, `sign_in_again`
    #[arg(long, value_name = "STATE")]
    pub status: Option<String>,
    /// Only with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
}

/// Arguments of `account set`.
#[derive(Clone, Debug, Args)]
pub struct AccountSetArgs {
    /// Which account.
    #[command(flatten)]
    pub account: AccountArg,
    /// New name
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Refresh its tokens in time
    #[arg(long, value_name = "BOOL")]
    pub refresh_enabled: Option<bool>,
    /// The fields.
    #[command(flatten)]
    pub columns: AccountColumns,
}

/// Arguments of `account reconnect`.
#[derive(Clone, Debug, Args)]
pub struct ReconnectArgs {
    /// Which account.
    #[command(flatten)]
    pub account: AccountArg,
    /// How the sign-in goes.
    #[command(flatten)]
    pub means: Means,
}

/// Arguments of `account remove`.
#[derive(Clone, Debug, Args)]
pub struct AccountRemoveArgs {
    /// Which account.
    #[command(flatten)]
    pub account: AccountArg,
    /// Also when combos are pinned to it
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `account clear-locks`.
#[derive(Clone, Debug, Args)]
pub struct ClearLocksArgs {
    /// Which account.
    #[command(flatten)]
    pub account: AccountArg,
    /// Only this lock, as `account show` names it
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
}
