//! `ninerouter backup` and `ninerouter restore`.

use std::path::PathBuf;

use clap::Args;

/// The long help of `backup`.
pub(super) const BACKUP: &str = "\
Make a copy of the database, also while the router runs.

Without FILE the copy goes to `backups/` in the data folder. Credentials in it stay encrypted: they need the same \
master key. A daily backup is made by the router itself (settings `backup.daily` and `backup.keep`).";

/// The long help of `restore`.
pub(super) const RESTORE: &str = "\
Put a backup in the place of the database.

The backup is checked first, whole, and the present database is kept as a backup. Refuses while a router runs; with \
--via-server the running router lays the backup ready and takes it at its next start.";

/// Arguments of `backup`.
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  ninerouter backup\n  ninerouter backup /mnt/usb/ninerouter.sqlite\n  ninerouter backup --list"
)]
pub struct BackupArgs {
    /// New file for the copy [default: a file in `backups/` of the data folder]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// List the backups in the data folder, and make none
    #[arg(long, conflicts_with = "file")]
    pub list: bool,
}

/// Arguments of `restore`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ninerouter restore daily-20261130T031500Z.sqlite\n  ninerouter restore /mnt/usb/ninerouter.sqlite"
)]
pub struct RestoreArgs {
    /// The backup: a file, or a name that `ninerouter backup --list` shows
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The running router checks it and takes it at its next start
    #[arg(long)]
    pub via_server: bool,
}
