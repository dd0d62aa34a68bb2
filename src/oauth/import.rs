//! Sign-ins of official clients as accounts: who refreshes them is asked, each is checked with one call (accounts §2).

use std::path::Path;
use std::sync::Arc;

use tracing::info;

use super::call::LookUp;
use super::desk::Inner;
use super::error::SignInError;
use super::files::{self, Found, lone_token};
use super::redeem::long_lived;
use super::save::{Brought, Saved, Target, save, scope_extra};
use crate::id::AccountId;
use crate::provider::catalog::Provider;
use crate::provider::oauth::connect::{Identity, Object, SignIn};
use crate::provider::oauth::follow;
use crate::routing::account::{AccountKind, Ownership, ProxyChoice};
use crate::secret::Secret;
use crate::store::secrets::NewSecrets;

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// Catalog id or prefix.
    pub provider: String,
    /// Where it comes from.
    pub source: ImportSource,
    /// Who refreshes it; `None` = `follow` where there is a file and a refresh token, else `own`.
    pub ownership: Option<Ownership>,
    /// Name of a new account; for one at a time.
    pub label: Option<String>,
}

/// Where sign-ins are imported from.
#[derive(Clone, Debug)]
pub enum ImportSource {
    /// Candidates of a scan, by key.
    Scan {
        /// Keys; none = every candidate.
        select: Vec<String>,
    },
    /// A pasted or uploaded text.
    Text {
        /// The file's content, or a long-lived token alone; empty = what lies at `path`.
        data: Secret,
        /// Where the file lies on the router's machine, to follow it there.
        path: Option<String>,
    },
}

/// An account that came of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// Its id.
    pub account_id: AccountId,
    /// It was there before.
    pub existed: bool,
    /// What its check said: `verified`, `unverified`, `refused`.
    pub validation: &'static str,
    /// Why it is not verified.
    pub message: Option<String>,
    /// What the operator should know.
    pub warning: Option<String>,
}

/// What a check said.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) identity: Identity,
    pub(super) validation: &'static str,
    pub(super) message: Option<String>,
}

impl Inner {
    pub(super) async fn import(&self, ask: ImportRequest) -> Result<Vec<Imported>, SignInError> {
        let (provider, sign_in) = self.provider(&ask.provider)?;
        let found = match &ask.source {
            ImportSource::Scan { select } => self.selected(&provider, sign_in, select).await?,
            ImportSource::Text { data, path } => {
                vec![read_text(&provider, sign_in, data, path.clone()).await?]
            }
        };
        if ask.label.is_some() && found.len() > 1 {
            return Err(SignInError::invalid("a name is for one account; select one of them"));
        }
        // All are looked at before one is stored.
        let mut kept = Vec::new();
        for found in found {
            let ownership = ownership(sign_in, &found, ask.ownership)?;
            if let (Ownership::Follow, Some(path)) = (ownership, &found.candidate.path) {
                can_follow(&provider, path).await?;
            }
            kept.push((found, ownership));
        }
        let mut imported = Vec::new();
        for (found, ownership) in kept {
            imported.push(self.take(&provider, sign_in, found, ownership, &ask.label).await?);
        }
        self.reload().await;
        Ok(imported)
    }

    async fn selected(
        &self,
        provider: &Provider,
        sign_in: &'static SignIn,
        select: &[String],
    ) -> Result<Vec<Found>, SignInError> {
        let mut found = files::scan(provider, sign_in, &self.surroundings.homes).await?;
        let has = |key: &String| found.iter().any(|f| f.candidate.key == *key);
        if let Some(missing) = select.iter().find(|key| !has(key)) {
            let message = format!("`{missing}` is not there any more; scan again");
            return Err(SignInError::not_found(message));
        }
        if !select.is_empty() {
            found.retain(|f| select.contains(&f.candidate.key));
        }
        if found.is_empty() {
            let name = sign_in.cli.map_or("the official client", |cli| cli.name);
            return Err(SignInError::not_found(format!(
                "no sign-in of {name} is on this machine; sign in with it, or paste its file"
            )));
        }
        Ok(found)
    }

    async fn take(
        &self,
        provider: &Provider,
        sign_in: &'static SignIn,
        found: Found,
        ownership: Ownership,
        label: &Option<String>,
    ) -> Result<Imported, SignInError> {
        let Found { candidate, sign_in: tokens, identity } = found;
        let now = self.shared.clock.now_ms();
        let is_over = tokens.expires_at.is_some_and(|end| end <= now);
        let follows = ownership == Ownership::Follow;
        let checked = if is_over {
            let remedy = if follows {
                "run the official client once"
            } else {
                "it is refreshed when it is needed"
            };
            Checked {
                identity: Identity::default(),
                validation: "unverified",
                message: Some(format!("its access token has run out; {remedy}")),
            }
        } else {
            self.check(provider, &ProxyChoice::Inherit, sign_in, &tokens.access_token).await
        };
        let mut identity = checked.identity.or(identity);
        if tokens.refresh_token.is_none() {
            identity = identity.or(Identity::of_token(&tokens.access_token));
        }
        let has_way = tokens.refresh_token.is_some();
        let own = tokens.refresh_token.filter(|_| !follows);
        let warning = (own.is_some() && sign_in.rotates).then(|| {
            let name = sign_in.cli.map_or("the official client", |cli| cli.name);
            format!("{name} will be signed out where this came from: the router refreshes the sign-in from now on")
        });
        let brought = Brought {
            provider: Arc::clone(&provider.id),
            kind: if has_way { AccountKind::OAuth } else { AccountKind::Imported },
            identity,
            secrets: NewSecrets {
                access_token: Some(tokens.access_token),
                refresh_token: own,
                id_token: None,
                expires_at: Some(tokens.expires_at),
                extra: scope_extra(tokens.scope),
                api_key: None,
            },
            target: Target::ByIdentity,
            label: label.clone(),
            proxy: None,
            ownership,
            follow_path: candidate.path.filter(|_| follows),
            source: "import:official_cli",
            validation: checked.validation,
            flow: None,
            now,
        };
        match self.write(move |conn, sealer| save(conn, sealer, brought)).await? {
            Saved::Account { id, existed, .. } => {
                info!(provider = %provider.id, account.id = %id, existed, "a sign-in was imported");
                Ok(Imported {
                    account_id: id,
                    existed,
                    validation: checked.validation,
                    message: checked.message,
                    warning,
                })
            }
            Saved::Refused(why) => Err(SignInError::conflict(why)),
            Saved::Ended => Err(SignInError::conflict("the import was ended")),
        }
    }

    /// Checks an access token with one call, and with one more where the first needs a scope it has not.
    pub(super) async fn check(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        sign_in: &'static SignIn,
        token: &Secret,
    ) -> Checked {
        let said = |validation, message: Option<String>| Checked {
            identity: Identity::default(),
            validation,
            message,
        };
        match self.profile(provider, way, sign_in, token).await {
            LookUp::Found(profile) => {
                let identity = (sign_in.identity)(&Object::new(), Some(&profile));
                Checked { identity, ..said("verified", None) }
            }
            LookUp::Unknown(why) => said("unverified", Some(why)),
            LookUp::Refused(401) => said("refused", Some(refused(401))),
            // A long-lived token may not ask whose it is, and is good all the same.
            LookUp::Refused(_) => match self.models(provider, way, sign_in, token).await {
                LookUp::Found(_) => said("verified", None),
                LookUp::Refused(status) => said("refused", Some(refused(status))),
                LookUp::Unknown(why) => said("unverified", Some(why)),
            },
        }
    }
}

fn refused(status: u16) -> String {
    format!("the vendor refuses the token ({status}); sign in again")
}

/// Who refreshes it, or why it cannot be so (accounts §2.1).
fn ownership(
    sign_in: &SignIn,
    found: &Found,
    asked: Option<Ownership>,
) -> Result<Ownership, SignInError> {
    let has_file = found.candidate.path.is_some();
    if !found.candidate.has_refresh {
        // Nothing to share.
        return match asked {
            Some(Ownership::Follow) if has_file => Ok(Ownership::Follow),
            Some(Ownership::Follow) => Err(no_file()),
            _ => Ok(Ownership::Own),
        };
    }
    match asked {
        Some(Ownership::Copy) if sign_in.rotates => Err(SignInError::invalid(
            "`copy` would sign out one of the two: each refresh makes a new refresh token. Choose `follow` (the \
             official client refreshes) or `own` (the router does)",
        )),
        Some(Ownership::Follow) if !has_file => Err(no_file()),
        Some(asked) => Ok(asked),
        None if !sign_in.rotates => Ok(Ownership::Copy),
        None if has_file => Ok(Ownership::Follow),
        None => Err(SignInError::invalid(
            "who refreshes this sign-in? Choose `own` (the router does; the official client is signed out where it \
             came from), or name the file's path to `follow` it",
        )),
    }
}

fn no_file() -> SignInError {
    SignInError::invalid("`follow` needs the path of a credential file on the router's machine")
}

/// What was pasted or uploaded.
async fn read_text(
    provider: &Provider,
    sign_in: &'static SignIn,
    data: &Secret,
    path: Option<String>,
) -> Result<Found, SignInError> {
    let cli = sign_in.cli.ok_or_else(|| {
        SignInError::invalid(format!("no official client of `{}` is known here", provider.id))
    })?;
    if let Some(token) = long_lived(sign_in, data) {
        let mut found = files::found(&cli, "", lone_token(token), Identity::default());
        found.candidate.path = None;
        return Ok(found);
    }
    if path.as_deref().is_some_and(|path| !Path::new(path).is_absolute()) {
        return Err(SignInError::invalid("name the file's whole path, from `/`"));
    }
    let bytes = match &path {
        Some(path) if data.is_empty() => read_there(path).await?,
        _ => data.expose().as_bytes().to_vec(),
    };
    let tokens =
        follow::parse(provider, &bytes).map_err(|error| SignInError::invalid(error.to_string()))?;
    let name = path.clone().unwrap_or_default();
    let mut found = files::found(&cli, &name, tokens, Identity::default());
    found.candidate.path = path;
    Ok(found)
}

/// Reads a credential file on the router's machine.
async fn read_there(path: &str) -> Result<Vec<u8>, SignInError> {
    let place = Path::new(path).to_owned();
    let read = tokio::task::spawn_blocking(move || files::read_regular(&place)).await;
    let read = read.map_err(|error| SignInError::unavailable(error.to_string()))?;
    read.map_err(|error| SignInError::invalid(format!("the router cannot read `{path}`: {error}")))
}

/// Refuses to follow what the router itself cannot read: a file of another user, or of another machine.
async fn can_follow(provider: &Provider, path: &str) -> Result<(), SignInError> {
    let cannot = |why: String| {
        SignInError::invalid(format!(
            "{why}; let the router read it, or choose `own`: then the router refreshes the sign-in itself"
        ))
    };
    let bytes = read_there(path).await.map_err(|error| cannot(error.message))?;
    follow::parse(provider, &bytes).map_err(|error| cannot(format!("`{path}`: {error}")))?;
    Ok(())
}
