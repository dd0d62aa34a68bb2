//! What is worth a row of the audit log, and who did it (security §15).

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::secret::Secret;

/// On what a management call rests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Authority {
    /// The router itself: start-up, timers, actors.
    #[default]
    System,
    /// A command of the server's own user: the admin socket, or the command's own process (SEC-ROUTE-5).
    Command,
    /// A signed-in browser.
    Session(Session),
    /// Nobody known: a refused or an inference request.
    Anonymous,
}

/// What a management call needs to know of its session. The session's own id stays with who checked it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// First 16 hex digits of the session id's hash: names the session to people.
    pub id: Arc<str>,
    /// Its CSRF token.
    pub csrf: Secret,
    /// The password was entered again, at most five minutes ago (class `Sudo`).
    pub is_sudo: bool,
    /// It began with a default password: nothing but a new password may be set (security §5.2).
    pub must_change: bool,
}

/// Who calls, as every transport can tell it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// What the call rests on.
    pub authority: Authority,
    /// The client's address (SEC-IP-1); `None` for the system, commands and Unix sockets.
    pub client_ip: Option<IpAddr>,
    /// The socket's peer, which may be a proxy.
    pub peer_ip: Option<IpAddr>,
    /// `User-Agent`, as sent.
    pub user_agent: Option<Arc<str>>,
    /// HTTP method.
    pub method: Option<Arc<str>>,
    /// Path without query.
    pub path: Option<Arc<str>>,
    /// Id in logs and replies.
    pub request_id: Option<Arc<str>>,
}

impl Caller {
    /// A command of the server's own user.
    #[must_use]
    pub fn command() -> Self {
        Self { authority: Authority::Command, ..Self::default() }
    }

    /// The router itself.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// What the `actor` column says.
    #[must_use]
    pub fn actor(&self) -> &'static str {
        match self.authority {
            Authority::System => "system",
            Authority::Command => "cli",
            Authority::Session(_) => "admin",
            Authority::Anonymous => "anonymous",
        }
    }

    /// May take a `Sudo` route.
    #[must_use]
    pub fn is_sudo(&self) -> bool {
        match &self.authority {
            Authority::Command | Authority::System => true,
            Authority::Session(session) => session.is_sudo && !session.must_change,
            Authority::Anonymous => false,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Refused by a rule.
    Denied,
    /// Tried and not achieved.
    Failed,
}

impl Outcome {
    /// The word in rows and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// What.
    pub name: EventName,
    /// How it ended.
    pub outcome: Outcome,
    /// Further members, at most 2 KiB as JSON. Never a secret's value. A number `status` goes to the column of that name.
    pub detail: Map<String, Value>,
}

impl Event {
    /// An event that went well.
    #[must_use]
    pub fn ok(name: EventName) -> Self {
        Self { name, outcome: Outcome::Ok, detail: Map::new() }
    }

    /// An event that a rule refused.
    #[must_use]
    pub fn denied(name: EventName) -> Self {
        Self { outcome: Outcome::Denied, ..Self::ok(name) }
    }

    /// An event that failed.
    #[must_use]
    pub fn failed(name: EventName) -> Self {
        Self { outcome: Outcome::Failed, ..Self::ok(name) }
    }

    /// Adds a member to the detail.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(member.to_owned(), value.into());
        self
    }
}

macro_rules! names {
    ($($variant:ident $text:literal;)*) => {
        /// Every event there is (security §15).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum EventName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl EventName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in rows and files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

names! {
    LoginAttempt "login_attempt";
    LoginRateLimited "login_rate_limited";
    Logout "logout";
    LogoutAll "logout_all";
    SessionExpired "session_expired";
    SessionInvalid "session_invalid";
    PasswordChanged "password_changed";
    PasswordDefaultUsed "password_default_used";
    SetupCodeUsed "setup_code_used";
    SetupCodeFailed "setup_code_failed";
    SudoGranted "sudo_granted";
    SudoFailed "sudo_failed";
    CsrfFailed "csrf_failed";
    AuthBypassAttempt "auth_bypass_attempt";
    IpDenied "ip_denied";
    HostRejected "host_rejected";
    TunnelAccessAttempt "tunnel_access_attempt";
    ProxyHeaderIgnored "proxy_header_ignored";
    ApiKeyCreated "api_key_created";
    ApiKeyUpdated "api_key_updated";
    ApiKeyRevoked "api_key_revoked";
    ApiKeyExpired "api_key_expired";
    ApiAuthFailed "api_auth_failed";
    ApiKeyLimit "api_key_limit";
    KeylessDenied "keyless_denied";
    RateLimitExceeded "rate_limit_exceeded";
    ProviderAccountAdded "provider_account_added";
    ProviderAccountUpdated "provider_account_updated";
    ProviderAccountRemoved "provider_account_removed";
    ProviderAccountReauthNeeded "provider_account_reauth_needed";
    ProviderAccountTokenRefreshed "provider_account_token_refreshed";
    OauthStarted "oauth_started";
    OauthCompleted "oauth_completed";
    OauthFailed "oauth_failed";
    NodeBaseUrlChanged "node_base_url_changed";
    NodePolicyChanged "node_policy_changed";
    OutboundBlocked "outbound_blocked";
    UpstreamRedirectRefused "upstream_redirect_refused";
    SettingsChanged "settings_changed";
    WhitelistChanged "whitelist_changed";
    TrustedProxiesChanged "trusted_proxies_changed";
    SecretsExported "secrets_exported";
    SecretRevealed "secret_revealed";
    ImportApplied "import_applied";
    BackupCreated "backup_created";
    BackupRestored "backup_restored";
    SyncEnabled "sync_enabled";
    SyncDisabled "sync_disabled";
    SyncForged "sync_forged";
    SyncRollback "sync_rollback";
    MasterKeyRotated "master_key_rotated";
    DekRotated "dek_rotated";
    SecretsUnreadable "secrets_unreadable";
    DebugLoggingOn "debug_logging_on";
    DebugLoggingOff "debug_logging_off";
    LogsExported "logs_exported";
    BootSecurityReport "boot_security_report";
    ServerStarted "server_started";
    ServerStopping "server_stopping";
    MigrationApplied "migration_applied";
    ActorRestarted "actor_restarted";
    AuditEnabled "audit_enabled";
    AuditDisabled "audit_disabled";
    AuditPruned "audit_pruned";
    AuditLost "audit_lost";
    ClockJump "clock_jump";
}

impl EventName {
    /// Says that something was changed on purpose: such an event has a row each, however many there are (SEC-AUD-5).
    #[must_use]
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::PasswordChanged
                | Self::ApiKeyCreated
                | Self::ApiKeyUpdated
                | Self::ApiKeyRevoked
                | Self::ProviderAccountAdded
                | Self::ProviderAccountUpdated
                | Self::ProviderAccountRemoved
                | Self::NodeBaseUrlChanged
                | Self::NodePolicyChanged
                | Self::SettingsChanged
                | Self::WhitelistChanged
                | Self::TrustedProxiesChanged
                | Self::ImportApplied
                | Self::BackupRestored
                | Self::SyncEnabled
                | Self::SyncDisabled
                | Self::MasterKeyRotated
                | Self::DekRotated
                | Self::DebugLoggingOn
                | Self::DebugLoggingOff
                | Self::MigrationApplied
                | Self::AuditEnabled
                | Self::AuditDisabled
                | Self::AuditPruned
                | Self::AuditLost
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_password_or_the_servers_own_user_is_sudo() {
        let session = |is_sudo, must_change| Caller {
            authority: Authority::Session(Session {
                id: "0".into(),
                csrf: Secret::new(String::new()),
                is_sudo,
                must_change,
            }),
            ..Caller::default()
        };
        assert!(session(true, false).is_sudo() && Caller::command().is_sudo());
        let anonymous = Caller { authority: Authority::Anonymous, ..Caller::default() };
        for caller in [session(false, false), session(true, true), anonymous] {
            assert!(!caller.is_sudo(), "{caller:?}");
        }
    }

    #[test]
    fn every_event_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> =
            EventName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!(words.len(), EventName::ALL.len());
    }
}
