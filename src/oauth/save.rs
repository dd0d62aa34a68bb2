//! Storing what a sign-in or an import brought: the same account again, or a new one (accounts §0.1). Blocking.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixMs;
use crate::id::{AccountId, FlowId};
use crate::provider::oauth::connect::Identity;
use crate::routing::account::{AccountConfig, AccountKind, Ownership, ProxyChoice};
use crate::secret::Secret;
use crate::store::accounts::{self, AccountAbout, AccountRow};
use crate::store::hot_state::{self, HotState, StoredAuth, StoredHealth};
use crate::store::oauth_flows::{self, End};
use crate::store::secrets::{self, NewSecrets};
use crate::store::{Connection, Sealer, Stamp, StoreError};

/// Longest name of an account.
const LONGEST_LABEL: usize = 80;

/// Which account it becomes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The one with the same identity, else a new one.
    ByIdentity,
    /// This one. Another identity only when the operator said so.
    Account { id: AccountId, replace: bool },
}

/// What was brought.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) provider: Arc<str>,
    pub(super) kind: AccountKind,
    pub(super) identity: Identity,
    pub(super) secrets: NewSecrets,
    pub(super) target: Target,
    /// Name of a new account.
    pub(super) label: Option<String>,
    pub(super) proxy: Option<ProxyChoice>,
    pub(super) ownership: Ownership,
    pub(super) follow_path: Option<String>,
    /// `connect`, `import:<what>`.
    pub(super) source: &'static str,
    /// `verified`, `unverified`, `refused`.
    pub(super) validation: &'static str,
    /// The sign-in it ends; a sign-in that has ended otherwise saves nothing.
    pub(super) flow: Option<FlowId>,
    pub(super) now: UnixMs,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Saved {
    /// Stored.
    Account { id: AccountId, label: String, existed: bool },
    /// The sign-in was cancelled, or is late.
    Ended,
    /// Not what was asked for: why. Nothing is stored.
    Refused(String),
}

/// Stores it in the transaction of `conn`.
pub(super) fn save(
    conn: &mut Connection,
    sealer: &Sealer,
    brought: Brought,
) -> Result<Saved, StoreError> {
    let mut identity = brought.identity.clone();
    // Not known: never the same as another one.
    let key = identity.key.get_or_insert_with(|| format!("unknown:{}", Uuid::now_v7())).clone();
    let same = accounts::find_by_identity(conn, &brought.provider, &key)?;
    let existing = match brought.target {
        Target::ByIdentity => same,
        Target::Account { id, replace } => match reconnected(conn, id, replace, &identity, same)? {
            Ok(row) => Some(row),
            Err(refused) => return Ok(Saved::Refused(refused)),
        },
    };
    let config = match &existing {
        Some(row) => row.config.clone(),
        None => match new_label(conn, &brought, &identity)? {
            Ok(label) => new_account(&brought, label),
            Err(refused) => return Ok(Saved::Refused(refused)),
        },
    };
    if let Some(flow) = brought.flow
        && !oauth_flows::finish(conn, flow, &End::Done(config.id), brought.now)?
    {
        return Ok(Saved::Ended);
    }
    let config = AccountConfig {
        kind: brought.kind,
        ownership: brought.ownership,
        follow_path: brought.follow_path.clone(),
        proxy: brought.proxy.clone().unwrap_or(config.proxy),
        ..config
    };
    let stamp =
        Stamp { now: brought.now, managed_by: existing.as_ref().and_then(|row| row.managed_by) };
    accounts::upsert(conn, sealer, &config, None, stamp)?;
    let about = existing.as_ref().map(|row| row.about.clone()).unwrap_or_default();
    accounts::set_about(conn, config.id, &known(about, identity, &brought))?;
    secrets::start_anew(conn, sealer, config.id, &brought.secrets, brought.now)?;
    // What was held against the old credential does not hold against the new one.
    let (hot, _locks) = hot_state::load_one(conn, config.id, brought.now)?;
    let hot = HotState { auth: StoredAuth::Ok, health: StoredHealth::Ok, last_error: None, ..hot };
    hot_state::save(conn, config.id, &[], &hot, brought.now)?;
    Ok(Saved::Account { id: config.id, label: config.label, existed: existing.is_some() })
}

/// The account that is signed in to again, if the identity allows it.
fn reconnected(
    conn: &mut Connection,
    id: AccountId,
    replace: bool,
    identity: &Identity,
    same: Option<AccountRow>,
) -> Result<Result<AccountRow, String>, StoreError> {
    let who =
        identity.email.as_deref().or(identity.organization.as_deref()).unwrap_or("somebody else");
    if let Some(other) = same.as_ref().filter(|row| row.config.id != id) {
        return Ok(Err(format!(
            "you signed in as {who}, which is the account `{}`; reconnect that one, or sign in as the other person",
            other.config.label
        )));
    }
    let Some(row) = accounts::find(conn, id)? else {
        return Ok(Err("the account was removed meanwhile; add it as a new one".to_owned()));
    };
    let known = row.about.identity_key.as_deref().filter(|key| !key.starts_with("unknown:"));
    let differs = known.is_some_and(|known| identity.key.as_deref() != Some(known));
    if differs && !replace {
        return Ok(Err(format!(
            "this is a different account ({who}) than `{}`; add it as a new account, or reconnect again with \
             `replace` to put it in place of the old one",
            row.config.label
        )));
    }
    Ok(Ok(row))
}

fn new_account(brought: &Brought, label: String) -> AccountConfig {
    AccountConfig {
        created_at: brought.now,
        ..AccountConfig::new(Arc::clone(&brought.provider), brought.kind, label)
    }
}

/// The name asked for, or one made from e-mail address and organization that nobody has.
fn new_label(
    conn: &mut Connection,
    brought: &Brought,
    identity: &Identity,
) -> Result<Result<String, String>, StoreError> {
    let provider = &brought.provider;
    if let Some(label) = &brought.label {
        let taken = accounts::find_by_label(conn, provider, label)?.is_some();
        let refused = || {
            format!(
                "another account of `{provider}` has the name `{label}` by now; choose another name"
            )
        };
        return Ok(if taken { Err(refused()) } else { Ok(label.clone()) });
    }
    let who = identity.email.as_deref().or(identity.organization.as_deref());
    let base = shortened(who.unwrap_or(provider), LONGEST_LABEL);
    let with_organization = identity.email.as_ref().and(identity.organization.as_ref());
    let with_organization =
        with_organization.map(|name| shortened(&format!("{base} ({name})"), LONGEST_LABEL));
    let numbered = (2..).map(|n: u32| format!("{} {n}", shortened(&base, LONGEST_LABEL - 12)));
    let candidates = std::iter::once(base.clone()).chain(with_organization).chain(numbered);
    for label in candidates {
        if accounts::find_by_label(conn, provider, &label)?.is_none() {
            return Ok(Ok(label));
        }
    }
    Ok(Err("no name is left".to_owned()))
}

fn shortened(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

fn known(about: AccountAbout, identity: Identity, brought: &Brought) -> AccountAbout {
    AccountAbout {
        email: identity.email.or(about.email),
        plan: identity.plan.or(about.plan),
        identity_key: identity.key,
        validation: Some(brought.validation.to_owned()),
        validated_at: Some(brought.now),
        source: Some(brought.source.to_owned()),
        notes: about.notes,
    }
}

/// `extra` of an account with the scope that was granted.
pub(super) fn scope_extra(scope: Option<String>) -> std::collections::BTreeMap<String, Secret> {
    let name = crate::provider::oauth::refresh::SCOPE.to_owned();
    scope.map(|scope| (name, Secret::new(scope))).into_iter().collect()
}
