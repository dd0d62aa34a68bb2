//! Connecting accounts: sign-ins through a browser, by paste, by a code entered elsewhere, and from the files of official
//! clients (accounts §1, §2).
//!
//! [`SignIns`] is the handle everybody calls; behind it one actor on the control thread owns what is under way:
//!
//! ```text
//! start ──► row in oauth_flows (state hashed, verifier sealed) ──► authorize URL for the browser
//!   or a code to enter elsewhere, which a task of the desk then asks for until it is entered (device)
//! callback / paste / code entered ──► claim: pending → exchanging, once ──► exchange ──► profile ──► account stored ──► reload
//! ```
//!
//! What a vendor's sign-in is like is data of `provider::oauth::connect`; nothing here knows a vendor.

mod call;
mod desk;
mod device;
mod error;
mod files;
mod import;
mod listener;
mod page;
mod redeem;
mod save;
mod start;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix::Addr;

use crate::actors::configured::Configured;
use crate::actors::shared::Shared;
use crate::config::official::Homes;
use crate::config::options::Options;
use crate::id::FlowId;
use crate::secret::Secret;
use desk::Desk;
pub use device::ShownCode;
pub use error::{SignInError, SignInErrorKind};
pub use files::Candidate;
pub use import::{ImportRequest, ImportSource, Imported};
pub use page::Page;
pub use redeem::Session;
pub use start::{Browser, Means, StartSignIn, Started};

/// What sign-ins find around them.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Port of this router on plain-http loopback; `None` = it does not listen there.
    pub own_port: Option<u16>,
    /// Inside a container no browser reaches a port of its loopback.
    pub container: bool,
    /// Where official clients keep their sign-ins.
    pub homes: Homes,
}

impl Surroundings {
    /// As start-up found them.
    #[must_use]
    pub fn of(options: &Options, own_port: Option<u16>) -> Self {
        let homes = Homes::of(&options.environment);
        Self { own_port, container: options.container, homes }
    }
}

/// A browser that came back.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Provider named in the path; `None` = the state alone tells.
    pub provider: Option<String>,
    /// The query as it came.
    pub query: Secret,
}

/// Handle to the sign-ins of this process. Cheap to clone; its calls may be awaited on every thread. What it gives
/// back never holds a code, a verifier or a token.
#[derive(Clone, Debug)]
pub struct SignIns(Addr<Desk>);

impl SignIns {
    /// Starts their owner on the calling thread's arbiter.
    #[must_use]
    pub fn launch(
        shared: Arc<Shared>,
        configured: Arc<Configured>,
        surroundings: Surroundings,
    ) -> Self {
        Self(Desk::launch(shared, configured, surroundings))
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// The provider has none, the account to reconnect is another provider's, or the store fails.
    pub async fn start(&self, ask: StartSignIn) -> Result<Started, SignInError> {
        self.0.send(desk::Start(ask)).await?
    }

    /// How far a sign-in is.
    ///
    /// # Errors
    /// No such sign-in (it ended more than two minutes ago), or the store fails.
    pub async fn session(&self, id: FlowId) -> Result<Session, SignInError> {
        self.0.send(desk::Look(id)).await?
    }

    /// Finishes a sign-in with what the operator pasted: an address, a code, or a long-lived token. Waits for the
    /// exchange.
    ///
    /// # Errors
    /// The text is none of that or belongs to another sign-in (then this one stays pending); the sign-in has
    /// ended; the store fails. A failed exchange is no error of the call: the session tells of it.
    pub async fn paste(&self, id: FlowId, input: Secret) -> Result<Session, SignInError> {
        self.0.send(desk::Paste { id, input }).await?
    }

    /// Ends a sign-in. An exchange under way then saves nothing.
    ///
    /// # Errors
    /// No such sign-in, or the store fails. One that had ended stays as it was.
    pub async fn cancel(&self, id: FlowId) -> Result<Session, SignInError> {
        self.0.send(desk::Cancel(id)).await?
    }

    /// Takes a browser that came back, and says what it is shown.
    pub async fn callback(&self, callback: Callback) -> Page {
        let page = self.0.send(desk::Arrived(callback)).await;
        page.unwrap_or_else(|_stopping| Page::unavailable())
    }

    /// Sign-ins of the provider's official client on this machine. Reads, and changes nothing.
    ///
    /// # Errors
    /// The provider has no official client that is known here.
    pub async fn scan(&self, provider: String) -> Result<Vec<Candidate>, SignInError> {
        self.0.send(desk::Scan(provider)).await?
    }

    /// Stores sign-ins of an official client as accounts, each checked with one call.
    ///
    /// # Errors
    /// The text is no sign-in, the ownership does not fit, or the store fails. A refused check is no error: the
    /// account is stored with it.
    pub async fn import(&self, ask: ImportRequest) -> Result<Vec<Imported>, SignInError> {
        self.0.send(desk::Import(ask)).await?
    }
}
