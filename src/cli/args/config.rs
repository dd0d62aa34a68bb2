//! `ninerouter config …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with settings and config files.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show settings with where each value comes from
    Show(ShowArgs),
    /// Print the value of one setting
    Get(SettingArg),
    /// Change one setting
    Set(SetArgs),
    /// Put a setting back to its default
    Unset(SettingArg),
    /// Check a config file without touching the database
    Validate(ValidateArgs),
    /// Show what applying a config file would change
    Diff(DiffArgs),
    /// Bring the database into the state a config file describes
    Apply(ApplyArgs),
    /// Print the present configuration as a config file, without secrets
    Export,
}

/// Arguments of `config show`.
#[derive(Clone, Debug, Default, Args)]
pub struct ShowArgs {
    /// Also settings that have their default
    #[arg(long)]
    pub all: bool,
}

/// One setting.
#[derive(Clone, Debug, Args)]
pub struct SettingArg {
    /// Its name, for example `combo_strategy_default`
    #[arg(value_name = "SETTING")]
    pub setting: String,
}

/// Arguments of `config set`.
#[derive(Clone, Debug, Args)]
pub struct SetArgs {
    /// Which setting.
    #[command(flatten)]
    pub setting: SettingArg,
    /// Its value; lists with commas. Without it, and for secrets always, it is read from standard input
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: Option<String>,
}

/// Arguments of `config validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// The config file, TOML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Arguments of `config diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The config file, TOML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Count as removed what an earlier file made and this one no longer names
    #[arg(long)]
    pub prune: bool,
}

/// Arguments of `config apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// The config file, TOML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Remove what an earlier file made and this one no longer names
    #[arg(long)]
    pub prune: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
}
