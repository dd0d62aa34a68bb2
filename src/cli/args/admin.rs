//! `ninerouter admin …`: what only the server's own user may do, on this computer.

use clap::{Args, Subcommand};

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminCommand {
    /// Set the dashboard's password; every browser is signed out
    ResetPassword(ResetPasswordArgs),
    /// Admit the default addresses to the dashboard again
    ResetWhitelist,
    /// Forget failed sign-ins, so that nobody has to wait for the next attempt
    UnlockLogin,
}

/// Arguments of `admin reset-password`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
                  ninerouter admin reset-password\n  \
                  printf %s \"$PASSWORD\" | ninerouter admin reset-password --password-stdin")]
pub struct ResetPasswordArgs {
    /// Take the new password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}
