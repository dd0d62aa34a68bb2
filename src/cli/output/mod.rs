//! What commands print: tables and sentences for people, the API's objects for programs.

mod table;
mod words;

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

pub use table::{Align, Cell, Table, Tone};
pub use words::{count, counted, duration, moment, money, percent, relative, tokens};

use crate::cli::args::{Color, GlobalArgs};
use crate::cli::client::Failed;
use crate::config::options::Options;

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    colour: bool,
}

impl Output {
    /// As the flags, the terminal and `NO_COLOR` say.
    #[must_use]
    pub fn new(global: &GlobalArgs, options: Option<&Options>) -> Self {
        let plain = options.is_some_and(|options| options.environment.is_set("NO_COLOR"));
        let colour = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !plain,
        };
        Self { json: global.json, quiet: global.quiet, colour: colour && !global.json }
    }

    /// True when standard output carries one JSON document.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// True when nothing but results is wanted.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether text may carry colours.
    #[must_use]
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// The result: `value` for programs, `text` for people.
    pub fn result(&self, value: &Value, text: impl FnOnce() -> String) {
        if self.json {
            self.json(value);
        } else {
            print(&text());
        }
    }

    /// The result, of which people need no more than a sentence: it is left out with `--quiet`.
    pub fn done(&self, value: &Value, text: impl FnOnce() -> String) {
        if self.json {
            self.json(value);
        } else if !self.quiet {
            print(&text());
        }
    }

    /// A part of a result that has no end.
    pub fn part(&self, text: &str) {
        print(text);
    }

    /// One JSON document.
    pub fn json(&self, value: &Value) {
        print(&format!("{value:#}\n"));
    }

    /// Something to read beside the result, on standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            print_error(text);
        }
    }

    /// What a person has to do for the command to go on, on standard error, whatever else is wanted.
    pub fn instruct(&self, text: &str) {
        print_error(text);
    }

    /// Something that asks for attention, on standard error.
    pub fn warn(&self, text: &str) {
        print_error(&format!("warning: {text}\n"));
    }

    /// Why a command failed, and its exit code.
    #[must_use]
    pub fn failed(&self, failed: &Failed) -> u8 {
        match failed {
            Failed::Said(_) => {}
            _ if self.json => self.json(&failed.to_json()),
            _ => {
                let text = failed.to_string();
                print_error(&format!(
                    "error: {}\n",
                    text.strip_prefix("error: ").unwrap_or(&text).trim_end()
                ));
            }
        }
        failed.exit_code()
    }
}

/// Text for standard output, without what could steer the terminal.
pub fn print(text: &str) {
    // A closed pipe is the reader's wish.
    drop(io::stdout().lock().write_all(harmless(text).as_bytes()));
}

/// Text for standard error, without what could steer the terminal.
pub fn print_error(text: &str) {
    // Nobody reads standard error: the exit code has to do.
    drop(io::stderr().lock().write_all(harmless(text).as_bytes()));
}

/// Labels, vendors' messages and models' answers are other people's text: control characters are shown, not obeyed.
/// Our own colours are let through.
#[must_use]
pub fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_bad) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(code) = Tone::code_at(rest) {
            clean.push_str(code);
            rest = rest.strip_prefix(code).unwrap_or_default();
            continue;
        }
        clean.push(if is_bad(c) { '\u{fffd}' } else { c });
        rest = rest.strip_prefix(c).unwrap_or_default();
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("plain é\n\ttext"), "plain é\n\ttext");
        assert_eq!(harmless("\u{1b}[2J\u{7}x\r\u{9b}1m"), "\u{fffd}[2J\u{fffd}x\u{fffd}\u{fffd}1m");
        let ours = Tone::Good.paint("ready", true);
        assert_eq!(harmless(&ours), ours);
    }
}
