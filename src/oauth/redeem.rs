//! What comes back of a sign-in, once: claimed, exchanged, stored. By the browser itself or by paste.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tracing::{info, warn};

use super::Callback;
use super::call::LookUp;
use super::desk::Inner;
use super::device::ShownCode;
use super::error::SignInError;
use super::page::Page;
use super::save::{Brought, Saved, Target, save, scope_extra};
use crate::actors::live::LiveEvent;
use crate::auth::audit::{Caller, Event, EventName};
use crate::id::{AccountId, FlowId};
use crate::provider::catalog::Provider;
use crate::provider::oauth::connect::{Exchange, Identity, Object, Pasted, SignIn, paste};
use crate::provider::oauth::refresh::CLIENT_ID;
use crate::provider::oauth::{FailureKind, Family, Tokens, judge};
use crate::redact::{Known, redact_text};
use crate::routing::account::{AccountKind, Ownership, ProxyChoice};
use crate::secret::Secret;
use crate::store::accounts;
use crate::store::oauth_flows::{self, Claimed, End, FlowRow, FlowStatus, state_hash};
use crate::store::secrets::NewSecrets;

/// Longest text of a vendor that is shown.
const LONGEST_TEXT: usize = 200;
/// What is said when a sign-in has ended while its code was exchanged.
pub(super) const ENDED: &str =
    "the sign-in was ended before its code was exchanged; nothing was saved";

/// How far a sign-in is, for people and the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its id.
    pub session_id: FlowId,
    /// Catalog id.
    pub provider: String,
    /// How far it is.
    pub status: FlowStatus,
    /// Cause and remedy when it failed.
    pub message: Option<String>,
    /// The account that came of it.
    pub account_id: Option<AccountId>,
    /// That account was there before.
    pub existed: bool,
    /// The code somebody has still to enter.
    pub device: Option<ShownCode>,
}

/// What an exchange brought.
#[derive(Debug)]
pub(super) struct Granted {
    kind: AccountKind,
    tokens: Tokens,
    identity: Identity,
    validation: &'static str,
}

impl Inner {
    pub(super) async fn session(&self, id: FlowId) -> Result<Session, SignInError> {
        let now = self.shared.clock.now_ms();
        let sealer = self.shared.store.sealer().clone();
        let found = self.read(move |conn| {
            let Some(row) = oauth_flows::find(conn, id)? else { return Ok(None) };
            let awaited = oauth_flows::awaited(conn, &sealer, id, now)?;
            let device =
                awaited.map(|awaited| ShownCode::of(&awaited.device, awaited.row.expires_at));
            let account = row.result_account_id.map(|id| accounts::find(conn, id)).transpose()?;
            let made_at = account.flatten().map(|account| account.config.created_at);
            Ok(Some((row, made_at, device)))
        });
        let (row, made_at, device) = found.await?.ok_or_else(gone)?;
        let under_way = matches!(row.status, FlowStatus::Pending | FlowStatus::Exchanging);
        // Late is late before anybody has marked it so.
        let status = match row.status {
            _ if under_way && row.expires_at <= now => FlowStatus::Expired,
            // Whoever is told that it is done sends a request next.
            FlowStatus::Done if self.settling.borrow().contains(&id) => FlowStatus::Exchanging,
            status => status,
        };
        let message = match status {
            FlowStatus::Expired => Some("nobody finished it in time; start again".to_owned()),
            _ => row.message,
        };
        Ok(Session {
            session_id: id,
            provider: row.provider,
            status,
            message,
            account_id: row.result_account_id,
            existed: made_at.is_some_and(|made_at| made_at < row.created_at),
            device,
        })
    }

    pub(super) async fn cancel(&self, id: FlowId) -> Result<Session, SignInError> {
        let now = self.shared.clock.now_ms();
        self.end(id, End::Cancelled(None), now).await?;
        self.session(id).await
    }

    /// A browser came back. Whatever is wrong with its state, it is told the same.
    pub(super) async fn callback(self: Rc<Self>, callback: Callback) -> Page {
        match self.arrived(&callback).await {
            Ok(page) => page,
            Err(error) => {
                warn!(%error, "a sign-in could not be finished");
                Page::unavailable()
            }
        }
    }

    async fn arrived(&self, callback: &Callback) -> Result<Page, SignInError> {
        let query = callback.query.expose();
        let Some(state) = paste::state_of(query) else { return Ok(Page::no_longer_valid()) };
        let found = {
            let state = state.clone();
            self.read(move |conn| oauth_flows::find_by_state(conn, &state)).await?
        };
        let now = self.shared.clock.now_ms();
        let is_meant = |row: &FlowRow| {
            let named = callback.provider.as_deref();
            is_state_of(row, &state)
                && named.is_none_or(|named| named == row.provider)
                && row.status == FlowStatus::Pending
                && row.expires_at > now
        };
        let Some(row) = found.filter(is_meant) else { return Ok(Page::no_longer_valid()) };
        let code = match paste::parse_query(query) {
            Ok(Pasted::Code { code, .. }) => code,
            Ok(Pasted::Error { error, description, .. }) => {
                return self.refused(&row, &error, description).await;
            }
            Err(_neither) => return Ok(Page::no_longer_valid()),
        };
        let Some(claimed) = self.claim(row.id).await? else { return Ok(Page::no_longer_valid()) };
        Ok(match self.redeem(claimed, &code).await? {
            Saved::Account { label, .. } => Page::connected(&label),
            Saved::Ended => Page::no_longer_valid(),
            Saved::Refused(why) => Page::failed(&why),
        })
    }

    /// The vendor sent the browser back without a code.
    async fn refused(
        &self,
        row: &FlowRow,
        error: &str,
        description: Option<String>,
    ) -> Result<Page, SignInError> {
        let now = self.shared.clock.now_ms();
        let why = refusal_text(error, description.as_deref());
        let event = Event::failed(EventName::OauthFailed).with("why", why.as_str());
        self.audit(&row.provider, event);
        self.end(row.id, End::Failed(why.clone()), now).await?;
        Ok(if error == "access_denied" { Page::declined() } else { Page::failed(&why) })
    }

    pub(super) async fn paste(&self, id: FlowId, input: &Secret) -> Result<Session, SignInError> {
        let row = self.read(move |conn| oauth_flows::find(conn, id)).await?.ok_or_else(gone)?;
        let now = self.shared.clock.now_ms();
        if row.status != FlowStatus::Pending || row.expires_at <= now {
            let state = if row.expires_at <= now { "expired" } else { row.status.as_str() };
            return Err(SignInError::conflict(format!(
                "this sign-in is not waiting any more ({state}); start again"
            )));
        }
        if !row.takes_paste {
            return Err(SignInError::invalid(
                "nothing needs to be pasted for this sign-in; enter its code at the vendor's page",
            ));
        }
        let (provider, sign_in) = self.provider(&row.provider)?;
        if let Some(token) = long_lived(sign_in, input) {
            let Some(claimed) = self.claim(id).await? else { return self.session(id).await };
            let granted = self.check_long_lived(&provider, sign_in, &claimed.way, token).await;
            self.conclude(claimed, &provider, granted).await?;
            return self.session(id).await;
        }
        let pasted = paste::parse(input.expose());
        let pasted = pasted.map_err(|error| SignInError::invalid(error.to_string()))?;
        let (Pasted::Code { state, .. } | Pasted::Error { state, .. }) = &pasted;
        if state.as_deref().is_some_and(|state| !is_state_of(&row, state)) {
            return Err(SignInError::invalid("this link belongs to another sign-in attempt"));
        }
        match pasted {
            Pasted::Error { error, description, .. } => {
                self.refused(&row, &error, description).await?;
            }
            Pasted::Code { code, .. } => {
                // Somebody else was quicker: the browser itself, or the same paste twice.
                if let Some(claimed) = self.claim(id).await? {
                    self.redeem(claimed, &code).await?;
                }
            }
        }
        self.session(id).await
    }

    pub(super) async fn claim(&self, id: FlowId) -> Result<Option<Claimed>, SignInError> {
        let now = self.shared.clock.now_ms();
        let claimed =
            self.write(move |conn, sealer| oauth_flows::claim(conn, sealer, id, now)).await;
        self.tell(id);
        claimed
    }

    /// Whoever watches this sign-in looks at it again.
    pub(super) fn tell(&self, id: FlowId) {
        self.shared.live.publish_with(|| LiveEvent::SignIn(id));
    }

    /// Exchanges the code of a claimed sign-in and stores what it brings.
    async fn redeem(&self, claimed: Claimed, code: &Secret) -> Result<Saved, SignInError> {
        let (provider, sign_in) = self.provider(&claimed.row.provider)?;
        let granted = self.buy(&provider, sign_in, &claimed, code).await;
        self.conclude(claimed, &provider, granted).await
    }

    async fn buy(
        &self,
        provider: &Provider,
        sign_in: &'static SignIn,
        claimed: &Claimed,
        code: &Secret,
    ) -> Result<Granted, String> {
        let way = &claimed.way;
        let client = self.client(provider, claimed.options.client_id.as_deref());
        let client = client.map_err(|error| error.message)?;
        let (Some(oauth), Some(family)) = (&provider.oauth, Family::of(provider)) else {
            return Err(format!("`{}` has no sign-in", provider.id));
        };
        let exchange = Exchange {
            oauth,
            sign_in,
            family,
            client: &client,
            code,
            verifier: &claimed.verifier,
            redirect_uri: &claimed.redirect_uri,
            state: claimed.options.state.expose(),
        };
        let mut tried = 0;
        let (tokens, body) = loop {
            let Some(call) = exchange.call(tried) else {
                return Err("the token endpoint has no such path".to_owned());
            };
            let answer = self.exchange(provider, way, call).await?;
            match judge(family, &answer.as_token_answer(self.shared.clock.now_ms())) {
                Ok(tokens) => break (tokens, answer.body),
                Err(failure) if failure.kind == FailureKind::NoSuchPath => tried += 1,
                Err(failure) => {
                    // An endpoint that refuses a code may quote it.
                    let own = [Some(code), Some(&claimed.verifier), client.secret.as_ref()];
                    let known = Known::new(own.into_iter().flatten().map(Secret::expose));
                    return Err(known.text(&failure.text).into_owned());
                }
            }
        };
        Ok(self.owned(provider, way, sign_in, tokens, &body).await)
    }

    /// New tokens, with whose they are. `body` is the reply that brought them.
    pub(super) async fn owned(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        sign_in: &'static SignIn,
        tokens: Tokens,
        body: &[u8],
    ) -> Granted {
        // It has been seen to be an object; the tokens in it are not looked at again.
        let reply: Object = serde_json::from_slice(body).unwrap_or_default();
        let profile = match self.profile(provider, way, sign_in, &tokens.access_token).await {
            LookUp::Found(profile) => Some(profile),
            // The exchange has shown that the token is good.
            LookUp::Refused(_) | LookUp::Unknown(_) => None,
        };
        let identity = (sign_in.identity)(&reply, profile.as_ref());
        Granted { kind: AccountKind::OAuth, tokens, identity, validation: "verified" }
    }

    /// A token that was pasted in place of a code.
    async fn check_long_lived(
        &self,
        provider: &Provider,
        sign_in: &'static SignIn,
        way: &ProxyChoice,
        token: Secret,
    ) -> Result<Granted, String> {
        let checked = self.check(provider, way, sign_in, &token).await;
        if checked.validation == "refused" {
            return Err(checked
                .message
                .unwrap_or_else(|| "the vendor refuses the token".to_owned()));
        }
        let identity = checked.identity.or(Identity::of_token(&token));
        let tokens = Tokens {
            access_token: token,
            refresh_token: None,
            id_token: None,
            expires_at: None,
            scope: None,
        };
        Ok(Granted {
            kind: AccountKind::Imported,
            tokens,
            identity,
            validation: checked.validation,
        })
    }

    /// Ends a claimed sign-in: with an account, or with what went wrong.
    pub(super) async fn conclude(
        &self,
        claimed: Claimed,
        provider: &Arc<Provider>,
        granted: Result<Granted, String>,
    ) -> Result<Saved, SignInError> {
        let id = claimed.row.id;
        self.settling.borrow_mut().insert(id);
        let concluded = self.store_granted(claimed, provider, granted).await;
        self.settling.borrow_mut().remove(&id);
        self.close_port(id);
        self.tell(id);
        concluded
    }

    async fn store_granted(
        &self,
        claimed: Claimed,
        provider: &Arc<Provider>,
        granted: Result<Granted, String>,
    ) -> Result<Saved, SignInError> {
        let (id, now) = (claimed.row.id, self.shared.clock.now_ms());
        let saved = match granted {
            Ok(granted) => {
                let brought = brought(&claimed, provider, granted, now);
                self.write(move |conn, sealer| save(conn, sealer, brought)).await
            }
            Err(why) => Ok(Saved::Refused(why)),
        };
        let saved = match saved {
            Ok(saved) => saved,
            Err(error) => {
                let why = format!("the account could not be stored: {error}; start again");
                self.end(id, End::Failed(why), now).await?;
                return Err(error);
            }
        };
        match &saved {
            Saved::Account { id: account, existed, .. } => {
                info!(provider = %provider.id, flow.id = %id, account.id = %account, existed, "signed in");
                let event =
                    Event::ok(EventName::OauthCompleted).with("account_id", account.to_string());
                self.audit(&provider.id, event.with("existed", *existed));
                let added = match existed {
                    true => EventName::ProviderAccountUpdated,
                    false => EventName::ProviderAccountAdded,
                };
                self.audit(&provider.id, Event::ok(added).with("id", account.to_string()));
                self.reload().await;
            }
            Saved::Ended => info!(provider = %provider.id, flow.id = %id, "{ENDED}"),
            Saved::Refused(why) => {
                warn!(provider = %provider.id, flow.id = %id, "a sign-in failed: {why}");
                let event = Event::failed(EventName::OauthFailed).with("why", why.as_str());
                self.audit(&provider.id, event);
                self.end(id, End::Failed(why.clone()), now).await?;
            }
        }
        Ok(saved)
    }

    /// Brings what was stored into effect.
    pub(super) async fn reload(&self) {
        if let Err(error) = self.configured.reload().await {
            warn!(%error, "a new account is stored but not in use yet; reload the configuration");
        }
    }

    /// Tells the audit log what became of a sign-in. The browser that came back is no caller of the router.
    fn audit(&self, provider: &str, event: Event) {
        self.shared.audit.record(&Caller::system(), event.with("provider", provider));
    }

    pub(super) async fn end(&self, id: FlowId, end: End, now: i64) -> Result<(), SignInError> {
        self.write(move |conn, _| oauth_flows::finish(conn, id, &end, now)).await?;
        self.close_port(id);
        self.tell(id);
        Ok(())
    }
}

fn brought(claimed: &Claimed, provider: &Provider, granted: Granted, now: i64) -> Brought {
    let Granted { kind, tokens, identity, validation } = granted;
    let target = match claimed.row.account_id {
        None => Target::ByIdentity,
        Some(id) => Target::Account { id, replace: claimed.options.replace },
    };
    Brought {
        provider: Arc::clone(&provider.id),
        kind,
        identity,
        secrets: NewSecrets {
            access_token: Some(tokens.access_token),
            refresh_token: tokens.refresh_token,
            id_token: tokens.id_token,
            expires_at: Some(tokens.expires_at),
            extra: extra(tokens.scope, claimed.options.client_id.as_ref()),
            api_key: None,
        },
        target,
        label: claimed.options.label.clone(),
        proxy: claimed.options.proxy.clone(),
        ownership: Ownership::Own,
        follow_path: None,
        source: "connect",
        validation,
        flow: Some(claimed.row.id),
        now,
    }
}

/// What an account's refreshes need beside its tokens.
fn extra(scope: Option<String>, client_id: Option<&String>) -> BTreeMap<String, Secret> {
    let own = client_id.map(|id| (CLIENT_ID.to_owned(), Secret::new(id.clone())));
    scope_extra(scope).into_iter().chain(own).collect()
}

/// The pasted text as a long-lived token, when it is one.
pub(super) fn long_lived(sign_in: &SignIn, input: &Secret) -> Option<Secret> {
    let prefix = sign_in.token_prefix?;
    let text = input.expose().trim().trim_matches(['"', '\'']);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (text.starts_with(prefix) && text.chars().all(plain)).then(|| Secret::new(text.to_owned()))
}

/// Looks at every byte, so that time tells nothing (accounts §1.1).
fn is_state_of(row: &FlowRow, state: &str) -> bool {
    let given = state_hash(state);
    given.iter().zip(&row.state_hash).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn refusal_text(error: &str, description: Option<&str>) -> String {
    if error == "access_denied" {
        return "you declined at the vendor; start again to connect".to_owned();
    }
    let text = match description {
        Some(description) => format!("the vendor refused: {error}: {description}"),
        None => format!("the vendor refused: {error}"),
    };
    let plain: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    redact_text(&plain).into_owned()
}

fn gone() -> SignInError {
    SignInError::not_found("no such sign-in, or it ended more than two minutes ago; start again")
}
