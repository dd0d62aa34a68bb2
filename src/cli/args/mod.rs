//! The command line, declared. What its commands mean stands in the help texts here and nowhere else.

mod account;
mod admin;
mod backup;
mod config;
mod key;
mod record;
mod routing;
mod value;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::version;
use crate::config::options::Flags;
use crate::config::table;

pub use account::*;
pub use admin::*;
pub use backup::{BackupArgs, RestoreArgs};
pub use config::*;
pub use key::*;
pub use record::*;
pub use routing::*;
pub use value::*;

/// Shown below the long help (REL-RUN-5).
const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  the answer is no: not healthy, a test or a sign-in failed
    2  the command line is wrong, or names something that does not exist or cannot be
   65  the data is of a newer version
   70  a fault of the program
   73  a file or folder cannot be made
   74  reading or writing failed, or no answer from the router
   75  the data folder is in use, or too many requests
   77  not allowed by the system, or by the router
   78  a configured value is wrong, or is set where the command may not change it
   98  the port is in use
  130  ended by Ctrl+C

With --json exactly one JSON document goes to standard output, also when a command fails: \
{\"error\":{\"code\":…,\"message\":…}}.";

/// One endpoint, many accounts, real fallback.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "ninerouter",
    version = version::long(),
    about = "NineRouter: one endpoint for many LLM accounts",
    long_about = "NineRouter: one endpoint for many LLM accounts.\n\n\
                  Without a command it serves. Every setting also has an environment variable; \
                  flags win over variables, variables over `.env` files, those over the config file.\n\n\
                  Commands reach the running router through the socket in its data folder; when none runs, \
                  they open the data folder themselves, so that everything can be set up before the first start.",
    after_long_help = EXIT_CODES,
    max_term_width = 100
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// For `serve` when it is not named.
    #[command(flatten, next_help_heading = "Options of serve")]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// `--data-dir`.
    #[arg(long, global = true, value_name = "DIR", help = table::help("DATA_DIR"))]
    pub data_dir: Option<PathBuf>,
    /// Read variables from this file too; may be repeated, the first one wins
    #[arg(long = "env-file", global = true, value_name = "FILE", hide_short_help = true)]
    pub env_files: Vec<PathBuf>,
    /// `--log-level`.
    #[arg(long, global = true, value_name = "L", hide_short_help = true, help = table::help("log_level"))]
    pub log_level: Option<String>,
    /// `--log-format`.
    #[arg(long, global = true, value_name = "FORMAT", hide_short_help = true, help = table::help("log_format"))]
    pub log_format: Option<String>,
    /// Write the log to this file as well; it is put aside at 10 MiB, and five such files are kept
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub log_file: Option<PathBuf>,
    /// Colours in output for people
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_short_help = true)]
    pub color: Color,
    /// Print the router's objects as JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Ask nothing; take every question as answered with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When output is coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the program is asked to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the router (what happens without a command)
    Serve(ServeArgs),
    /// Run on this computer with simulated providers and a data folder that is thrown away
    Demo(DemoArgs),
    /// Accounts with providers: sign in, add keys, look after them
    #[command(subcommand)]
    Account(AccountCommand),
    /// API keys of the router's own clients
    #[command(subcommand)]
    Key(KeyCommand),
    /// Combos: one model name over several models, with fallback
    #[command(subcommand)]
    Combo(ComboCommand),
    /// Further names for models and combos
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Models that can be asked for
    #[command(subcommand)]
    Model(ModelCommand),
    /// Providers and their settings
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Where a request for a model would go now; asks no provider
    Route(RouteArgs),
    /// Send one message to a model through the running router
    #[command(long_about = routing::CHAT)]
    Chat(ChatArgs),
    /// Requests, tokens and money of the last days
    Usage(UsageArgs),
    /// Spending limits
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// Proxies towards providers
    #[command(subcommand)]
    Proxy(ProxyCommand),
    /// Who did what to this router, and whether the record of it is whole
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The newest lines of the running router's log
    Logs(LogsArgs),
    /// What the router is doing: addresses, accounts, requests in flight, alerts
    Status,
    /// Copy the database, also while the router runs
    #[command(long_about = backup::BACKUP)]
    Backup(BackupArgs),
    /// Put a backup in the place of the database
    #[command(long_about = backup::RESTORE)]
    Restore(RestoreArgs),
    /// Look for what is wrong with this installation; changes nothing
    Doctor(DoctorArgs),
    /// Settings and the config file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The way back into the dashboard, for who forgot the password or is shut out
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Ask the router of this machine whether it is alive; exit 0 or 1
    Healthcheck(HealthcheckArgs),
    /// Text for the service manager
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Print what a shell needs to complete command lines
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
}

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  ninerouter completions bash > ~/.local/share/bash-completion/completions/ninerouter"
)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  ninerouter man account add | man -l -")]
pub struct ManArgs {
    /// The command the page is about [default: the program]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Flags of `serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    pub address: AddressArgs,
    /// Every client needs an API key, also on this computer [env: REQUIRE_API_KEY=true]
    #[arg(long)]
    pub require_api_key: bool,
    /// No background work: no refresh, no polling (for diagnosis)
    #[arg(long)]
    pub no_background: bool,
    /// Start with an empty database when the old one is corrupt
    #[arg(long)]
    pub fresh: bool,
    /// The process can be inspected by profilers and debuggers
    #[arg(long)]
    pub debug: bool,
}

/// Address of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct AddressArgs {
    /// `--port`.
    #[arg(short, long, value_name = "N", help = table::help("port"))]
    pub port: Option<u16>,
    /// `--host`; may be repeated.
    #[arg(short = 'H', long = "host", value_name = "ADDR", help = table::help("host"))]
    pub hosts: Vec<String>,
}

/// Flags of `demo`.
#[derive(Clone, Debug, Default, Args)]
pub struct DemoArgs {
    /// `--port`.
    #[arg(
        short,
        long,
        value_name = "N",
        help = "Port; any free one when it is taken [env: PORT] [default: 20128]"
    )]
    pub port: Option<u16>,
    /// Keep the data in this folder instead of throwing it away
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Flags of `healthcheck`.
#[derive(Clone, Debug, Default, Args)]
pub struct HealthcheckArgs {
    /// Ask whether it is ready, not only alive
    #[arg(long)]
    pub ready: bool,
    /// Where it listens, when that differs from the environment.
    #[command(flatten)]
    pub address: AddressArgs,
}

/// Texts for the service manager.
#[derive(Clone, Debug, Subcommand)]
pub enum ServiceCommand {
    /// Print the systemd unit without installing it
    Print(PrintArgs),
}

/// Flags of `service print`.
#[derive(Clone, Debug, Default, Args)]
pub struct PrintArgs {
    /// The socket unit, for restarts without a refused connection
    #[arg(long, conflicts_with = "user")]
    pub socket: bool,
    /// The unit for one user's service manager
    #[arg(long)]
    pub user: bool,
}

impl Cli {
    /// Reads the command line of this process; ends the process on `--help`, `--version` and mistakes (exit 2).
    #[must_use]
    pub fn of_process() -> (GlobalArgs, Command) {
        let cli = Self::parse();
        cli.split().unwrap_or_else(|error| error.exit())
    }

    /// Reads a command line; the first argument is the program's name.
    ///
    /// # Errors
    /// What clap says of it.
    pub fn read<I, T>(args: I) -> Result<(GlobalArgs, Command), clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        Self::try_parse_from(args)?.split()
    }

    fn split(self) -> Result<(GlobalArgs, Command), clap::Error> {
        let is_serve = matches!(self.command, None | Some(Command::Serve(_)));
        if !is_serve && self.serve != ServeArgs::default() {
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ArgumentConflict,
                "a flag of `serve` stands before another command; put it behind, if that command has it\n",
            ));
        }
        let prints_no_data = matches!(
            self.command,
            None | Some(
                Command::Serve(_)
                    | Command::Demo(_)
                    | Command::Healthcheck(_)
                    | Command::Service(_)
                    | Command::Completions(_)
                    | Command::Man(_)
            )
        );
        if self.global.json && prints_no_data {
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ArgumentConflict,
                "--json: this command prints no data\n",
            ));
        }
        let command = match self.command {
            None => Command::Serve(self.serve),
            Some(Command::Serve(args)) => Command::Serve(self.serve.overlaid_by(args)),
            Some(other) => other,
        };
        Ok((self.global, command))
    }
}

impl ServeArgs {
    fn overlaid_by(self, later: Self) -> Self {
        Self {
            address: AddressArgs {
                port: later.address.port.or(self.address.port),
                hosts: if later.address.hosts.is_empty() {
                    self.address.hosts
                } else {
                    later.address.hosts
                },
            },
            require_api_key: self.require_api_key || later.require_api_key,
            no_background: self.no_background || later.no_background,
            fresh: self.fresh || later.fresh,
            debug: self.debug || later.debug,
        }
    }
}

impl GlobalArgs {
    /// The flags configuration is resolved from.
    #[must_use]
    pub fn flags(&self, address: &AddressArgs, require_api_key: bool) -> Flags {
        Flags {
            data_dir: self.data_dir.clone(),
            env_files: self.env_files.clone(),
            port: address.port,
            hosts: address.hosts.clone(),
            require_api_key,
            log_level: self.log_level.clone(),
            log_format: self.log_format.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
