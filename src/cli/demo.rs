//! `ninerouter demo`: a whole router over simulated providers, in a data folder that is thrown away.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::cli::args::{DemoArgs, GlobalArgs};
use crate::cli::process;
use crate::cli::run::colour;
use crate::cli::start::{Kind, StartError, open, run};
use crate::clock::Clock;
use crate::config::options::{Flags, Inputs, Options};
use crate::demo::{DemoWorld, SimError};
use crate::log::{self, LogOptions};
use crate::server::Ended;
use crate::store::combos::{self, ComboRow};
use crate::store::nodes::{self, NodeRow};
use crate::store::{Stamp, Store, StoreError, accounts};

/// Runs the demo until a signal ends it.
///
/// # Errors
/// As [`run`]; also when no simulator or no folder can be had.
pub fn demo(global: &GlobalArgs, args: &DemoArgs) -> Result<Ended, StartError> {
    process::harden(false);
    let clock = Clock::System;
    let folder = Folder::new(args.keep.as_deref())?;
    let mut inputs = inputs(folder.path(), args.port, Inputs::of_process(Flags::default()).env);
    let mut options = Options::resolve(inputs.clone())?;
    if options.port != 0 && is_taken(options.port) {
        inputs.flags.port = Some(0);
        options = Options::resolve(inputs.clone())?;
    }
    let filter = global.log_level.as_deref().unwrap_or("warn");
    let log_options = LogOptions {
        level: filter.to_owned(),
        colour: colour(global.color, &options),
        file: global.log_file.clone(),
        ..LogOptions::default()
    };
    let _log = log::start(&log_options)?;
    let world = DemoWorld::start(&clock).map_err(simulator)?;
    let kind = Kind { demo: true, quiet: global.quiet, ..Kind::default() };
    let opened = open(options, inputs, &kind, &clock)?;
    furnish(&opened.store, &world, clock.now_ms())?;
    let ended = run(opened, &kind, clock);
    drop(world);
    ended
}

fn simulator(error: SimError) -> StartError {
    StartError::System(io::Error::other(format!("no simulated provider could be started: {error}")))
}

/// True when somebody listens on the port, on either half of `localhost`.
fn is_taken(port: u16) -> bool {
    let halves: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    halves.into_iter().any(|ip| {
        TcpListener::bind((ip, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    })
}

/// Of the operator's environment only these reach the demo.
const HEEDED: [&str; 2] = ["PORT", "NO_COLOR"];

fn inputs(folder: &Path, port: Option<u16>, given: Vec<(OsString, OsString)>) -> Inputs {
    let mut env: Vec<_> =
        given.into_iter().filter(|(name, _)| HEEDED.iter().any(|heeded| name == heeded)).collect();
    env.push((OsString::from("HOME"), folder.as_os_str().to_owned()));
    let flags = Flags {
        data_dir: Some(folder.to_owned()),
        port,
        hosts: vec!["localhost".to_owned()],
        ..Flags::default()
    };
    Inputs { flags, env, cwd: folder.to_owned() }
}

/// Puts the simulated nodes, their accounts and the combo into the database; a kept folder gets the
/// new addresses of the same objects.
fn furnish(store: &Store, world: &DemoWorld, now: i64) -> Result<(), StoreError> {
    let stamp = Stamp::operator(now);
    store.write(|conn| {
        for node in world.nodes() {
            nodes::upsert(conn, &NodeRow::new(node), stamp)?;
        }
        for (mut config, credential) in world.accounts() {
            if let Some(known) = accounts::find_by_label(conn, &config.provider, &config.label)? {
                config.id = known.config.id;
            }
            let key = credential.api_key.as_ref();
            accounts::upsert(conn, store.sealer(), &config, key, stamp)?;
        }
        for mut combo in world.combos() {
            if let Some(known) = combos::find_by_name(conn, &combo.name)? {
                combo.id = known.combo.id;
            }
            combos::upsert(conn, &ComboRow::new(combo), stamp)?;
        }
        Ok(())
    })
}

/// The data folder: the operator's, or one that is removed at the end.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn new(keep: Option<&Path>) -> io::Result<Self> {
        if let Some(path) = keep {
            return Ok(Self { path: std::path::absolute(path)?, keep: true });
        }
        let name = format!("ninerouter-demo-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self { path, keep: false })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            // Standard error may be closed: the folder then stays, in the system's temporary place.
            drop(writeln!(
                io::stderr(),
                "the demo's data folder {} could not be removed: {error}",
                self.path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(flag: Option<u16>, env: &[(&str, &str)]) -> u16 {
        let folder = tempfile::tempdir().unwrap();
        let env = env.iter().map(|(n, v)| (OsString::from(n), OsString::from(v))).collect();
        Options::resolve(inputs(folder.path(), flag, env)).unwrap().port
    }

    #[test]
    fn flag_before_variable_before_default() {
        assert_eq!(port(None, &[]), 20_128);
        assert_eq!(port(None, &[("PORT", "3000"), ("DATA_DIR", "/x")]), 3000);
        assert_eq!(port(Some(4000), &[("PORT", "3000")]), 4000);
        assert_eq!(port(Some(0), &[("PORT", "3000")]), 0);
    }

    #[test]
    fn nothing_else_of_the_environment_reaches_the_demo() {
        let folder = tempfile::tempdir().unwrap();
        let env = ["DATA_DIR", "NINEROUTER_CONFIG", "HOSTNAME", "HTTPS_PROXY", "PORT"];
        let env = env.map(|name| (OsString::from(name), OsString::from("1"))).to_vec();
        let inputs = inputs(folder.path(), None, env);
        let names: Vec<_> = inputs.env.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["PORT", "HOME"]);
    }

    #[test]
    fn a_port_taken_on_either_half_is_taken() {
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(is_taken(holder.local_addr().unwrap().port()));
        if let Ok(holder) = TcpListener::bind(("::1", 0)) {
            assert!(is_taken(holder.local_addr().unwrap().port()));
        }
    }
}
