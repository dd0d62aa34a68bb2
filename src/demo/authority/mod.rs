//! A simulated OAuth vendor on a real socket: sign-in, tokens, plan, and the API behind them, in the shape of Claude's; and
//! sign-in by a code in the shape of xAI's.
//!
//! [`Authority`] is the handle. What it answers, all on one address:
//!
//! | path | role of the override | does |
//! |---|---|---|
//! | `GET /oauth/authorize` | `AUTHORIZE` | asks nobody: the person of [`Authority::sign_in_as`] agrees. Redirects to `redirect_uri` with `code` and `state`; a hosted `redirect_uri` (any that is not loopback http) gets a page with `code#state` |
//! | `POST /v1/oauth/token` | `TOKEN` | JSON only. Exchange: PKCE S256, state, client and redirect must be those of the consent, a code works once. Refresh: rotates; a spent refresh token revokes its family |
//! | `GET /api/oauth/profile` | `PROFILE` | account, organization, plan; needs the scope `user:profile` |
//! | `GET /api/oauth/usage` | `QUOTA` | the plan's windows, or what [`Authority::set_usage`] says |
//! | `POST /v1/messages`, `/v1/messages/count_tokens`, `GET /v1/models` | `API` | want a live Bearer token and `anthropic-beta: oauth-2025-04-20` (401 otherwise). Messages count in the plan and carry `anthropic-ratelimit-unified-*`; a window that is used up is 429 until its reset |
//! | `POST /oauth2/device/code` | `DEVICE` of `xai` | hands out a code (RFC 8628) |
//! | `GET /device?user_code=` | – | the page of that code asks nobody: the person of [`Authority::sign_in_as`] agrees |
//! | `POST /oauth2/token` | `TOKEN` of `xai` | forms only. A question too early is `slow_down` and makes the interval longer; a code works once. Refresh as above |
//! | `POST /v1/chat/completions` | `API` of `xai` | wants a live Bearer token |
//!
//! Point a router at it with [`Authority::environment`] (variables) or [`Authority::overrides`] (in process). Skip the
//! browser with [`Authority::issue`] or [`Authority::credentials_file`]. Make it misbehave with [`Authority::script`]
//! (next replies) and [`Authority::hold`] (requests wait until released). Look at what happened with
//! [`Authority::counts`], wait for it with [`Authority::wait`]. Time comes from the clock it was started with.

mod device;
mod grants;
mod person;
mod plan;
mod script;
mod serve;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::host::Host;
use super::sim::SimError;
use crate::clock::{Clock, UnixMs};
use crate::provider::catalog::{EndpointOverride, Role};
use device::{Decision, Devices};
use grants::Grants;
pub use person::Person;
pub use plan::Limits;
use plan::Plan;
use script::Scripts;
pub use script::{Hold, Place, Scripted};

/// Client id that tokens without a browser are issued to: the public one of the official CLI.
const CLIENT_ID: &str = "9d1c250a-e61b-44d9-88ed-5944d1962f5e";
const SCOPES: &str = "user:profile user:inference";
const SETUP_SCOPES: &str = "user:inference";
/// Life of an access token, seconds.
const EXPIRES_IN_S: i64 = 28_800;

/// What happened at the vendor so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Authorize pages.
    pub authorizations: u32,
    /// Codes exchanged for tokens.
    pub exchanges: u32,
    /// Exchanges refused.
    pub refused_exchanges: u32,
    /// Refreshes that gave new tokens.
    pub refreshes: u32,
    /// Refreshes refused, spent tokens included.
    pub refused_refreshes: u32,
    /// Codes and refresh tokens that came a second time.
    pub reuses: u32,
    /// Requests to the token endpoint, scripted ones included.
    pub token_calls: u32,
    /// Most requests to the token endpoint at the same time.
    pub token_peak: u32,
    /// Requests to the profile endpoint.
    pub profiles: u32,
    /// Requests to the usage endpoint.
    pub usages: u32,
    /// Messages answered.
    pub messages: u32,
    /// Messages refused because a window was used up.
    pub out_of_quota: u32,
    /// Requests of any kind whose credential was not taken.
    pub unauthorized: u32,
    /// Token counts answered.
    pub token_counts: u32,
    /// Device codes handed out.
    pub device_codes: u32,
    /// Questions whether a device code was entered, scripted ones included.
    pub device_polls: u32,
    /// Those that came too early.
    pub early_polls: u32,
}

/// Tokens handed out without a browser.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Access token.
    pub access_token: String,
    /// Refresh token; empty for a set-up token.
    pub refresh_token: String,
    /// When the access token expires.
    pub expires_at: UnixMs,
}

/// A running vendor. Dropping it stops it.
#[derive(Debug)]
pub struct Authority {
    shared: Arc<Shared>,
    host: Host,
}

impl Authority {
    /// Starts a vendor on a free loopback port; [`Person::new`]`("ada")` is signed in at its browser.
    ///
    /// # Errors
    /// When the port, the thread or random numbers cannot be had.
    pub fn start(clock: &Clock) -> Result<Self, SimError> {
        Self::try_start(clock)
            .map_err(|source| SimError::Start { name: "authority".to_owned(), source })
    }

    fn try_start(clock: &Clock) -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            world: Mutex::new(World::new(seed)),
            changed: Condvar::new(),
            holds: Place::ALL.map(|place| (place, watch::Sender::new(Hold::Off))),
        });
        let data = web::Data::from(Arc::clone(&shared));
        let host = Host::start(2, move |app| serve::routes(app, data.clone()))?;
        Ok(Self { shared, host })
    }

    /// Address of its socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// `http://127.0.0.1:port` followed by `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.address())
    }

    /// The endpoint overrides that lead `claude` and `xai` here.
    #[must_use]
    pub fn overrides(&self) -> Vec<EndpointOverride> {
        [
            ("claude", Role::Authorize, "/oauth/authorize"),
            ("claude", Role::Token, "/v1/oauth/token"),
            ("claude", Role::Profile, "/api/oauth/profile"),
            ("claude", Role::Quota, "/api/oauth/usage"),
            ("claude", Role::Api, ""),
            ("xai", Role::Device, "/oauth2/device/code"),
            ("xai", Role::Token, "/oauth2/token"),
            ("xai", Role::Api, ""),
        ]
        .map(|(provider, role, path)| EndpointOverride {
            provider: provider.to_owned(),
            role,
            url: self.url(path),
        })
        .into()
    }

    /// [`Authority::overrides`] as environment variables.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let variable = |o: EndpointOverride| {
            let provider = o.provider.to_ascii_uppercase();
            (format!("NINEROUTER_ENDPOINT_{provider}_{}", o.role.as_str()), o.url)
        };
        self.overrides().into_iter().map(variable).collect()
    }

    /// Who agrees at the authorize page from now on.
    pub fn sign_in_as(&self, person: &Person) {
        self.change(|world| {
            world.know(person);
            world.at_browser = person.key();
        });
    }

    /// The person enters this code and agrees. False when no such code waits.
    pub fn enter_code(&self, person: &Person, user_code: &str) -> bool {
        let mut world = self.shared.world();
        world.know(person);
        world.devices.decide(user_code, Decision::Agreed(person.key()))
    }

    /// Somebody enters this code and declines. False when no such code waits.
    pub fn decline_code(&self, user_code: &str) -> bool {
        self.shared.world().devices.decide(user_code, Decision::Declined)
    }

    /// When it was asked whether a code was entered, in order.
    #[must_use]
    pub fn questions(&self) -> Vec<UnixMs> {
        self.shared.world().devices.asked_at.clone()
    }

    /// Life of device codes and the pause between questions from now on, seconds.
    pub fn set_device(&self, expires_in_s: i64, interval_s: i64) {
        self.change(|world| {
            world.devices.expires_in_s = expires_in_s;
            world.devices.interval_s = interval_s;
        });
    }

    /// The next visitor of the authorize page, or of a code's page, declines.
    pub fn decline_next(&self) {
        self.change(|world| world.declines = true);
    }

    /// Parameters of the last authorize page, in order.
    #[must_use]
    pub fn last_authorize(&self) -> Vec<(String, String)> {
        self.shared.world().last_authorize.clone()
    }

    /// Tokens of a sign-in that nobody saw, issued to the official CLI's client id.
    #[must_use]
    pub fn issue(&self, person: &Person) -> Issued {
        self.issue_as(person, SCOPES, true)
    }

    /// A long-lived token without a refresh token, good for inference alone.
    #[must_use]
    pub fn issue_setup_token(&self, person: &Person) -> String {
        self.issue_as(person, SETUP_SCOPES, false).access_token
    }

    fn issue_as(&self, person: &Person, scope: &str, refreshable: bool) -> Issued {
        let now = self.shared.clock.now_ms();
        let mut world = self.shared.world();
        world.know(person);
        let life_ms = if refreshable { world.life_ms() } else { 365 * 86_400_000 };
        let (client, scope) = (CLIENT_ID.to_owned(), scope.to_owned());
        let granted = world.grants.issue(person.key(), client, scope, refreshable, now + life_ms);
        Issued {
            access_token: granted.access,
            refresh_token: granted.refresh.unwrap_or_default(),
            expires_at: now + life_ms,
        }
    }

    /// Text of the official CLI's `.credentials.json` with these tokens.
    #[must_use]
    pub fn credentials_file(&self, issued: &Issued) -> String {
        json!({"claudeAiOauth": {
            "accessToken": issued.access_token,
            "refreshToken": issued.refresh_token,
            "expiresAt": issued.expires_at,
            "scopes": SCOPES.split(' ').collect::<Vec<_>>(),
            "subscriptionType": "max",
            "rateLimitTier": "default_claude_max_5x",
        }})
        .to_string()
    }

    /// Life of access tokens from now on, seconds; `None` leaves `expires_in` out of replies.
    pub fn set_expires_in(&self, seconds: Option<i64>) {
        self.change(|world| world.expires_in_s = seconds);
    }

    /// Every access token so far is refused as expired from now on; refresh tokens stay good.
    pub fn expire_access_tokens(&self) {
        self.change(|world| world.grants.expire_access());
    }

    /// Every token of the person is worthless from now on.
    pub fn revoke(&self, person: &Person) {
        self.change(|world| world.grants.revoke(&person.key()));
    }

    /// Sets a window (`5h`, `7d`, `7d_opus`) of the person's plan.
    pub fn set_window(&self, person: &Person, name: &str, percent: u32, resets_at: UnixMs) {
        self.change(|world| {
            world.know(person);
            if let Some((_, plan)) = world.people.get_mut(&person.key()) {
                plan.set_window(name, percent, resets_at);
            }
        });
    }

    /// What the usage endpoint reports to everybody; `None` = the plan's own windows.
    pub fn set_usage(&self, report: Option<Value>) {
        self.change(|world| world.usage = report);
    }

    /// Whether the usage endpoint refuses with 429 and `Retry-After: 0`.
    pub fn throttle_usage(&self, on: bool) {
        self.change(|world| world.usage_throttled = on);
    }

    /// Headers put on every answer to messages, in place of the vendor's own of the same name.
    pub fn set_message_headers(&self, headers: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.change(|world| world.message_headers = headers.iter().map(owned).collect());
    }

    /// What becomes of the next requests to `place`, one each.
    pub fn script(&self, place: Place, replies: impl IntoIterator<Item = Scripted>) {
        self.change(|world| world.scripts.add(place, replies));
    }

    /// Lets requests to `place` wait, or go on again.
    pub fn hold(&self, place: Place, hold: Hold) {
        self.shared.gate(place).send_replace(hold);
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.world().counts
    }

    /// Waits until `done` is true of what happened. False when it was not within `limit`.
    #[must_use]
    pub fn wait(&self, limit: Duration, done: impl Fn(&Counts) -> bool) -> bool {
        let world = self.shared.world();
        let waited = self.shared.changed.wait_timeout_while(world, limit, |w| !done(&w.counts));
        waited.map_or_else(
            |poison| done(&poison.into_inner().0.counts),
            |(world, _)| done(&world.counts),
        )
    }

    /// Every code and token handed out so far: what a search for leaks looks for.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let world = self.shared.world();
        world.grants.secrets().into_iter().chain(world.devices.secrets().cloned()).collect()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world());
    }
}

impl Place {
    const ALL: [Self; 6] = [
        Self::Token,
        Self::Profile,
        Self::Usage,
        Self::Messages,
        Self::DeviceCode,
        Self::DeviceToken,
    ];
}

/// What the handle and the server share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    world: Mutex<World>,
    changed: Condvar,
    holds: [(Place, watch::Sender<Hold>); 6],
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self, place: Place) -> &watch::Sender<Hold> {
        let [(_, first), ..] = &self.holds;
        self.holds.iter().find(|(p, _)| *p == place).map_or(first, |(_, gate)| gate)
    }

    /// Changes the numbers and tells those who wait for them.
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.world().counts);
        self.changed.notify_all();
    }
}

/// Everything that changes.
#[derive(Debug)]
struct World {
    grants: Grants,
    devices: Devices,
    people: HashMap<String, (Person, Plan)>,
    at_browser: String,
    declines: bool,
    last_authorize: Vec<(String, String)>,
    expires_in_s: Option<i64>,
    usage: Option<Value>,
    usage_throttled: bool,
    message_headers: Vec<(String, String)>,
    scripts: Scripts,
    counts: Counts,
    token_calls_now: u32,
}

impl World {
    fn new(seed: [u8; 32]) -> Self {
        let ada = Person::new("ada");
        let mut world = Self {
            grants: Grants::new(seed),
            devices: Devices::default(),
            people: HashMap::new(),
            at_browser: ada.key(),
            declines: false,
            last_authorize: Vec::new(),
            expires_in_s: Some(EXPIRES_IN_S),
            usage: None,
            usage_throttled: false,
            message_headers: Vec::new(),
            scripts: Scripts::default(),
            counts: Counts::default(),
            token_calls_now: 0,
        };
        world.know(&ada);
        world
    }

    /// The person has a plan from the first time it is named; naming it again changes nothing.
    fn know(&mut self, person: &Person) {
        let new = || (person.clone(), Plan::new(&person.limits));
        self.people.entry(person.key()).or_insert_with(new);
    }

    fn life_ms(&self) -> i64 {
        self.expires_in_s.unwrap_or(EXPIRES_IN_S) * 1000
    }
}
