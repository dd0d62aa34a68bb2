//! The operational log: one line per event, redacted by type, name and pattern, made inert, and given to standard error,
//! to a file, and to the console that the dashboard and `ninerouter logs` show (SEC-LOG-1, -2, -5).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | starting it, and the level of the running log |
//! | `line` | a line: what of an event is kept, and how it is written |
//! | `layer` | from an event to its line, and from there to every output |
//! | `console` | the newest lines, for whoever watches |
//! | `inert` | text that moves no cursor |

mod console;
mod inert;
mod layer;
mod line;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::{error, info};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

pub use console::{Console, Wanted};
pub use inert::inert;
pub use line::{LogLevel, LogLine};

use crate::clock::{Clock, UnixMs};
use crate::log::layer::Lines;
use crate::rotating::RotatingFile;

/// The server library logs each broken request head and each stream we cut as an error: anybody could
/// fill the log with it.
const CLIENT_FAULTS: &str = ",actix_http::h1::dispatcher=off";
/// A log file is put aside when it has this size; so many are kept beside it (cli-and-deploy §6).
const FILE_BYTES: u64 = 10 << 20;
const KEPT_FILES: u32 = 5;
/// Lines that wait for the file; beyond that they are dropped, and nobody waits for a disk.
const WAITING: usize = 10_000;

/// The filter of the running log, to be replaced when the configuration is read again.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();
static LEVELS: Mutex<Levels> = Mutex::new(Levels { usual: String::new(), for_a_while: None });
static CONSOLE: LazyLock<Console> = LazyLock::new(Console::default);

/// How the log is written.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Level or filter.
    pub level: String,
    /// JSON, one object a line; else text.
    pub json: bool,
    /// Text on standard error has colours.
    pub colour: bool,
    /// Write to this file as well.
    pub file: Option<PathBuf>,
}

/// Keeps the file's writer going; dropped, it writes what waits.
#[derive(Debug)]
pub struct LogGuard {
    _file: Option<WorkerGuard>,
}

/// The level that is configured, and another one for a while.
struct Levels {
    usual: String,
    for_a_while: Option<(LogLevel, UnixMs)>,
}

/// The newest lines of this process's log.
#[must_use]
pub fn console() -> &'static Console {
    &CONSOLE
}

/// Starts the log. A second call changes nothing.
///
/// # Errors
/// The file cannot be opened; the log is then not started.
pub fn start(options: &LogOptions) -> io::Result<LogGuard> {
    let (file, guard) = match &options.file {
        Some(path) => {
            let (file, guard) = to_file(RotatingFile::open(path, FILE_BYTES, KEPT_FILES)?);
            (Some(file), Some(guard))
        }
        None => (None, None),
    };
    let (filter, handle) = reload::Layer::new(filter(&options.level));
    let lines = Lines::new(console(), Clock::System, options.json, options.colour, file);
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        levels().usual.clone_from(&options.level);
        // Set once: only the log that was started has a filter to replace.
        drop(FILTER.set(handle));
        std::panic::set_hook(Box::new(report_panic));
    }
    Ok(LogGuard { _file: guard })
}

fn to_file(file: RotatingFile) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(file)
}

fn levels() -> MutexGuard<'static, Levels> {
    LEVELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the level of the running log: it is a setting that is read again with the others. A level that was asked for for
/// a while stays until its time is over.
pub fn set_level(level: &str) {
    let mut levels = levels();
    level.clone_into(&mut levels.usual);
    if levels.for_a_while.is_none() {
        put_in_place(level);
    }
}

/// Sets another level until `until`, Unix ms; [`return_if_due`] takes it back.
pub fn set_level_for_a_while(level: LogLevel, until: UnixMs) {
    let mut levels = levels();
    levels.for_a_while = Some((level, until));
    put_in_place(level.as_str());
}

/// The level that was asked for for a while, and until when it holds.
#[must_use]
pub fn level_for_a_while() -> Option<(LogLevel, UnixMs)> {
    levels().for_a_while
}

/// The level or filter that holds otherwise.
#[must_use]
pub fn usual_level() -> String {
    levels().usual.clone()
}

/// Puts the usual level back when the time of another one is over at `now`.
pub fn return_if_due(now: UnixMs) {
    let mut levels = levels();
    if levels.for_a_while.is_some_and(|(_, until)| now >= until) {
        levels.for_a_while = None;
        put_in_place(&levels.usual);
        drop(levels);
        info!("the log has its usual level again");
    }
}

fn put_in_place(level: &str) {
    if let Some(handle) = FILTER.get()
        && let Err(error) = handle.reload(filter(level))
    {
        error!(%error, "the log level could not be changed");
    }
}

fn filter(level: &str) -> EnvFilter {
    let quiet = if level.contains("actix_http") { "" } else { CLIENT_FAULTS };
    EnvFilter::try_new([level, quiet].concat())
        .unwrap_or_else(|_bad| EnvFilter::new(["info", CLIENT_FAULTS].concat()))
}

/// A panic is a line of the log like others: redacted, inert, in the log's format (SEC-LOG-2).
fn report_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        error!(%place, %backtrace, "panicked: {text}");
    } else {
        error!(%place, "panicked: {text}");
    }
}
