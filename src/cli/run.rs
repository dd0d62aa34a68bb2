//! From the command line to an exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tracing::{info, warn};

use crate::cli::args::{
    Cli, Color, Command, GlobalArgs, HealthcheckArgs, PrintArgs, ServeArgs, ServiceCommand,
};
use crate::cli::service::Unit;
use crate::cli::start::{Kind, StartError, open, run};
use crate::cli::{config, demo, healthcheck, logging, process, service};
use crate::clock::Clock;
use crate::config::environment::Level;
use crate::config::options::{Inputs, Options};
use crate::config::settings::Settings;
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
        Command::Config(args) => config::run(&global, args),
        Command::Healthcheck(args) => check(&global, &args),
        Command::Service(ServiceCommand::Print(args)) => print_unit(&args),
    };
    ExitCode::from(code)
}

fn server(outcome: Result<Ended, StartError>) -> u8 {
    match outcome {
        Ok(Ended::Drained) => 0,
        Ok(Ended::Cut) => INTERRUPTED,
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
    log(&options, global.color);
    let kind = Kind {
        fresh: args.fresh,
        no_background: args.no_background,
        quiet: global.quiet,
        demo: false,
    };
    let clock = Clock::System;
    let opened = open(options, inputs, &kind, &clock)?;
    run(opened, &kind, clock)
}

/// Starts the log as flags and environment say, and repeats what reading them brought up.
pub fn log(options: &Options, color: Color) {
    let (settings, _) =
        Settings::resolve(&std::collections::BTreeMap::new(), &options.locked, &options.found);
    let colour = colour(color, options);
    logging::start(&settings.log_level, settings.log_format, options.container, colour);
    for note in &options.notes {
        match note.level {
            Level::Info => info!("{}", note.text),
            Level::Warning => warn!("{}", note.text),
        }
    }
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
