//! Requests that the outbound guard refused: what they were for, and who is told (security §15, `outbound_blocked`).

use std::fmt;
use std::sync::{Arc, OnceLock};

use url::Url;

use super::client::DestClass;
use super::error::Refusal;

/// What a request goes out for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A client's inference request.
    Inference,
    /// Tokens of a client's request are counted.
    CountTokens,
    /// An image or file that a client's request names by address.
    Media,
    /// A sign-in, or the check of what it brought.
    SignIn,
    /// A refresh token is redeemed.
    TokenRefresh,
    /// How much quota is left.
    Quota,
    /// Which models a provider has.
    Models,
    /// An account is tried on the operator's wish.
    AccountTest,
    /// A node is tried on the operator's wish.
    NodeTest,
    /// A proxy is tried on the operator's wish.
    ProxyTest,
}

impl Purpose {
    /// The word in rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::CountTokens => "count_tokens",
            Self::Media => "media",
            Self::SignIn => "sign_in",
            Self::TokenRefresh => "token_refresh",
            Self::Quota => "quota",
            Self::Models => "models",
            Self::AccountTest => "account_test",
            Self::NodeTest => "node_test",
            Self::ProxyTest => "proxy_test",
        }
    }
}

/// On whose behalf a request goes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Initiator {
    /// What for.
    pub purpose: Purpose,
    /// The provider it is about, when there is one.
    pub provider: Option<Arc<str>>,
    /// The client's request behind it, when there is one.
    pub request_id: Option<Arc<str>>,
}

impl Initiator {
    /// Nobody but this purpose.
    #[must_use]
    pub fn new(purpose: Purpose) -> Self {
        Self { purpose, provider: None, request_id: None }
    }

    /// About this provider.
    #[must_use]
    pub fn of(purpose: Purpose, provider: &Arc<str>) -> Self {
        Self { provider: Some(Arc::clone(provider)), ..Self::new(purpose) }
    }

    /// Because of this request of a client.
    #[must_use]
    pub fn within(self, request_id: &Arc<str>) -> Self {
        Self { request_id: Some(Arc::clone(request_id)), ..self }
    }
}

/// A request that did not go out.
#[derive(Clone, Debug)]
pub struct Blocked<'a> {
    /// Where its destination came from.
    pub class: DestClass,
    /// Host of its URL; `None` = the URL has none.
    pub host: Option<String>,
    /// Which rule refused it.
    pub why: Refusal,
    /// On whose behalf.
    pub initiator: &'a Initiator,
}

type Listener = Box<dyn Fn(&Blocked<'_>) + Send + Sync>;

/// Who is told of refused requests; nobody until somebody wants to be.
#[derive(Default)]
pub(super) struct BlockedListener(OnceLock<Listener>);

impl fmt::Debug for BlockedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockedListener").field(&self.0.get().is_some()).finish()
    }
}

impl BlockedListener {
    /// The first one stays.
    pub(super) fn set(&self, listener: Listener) {
        // A second one would have to come from a second start in this process.
        let _first_stays = self.0.set(listener);
    }

    pub(super) fn tell(&self, url: &str, class: DestClass, why: Refusal, initiator: &Initiator) {
        if let Some(listener) = self.0.get() {
            let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
            listener(&Blocked { class, host, why, initiator });
        }
    }
}
