//! Entry point: the command line decides, the exit code tells.

use std::process::ExitCode;

fn main() -> ExitCode {
    ninerouter::cli::run::main()
}
