//! The command line, declared.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::version;
use crate::config::options::Flags;
use crate::config::table;

/// One endpoint, many accounts, real fallback.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "ninerouter",
    version = version::long(),
    about = "NineRouter: one endpoint for many LLM accounts",
    long_about = "NineRouter: one endpoint for many LLM accounts.\n\n\
                  Without a command it serves. Every setting also has an environment variable; \
                  flags win over variables, variables over `.env` files, those over the config file.",
    max_term_width = 100
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// For `serve` when it is not named.
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct GlobalArgs {
    /// `--data-dir`.
    #[arg(long, global = true, value_name = "DIR", help = table::help("DATA_DIR"))]
    pub data_dir: Option<PathBuf>,
    /// Read variables from this file too; may be repeated, the first one wins
    #[arg(long = "env-file", global = true, value_name = "FILE")]
    pub env_files: Vec<PathBuf>,
    /// `--log-level`.
    #[arg(long, global = true, value_name = "L", help = table::help("log_level"))]
    pub log_level: Option<String>,
    /// `--log-format`.
    #[arg(long, global = true, value_name = "FORMAT", help = table::help("log_format"))]
    pub log_format: Option<String>,
    /// Colours in output for people
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
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
    /// Check or apply a config file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask the router of this machine whether it is alive; exit 0 or 1
    Healthcheck(HealthcheckArgs),
    /// Text for the service manager
    #[command(subcommand)]
    Service(ServiceCommand),
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

/// What to do with a config file.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a config file without touching the database
    Validate(ValidateArgs),
    /// Bring the database into the state a config file describes
    Apply(ApplyArgs),
}

/// Arguments of `config validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// The config file, TOML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
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
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
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
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(line: &str) -> Result<(GlobalArgs, Command), clap::Error> {
        Cli::read(line.split_whitespace())
    }

    fn serve(line: &str) -> ServeArgs {
        match read(line).unwrap().1 {
            Command::Serve(args) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_serves() {
        assert_eq!(serve("ninerouter"), ServeArgs::default());
        for line in ["ninerouter -p 3000", "ninerouter serve -p 3000", "ninerouter -p 3000 serve"] {
            assert_eq!(serve(line).address.port, Some(3000), "{line}");
        }
        let args = serve("ninerouter -H ::1 --host unix:/run/x serve --require-api-key");
        assert_eq!(args.address.hosts, ["::1", "unix:/run/x"]);
        assert!(args.require_api_key);
        let (global, _) =
            read("ninerouter serve --data-dir /d --env-file a --env-file b -q").unwrap();
        assert_eq!(global.env_files, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(global.quiet);
    }

    #[test]
    fn a_mistake_ends_with_2_and_a_neighbour() {
        for (line, part) in [
            ("ninerouter --prot 3000", "--port"),
            ("ninerouter serve --require-api-kye", "--require-api-key"),
            ("ninerouter sevre", "serve"),
            ("ninerouter -p 70000", "70000"),
            ("ninerouter -p 3000 healthcheck", "before another command"),
            ("ninerouter config aply x.toml", "apply"),
        ] {
            let error = read(line).map(|_| ()).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn version_names_sqlite() {
        let error = read("ninerouter -V").map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 0);
        let text = error.to_string();
        assert!(
            text.starts_with("ninerouter 0.1.0 (commit ") && text.contains("SQLite 3."),
            "{text}"
        );
    }

    #[test]
    fn c01_help_of_each_command() {
        let mut text = String::new();
        let mut pages = vec![("ninerouter".to_owned(), Cli::command().bin_name("ninerouter"))];
        while let Some((name, mut command)) = pages.pop() {
            command.build();
            text.push_str(&format!("===== {name}\n{}\n", command.render_long_help()));
            let mut below: Vec<_> = command
                .get_subcommands()
                .filter(|c| c.get_name() != "help")
                .map(|c| (format!("{name} {}", c.get_name()), c.clone()))
                .collect();
            below.reverse();
            pages.append(&mut below);
        }
        insta::assert_snapshot!(text);
    }
}
