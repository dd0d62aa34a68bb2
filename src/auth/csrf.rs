//! Forged requests of other sites: where a request comes from, and the tokens only our own pages know (SEC-CSRF-1 to
//! SEC-CSRF-3).

use std::fmt;

use actix_web::http::header::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use url::{Origin, Url};

use crate::clock::UnixMs;
use crate::secret::Secret;

/// How long a sign-in form may be open, ms.
pub const FORM_LIFE_MS: i64 = 10 * 60 * 1_000;

/// Why a request may be somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Forgery {
    /// The browser says that another site made it send this.
    #[error("cross_site")]
    CrossSite,
    /// `Origin` is another place.
    #[error("foreign_origin")]
    ForeignOrigin,
    /// No token came with it.
    #[error("token_missing")]
    NoToken,
    /// The token is of another session, or invented.
    #[error("token_wrong")]
    WrongToken,
    /// The sign-in form was open for too long.
    #[error("form_too_old")]
    Stale,
}

/// Where the request came from, as the browser tells: `Sec-Fetch-Site`, else `Origin`. A program that sends neither
/// passes; it needs the token all the same.
///
/// # Errors
/// When it is another place than `own`.
pub fn check_source(headers: &HeaderMap, own: Option<&Origin>) -> Result<(), Forgery> {
    let mut sites = headers.get_all("sec-fetch-site").peekable();
    if sites.peek().is_some() {
        let own_site = |site: &[u8]| matches!(site, b"same-origin" | b"none");
        return match sites.all(|site| own_site(site.as_bytes())) {
            true => Ok(()),
            false => Err(Forgery::CrossSite),
        };
    }
    let mut origins = headers.get_all("origin");
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(origin_of);
    match (origin, own, origins.next()) {
        (Some(origin), Some(own), None) if origin == *own => Ok(()),
        _ => Err(Forgery::ForeignOrigin),
    }
}

/// The origin that a text names exactly: scheme, host, port, and nothing behind. `null` names none.
#[must_use]
pub fn origin_of(text: &str) -> Option<Origin> {
    let (_scheme, authority) = text.split_once("://")?;
    if authority.contains(['/', '?', '#', '@', '\\']) {
        return None;
    }
    Some(Url::parse(text).ok()?.origin()).filter(Origin::is_tuple)
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct CsrfKey([u8; 32]);

impl fmt::Debug for CsrfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfKey([redacted])")
    }
}

/// The two halves of a sign-in form's double submit.
#[derive(Clone, Debug)]
pub struct FormPair {
    /// For the cookie.
    pub cookie: Secret,
    /// For the hidden field.
    pub field: Secret,
}

impl CsrfKey {
    /// Over derived key material.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The token of a session.
    #[must_use]
    pub(super) fn session_token(&self, sid: &[u8], salt: &[u8; 16]) -> Secret {
        self.token(&[sid, salt])
    }

    /// A pair for a sign-in form that is shown at `now`. `None` when the system has no random numbers.
    #[must_use]
    pub fn form_pair(&self, now: UnixMs) -> Option<FormPair> {
        let mut bytes = [0; 24];
        let (random, time) = bytes.split_at_mut(16);
        getrandom::fill(random).ok()?;
        time.copy_from_slice(&now.to_be_bytes());
        let cookie = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let field = self.field_of(cookie.expose());
        Some(FormPair { cookie, field })
    }

    /// Whether a sign-in form that came back is one of ours: its field belongs to one of the cookies.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_form<'a>(
        &self,
        cookies: impl Iterator<Item = &'a str>,
        field: Option<&str>,
        now: UnixMs,
    ) -> Result<(), Forgery> {
        let field = field.filter(|field| !field.is_empty()).ok_or(Forgery::NoToken)?;
        let mut fault = Forgery::NoToken;
        for cookie in cookies.take(4) {
            fault = match shown_at(cookie) {
                Some(_) if !is_equal(self.field_of(cookie).expose(), field) => Forgery::WrongToken,
                Some(shown) if (0..FORM_LIFE_MS).contains(&now.saturating_sub(shown)) => {
                    return Ok(());
                }
                Some(_) => Forgery::Stale,
                None => Forgery::WrongToken,
            };
        }
        Err(fault)
    }

    fn field_of(&self, cookie: &str) -> Secret {
        // Longer than a session id and its salt: neither can pass for the other.
        self.token(&[b"nr/sign-in form/", cookie.as_bytes()])
    }

    fn token(&self, parts: &[&[u8]]) -> Secret {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(&self.0).for_each(|(to, from)| *to = *from);
        let mut mac = Hmac::<Sha256>::new(&block);
        for part in parts {
            mac.update(part);
        }
        Secret::new(BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// Whether a request's token is the session's.
///
/// # Errors
/// When it is missing or another one.
pub fn check_token(token: Option<&str>, expected: &Secret) -> Result<(), Forgery> {
    match token {
        None | Some("") => Err(Forgery::NoToken),
        Some(token) if is_equal(token, expected.expose()) => Ok(()),
        Some(_) => Err(Forgery::WrongToken),
    }
}

fn is_equal(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

fn shown_at(cookie: &str) -> Option<UnixMs> {
    let bytes: [u8; 24] = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?.try_into().ok()?;
    let (_random, time) = bytes.split_at(16);
    Some(UnixMs::from_be_bytes(time.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::candidate::tests::headers;

    const NOW: UnixMs = 1_800_000_000_000;

    fn key() -> CsrfKey {
        CsrfKey::new([4; 32])
    }

    #[test]
    fn t_csrf_01_and_02_only_our_own_pages_are_the_source() {
        let own = origin_of("http://localhost:20128").unwrap();
        let site = |value| ("sec-fetch-site", value);
        let origin = |value| ("origin", value);
        use Forgery::{CrossSite, ForeignOrigin};
        for (lines, want) in [
            (vec![], Ok(())),
            (vec![site("same-origin")], Ok(())),
            (vec![site("none")], Ok(())),
            (vec![site("same-site")], Err(CrossSite)),
            (vec![site("cross-site")], Err(CrossSite)),
            (vec![site("")], Err(CrossSite)),
            (vec![site("same-origin"), site("cross-site")], Err(CrossSite)),
            // The browser knows better than anybody else.
            (vec![site("same-origin"), origin("null")], Ok(())),
            (vec![site("cross-site"), origin("http://localhost:20128")], Err(CrossSite)),
            (vec![origin("http://localhost:20128")], Ok(())),
            (vec![origin("http://LOCALHOST:20128")], Ok(())),
            (vec![origin("https://localhost:20128")], Err(ForeignOrigin)),
            (vec![origin("http://localhost:20129")], Err(ForeignOrigin)),
            (vec![origin("http://localhost")], Err(ForeignOrigin)),
            (vec![origin("http://localhost.evil.test:20128")], Err(ForeignOrigin)),
            (vec![origin("http://localhost:20128/")], Err(ForeignOrigin)),
            (vec![origin("http://localhost:20128@evil.test")], Err(ForeignOrigin)),
            (vec![origin("null")], Err(ForeignOrigin)),
            (vec![origin("")], Err(ForeignOrigin)),
            (
                vec![origin("http://localhost:20128"), origin("http://localhost:20128")],
                Err(ForeignOrigin),
            ),
        ] {
            assert_eq!(check_source(&headers(&lines), Some(&own)), want, "{lines:?}");
        }
        let lines = headers(&[origin("http://localhost:20128")]);
        assert_eq!(check_source(&lines, None), Err(ForeignOrigin), "HTTP/1.0 without Host");
        assert_eq!(origin_of("https://a.example"), origin_of("https://a.example:443"));
    }

    #[test]
    fn t_csrf_03_a_token_belongs_to_one_session() {
        let token = key().session_token(&[1; 16], &[2; 16]);
        assert_eq!(check_token(Some(token.expose()), &token), Ok(()));
        for other in [
            key().session_token(&[9; 16], &[2; 16]),
            key().session_token(&[1; 16], &[9; 16]),
            CsrfKey::new([5; 32]).session_token(&[1; 16], &[2; 16]),
        ] {
            assert_eq!(check_token(Some(other.expose()), &token), Err(Forgery::WrongToken));
        }
        assert_eq!(check_token(None, &token), Err(Forgery::NoToken));
        assert_eq!(check_token(Some(""), &token), Err(Forgery::NoToken));
    }

    #[test]
    fn sec_csrf_3_a_sign_in_form_needs_its_cookie_and_comes_back_in_time() {
        let pair = key().form_pair(NOW).unwrap();
        let (cookie, field) = (pair.cookie.expose(), pair.field.expose());
        let check = |cookies: &[&str], field: Option<&str>, now| {
            key().check_form(cookies.iter().copied(), field, now)
        };
        assert_eq!(check(&[cookie], Some(field), NOW + FORM_LIFE_MS - 1), Ok(()));
        assert_eq!(
            check(&["junk", cookie], Some(field), NOW),
            Ok(()),
            "tossed cookies are passed over"
        );
        assert_eq!(check(&[cookie], Some(field), NOW + FORM_LIFE_MS), Err(Forgery::Stale));
        assert_eq!(check(&[cookie], Some(field), NOW - 1), Err(Forgery::Stale));
        assert_eq!(check(&[], Some(field), NOW), Err(Forgery::NoToken));
        assert_eq!(check(&[cookie], None, NOW), Err(Forgery::NoToken));
        assert_eq!(check(&[cookie], Some(cookie), NOW), Err(Forgery::WrongToken));
        let other = key().form_pair(NOW).unwrap();
        assert_eq!(check(&[other.cookie.expose()], Some(field), NOW), Err(Forgery::WrongToken));
        assert_eq!(check(&["AAAA"], Some(field), NOW), Err(Forgery::WrongToken));
    }
}
