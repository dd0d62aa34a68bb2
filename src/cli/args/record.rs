//! Arguments of the commands that look at what was recorded: the audit log and the operational log.

use clap::{Args, Subcommand};

use super::Span;

/// What to do with the audit log.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// What happened, who did it and how it ended; the newest last
    List(AuditListArgs),
    /// Look for what was changed, removed or added afterwards; exit 1 when something is found
    Verify,
}

/// Arguments of `audit list`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  ninerouter audit list --event login_attempt,sudo_failed --days 30"
)]
pub struct AuditListArgs {
    /// Days back from now
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    pub days: u16,
    /// Only these events, separated by commas
    #[arg(long, value_name = "EVENT,…")]
    pub event: Option<String>,
    /// Only those that ended so
    #[arg(long, value_name = "HOW", value_parser = ["ok", "denied", "failed"])]
    pub outcome: Option<String>,
    /// Only from this client
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub lines: u16,
}

/// Arguments of `logs`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  ninerouter logs -f --level warn")]
pub struct LogsArgs {
    /// Go on with the lines that follow, until Ctrl+C
    #[arg(short, long)]
    pub follow: bool,
    /// At least so grave
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub level: Option<String>,
    /// Only of the last seconds, minutes, hours or days: `90s`, `15m`, `2h`, `1d`
    #[arg(long, value_name = "SPAN")]
    pub since: Option<Span>,
    /// Only from this part of the program, such as `gateway`
    #[arg(long, value_name = "COMPONENT")]
    pub target: Option<String>,
    /// Only lines that hold this text
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// At most so many of those that there are
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub lines: u16,
}
