//! Beginning a sign-in: where the browser goes and comes back, or which code is entered where, and the row that waits.

use std::rc::Rc;
use std::sync::Arc;

use tracing::info;

use super::desk::{Inner, Watch};
use super::device::ShownCode;
use super::error::SignInError;
use super::listener;
use crate::clock::UnixMs;
use crate::id::{AccountId, FlowId};
use crate::provider::catalog::Provider;
use crate::provider::oauth::Client;
use crate::provider::oauth::connect::authorize::random_text;
use crate::provider::oauth::connect::{Authorize, Reach, SignIn, StartOption, Way, redirect};
use crate::provider::oauth::refresh::CLIENT_ID;
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::oauth_flows::{self, End, FlowOptions, NewFlow};
use crate::store::{Connection, Sealer, StoreError, accounts, secrets};

/// Life of a sign-in through a browser.
const LIFE_MS: i64 = 10 * 60 * 1000;
/// Sign-ins that may wait at a time.
const MOST_PENDING: i64 = 64;
/// Longest name of an account.
const LONGEST_LABEL: usize = 80;
const LONGEST_CLIENT_ID: usize = 200;

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

/// How a person signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// A browser is sent to the vendor and comes back.
    Browser,
    /// A code is entered at the vendor's page.
    Device,
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
    /// How; `None` = whatever the vendor has that reaches this router.
    pub prefer: Option<Means>,
    /// What the vendor's flow lets an operator choose.
    pub options: Vec<(StartOption, String)>,
}

/// A sign-in that waits for its browser, or for its code to be entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    /// To ask for it later.
    pub session_id: FlowId,
    /// Catalog id.
    pub provider: String,
    /// Name of the mode (accounts §1.1).
    pub mode: &'static str,
    /// For the browser; `None` = a code is entered.
    pub authorize_url: Option<String>,
    /// Where it comes back.
    pub redirect_uri: Option<String>,
    /// The code to enter.
    pub device: Option<ShownCode>,
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
        let chosen = chosen_client(&provider, sign_in, &ask.options)?;
        let means = means(&provider, sign_in, &ask)?;
        self.settle().await;
        let now = self.shared.clock.now_ms();
        let known = self.admit(&provider, &ask, label.clone(), now).await?;
        let client_id = chosen.or(known.client_id);
        let begun = Begun {
            client: self.client(&provider, client_id.as_deref())?,
            options: FlowOptions {
                state: random()?,
                label,
                proxy: ask.proxy.clone(),
                replace: ask.replace,
                client_id,
            },
            verifier: random()?,
            way: ask.proxy.clone().or(known.proxy).unwrap_or_default(),
            provider,
            sign_in,
            ask,
        };
        match means {
            Means::Browser => self.start_browser(begun).await,
            Means::Device => self.start_device(begun).await,
        }
    }

    /// Gets a code, and has somebody ask for it until it is entered.
    async fn start_device(self: Rc<Self>, begun: Begun) -> Result<Started, SignInError> {
        const MODE: &str = "device";
        let Begun { ask, provider, client, options, verifier, way, .. } = begun;
        let id = FlowId::new();
        let (code, life_ms) = self.device_code(&provider, &client, &verifier, &way).await?;
        let now = self.shared.clock.now_ms();
        let expires_at = now + life_ms;
        let shown = ShownCode::of(&code, expires_at);
        let new = NewFlow {
            id,
            provider: provider.id.to_string(),
            account_id: ask.account,
            mode: MODE,
            verifier,
            options,
            redirect_uri: None,
            device: Some(code),
            scopes: scopes(&provider),
            created_at: now,
            expires_at,
        };
        self.write(move |conn, s| oauth_flows::insert(conn, s, &new)).await?;
        let desk = self.desk.borrow().clone();
        let desk = desk.ok_or_else(|| SignInError::unavailable("the router is stopping"))?;
        desk.send(Watch(id)).await?;
        info!(provider = %provider.id, flow.id = %id, mode = MODE, "a sign-in began");
        Ok(Started {
            session_id: id,
            provider: provider.id.to_string(),
            mode: MODE,
            authorize_url: None,
            redirect_uri: None,
            device: Some(shown),
            expires_at,
            paste_allowed: false,
            note: None,
        })
    }

    async fn start_browser(self: Rc<Self>, begun: Begun) -> Result<Started, SignInError> {
        let Begun { ask, provider, sign_in, client, options, verifier, .. } = begun;
        let Some(oauth) = &provider.oauth else {
            return Err(SignInError::invalid(format!("`{}` has no sign-in", provider.id)));
        };
        let (now, id) = (self.shared.clock.now_ms(), FlowId::new());
        let expires_at = now + LIFE_MS;
        let (way, note) = self.way_back(sign_in, ask.browser, id, expires_at).await;
        let authorize = Authorize {
            oauth,
            client_id: &client.id,
            redirect_uri: &way.redirect_uri,
            verifier: &verifier,
            state: options.state.expose(),
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
            options,
            redirect_uri: Some(way.redirect_uri.clone()),
            device: None,
            scopes: scopes(&provider),
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
            authorize_url: Some(authorize_url),
            redirect_uri: Some(way.redirect_uri),
            device: None,
            expires_at,
            paste_allowed: true,
            note,
        })
    }

    /// Who the router is for the provider's token endpoint.
    pub(super) fn client(
        &self,
        provider: &Provider,
        own: Option<&str>,
    ) -> Result<Client, SignInError> {
        let snapshot = self.shared.snapshot.load();
        Client::of(provider, snapshot.oauth_client(&provider.id), own)
            .map_err(|error| SignInError::invalid(error.to_string()))
    }

    /// Refuses what could not be stored at the end; what an account that signs in again brings along.
    async fn admit(
        &self,
        provider: &Provider,
        ask: &StartSignIn,
        label: Option<String>,
        now: UnixMs,
    ) -> Result<Known, SignInError> {
        let (provider, account) = (provider.id.to_string(), ask.account);
        let sealer = self.shared.store.sealer().clone();
        let checked = self.read(move |conn| {
            let pending = oauth_flows::count_pending(conn, now)?;
            let found = account.map(|id| accounts::find(conn, id)).transpose()?;
            let taken = match &label {
                Some(label) if account.is_none() => {
                    accounts::find_by_label(conn, &provider, label)?.is_some()
                }
                _ => false,
            };
            let known = match &found {
                Some(Some(row)) => Known {
                    proxy: Some(row.config.proxy.clone()),
                    client_id: client_of(conn, &sealer, row.config.id)?,
                },
                _ => Known::default(),
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
            Ok::<_, StoreError>(wrong.map_or(Ok(known), Err))
        });
        checked.await?
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
        self.tell(flow);
    }
}

/// A sign-in that may begin.
struct Begun {
    ask: StartSignIn,
    provider: Arc<Provider>,
    sign_in: &'static SignIn,
    client: Client,
    options: FlowOptions,
    verifier: Secret,
    /// The way its calls go out.
    way: ProxyChoice,
}

/// What an account that signs in again keeps.
#[derive(Default)]
struct Known {
    proxy: Option<ProxyChoice>,
    client_id: Option<String>,
}

fn client_of(
    conn: &mut Connection,
    sealer: &Sealer,
    id: AccountId,
) -> Result<Option<String>, StoreError> {
    match secrets::credential(conn, sealer, id) {
        Ok(credential) => Ok(credential.extra.get(CLIENT_ID).map(|own| own.expose().to_owned())),
        // A credential that cannot be read is what signing in again is for.
        Err(StoreError::SecretsUnreadable | StoreError::Unsealable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn scopes(provider: &Provider) -> String {
    provider.oauth.as_ref().and_then(|oauth| oauth.scopes.clone()).unwrap_or_default()
}

/// The OAuth client chosen for this sign-in; refuses what the vendor's flow does not know.
fn chosen_client(
    provider: &Provider,
    sign_in: &SignIn,
    options: &[(StartOption, String)],
) -> Result<Option<String>, SignInError> {
    if let Some((unknown, _)) = options.iter().find(|(name, _)| !sign_in.options.contains(name)) {
        return Err(SignInError::invalid(format!(
            "the sign-in of `{}` has no `{}`; leave it out",
            provider.id,
            unknown.as_str()
        )));
    }
    let client = options.iter().find(|(name, _)| *name == StartOption::ClientId);
    let Some((_, id)) = client else { return Ok(None) };
    let id = id.trim();
    let fits =
        (1..=LONGEST_CLIENT_ID).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
    if !fits {
        let message = format!("`client_id` has 1 to {LONGEST_CLIENT_ID} visible ASCII characters");
        return Err(SignInError::invalid(message));
    }
    Ok(Some(id.to_owned()))
}

/// How it goes: as asked; else by code where a browser could not come back by itself, or where there is nothing else.
fn means(provider: &Provider, sign_in: &SignIn, ask: &StartSignIn) -> Result<Means, SignInError> {
    let has_browser = !sign_in.redirects.is_empty();
    match ask.prefer {
        Some(Means::Device) if !sign_in.device => {
            let message = format!("`{}` has no device sign-in; leave `prefer` out", provider.id);
            Err(SignInError::invalid(message))
        }
        Some(Means::Browser) if !has_browser => {
            let message = format!("`{}` signs in by a code alone; leave `prefer` out", provider.id);
            Err(SignInError::invalid(message))
        }
        Some(means) => Ok(means),
        None if sign_in.device && (!has_browser || ask.browser == Browser::Elsewhere) => {
            Ok(Means::Device)
        }
        None => Ok(Means::Browser),
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
