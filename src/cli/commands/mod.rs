//! The commands that speak to the router's API: one file for each noun of the command line.

pub mod account;
pub mod admin;
pub mod audit;
pub mod backup;
pub mod budget;
pub mod chat;
pub mod combo;
pub mod config_file;
pub mod key;
pub mod logs;
pub mod model;
pub mod provider;
pub mod proxy;
pub mod route;
pub mod settings;
pub mod sign_in;
pub mod status;
pub mod usage;

use crate::cli::client::{Access, Client, Failed};
use crate::cli::output::Output;
use crate::config::options::{Inputs, Options};

/// What every command has at hand.
#[derive(Debug)]
pub struct Session {
    /// Configuration of this process: where the data folder is.
    pub options: Options,
    /// What it was read from.
    pub inputs: Inputs,
    /// How to print.
    pub out: Output,
    /// Questions are answered with yes.
    pub yes: bool,
}

impl Session {
    /// Runs `work` with a connection to the service, and closes it.
    ///
    /// # Errors
    /// What `work` returns; no connection can be had.
    pub fn with<T>(
        &self,
        access: Access,
        work: impl FnOnce(&Client) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let client = Client::open(&self.options, &self.inputs, access)?;
        let done = work(&client);
        client.close();
        done
    }
}
