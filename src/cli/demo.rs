//! `ninerouter demo`: a whole router over simulated providers, in a data folder that is thrown away.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::cli::args::{DemoArgs, GlobalArgs};
use crate::cli::start::{Kind, StartError, open, run};
use crate::cli::{logging, process};
use crate::clock::Clock;
use crate::config::options::{Flags, Inputs, Options};
use crate::config::settings::LogFormat;
use crate::demo::{DemoWorld, SimError};
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
    let world = DemoWorld::start(&clock).map_err(simulator)?;
    let port = free_port(demo_port(args));
    let options = Options::resolve(inputs(folder.path(), port))?;
    let filter = global.log_level.as_deref().unwrap_or("warn");
    logging::start(filter, LogFormat::Text, false);
    let kind = Kind { demo: true, quiet: global.quiet, ..Kind::default() };
    let opened = open(options, &kind, &clock)?;
    furnish(&opened.store, &world, clock.now_ms())?;
    let ended = run(opened, &kind, clock);
    drop(world);
    ended
}

fn simulator(error: SimError) -> StartError {
    StartError::System(io::Error::other(format!("no simulated provider could be started: {error}")))
}

/// `--port` when given, else `PORT`, else the default.
fn demo_port(args: &DemoArgs) -> u16 {
    args.port
}

/// The wanted port, or 0 (any) when it is taken.
fn free_port(wanted: u16) -> u16 {
    if TcpListener::bind(("127.0.0.1", wanted)).is_ok() { wanted } else { 0 }
}

/// Nothing of the operator's environment reaches the demo but what it is told here.
fn inputs(folder: &Path, port: u16) -> Inputs {
    let env = vec![(OsString::from("HOME"), folder.as_os_str().to_owned())];
    let flags = Flags {
        data_dir: Some(folder.to_owned()),
        port: Some(port),
        hosts: vec!["127.0.0.1".to_owned(), "::1".to_owned()],
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
