//! The real binary on a free port, with a data directory and a config file of its own.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Conn, Reply, request};
use super::{Dialect, PATIENCE, database, until};

/// Everything that differs between two routers.
#[derive(Default, Clone)]
pub(crate) struct Setup {
    settings: Vec<String>,
    objects: String,
    env: Vec<(String, String)>,
    args: Vec<String>,
    background: bool,
    disk: Option<&'static str>,
    files: Option<u32>,
    /// Another build of the router than the one made for the tests.
    pub(crate) binary: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A node of the given dialect on a loopback URL.
    pub(crate) fn node(mut self, dialect: Dialect, prefix: &str, base_url: &str) -> Self {
        let (kind, api) = dialect.node_type();
        let api = api.map(|a| format!("api_type = \"{a}\"\n")).unwrap_or_default();
        self.objects += &format!(
            "[[nodes]]\nname = \"{prefix}\"\nprefix = \"{prefix}\"\ntype = \"{kind}\"\n{api}\
             base_url = \"{base_url}\"\nnetwork = \"loopback\"\n"
        );
        self
    }

    /// An account with the key `key-<label>`; `more` are further lines of its table.
    pub(crate) fn account_with(mut self, prefix: &str, label: &str, more: &str) -> Self {
        let name = format!("TEST_KEY_{}", self.env.len());
        self.objects += &format!(
            "[[accounts]]\nprovider = \"{prefix}\"\nlabel = \"{label}\"\n\
             api_key = \"env:{name}\"\n{more}\n"
        );
        self.env.push((name, format!("key-{label}")));
        self
    }

    pub(crate) fn account(self, prefix: &str, label: &str) -> Self {
        self.account_with(prefix, label, "")
    }

    /// A node with one account.
    pub(crate) fn upstream(self, dialect: Dialect, prefix: &str, base_url: &str) -> Self {
        self.node(dialect, prefix, base_url).account(prefix, prefix)
    }

    pub(crate) fn combo(mut self, name: &str, entries: &[&str]) -> Self {
        self.objects += &format!(
            "[[combos]]\nname = \"{name}\"\nstrategy = \"fallback\"\nentries = {entries:?}\n"
        );
        self
    }

    /// A router key; `more` are further lines of its table.
    pub(crate) fn key(mut self, name: &str, text: &str, more: &str) -> Self {
        let variable = format!("TEST_KEY_{}", self.env.len());
        self.objects += &format!("[[keys]]\nname = \"{name}\"\nkey = \"env:{variable}\"\n{more}\n");
        self.env.push((variable, text.to_owned()));
        self
    }

    /// A line of `[settings]`; the value is TOML.
    pub(crate) fn setting(mut self, key: &str, value: impl Display) -> Self {
        self.settings.push(format!("{key} = {value}\n"));
        self
    }

    /// Any further TOML.
    pub(crate) fn toml(mut self, text: &str) -> Self {
        self.objects += text;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Lets the router work by itself (model lists). Without it an upstream sees only what the test
    /// asks for.
    pub(crate) fn background(mut self) -> Self {
        self.background = true;
        self
    }

    /// Lets the process open so many files at most.
    pub(crate) fn files(mut self, most: u32) -> Self {
        self.files = Some(most);
        self
    }

    /// Gives the data folder a disk of its own of this size, which nobody but the router sees.
    pub(crate) fn disk(mut self, size: &'static str) -> Self {
        self.disk = Some(size);
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(self) -> Router {
        let mut router = self.prepare();
        router.launch();
        router
    }

    /// Writes the files and starts nothing.
    pub(crate) fn prepare(self) -> Router {
        let folder = TempDir::new().unwrap();
        let config = format!("[settings]\n{}\n{}", self.settings.concat(), self.objects);
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        Router {
            folder,
            setup: self,
            process: None,
            output: Arc::default(),
            readers: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

/// A router process. Dropping it kills it.
pub(crate) struct Router {
    folder: TempDir,
    setup: Setup,
    process: Option<Child>,
    output: Arc<Mutex<String>>,
    /// They end with the process's pipes.
    readers: Vec<JoinHandle<()>>,
    pub(crate) address: SocketAddr,
}

impl Router {
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// Everything the process wrote so far, over all starts.
    pub(crate) fn output(&self) -> String {
        // A test that panicked may have held it.
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("it runs"))
    }

    /// Starts the process and waits until it is ready.
    pub(crate) fn launch(&mut self) {
        let from = self.output.lock().unwrap().len();
        let serve = ["serve", "--port", "0", "--no-background"];
        self.spawn(if self.setup.background { &serve[..3] } else { &serve });
        let output = Arc::clone(&self.output);
        let process = self.process.as_mut().unwrap();
        let port = until(PATIENCE, "the router prints its port", || {
            let text = output.lock().unwrap();
            let found = printed_port(&text[from..]);
            if let (None, Ok(Some(status))) = (found, process.try_wait()) {
                panic!("the router ended with {status}:\n{text}");
            }
            found
        });
        self.address = (Ipv4Addr::LOCALHOST, port).into();
        until(PATIENCE, "the router is ready", || {
            std::net::TcpStream::connect(self.address).ok()?;
            (self.get("/readyz").status == 200).then_some(())
        });
    }

    /// Starts the process with the given arguments, without waiting for anything.
    #[expect(clippy::disallowed_methods, reason = "tests run the real binary")]
    pub(crate) fn spawn(&mut self, args: &[&str]) {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_ninerouter"));
        let binary = self.setup.binary.as_ref().unwrap_or(&built);
        let mut command = match (self.setup.disk, self.setup.files) {
            (None, None) => Command::new(binary),
            (None, Some(most)) => {
                let mut command = Command::new("sh");
                let script = "ulimit -n \"$1\" && shift && exec \"$@\"";
                command.args(["-c", script, "sh", &most.to_string()]).arg(binary);
                command
            }
            (Some(size), _) => {
                std::fs::create_dir_all(self.data_dir()).unwrap();
                // In a mount namespace of its own; each step takes the place of the one before.
                let script = "mount -t tmpfs -o size=\"$1\",mode=0700 none \"$DATA_DIR\" && shift && exec \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", size]);
                command.arg(binary);
                command
            }
        };
        command
            .args(args)
            .args(&self.setup.args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("DATA_DIR", self.data_dir())
            .env("NINEROUTER_CONFIG", self.config_file())
            .env("RUST_BACKTRACE", "1")
            .envs(self.setup.env.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        self.readers = vec![
            collect(child.stdout.take().unwrap(), &self.output),
            collect(child.stderr.take().unwrap(), &self.output),
        ];
        self.process = Some(child);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end of the process, and for the last that it wrote.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let process = self.process.as_mut().expect("it runs");
        let status = until(limit, "the router ends", || process.try_wait().unwrap());
        self.process = None;
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }

    /// SIGTERM, and the end of the process.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(40))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(PATIENCE);
    }

    pub(crate) fn connect(&self) -> Conn {
        Conn::open(self.address)
    }

    /// Sends raw bytes on a connection of its own and reads one reply.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut conn = self.connect();
        conn.try_send(bytes);
        conn.reply(bytes.starts_with(b"HEAD "))
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        self.raw(&request(method, path, headers, body))
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send("POST", path, &[], body.as_ref())
    }

    /// The dialect's standard request for `model`.
    pub(crate) fn ask(&self, dialect: Dialect, model: &str, stream: bool) -> Reply {
        self.post(&dialect.path(model, stream), dialect.body(model, stream))
    }

    /// The data folder as the router sees it: with [`Setup::disk`] nobody else does.
    pub(crate) fn inner_data_dir(&self) -> PathBuf {
        let own = self.data_dir();
        let root = PathBuf::from(format!("/proc/{}/root", self.pid().as_raw_nonzero()));
        root.join(own.strip_prefix("/").unwrap())
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data_dir().join("ninerouter.sqlite")
    }

    pub(crate) fn rows(&self, columns: &[&str], from: &str) -> Vec<Value> {
        database::rows(&self.database(), columns, from)
    }

    /// Waits until the query gives at least `count` rows (usage is written in batches).
    pub(crate) fn wait_rows(&self, count: usize, columns: &[&str], from: &str) -> Vec<Value> {
        until(PATIENCE, from, || Some(self.rows(columns, from)).filter(|r| r.len() >= count))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _killed = process.kill();
            let _reaped = process.wait();
        }
        if std::thread::panicking() {
            let output = self.output();
            let tail: Vec<_> = output.lines().rev().take(40).collect();
            for line in tail.iter().rev() {
                eprintln!("router: {line}");
            }
        }
    }
}

fn collect(pipe: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// Port of the first `…:<port>/v1` in the text.
pub(crate) fn printed_port(text: &str) -> Option<u16> {
    text.match_indices("/v1").find_map(|(at, _)| {
        let before = &text[..at];
        let digits = before.rfind(|c: char| !c.is_ascii_digit()).map(|i| (i, &before[i + 1..]))?;
        let (colon, digits) = digits;
        (before.as_bytes()[colon] == b':').then(|| digits.parse().ok())?
    })
}
