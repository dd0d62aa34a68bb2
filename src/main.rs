//! Entry point: the command line decides, the exit code tells.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Messages, rows and buffers are made on one thread and freed on another all the time: the system's allocator spends
/// a tenth of the router's time on that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ninerouter::cli::run::main()
}
