//! Units for systemd, as text.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::args::PrintArgs;

const SYSTEM: &str = include_str!("../../assets/systemd/ninerouter.service");
const USER: &str = include_str!("../../assets/systemd/ninerouter-user.service");
const SOCKET: &str = include_str!("../../assets/systemd/ninerouter.socket");

/// Path of the binary in the units as they lie in `assets/`.
const BINARY: &str = "/usr/local/bin/ninerouter";

/// Which unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// For the whole machine.
    System,
    /// For one user's service manager.
    User,
    /// The socket in front of the system unit.
    Socket,
}

/// Prints the unit that is asked for; gives the exit code.
#[must_use]
pub fn print(args: &PrintArgs) -> u8 {
    let kind = match (args.socket, args.user) {
        (true, _) => Unit::Socket,
        (false, true) => Unit::User,
        (false, false) => Unit::System,
    };
    let binary = std::env::current_exe().unwrap_or_default();
    // A closed pipe is the reader's wish.
    drop(io::stdout().lock().write_all(unit(kind, &binary).as_bytes()));
    0
}

/// The unit, with the path of this binary.
#[must_use]
pub fn unit(unit: Unit, binary: &Path) -> String {
    let text = match unit {
        Unit::System => SYSTEM,
        Unit::User => USER,
        Unit::Socket => SOCKET,
    };
    match binary.to_str().filter(|path| path.starts_with('/') && !path.contains([' ', '%', '"'])) {
        Some(path) => text.replace(BINARY, path),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_names_this_binary() {
        let text = unit(Unit::System, Path::new("/opt/nr/ninerouter"));
        assert!(text.contains("ExecStart=/opt/nr/ninerouter serve\n") && !text.contains(BINARY));
        for odd in ["relative/ninerouter", "/opt/with blank/ninerouter"] {
            assert!(unit(Unit::System, Path::new(odd)).contains(BINARY), "{odd}");
        }
    }

    #[test]
    fn the_user_unit_has_nothing_of_the_system() {
        for line in
            ["DynamicUser", "ProtectHome", "ProtectProc", "StateDirectory", "/etc/", "/var/"]
        {
            assert!(!USER.contains(line), "{line}");
        }
        for line in ["ReadWritePaths=-%h/.9router", "WantedBy=default.target", "ProtectSystem=full"]
        {
            assert!(USER.contains(line), "{line}");
        }
    }
}
