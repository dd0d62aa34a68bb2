//! From the command line to an exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tracing::{info, warn};

use crate::cli::args::{
    AddressArgs, Cli, Color, Command, GlobalArgs, HealthcheckArgs, PrintArgs, ServeArgs,
    ServiceCommand,
};
use crate::cli::client::Failed;
use crate::cli::commands::{self, Session};
use crate::cli::output::Output;
use crate::cli::service::Unit;
use crate::cli::start::{Kind, StartError, open, run};
use crate::cli::{demo, doctor, healthcheck, pages, process, service};
use crate::clock::Clock;
use crate::config::environment::Level;
use crate::config::error::exit;
use crate::config::options::{Inputs, Options};
use crate::config::settings::{LogFormat, Settings};
use crate::log::{self, LogGuard, LogOptions};
use crate::server::Ended;

/// Exit code after a second signal (REL-RUN-3).
const INTERRUPTED: u8 = 130;

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let (global, command) = Cli::of_process();
    let code = match command {
        Command::Serve(args) => server(serve(&global, &args)),
        Command::Demo(args) => server(demo::demo(&global, &args)),
        Command::Healthcheck(args) => check(&global, &args),
        Command::Doctor(args) => doctor::run(&global, &args),
        Command::Service(ServiceCommand::Print(args)) => print_unit(&args),
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
        command => ask(&global, command),
    };
    ExitCode::from(code)
}

/// A command that speaks to the router, or to the data folder when none runs.
fn ask(global: &GlobalArgs, command: Command) -> u8 {
    // The service may run in this process: its files and its memory are as private as the server's.
    process::harden(false);
    let inputs = Inputs::of_process(global.flags(&AddressArgs::default(), false));
    let options = match Options::resolve(inputs.clone()) {
        Ok(options) => options,
        Err(error) => return Output::new(global, None).failed(&Failed::Config(error)),
    };
    // What a command has to say it says itself.
    let filter = global.log_level.as_deref().unwrap_or("error");
    let log_colour = colour(global.color, &options);
    let log_options =
        LogOptions { level: filter.to_owned(), colour: log_colour, ..LogOptions::default() };
    // Without a file nothing can go wrong, and nothing waits to be written.
    let _log = log::start(&log_options);
    let out = Output::new(global, Some(&options));
    for note in options.notes.iter().filter(|note| note.level == Level::Warning) {
        out.warn(&note.text);
    }
    let session = Session { options, inputs, out, yes: global.yes };
    let done = match command {
        Command::Account(command) => commands::account::run(&session, command),
        Command::Key(command) => commands::key::run(&session, command),
        Command::Combo(command) => commands::combo::run(&session, command),
        Command::Alias(command) => commands::combo::alias(&session, command),
        Command::Model(command) => commands::model::run(&session, command),
        Command::Provider(command) => commands::provider::run(&session, command),
        Command::Route(args) => commands::route::run(&session, &args),
        Command::Chat(args) => commands::chat::run(&session, &args),
        Command::Usage(args) => commands::usage::run(&session, &args),
        Command::Budget(command) => commands::budget::run(&session, command),
        Command::Proxy(command) => commands::proxy::run(&session, command),
        Command::Logs(args) => commands::logs::run(&session, &args),
        Command::Audit(command) => commands::audit::run(&session, &command),
        Command::Config(command) => commands::config_file::run(&session, &command),
        Command::Admin(command) => commands::admin::run(&session, &command),
        Command::Status => commands::status::run(&session),
        Command::Backup(args) => commands::backup::run(&session, &args),
        Command::Restore(args) => commands::backup::restore(&session, &args),
        // Done before.
        Command::Serve(_)
        | Command::Demo(_)
        | Command::Healthcheck(_)
        | Command::Doctor(_)
        | Command::Service(_)
        | Command::Completions(_)
        | Command::Man(_) => Ok(()),
    };
    match done {
        Ok(()) => 0,
        Err(failed) => session.out.failed(&failed),
    }
}

fn server(outcome: Result<Ended, StartError>) -> u8 {
    match outcome {
        Ok(Ended::Drained) => 0,
        Ok(Ended::Cut) => INTERRUPTED,
        Ok(Ended::Damaged) => {
            complain(
                "the database is damaged; what was not written to it is lost\n  \
                 Restore one of `backups/` in the data folder: ninerouter restore NAME",
            );
            exit::IO
        }
        Err(error) => {
            complain(&error.to_string());
            error.exit_code()
        }
    }
}

fn serve(global: &GlobalArgs, args: &ServeArgs) -> Result<Ended, StartError> {
    process::harden(args.debug);
    let flags = global.flags(&args.address, args.require_api_key);
    let inputs = Inputs::of_process(flags);
    let options = Options::resolve(inputs.clone())?;
    let _log = log(&options, global)?;
    let kind = Kind {
        fresh: args.fresh,
        no_background: args.no_background,
        quiet: global.quiet,
        ..Kind::default()
    };
    let clock = Clock::System;
    let opened = open(options, inputs, &kind, &clock)?;
    run(opened, &kind, clock)
}

/// Starts the log as flags and environment say, and repeats what reading them brought up.
///
/// # Errors
/// The file it is to be written to cannot be opened.
pub fn log(options: &Options, global: &GlobalArgs) -> io::Result<LogGuard> {
    let (settings, _) =
        Settings::resolve(&std::collections::BTreeMap::new(), &options.locked, &options.found);
    let json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => options.container && !io::stderr().is_terminal(),
    };
    let log_options = LogOptions {
        level: settings.log_level,
        json,
        colour: colour(global.color, options) && !json,
        file: global.log_file.clone(),
    };
    let guard = log::start(&log_options)?;
    for note in &options.notes {
        match note.level {
            Level::Info => info!("{}", note.text),
            Level::Warning => warn!("{}", note.text),
        }
    }
    Ok(guard)
}

/// Whether the log on standard error is coloured.
pub(super) fn colour(wanted: Color, options: &Options) -> bool {
    match wanted {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stderr().is_terminal() && !options.environment.is_set("NO_COLOR"),
    }
}

fn print_unit(args: &PrintArgs) -> u8 {
    let unit = match (args.user, args.socket) {
        (_, true) => Unit::Socket,
        (true, false) => Unit::User,
        (false, false) => Unit::System,
    };
    let binary = std::env::current_exe().unwrap_or_default();
    // A reader that closed the pipe has read enough.
    drop(write!(io::stdout().lock(), "{}", service::unit(unit, &binary)));
    0
}

fn check(global: &GlobalArgs, args: &HealthcheckArgs) -> u8 {
    let flags = global.flags(&args.address, false);
    let outcome = Options::resolve(Inputs::of_process(flags)).map_err(|error| error.to_string());
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let checked = outcome.and_then(|options| {
        healthcheck::check(&options.listen, path, &Clock::System).map_err(|error| error.to_string())
    });
    match checked {
        Ok(()) => 0,
        Err(why) => {
            complain(&why);
            1
        }
    }
}

/// Says what went wrong, one line of cause and one of remedy.
pub fn complain(text: &str) {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    // Nobody reads standard error: the exit code has to do.
    drop(writeln!(io::stderr().lock(), "error: {text}"));
}
