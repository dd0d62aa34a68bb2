//! Environment variables that are not settings, declared once. Variables of settings stand with their key.

use crate::config::keys::{Key, Preset, SETTINGS};
use crate::config::kind::Kind;

const fn variable(name: &'static str, kind: Kind, preset: Preset, doc: &'static str) -> Key {
    Key::new(name, kind, preset, doc)
}

const fn secret(name: &'static str, preset: Preset, doc: &'static str) -> Key {
    Key::new(name, Kind::Secret, preset, doc)
}

const GENERATED: Preset = Preset::Found("generated");

/// In the order of cli-and-deploy §3.
pub static VARIABLES: &[Key] = &[
    variable(
        "DATA_DIR",
        Kind::Path,
        Preset::Text("~/.9router"),
        "Folder of everything the router keeps",
    )
    .flag("--data-dir")
    .restart(),
    secret("JWT_SECRET", GENERATED, "Signs sessions; published values are refused or ignored")
        .restart(),
    secret("JWT_SECRET_PREVIOUS", Preset::Unset, "The one before, while it is being replaced")
        .restart(),
    secret(
        "API_KEY_SECRET",
        GENERATED,
        "Keys the look-up of API keys; published values are refused or ignored",
    )
    .restart(),
    secret("API_KEY_SECRET_PREVIOUS", Preset::Unset, "The one before, while it is being replaced")
        .restart(),
    secret("MACHINE_ID_SALT", GENERATED, "Recognises imported API keys of 9router")
        .restart()
        .later(),
    secret(
        "NINEROUTER_MASTER_KEY",
        Preset::Found("`DATA_DIR/master.key`"),
        "Key of all stored credentials, 32 bytes in base64",
    )
    .restart(),
    secret(
        "INITIAL_PASSWORD",
        Preset::Unset,
        "First dashboard password; ignored once one is stored",
    )
    .restart(),
    variable("ENABLE_REQUEST_LOGS", Kind::Bool, Preset::Bool(false), "Capture all request bodies"),
    variable(
        "HTTPS_PROXY",
        Kind::ProxyUrl,
        Preset::Unset,
        "Proxy for upstreams over https; this and the next three also in lower case, which wins",
    ),
    variable(
        "HTTP_PROXY",
        Kind::ProxyUrl,
        Preset::Unset,
        "Proxy for upstreams in clear; lower case only where `REQUEST_METHOD` is set",
    ),
    variable("ALL_PROXY", Kind::ProxyUrl, Preset::Unset, "Proxy for whichever of the two is unset"),
    variable(
        "NO_PROXY",
        Kind::Text { max: 65_536 },
        Preset::Unset,
        "Hosts reached without it: `host`, `.suffix`, addresses, CIDR ranges, `*`, each with an optional `:port`",
    ),
    secret("REDIS_URL", Preset::Unset, "Shared hot state of several routers").later(),
    variable("REDIS_HOST", Kind::Text { max: 253 }, Preset::Unset, "Its host").later(),
    variable("REDIS_PORT", Kind::Int { min: 1, max: 65_535 }, Preset::Int(6_379), "Its port")
        .later(),
    variable("REDIS_DB", Kind::Int { min: 0, max: 65_535 }, Preset::Int(0), "Its database").later(),
    variable("REDIS_USERNAME", Kind::Text { max: 255 }, Preset::Unset, "Its user").later(),
    secret("REDIS_PASSWORD", Preset::Unset, "Its password").later(),
    variable("REDIS_TLS", Kind::Bool, Preset::Bool(false), "Reach it over TLS").later(),
    variable(
        "REDIS_CLIENT_NAME",
        Kind::Text { max: 80 },
        Preset::Text("ninerouter"),
        "Name shown there",
    )
    .later(),
    variable(
        "REDIS_CONNECT_TIMEOUT_MS",
        Kind::Int { min: 1, max: 600_000 },
        Preset::Int(2_000),
        "Time to reach it",
    )
    .later(),
    variable(
        "REDIS_HOT_STATE_TTL_SECONDS",
        Kind::Int { min: 60, max: 31_536_000 },
        Preset::Int(86_400),
        "Life of what is kept there",
    )
    .later(),
    variable(
        "NINEROUTER_CLUSTER_ID",
        Kind::Text { max: 80 },
        Preset::Text("default"),
        "Routers that share one Redis",
    )
    .later(),
    secret("NINEROUTER_CLUSTER_KEY", Preset::Unset, "Seals what they share").later(),
    variable(
        "NINEROUTER_SECRETS_OWNER",
        Kind::Bool,
        Preset::Bool(false),
        "This router refreshes shared credentials",
    )
    .later(),
    variable(
        "CHAT_OBSERVABILITY_MODE",
        Kind::Choice(&["full", "sampled", "minimal", "off"]),
        Preset::Text("full"),
        "Detail kept per request",
    )
    .later(),
    variable(
        "CHAT_OBSERVABILITY_SAMPLE_RATE",
        Kind::Share,
        Preset::Found("0.1"),
        "Share of requests with detail",
    )
    .later(),
    variable("OBSERVABILITY_ENABLED", Kind::Bool, Preset::Bool(true), "Keep details of requests")
        .later(),
    variable(
        "OBSERVABILITY_MAX_RECORDS",
        Kind::Int { min: 0, max: 10_000_000 },
        Preset::Int(1_000),
        "Most details kept",
    )
    .later(),
    variable(
        "OBSERVABILITY_MAX_JSON_SIZE",
        Kind::Int { min: 0, max: 1_048_576 },
        Preset::Int(1_024),
        "KiB per detail",
    )
    .later(),
    variable(
        "NINEROUTER_OUTBOUND_DEFAULT",
        Kind::Choice(&["public", "private", "loopback"]),
        Preset::Text("public"),
        "Addresses new nodes may have",
    )
    .restart(),
    variable(
        "NINEROUTER_ADMIN_SOCKET",
        Kind::Path,
        Preset::Found("`DATA_DIR/admin.sock`"),
        "Socket of the commands; empty = off",
    )
    .restart(),
    variable(
        "NINEROUTER_CONFIG",
        Kind::Path,
        Preset::Unset,
        "Config file, applied at start and on reload",
    ),
    variable(
        "NINEROUTER_AUTO_RESTART",
        Kind::Bool,
        Preset::Bool(false),
        "End after a change that needs a restart, although no service manager is seen",
    ),
    variable(
        "NINEROUTER_API_KEY",
        Kind::Secret,
        Preset::Unset,
        "For clients; the server does not read it",
    ),
    variable(
        "NINEROUTER_FIXTURES",
        Kind::Path,
        Preset::Unset,
        "Tests only: folder of recorded traffic",
    ),
    variable(
        "NINEROUTER_SDK_PYTHON",
        Kind::Path,
        Preset::Unset,
        "Tests only: Python with the official client libraries",
    ),
    variable(
        "TZ",
        Kind::Text { max: 255 },
        Preset::Found("system"),
        "Time zone until `timezone` is set",
    ),
];

/// Prefixes under which any name may follow.
pub const OPEN_PREFIXES: &[&str] = &["NINEROUTER_ENDPOINT_", "NINEROUTER_OAUTH_"];

/// Every variable this program knows, without the `_FILE` forms.
pub fn known() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().flat_map(|key| key.env.iter().copied());
    settings.chain(VARIABLES.iter().map(|key| key.name))
}

/// The declaration of a variable that is not a setting.
#[must_use]
pub fn variable_key(name: &str) -> Option<&'static Key> {
    VARIABLES.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_variable_is_declared_once_and_its_default_fits() {
        let mut seen = HashSet::new();
        for name in known() {
            assert!(seen.insert(name), "{name} twice");
        }
        for key in VARIABLES {
            let preset = key.preset.to_json();
            if !preset.is_null() {
                assert_eq!(key.kind.check(&preset), Ok(preset.clone()), "{}", key.name);
            }
        }
    }
}
