//! The operational log: filter, format, redaction by pattern as the last line (SEC-LOG-2).

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::settings::LogFormat;
use crate::redact::redact_text;

/// Starts the log on standard error. A second call changes nothing.
pub fn start(filter: &str, format: LogFormat, container: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_bad| EnvFilter::new("info"));
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => container && !io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Redacting)
        .with_ansi(io::stderr().is_terminal());
    let started = if json { log.json().try_init() } else { log.try_init() };
    // Only tests and `demo` start a log twice in one process; the first one stays.
    drop(started);
}

/// Makes writers that hide what looks like a secret.
#[derive(Clone, Copy, Debug)]
struct Redacting;

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = RedactingLine;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingLine
    }
}

/// One line on its way to standard error. The subscriber writes each event in one piece.
#[derive(Debug)]
struct RedactingLine;

impl Write for RedactingLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => io::stderr().lock().write_all(redact_text(text).as_bytes())?,
            // Never happens: the subscriber formats text.
            Err(_) => io::stderr().lock().write_all(b"[a log line that is no text]\n")?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
