//! Who holds a port that is in use, and what to tell the operator (B10, cli-and-deploy §2).

use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::banner;
use crate::cli::healthcheck;
use crate::clock::Clock;
use crate::config::listen::Listen;

/// What is known of the process that holds a port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holder {
    /// Name and id, when it is a process of this user.
    pub process: Option<Process>,
    /// It is this program; its version when it tells.
    pub ninerouter: Option<Option<String>>,
}

/// A process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Short name.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// Its command line names 9router.
    pub is_9router: bool,
}

/// Looks at the process behind a listener that is in use.
#[must_use]
pub fn find_holder(listener: &Listen, clock: &Clock) -> Holder {
    let process = match listener {
        Listen::Tcp { addr, .. } => find_process(addr.port()),
        Listen::Unix(_) => None,
    };
    Holder { process, ninerouter: ask_name(listener, clock) }
}

/// The message of exit code 98.
#[must_use]
pub fn busy_text(listener: &Listen, holder: &Holder) -> String {
    Busy { listener, holder }.to_string()
}

struct Busy<'a> {
    listener: &'a Listen,
    holder: &'a Holder,
}

impl fmt::Display for Busy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = banner::base_url(std::slice::from_ref(self.listener));
        let process = self.holder.process.as_ref();
        match &self.holder.ninerouter {
            Some(version) => write_ourselves(f, version.as_deref(), process, &base),
            None => write_foreign(f, self.listener, process, &base),
        }
    }
}

fn write_ourselves(
    f: &mut fmt::Formatter<'_>,
    version: Option<&str>,
    process: Option<&Process>,
    base: &str,
) -> fmt::Result {
    let pid = process.map(|p| format!("pid {}", p.pid));
    let version = version.map(|v| format!("version {v}"));
    let facts: Vec<String> = pid.into_iter().chain(version).collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    writeln!(f, "error: NineRouter is already running{facts}.")?;
    writeln!(f, "  Open {base}/dashboard or stop it with:")?;
    match process {
        Some(process) => writeln!(f, "      kill {}", process.pid),
        None => writeln!(f, "      Ctrl+C in its terminal, or its service manager"),
    }
}

fn write_foreign(
    f: &mut fmt::Formatter<'_>,
    listener: &Listen,
    process: Option<&Process>,
    base: &str,
) -> fmt::Result {
    let by = match process {
        Some(p) => format!("\"{}\" (pid {}, your user)", p.name, p.pid),
        None => "another process".into(),
    };
    let addr = match listener {
        Listen::Tcp { addr, .. } => addr,
        Listen::Unix(path) => {
            writeln!(f, "error: the socket {} is already in use by {by}.", path.display())?;
            return writeln!(f, "  Stop that process, or listen elsewhere with --host unix:/path");
        }
    };
    let port = addr.port();
    writeln!(f, "error: port {port} is already in use by {by}.")?;
    writeln!(f, "  would have served  {base}/dashboard  and  {base}/v1")?;
    if let Some(p) = process {
        let like = if p.is_9router { "It looks like a running 9router. " } else { "" };
        writeln!(f, "  {like}Stop it with Ctrl+C in its terminal, or:")?;
        writeln!(f, "      kill {}", p.pid)?;
    }
    writeln!(
        f,
        "  See who holds the port:     ss -ltnp 'sport = :{port}'      (macOS: lsof -nP -iTCP:{port} -sTCP:LISTEN)"
    )?;
    writeln!(f, "  Free it (Linux):            fuser -k {port}/tcp")?;
    let other = if port == 3000 { 3001 } else { 3000 };
    writeln!(f, "  Or run on another port:     ninerouter --port {other}")
}

/// `GET /` tells `{"name":"ninerouter"}`, to this machine with the version (endpoints §10).
fn ask_name(listener: &Listen, clock: &Clock) -> Option<Option<String>> {
    let answer = healthcheck::ask(listener, "/", clock).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: Value = serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()?;
    let is_ours = body.get("name").and_then(Value::as_str) == Some("ninerouter");
    is_ours.then(|| body.get("version").and_then(Value::as_str).map(str::to_owned))
}

fn find_process(port: u16) -> Option<Process> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        holds(&entry.path(), &links).then(|| describe(&entry.path(), pid))
    })
}

/// Inodes of sockets in state LISTEN on `port`, from a table of `/proc/net`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, hex) = fields.get(1)?.rsplit_once(':')?;
        let here = u16::from_str_radix(hex, 16) == Ok(port) && *fields.get(3)? == LISTEN;
        if here { fields.get(9).map(|inode| (*inode).to_owned()) } else { None }
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// Only processes of this user can be looked into; others are skipped.
fn holds(process: &Path, links: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().any(|file| {
        fs::read_link(file.path())
            .is_ok_and(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
    })
}

fn describe(process: &Path, pid: u32) -> Process {
    let read = |file| fs::read_to_string(process.join(file)).unwrap_or_default();
    let name: String = read("comm").trim().chars().filter(|c| !c.is_control()).collect();
    let is_9router = read("cmdline").to_ascii_lowercase().contains("9router");
    Process { name, pid, is_9router }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listen(addr: &str) -> Listen {
        Listen::Tcp { addr: addr.parse().unwrap(), optional: false }
    }

    #[test]
    fn c03_text_for_a_foreign_holder() {
        let process = Process { name: "node".into(), pid: 3021, is_9router: true };
        let holder = Holder { process: Some(process), ninerouter: None };
        assert_eq!(
            busy_text(&listen("127.0.0.1:20128"), &holder),
            "error: port 20128 is already in use by \"node\" (pid 3021, your user).
  would have served  http://localhost:20128/dashboard  and  http://localhost:20128/v1
  It looks like a running 9router. Stop it with Ctrl+C in its terminal, or:
      kill 3021
  See who holds the port:     ss -ltnp 'sport = :20128'      (macOS: lsof -nP -iTCP:20128 -sTCP:LISTEN)
  Free it (Linux):            fuser -k 20128/tcp
  Or run on another port:     ninerouter --port 3000
"
        );
    }

    #[test]
    fn c03_text_for_ourselves_and_for_nobody_known() {
        let process = Process { name: "ninerouter".into(), pid: 7, is_9router: false };
        let holder = Holder { process: Some(process), ninerouter: Some(Some("0.1.0".into())) };
        assert_eq!(
            busy_text(&listen("0.0.0.0:8080"), &holder),
            "error: NineRouter is already running (pid 7, version 0.1.0).
  Open http://localhost:8080/dashboard or stop it with:
      kill 7
"
        );
        let text = busy_text(&listen("192.168.1.2:3000"), &Holder::default());
        assert!(text.starts_with("error: port 3000 is already in use by another process.\n"));
        assert!(text.contains("http://192.168.1.2:3000/v1") && text.contains("--port 3001"));
        assert!(!text.contains("kill "));
        let text = busy_text(&Listen::Unix("/run/x".into()), &Holder::default());
        assert!(text.starts_with("error: the socket /run/x is already in use"));
    }

    #[test]
    fn tables_of_the_kernel_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
   0: 0100007F:4EA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0\n\
   1: 0100007F:4EA0 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 100 0 0 10 0\n\
   2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4244 1 0 100 0 0 10 0\n";
        assert_eq!(listening_inodes(table, 20_128), ["4242"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_of_a_port_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(find_process(port).unwrap().pid, std::process::id());
        drop(socket);
        assert_eq!(find_process(port), None);
    }
}
