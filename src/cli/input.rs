//! What commands read: secrets, files, answers to questions, and lines that may come at any time.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::client::Failed;
use crate::cli::output::print_error;
use crate::secret::Secret;

/// Longest secret or line: a service account's key file is below 4 KiB.
const LONGEST_SECRET: u64 = 64 * 1024;
/// Longest file that is sent to the router.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// True when a person sits at standard input.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A secret: asked for without echo on a terminal, else all of standard input without the last line end.
///
/// # Errors
/// Nothing was given, it is too long, or it cannot be read.
pub fn secret(question: &str, from_stdin: bool) -> Result<Secret, Failed> {
    let text = if is_terminal() {
        print_error(question);
        let line = without_echo(read_line);
        print_error("\n");
        line?
    } else if from_stdin {
        read_all(io::stdin().lock(), LONGEST_SECRET, "standard input")?
    } else {
        return Err(Failed::Usage(
            "standard input is no terminal, so nothing can be asked\n  Give the secret on standard input with --key-stdin; as an argument others could read it."
                .to_owned(),
        ));
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failed::Usage("nothing was given on standard input".to_owned()));
    }
    Ok(Secret::new(text.to_owned()))
}

/// A password, exactly as given but for the line end: asked for without echo on a terminal, else all of standard input.
///
/// # Errors
/// Nothing was given, it is too long, or it cannot be read.
pub fn password(question: &str, from_stdin: bool) -> Result<Secret, Failed> {
    let text = if from_stdin {
        read_all(io::stdin().lock(), LONGEST_SECRET, "standard input")?
    } else if is_terminal() {
        print_error(question);
        let line = without_echo(read_line);
        print_error("\n");
        line?
    } else {
        return Err(Failed::Usage(
            "standard input is no terminal, so nothing can be asked\n  Give the password on standard input with --password-stdin; as an argument others could read it."
                .to_owned(),
        ));
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Failed::Usage("no password was given".to_owned()));
    }
    Ok(Secret::new(line.to_owned()))
}

/// A text file, or standard input for `-`.
///
/// # Errors
/// It cannot be read, is no text, or is too long.
pub fn file(path: &Path) -> Result<String, Failed> {
    if path.as_os_str() == "-" {
        return read_all(io::stdin().lock(), LONGEST_FILE, "standard input");
    }
    let what = format!("`{}`", path.display());
    match std::fs::File::open(path) {
        Ok(file) => read_all(file, LONGEST_FILE, &what),
        Err(error) => Err(Failed::Input { what, error }),
    }
}

/// Asks before something that cannot be undone. Where nobody can be asked the answer is yes: a script says what it means.
///
/// # Errors
/// The answer is not yes.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failed> {
    if yes || !is_terminal() {
        return Ok(());
    }
    print_error(&format!("{question} [y/N] "));
    let answer = read_line()?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failed::Interrupted)
}

fn read_all(from: impl Read, most: u64, what: &str) -> Result<String, Failed> {
    let failed = |error| Failed::Input { what: what.to_owned(), error };
    let mut text = String::new();
    let read = from.take(most + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > most {
        return Err(Failed::Usage(format!("{what} holds more than {} KiB", most / 1_024)));
    }
    Ok(text)
}

fn read_line() -> Result<String, Failed> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(LONGEST_SECRET)
        .read_line(&mut line)
        .map_err(|error| Failed::Input { what: "standard input".to_owned(), error })?;
    Ok(line)
}

/// Runs `read` while the terminal shows nothing of what is typed.
fn without_echo<T>(read: impl FnOnce() -> T) -> T {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    let Ok(before) = tcgetattr(&stdin) else { return read() };
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    if tcsetattr(&stdin, OptionalActions::Now, &silent).is_err() {
        return read();
    }
    let got = read();
    // A terminal that is gone needs no echo.
    let _unset = tcsetattr(&stdin, OptionalActions::Now, &before);
    got
}

/// Something that happened while a command waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A line of standard input.
    Line(String),
    /// Ctrl+C, SIGTERM, or the terminal is gone.
    Interrupted,
}

/// Lines and signals as they come, for a command that waits for something else as well. The threads behind it live as
/// long as the process.
///
/// # Errors
/// Signals cannot be watched.
pub fn events() -> Result<Receiver<Event>, Failed> {
    let (sender, receiver) = sync_channel(16);
    let signals = sender.clone();
    let failed = |error| Failed::Input { what: "signals".to_owned(), error };
    let (watches, begun) = sync_channel(1);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || watch(&signals, watches))
        .map_err(failed)?;
    // Only then is Ctrl+C an event and not the end of the process. An error means that it cannot be watched.
    let _watched = begun.recv();
    std::thread::Builder::new()
        .name("input".into())
        .spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut line = String::new();
                match (&mut stdin).take(LONGEST_SECRET).read_line(&mut line) {
                    // The end of the input is no wish to stop: the browser may still come back.
                    Ok(0) | Err(_) => return,
                    Ok(_) if sender.send(Event::Line(line)).is_err() => return,
                    Ok(_) => {}
                }
            }
        })
        .map_err(failed)?;
    Ok(receiver)
}

fn watch(sender: &SyncSender<Event>, watches: SyncSender<()>) {
    actix_web::rt::System::new().block_on(async move {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [Ok(mut int), Ok(mut term), Ok(mut hangup)] = kinds.map(signal) else { return };
        // Whoever waits for it cannot be gone.
        let _heard = watches.send(());
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hangup.recv() => {}
        }
        // Nobody waits any more: the command is done.
        drop(sender.send(Event::Interrupted));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_has_an_end() {
        assert_eq!(read_all(&b"abc\n"[..], 4, "x").unwrap(), "abc\n");
        let error = read_all(&b"abcde"[..], 4, "x").unwrap_err();
        assert!(matches!(error, Failed::Usage(_)), "{error}");
        let error = read_all(&b"\xff"[..], 4, "x").unwrap_err();
        assert!(matches!(error, Failed::Input { .. }), "{error}");
        let missing = file(Path::new("/nonexistent/x")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/x"), "{missing}");
    }
}
