//! The operational log: filter, format, redaction by pattern as the last line (SEC-LOG-2).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing::error;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::settings::LogFormat;
use crate::redact::redact_text;

/// The server library logs each broken request head and each stream we cut as an error: anybody could
/// fill the log with it.
const CLIENT_FAULTS: &str = ",actix_http::h1::dispatcher=off";

/// The filter of the running log, to be replaced when the configuration is read again.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log on standard error. A second call changes nothing.
pub fn start(level: &str, format: LogFormat, container: bool, colour: bool) {
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => container && !io::stderr().is_terminal(),
    };
    let (filter, handle) = reload::Layer::new(filter(level));
    let log = tracing_subscriber::fmt::layer().with_ansi(colour && !json);
    let log = if json {
        log.json().with_writer(Redacting { colour: false }).boxed()
    } else {
        log.with_writer(Redacting { colour }).boxed()
    };
    if tracing_subscriber::registry().with(filter).with(log).try_init().is_ok() {
        // Set once: only the log that was started has a filter to replace.
        drop(FILTER.set(handle));
        std::panic::set_hook(Box::new(report_panic));
    }
}

/// Sets another level of the running log: it is a setting that is read again with the others.
pub fn set_level(level: &str) {
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

/// A panic is a line of the log like others: redacted, escaped, in the log's format (SEC-LOG-2).
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

/// Makes writers that hide what looks like a secret.
#[derive(Clone, Copy, Debug)]
struct Redacting {
    colour: bool,
}

impl MakeWriter<'_> for Redacting {
    type Writer = RedactingLine;

    fn make_writer(&self) -> Self::Writer {
        RedactingLine { colour: self.colour }
    }
}

/// One line on its way to standard error. The subscriber writes each event in one piece.
#[derive(Debug)]
struct RedactingLine {
    colour: bool,
}

impl Write for RedactingLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The subscriber formats text: nothing is ever lost here.
        let text = String::from_utf8_lossy(line);
        io::stderr().lock().write_all(safe(&redact_text(&text), self.colour).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// One event in one line: whatever would move the cursor, start a line of its own or turn the reading
/// direction is written as an escape (SEC-LOG-5). The subscriber escapes ESC in what is logged; with
/// colours its own ESC is let through.
fn safe(line: &str, colour: bool) -> Cow<'_, str> {
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    let is_bad = |c: char| match c {
        '\u{1b}' => !colour,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => true,
        _ => c.is_control(),
    };
    if !text.contains(is_bad) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push_str(end);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_log_05_an_event_stays_one_line_and_moves_no_cursor() {
        for (line, colour, want) in [
            ("plain: é\n", false, "plain: é\n"),
            ("a\nINFO forged\r\n", false, "a\\nINFO forged\\r\n"),
            ("\u{1b}[2J\u{9b}31m\u{7}\n", false, "\\u{1b}[2J\\u{9b}31m\\u{7}\n"),
            ("\u{1b}[32mINFO\u{1b}[0m \u{8}\n", true, "\u{1b}[32mINFO\u{1b}[0m \\u{8}\n"),
            ("abc\u{202e}txt\u{2028}x\n", false, "abc\\u{202e}txt\\u{2028}x\n"),
        ] {
            assert_eq!(safe(line, colour), want);
        }
    }
}
