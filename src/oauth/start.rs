//! Beginning a sign-in: where the browser goes, where it comes back, and the row that waits for it.

use std::rc::Rc;

use tracing::info;

use super::desk::Inner;
use super::error::SignInError;
use super::listener;
use crate::clock::UnixMs;
use crate::id::{AccountId, FlowId};
use crate::provider::catalog::Provider;
use crate::provider::oauth::Client;
use crate::provider::oauth::connect::authorize::random_text;
use crate::provider::oauth::connect::{Authorize, Reach, SignIn, Way, redirect};
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::oauth_flows::{self, End, FlowOptions, NewFlow};
use crate::store::{StoreError, accounts};

/// Life of a sign-in through a browser.
const LIFE_MS: i64 = 10 * 60 * 1000;
/// Sign-ins that may wait at a time.
const MOST_PENDING: i64 = 64;
/// Longest name of an account.
const LONGEST_LABEL: usize = 80;

/// Where the browser runs that will sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Browser {
    /// Nobody knows: on the router's computer, unless that is a container, into which no browser comes.
    #[default]
    Unknown,
    /// On the router's computer; inside a container its port is published.
    Here,
    /// On another computer: it cannot come back to a loopback port of the router.
    Elsewhere,
}

/// What a sign-in is to be.
#[derive(Clone, Debug, Default)]
pub struct StartSignIn {
    /// Catalog id or prefix.
    pub provider: String,
    /// Name of a new account; `None` = its e-mail address.
    pub label: Option<String>,
    /// The account to sign in to again.
    pub account: Option<AccountId>,
    /// That account may become another identity.
    pub replace: bool,
    /// The way calls of the account go out, those of the sign-in included; `None` = as it is.
    pub proxy: Option<ProxyChoice>,
    /// Where the browser runs.
    pub browser: Browser,
}

/// A sign-in that waits for its browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    /// To ask for it later.
    pub session_id: FlowId,
    /// Catalog id.
    pub provider: String,
    /// Name of the redirect mode (accounts §1.1).
    pub mode: &'static str,
    /// For the browser.
    pub authorize_url: String,
    /// Where it comes back.
    pub redirect_uri: String,
    /// Unix ms.
    pub expires_at: UnixMs,
    /// What came back may be pasted.
    pub paste_allowed: bool,
    /// For people, when something is not as usual.
    pub note: Option<String>,
}

impl Inner {
    pub(super) async fn start(self: Rc<Self>, ask: StartSignIn) -> Result<Started, SignInError> {
        let (provider, sign_in) = self.provider(&ask.provider)?;
        let label = ask.label.as_deref().map(checked_label).transpose()?;
        let client = self.client(&provider)?;
        let Some(oauth) = &provider.oauth else {
            return Err(SignInError::invalid(format!("`{}` has no sign-in", provider.id)));
        };
        let (now, id) = (self.shared.clock.now_ms(), FlowId::new());
        let expires_at = now + LIFE_MS;
        self.settle().await;
        self.admit(&provider, &ask, label.clone(), now).await?;
        let (way, note) = self.way_back(sign_in, ask.browser, id, expires_at).await;
        let (verifier, state) = (random()?, random()?);
        let authorize = Authorize {
            oauth,
            client_id: &client.id,
            redirect_uri: &way.redirect_uri,
            verifier: &verifier,
            state: state.expose(),
        };
        let authorize_url = authorize.url().ok_or_else(|| {
            SignInError::invalid(format!("the catalog names no sign-in page of `{}`", provider.id))
        })?;
        let new = NewFlow {
            id,
            provider: provider.id.to_string(),
            account_id: ask.account,
            mode: way.mode,
            verifier,
            options: FlowOptions { state, label, proxy: ask.proxy, replace: ask.replace },
            redirect_uri: way.redirect_uri.clone(),
            scopes: oauth.scopes.clone().unwrap_or_default(),
            created_at: now,
            expires_at,
        };
        if let Err(error) = self.write(move |conn, s| oauth_flows::insert(conn, s, &new)).await {
            self.close_port(id);
            return Err(error);
        }
        info!(provider = %provider.id, flow.id = %id, mode = way.mode, "a sign-in began");
        Ok(Started {
            session_id: id,
            provider: provider.id.to_string(),
            mode: way.mode,
            authorize_url,
            redirect_uri: way.redirect_uri,
            expires_at,
            paste_allowed: true,
            note,
        })
    }

    /// Who the router is for the provider's token endpoint.
    pub(super) fn client(&self, provider: &Provider) -> Result<Client, SignInError> {
        let snapshot = self.shared.snapshot.load();
        Client::of(provider, snapshot.oauth_client(&provider.id))
            .map_err(|error| SignInError::invalid(error.to_string()))
    }

    /// Refuses what could not be stored at the end.
    async fn admit(
        &self,
        provider: &Provider,
        ask: &StartSignIn,
        label: Option<String>,
        now: UnixMs,
    ) -> Result<(), SignInError> {
        let (provider, account) = (provider.id.to_string(), ask.account);
        let checked = self.read(move |conn| {
            let pending = oauth_flows::count_pending(conn, now)?;
            let found = account.map(|id| accounts::find(conn, id)).transpose()?;
            let taken = match &label {
                Some(label) if account.is_none() => {
                    accounts::find_by_label(conn, &provider, label)?.is_some()
                }
                _ => false,
            };
            let wrong = match found {
                Some(None) => Some(SignInError::not_found("no such account")),
                Some(Some(row)) if *row.config.provider != *provider => {
                    let own = &row.config.provider;
                    Some(SignInError::invalid(format!("the account is one of `{own}`")))
                }
                _ if taken => Some(SignInError::conflict(format!(
                    "another account of `{provider}` has the name `{}`; choose another name, or \
                     reconnect that account",
                    label.unwrap_or_default()
                ))),
                _ if pending >= MOST_PENDING => Some(SignInError::conflict(
                    "too many sign-ins wait for a browser; cancel some, or wait ten minutes",
                )),
                _ => None,
            };
            Ok::<_, StoreError>(wrong)
        });
        checked.await?.map_or(Ok(()), Err)
    }

    /// Chooses where the browser comes back, and opens the port that is needed for it.
    async fn way_back(
        &self,
        sign_in: &'static SignIn,
        browser: Browser,
        flow: FlowId,
        expires_at: UnixMs,
    ) -> (Way, Option<String>) {
        let closed = self.surroundings.container && browser != Browser::Here;
        let reach = Reach {
            own_port: self.surroundings.own_port.filter(|_| !closed),
            here: browser != Browser::Elsewhere,
            may_listen: !self.surroundings.container,
        };
        let mut note = None;
        let order = redirect::ordered(sign_in.redirects, reach);
        for place in &order {
            let way = place.way(reach);
            let Some(port) = way.listen else { return (way, note) };
            let redirect::Redirect::Loopback(loopback) = *place else { return (way, note) };
            self.take_over(port).await;
            match listener::open(port, loopback.path, flow, expires_at, self.desk.borrow().clone())
            {
                Ok(opened) => {
                    self.opened.borrow_mut().insert(opened.port, opened);
                    return (way, note);
                }
                Err(error) => {
                    let client = sign_in.cli.map_or("another program", |cli| cli.name);
                    note = Some(format!(
                        "port {port} cannot be opened ({error}; is {client} signing in?): the \
                         browser cannot come back by itself. Close that program and start again, \
                         or paste what the browser shows after you approved"
                    ));
                }
            }
        }
        // Nothing could be opened: what the browser ends up at is pasted.
        let way = order.first().map_or_else(
            || Way { redirect_uri: String::new(), mode: "hosted_page", listen: None },
            |place| place.way(reach),
        );
        (way, note)
    }

    /// A port serves one sign-in: an earlier one that holds it ends.
    async fn take_over(&self, port: u16) {
        let Some(earlier) = self.opened.borrow_mut().remove(&port) else { return };
        let flow = earlier.flow;
        earlier.close().await;
        let now = self.shared.clock.now_ms();
        let why = format!("another sign-in took over port {port}");
        let end = End::Cancelled(Some(why));
        // The store fails: it expires by itself.
        drop(self.write(move |conn, _| oauth_flows::finish(conn, flow, &end, now)).await);
    }
}

fn checked_label(label: &str) -> Result<String, SignInError> {
    let label = label.trim();
    let length = label.chars().count();
    if length == 0 || length > LONGEST_LABEL || label.chars().any(char::is_control) {
        let message = format!("the name of an account has 1 to {LONGEST_LABEL} characters");
        return Err(SignInError::invalid(message));
    }
    Ok(label.to_owned())
}

/// A verifier, or a state (SEC-KEY-5: from the system alone).
fn random() -> Result<Secret, SignInError> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut())
        .map_err(|error| SignInError::unavailable(format!("no random numbers: {error}")))?;
    Ok(Secret::new(random_text(&bytes)))
}
