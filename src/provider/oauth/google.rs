//! Google's token endpoint: Gemini CLI and Antigravity (accounts §3.1, §3.3).

use std::time::Duration;

use crate::provider::oauth::family::{Family, STANDARD, Spacing};
use crate::routing::instant::HOUR;

/// Tokens of an hour, a refresh token that stays; accounts refreshed in step were restricted by Google.
pub(super) const FAMILY: Family = Family {
    default_life_ms: Some(HOUR),
    spacing: Spacing { gap: Duration::from_secs(12), spread: Duration::from_secs(4) },
    finished_help: Some(
        "At Google also: the password was changed, six months without use, more than 100 tokens of one client, or a \
         consent screen in testing, whose tokens end after seven days",
    ),
    ..STANDARD
};
