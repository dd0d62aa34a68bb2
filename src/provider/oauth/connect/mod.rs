//! Sign-ins (accounts §1): where a browser is sent, what comes back, what buys the tokens, whose they are. Sans-IO.
//!
//! A vendor has a file of its own with one [`SignIn`] in it ([`claude`], [`xai`]); everything else here is shared.

pub mod authorize;
pub mod claude;
pub mod device;
pub mod exchange;
pub mod identity;
pub mod paste;
pub mod redirect;
pub mod xai;

use serde_json::{Map, Value};

use crate::provider::catalog::Provider;
pub use authorize::Authorize;
pub use device::{DeviceAsk, DeviceCode, Pace, Progress};
pub use exchange::Exchange;
pub use identity::Identity;
pub use paste::{BadPaste, Pasted};
pub use redirect::{Loopback, Reach, Redirect, Way};

/// A JSON object.
pub type Object = Map<String, Value>;

/// How a vendor's sign-in differs from others, as data.
#[derive(Clone, Copy, Debug)]
pub struct SignIn {
    /// Where its authorize page may send the browser, preferred first; empty = it has no such page.
    pub redirects: &'static [Redirect],
    /// A person may enter a code at the vendor's page instead (RFC 8628), with PKCE where the catalog says so.
    pub device: bool,
    /// What an operator may choose for one sign-in.
    pub options: &'static [StartOption],
    /// The exchange repeats `state`.
    pub state_in_exchange: bool,
    /// Each use of a refresh token makes a new one: two programs must not share it (accounts §2.1).
    pub rotates: bool,
    /// Where it says whose token it is; `None` = the token reply says it all.
    pub profile: Option<Profile>,
    /// Whose the tokens are: from the token reply and, where it was to be had, the profile.
    pub identity: fn(&Object, Option<&Object>) -> Identity,
    /// Beginning of its long-lived tokens, which can be pasted in place of a code.
    pub token_prefix: Option<&'static str>,
    /// Its official command-line client, whose sign-in can be taken over or followed.
    pub cli: Option<OfficialCli>,
}

/// Something an operator may choose for one sign-in, where the vendor's flow knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StartOption {
    /// Region of the sign-in.
    Region,
    /// Base address of the vendor's own installation.
    BaseUrl,
    /// Start address of the organisation.
    StartUrl,
    /// Id of an OAuth client of the operator's own; kept with the account, whose refreshes need it too.
    ClientId,
    /// Cloud project that requests are charged to.
    Project,
}

impl StartOption {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::BaseUrl => "base_url",
            Self::StartUrl => "start_url",
            Self::ClientId => "client_id",
            Self::Project => "project",
        }
    }
}

/// A call that tells whose token it is. Its failure does not fail a sign-in.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// The vendor's own address.
    pub url: &'static str,
    /// Headers beside `authorization`.
    pub headers: &'static [(&'static str, &'static str)],
}

/// Where an official client keeps its sign-in.
#[derive(Clone, Copy, Debug)]
pub struct OfficialCli {
    /// For people.
    pub name: &'static str,
    /// Variable that names its folder.
    pub folder_variable: &'static str,
    /// Its folder below the home folder, otherwise.
    pub folder: &'static str,
    /// Its credential file in that folder.
    pub file: &'static str,
    /// A file that tells whose they are: beside the folder by default, in it when the variable names it.
    pub identity_file: &'static str,
    /// Reads that file.
    pub identity: fn(&Object) -> Identity,
    /// Makes the plan's name from the two words in the credential file.
    pub plan: fn(Option<&str>, Option<&str>) -> Option<String>,
    /// Variable that may hold a long-lived token.
    pub token_variable: &'static str,
}

impl SignIn {
    /// The sign-in of a provider; `None` = this router has none for it.
    #[must_use]
    pub fn of(provider: &Provider) -> Option<&'static Self> {
        provider.oauth.as_ref()?;
        match &*provider.id {
            "claude" => Some(&claude::SIGN_IN),
            "xai" => Some(&xai::SIGN_IN),
            _ => None,
        }
    }

    /// Every sign-in this router has.
    #[must_use]
    pub fn all() -> &'static [&'static Self] {
        &[&claude::SIGN_IN, &xai::SIGN_IN]
    }
}
