//! Commands of the real binary, as typed in a terminal: arguments, standard input, and what they print.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, until};

/// An installation of its own: a home, a data folder, variables.
pub(crate) struct Installation {
    home: TempDir,
    env: Vec<(String, String)>,
    server: Option<(Child, Arc<Mutex<String>>)>,
    /// Everything any command printed, for a look at the end.
    printed: Mutex<String>,
    /// Every argument any command was given.
    typed: Mutex<Vec<String>>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// It did its work.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ended(0)
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "`{}`\n{}\n{}", self.line, self.out, self.err);
        self
    }

    /// Standard output holds this.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(
            self.out.contains(part),
            "{part:?} in `{}`:\n{}\n{}",
            self.line,
            self.out,
            self.err
        );
        self
    }

    /// Standard error holds this.
    #[track_caller]
    pub(crate) fn warns(self, part: &str) -> Self {
        assert!(
            self.err.contains(part),
            "{part:?} in `{}`:\n{}\n{}",
            self.line,
            self.out,
            self.err
        );
        self
    }

    /// Standard output is one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("`{}`: {error}\n{}\n{}", self.line, self.out, self.err))
    }
}

impl Installation {
    pub(crate) fn new() -> Self {
        Self {
            home: TempDir::new().unwrap(),
            env: Vec::new(),
            server: None,
            printed: Mutex::default(),
            typed: Mutex::default(),
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn envs(mut self, more: Vec<(String, String)>) -> Self {
        self.env.extend(more);
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join(".9router")
    }

    /// Everything printed by commands and servers so far.
    pub(crate) fn printed(&self) -> String {
        let server = self.server.as_ref().map(|(_, output)| output.lock().unwrap().clone());
        self.printed.lock().unwrap().clone() + &server.unwrap_or_default()
    }

    pub(crate) fn typed(&self) -> Vec<String> {
        self.typed.lock().unwrap().clone()
    }

    #[expect(clippy::disallowed_methods, reason = "tests run the real binary")]
    fn command(&self, args: &[&str]) -> Command {
        self.typed.lock().unwrap().extend(args.iter().map(|arg| (*arg).to_owned()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninerouter"));
        command
            .args(args)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("TZ", "UTC")
            .env("RUST_BACKTRACE", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command line of words without blanks in them.
    pub(crate) fn run(&self, line: &str) -> Done {
        self.run_with(&line.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// Runs a command with `input` on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Done {
        let mut child =
            self.command(args).stdin(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may be gone already.
        let _written = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let done = Done {
            line: format!("ninerouter {}", args.join(" ")),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        *self.printed.lock().unwrap() += &format!("$ {}\n{}{}", done.line, done.err, done.out);
        assert!(!done.err.contains("panicked"), "`{}`: {}", done.line, done.err);
        done
    }

    /// Starts a command that waits for its input.
    pub(crate) fn start_command(&self, args: &[&str]) -> Talk {
        let mut child =
            self.command(args).stdin(Stdio::piped()).spawn().expect("the binary starts");
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        Talk { line: args.join(" "), stdin: child.stdin.take(), child, out, err }
    }

    /// Starts the router of this installation and waits until it answers.
    pub(crate) fn serve(&mut self) -> SocketAddr {
        let args = ["serve", "--port", "0", "--host", "127.0.0.1", "--no-background"];
        let mut child =
            self.command(&args).stdin(Stdio::null()).spawn().expect("the binary starts");
        let output = collect(child.stdout.take().unwrap());
        let more = collect(child.stderr.take().unwrap());
        let seen = Arc::clone(&output);
        let port = until(PATIENCE, "the router prints its port", || {
            let text = seen.lock().unwrap().clone() + &more.lock().unwrap();
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the router ended with {status}:\n{text}");
            }
            text.contains("ready in").then(|| super::router::printed_port(&text))?
        });
        self.server = Some((child, output));
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Ends the router.
    pub(crate) fn stop(&mut self) {
        if let Some((mut child, output)) = self.server.take() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            let status = until(PATIENCE, "the router ends", || child.try_wait().unwrap());
            assert_eq!(status.code(), Some(0));
            *self.printed.lock().unwrap() += &output.lock().unwrap();
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some((child, output)) = &mut self.server {
            let _killed = child.kill();
            let _reaped = child.wait();
            if std::thread::panicking() {
                eprintln!("router: {}", output.lock().unwrap());
            }
        }
    }
}

/// A command that is spoken with.
pub(crate) struct Talk {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
}

impl Talk {
    /// Waits until standard error holds `mark`; gives what stands behind it on its line.
    pub(crate) fn wait_for(&mut self, mark: &str) -> String {
        let err = Arc::clone(&self.err);
        let child = &mut self.child;
        until(PATIENCE, mark, || {
            let text = err.lock().unwrap().clone();
            let found = text.find(mark).map(|at| &text[at + mark.len()..]);
            let found =
                found.and_then(|rest| rest.split_once('\n')).map(|(line, _)| line.to_owned());
            if let (None, Ok(Some(status))) = (&found, child.try_wait()) {
                panic!("the command ended with {status}: {text}");
            }
            found
        })
    }

    /// Waits until standard output holds `mark`.
    pub(crate) fn hears(&mut self, mark: &str) {
        let (out, child) = (Arc::clone(&self.out), &mut self.child);
        until(PATIENCE, mark, || {
            let found = out.lock().unwrap().contains(mark);
            if let (false, Ok(Some(status))) = (found, child.try_wait()) {
                panic!("the command ended with {status}");
            }
            found.then_some(())
        });
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        let child = &mut self.child;
        let status = until(PATIENCE, "the command ends", || child.try_wait().unwrap());
        drop(self.stdin.take());
        // The readers end with the pipes, which end with the process.
        let text = |half: &Arc<Mutex<String>>| {
            until(PATIENCE, "its output is read", || {
                (Arc::strong_count(half) == 1).then(|| half.lock().unwrap().clone())
            })
        };
        Done {
            line: format!("ninerouter {}", self.line),
            code: status.code().unwrap_or(-1),
            out: text(&self.out),
            err: text(&self.err),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}
