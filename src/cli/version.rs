//! What this program is: version, commit, build date, SQLite.

use std::sync::LazyLock;

use crate::store::sqlite_version;

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit it was built from.
pub const COMMIT: &str = env!("NINEROUTER_BUILD_COMMIT");

/// Text behind the program's name for `--version`.
#[must_use]
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{VERSION} (commit {}, built {}, SQLite {})",
            env!("NINEROUTER_BUILD_COMMIT"),
            env!("NINEROUTER_BUILD_DATE"),
            sqlite_version(),
        )
    });
    &LONG
}

/// `release` or `debug`.
#[must_use]
pub fn build_kind() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
