//! Media that a request names by address, fetched for targets that read no addresses (translation §2.9).

mod kind;

use std::cell::RefCell;
use std::fmt::{self, Display as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use ninerouter_dialect::ErrorKind;
use ninerouter_dialect::ir::Str;
use ninerouter_dialect::translate::Prepared;
use ninerouter_dialect::translate::data_url::MediaClass;
use ninerouter_dialect::translate::media::Wanted;
use url::Url;

use crate::auth::load::{BODY_RETRY_S, Capacity, Portion};
use crate::clock::Clock;
use crate::gateway::media::kind::{Mismatch, agreed};
use crate::gateway::reply::Refusal;
use crate::net::content::{Content, ContentError, ContentRules, fetch};
use crate::net::url::UrlRefusal;
use crate::net::{Initiator, NetError, NetShared, Refusal as Guard, Route};

/// Addresses that one request may have fetched.
const MOST: usize = 20;
/// How many of them at the same time.
const AT_ONCE: usize = 8;
/// For so long a later attempt of the same request uses what an earlier one fetched.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// What fetching needs of the world.
#[derive(Clone, Copy)]
pub struct FetchCx<'a> {
    /// The way out.
    pub net: &'a Arc<NetShared>,
    /// Where it may lead.
    pub rules: &'a ContentRules,
    /// The proxy it takes, if any.
    pub route: &'a Route,
    /// Memory set aside for requests; what is fetched counts against it for as long as [`Media`] lives.
    pub memory: &'a Capacity,
    /// The time.
    pub clock: &'a Clock,
    /// The request's end, when it has one.
    pub deadline: Option<Instant>,
    /// On whose behalf content is fetched.
    pub initiator: &'a Initiator,
}

impl fmt::Debug for FetchCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchCx").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What was fetched for one request so far; each attempt of it takes from here.
#[derive(Default)]
pub struct Media(RefCell<Vec<Medium>>);

#[derive(Clone)]
struct Medium {
    url: Str,
    mime: Str,
    base64: Str,
    at: Instant,
    /// Counts `base64`.
    _room: Rc<Portion>,
}

impl fmt::Debug for Media {
    /// Neither addresses nor bytes: both are the client's own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").field("fetched", &self.0.borrow().len()).finish_non_exhaustive()
    }
}

impl Media {
    /// Fetches what `prepared` still names by address and its target needs as bytes, and puts it in.
    /// Dropping the future ends all downloads.
    ///
    /// # Errors
    /// The client's 400 `invalid_image_url` when one address cannot be fetched; 503 when no memory is left.
    pub async fn provide(
        &self,
        prepared: &mut Prepared,
        cx: &FetchCx<'_>,
    ) -> Result<(), Box<Refusal>> {
        let wanted = prepared.wanted_media();
        if wanted.is_empty() {
            return Ok(());
        }
        if wanted.len() > MOST {
            let message = format!(
                "the request names {} addresses of images or files that must be fetched for this model, \
                 more than {MOST}; send fewer, or their bytes as base64",
                wanted.len()
            );
            return Err(Box::new(unfetchable(message)));
        }
        let now = cx.clock.now();
        let is_fresh = |medium: &Medium| now.saturating_duration_since(medium.at) < FRESH;
        self.0.borrow_mut().retain(is_fresh);
        let missing: Vec<_> =
            wanted.iter().filter(|wanted| self.find(&wanted.url).is_none()).collect();
        let downloads = futures_util::stream::iter(missing).map(|wanted| download(wanted, cx));
        let fetched: Vec<_> = downloads.buffer_unordered(AT_ONCE).try_collect().await?;
        self.0.borrow_mut().extend(fetched);
        for medium in wanted.iter().filter_map(|wanted| self.find(&wanted.url)) {
            prepared.provide_media(&medium.url, &medium.mime, &medium.base64);
        }
        Ok(())
    }

    fn find(&self, url: &str) -> Option<Medium> {
        self.0.borrow().iter().find(|medium| medium.url == url).cloned()
    }
}

async fn download(wanted: &Wanted, cx: &FetchCx<'_>) -> Result<Medium, Box<Refusal>> {
    let mut room = cx.memory.take(0).ok_or_else(no_memory)?;
    let left = |end: Instant| end.saturating_duration_since(cx.clock.now());
    let limit = cx.deadline.map_or(Duration::MAX, left);
    let has_room = |len| grow_to(&mut room, len);
    let content =
        fetch(cx.net, &wanted.url, cx.rules, cx.route, limit, has_room, cx.initiator).await;
    let told = |why: &dyn fmt::Display| Box::new(unfetched(wanted, why));
    let Content { bytes, declared } = match content {
        Ok(content) => content,
        Err(ContentError::NoRoom) => return Err(no_memory()),
        Err(error) => return Err(told(&Cause(error))),
    };
    let mime = agreed(wanted.class, declared.as_deref(), &bytes)
        .map_err(|mismatch: Mismatch| told(&mismatch))?;
    let base64 = BASE64_STANDARD.encode(&bytes);
    if !grow_to(&mut room, base64.len()) {
        return Err(no_memory());
    }
    let at = cx.clock.now();
    Ok(Medium { url: wanted.url.clone(), mime, base64: base64.into(), at, _room: Rc::new(room) })
}

fn grow_to(room: &mut Portion, len: usize) -> bool {
    let more = u64::try_from(len).unwrap_or(u64::MAX).saturating_sub(room.size());
    more == 0 || room.grow(more)
}

fn no_memory() -> Box<Refusal> {
    let message = "the router holds too many requests now to fetch what this one names; try again in 2 seconds";
    let refusal = Refusal::new(ErrorKind::Unavailable, message).code("router_overloaded");
    Box::new(refusal.retry_after(BODY_RETRY_S.into()))
}

/// Names the host alone: paths and queries of such addresses carry signatures.
fn unfetched(wanted: &Wanted, why: &dyn fmt::Display) -> Refusal {
    let what = match wanted.class {
        MediaClass::Image => "image",
        MediaClass::Document => "file",
        MediaClass::Audio => "sound",
        MediaClass::Video => "video",
    };
    let url = Url::parse(&wanted.url).ok();
    let from = url.as_ref().and_then(Url::host_str).map(|host| format!(" from `{host}`"));
    let from = from.unwrap_or_default();
    unfetchable(format!(
        "could not fetch {what}{from}: {why}; nothing was sent to the model. Use a public https address, or \
         send the bytes as base64"
    ))
}

fn unfetchable(message: String) -> Refusal {
    let mut refusal = Refusal::new(ErrorKind::InvalidRequest, message).code("invalid_image_url");
    refusal.should_retry = Some(false);
    refusal
}

/// A failure as a client may read it: that an address is not public, never what lies behind it.
struct Cause(ContentError);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ContentError::Net(NetError::Blocked { why }) => blocked(*why, f),
            ContentError::Net(error @ NetError::Proxy { .. }) => error.fmt(f),
            ContentError::Net(error) if error.is_timeout() => {
                f.write_str("it did not answer in time")
            }
            ContentError::Net(NetError::Dns(_)) => f.write_str("its name does not resolve"),
            ContentError::Net(_) => f.write_str("the download failed"),
            ContentError::Port(_) => f.write_str("only ports 80 and 443 are fetched from"),
            ContentError::Redirects
            | ContentError::Status(_)
            | ContentError::TooLarge
            | ContentError::TooSlow
            | ContentError::NoRoom => self.0.fmt(f),
        }
    }
}

fn blocked(why: Guard, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match why {
        Guard::Url(UrlRefusal::PlainHttp) => {
            f.write_str("plain http is not fetched unless the operator sets `allow_http_content`")
        }
        Guard::Url(UrlRefusal::LocalName | UrlRefusal::MetadataName | UrlRefusal::Address(_))
        | Guard::Address(_)
        | Guard::Peer
        | Guard::Own => f.write_str("its address is not public"),
        Guard::Unjudged | Guard::PlainThroughProxy => why.fmt(f),
        Guard::Url(other) => other.fmt(f),
    }
}

#[cfg(test)]
mod tests;
