//! Texts that a browser keeps for us: signed, and good for a while.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::UnixMs;

/// Of this process. `None` without random bytes: then no text is taken for ours.
static KEY: LazyLock<Option<[u8; 32]>> = LazyLock::new(|| {
    let mut key = [0; 32];
    getrandom::fill(&mut key).ok().map(|()| key)
});

/// A cookie's value that holds `text` until `until`. `purpose` keeps one kind from being taken for another.
pub(super) fn seal(purpose: &str, text: &str, until: UnixMs) -> String {
    let body = URL_SAFE_NO_PAD.encode(format!("{until}|{text}"));
    let mark = mac(purpose, &body).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    format!("{body}.{}", mark.unwrap_or_default())
}

/// The text in a cookie's value, if it is ours, of this purpose, and not old.
pub(super) fn open(purpose: &str, value: &str, now: UnixMs) -> Option<String> {
    let (body, mark) = value.split_once('.')?;
    let mark = URL_SAFE_NO_PAD.decode(mark).ok()?;
    mac(purpose, body)?.verify_slice(&mark).ok()?;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    let (until, text) = text.split_once('|')?;
    (until.parse::<UnixMs>().ok()? > now).then(|| text.to_owned())
}

fn mac(purpose: &str, body: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_ref()?).ok()?;
    mac.update(purpose.as_bytes());
    mac.update(b"|");
    mac.update(body.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_ours_for_a_while_and_for_one_purpose() {
        let sealed = seal("a", "x|y é", 61_000);
        assert_eq!(open("a", &sealed, 60_999).as_deref(), Some("x|y é"));
        assert_eq!(open("a", &sealed, 61_000), None);
        assert_eq!(open("b", &sealed, 0), None);
        let body = sealed.split('.').next().unwrap();
        for forged in ["", ".", "x.y", body, &format!("A{sealed}"), &format!("{sealed}A")] {
            assert_eq!(open("a", forged, 0), None, "{forged}");
        }
    }
}
