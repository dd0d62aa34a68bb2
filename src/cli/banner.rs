//! The lines printed when the server starts (cli-and-deploy §2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use crate::cli::version;
use crate::config::listen::Listen;
use crate::config::settings::RequireApiKey;

/// Width of the URL column.
const URL_WIDTH: usize = 35;

/// What the banner tells.
#[derive(Clone, Debug)]
pub struct Banner {
    /// Bound listeners, with their real ports.
    pub listeners: Vec<Listen>,
    /// Setting in effect.
    pub require_api_key: RequireApiKey,
    /// The database.
    pub database: PathBuf,
    /// Number of accounts.
    pub accounts: usize,
    /// Number of combos.
    pub combos: usize,
    /// HTTP workers.
    pub workers: usize,
    /// Who runs the process.
    pub run: Run,
    /// Process id.
    pub pid: u32,
}

/// Who runs the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run {
    /// A person or a script.
    Foreground,
    /// systemd.
    Systemd,
    /// systemd, with the listener in a socket unit.
    SocketActivated,
    /// A container engine.
    Container,
}

impl Run {
    fn as_str(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Systemd => "systemd",
            Self::SocketActivated => "socket-activated",
            Self::Container => "container",
        }
    }
}

impl Banner {
    /// Label and text of each line; an empty label continues the one above.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let base = base_url(&self.listeners);
        let mut lines = vec![
            ("Dashboard", format!("{base}/dashboard")),
            ("API", url(&format!("{base}/v1"), "OpenAI, Codex, Cline, Cursor …")),
            ("", url(&base, "Claude Code (ANTHROPIC_BASE_URL)")),
            ("", url(&format!("{base}/v1beta"), "Gemini")),
        ];
        let network = self.network_urls();
        lines.extend(network.into_iter().map(|url| ("Network", url)));
        lines.push(("Mode", self.mode().to_owned()));
        let counts =
            format!("{}, {}", counted(self.accounts, "account"), counted(self.combos, "combo"));
        lines.push(("Data", format!("{}   {counts}", self.database.display())));
        lines.push(("Runtime", self.runtime()));
        lines
    }

    /// Build, workers and who runs it.
    #[must_use]
    pub fn runtime(&self) -> String {
        format!(
            "{} build, {}, {} (pid {})",
            version::build_kind(),
            counted(self.workers, "worker"),
            self.run.as_str(),
            self.pid
        )
    }

    /// Who may use the server, in one sentence.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        let loopback_only = self.listeners.iter().all(Listen::is_loopback);
        match (loopback_only, self.require_api_key) {
            (true, RequireApiKey::Auto | RequireApiKey::Never) => {
                "local only, no API key needed on this computer"
            }
            (true, RequireApiKey::Always) => "local only, API key required",
            (false, RequireApiKey::Auto | RequireApiKey::Always) => "network: API key required",
            (false, RequireApiKey::Never) => {
                "network, keyless for trusted addresses (not recommended)"
            }
        }
    }

    fn network_urls(&self) -> Vec<String> {
        let open = self.listeners.iter().filter(|listen| !listen.is_loopback());
        let mut urls: Vec<String> = open
            .filter_map(|listen| match listen {
                Listen::Tcp { addr, .. } if addr.ip().is_unspecified() => outward_address()
                    .map(|ip| format!("http://{}", SocketAddr::new(ip, addr.port()))),
                Listen::Tcp { addr, .. } => Some(format!("http://{addr}")),
                Listen::Unix(_) => None,
            })
            .collect();
        urls.dedup();
        urls
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "NineRouter {}", version::VERSION)?;
        for (label, text) in self.lines() {
            writeln!(f, "  {label:<11} {}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Address under which this computer reaches the server.
#[must_use]
pub fn base_url(listeners: &[Listen]) -> String {
    let tcp = |wanted: &dyn Fn(IpAddr) -> bool| {
        listeners.iter().find_map(|listen| match listen {
            Listen::Tcp { addr, .. } if wanted(addr.ip()) => Some(*addr),
            Listen::Tcp { .. } | Listen::Unix(_) => None,
        })
    };
    let local = tcp(&|ip| ip.is_loopback() || ip.is_unspecified());
    match (local, tcp(&|_| true), listeners.first()) {
        (Some(addr), _, _) => format!("http://localhost:{}", addr.port()),
        (None, Some(addr), _) => format!("http://{addr}"),
        (None, None, Some(Listen::Unix(path))) => format!("unix:{}", path.display()),
        (None, None, _) => String::new(),
    }
}

/// The address this machine uses towards others. Connecting a UDP socket sends nothing.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_unspecified())
}

fn url(url: &str, note: &str) -> String {
    format!("{url:<URL_WIDTH$}{}{note}", if url.len() < URL_WIDTH { "" } else { "  " })
}

fn counted(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::listen;

    fn banner(names: &[&str], require_api_key: RequireApiKey) -> Banner {
        let listeners = names.iter().flat_map(|name| listen::read(name, 20_128).unwrap()).collect();
        Banner {
            listeners,
            require_api_key,
            database: "/home/u/.9router/ninerouter.sqlite".into(),
            accounts: 12,
            combos: 1,
            workers: 4,
            run: Run::Foreground,
            pid: 4711,
        }
    }

    #[test]
    fn layout_is_that_of_the_specification() {
        let text = banner(&["localhost"], RequireApiKey::Auto).to_string();
        let want = "NineRouter 0.1.0
  Dashboard   http://localhost:20128/dashboard
  API         http://localhost:20128/v1          OpenAI, Codex, Cline, Cursor …
              http://localhost:20128             Claude Code (ANTHROPIC_BASE_URL)
              http://localhost:20128/v1beta      Gemini
  Mode        local only, no API key needed on this computer
  Data        /home/u/.9router/ninerouter.sqlite   12 accounts, 1 combo
  Runtime     debug build, 4 workers, foreground (pid 4711)
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_network_listener_is_shown_with_its_address() {
        let open = banner(&["192.168.1.20", "::1"], RequireApiKey::Auto);
        let lines = open.lines();
        assert!(lines.contains(&("Network", "http://192.168.1.20:20128".to_owned())));
        assert_eq!(lines[0].1, "http://localhost:20128/dashboard");
        let only = banner(&["192.168.1.20"], RequireApiKey::Auto);
        assert_eq!(only.lines()[0].1, "http://192.168.1.20:20128/dashboard");
    }

    #[test]
    fn modes_follow_listener_and_setting() {
        use RequireApiKey::{Always, Auto, Never};
        for (names, setting, want) in [
            (["127.0.0.1"], Auto, "local only, no API key needed on this computer"),
            (["127.0.0.1"], Never, "local only, no API key needed on this computer"),
            (["127.0.0.1"], Always, "local only, API key required"),
            (["0.0.0.0"], Auto, "network: API key required"),
            (["0.0.0.0"], Always, "network: API key required"),
            (["0.0.0.0"], Never, "network, keyless for trusted addresses (not recommended)"),
        ] {
            assert_eq!(banner(&names, setting).mode(), want);
        }
    }
}
