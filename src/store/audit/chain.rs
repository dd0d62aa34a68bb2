//! What makes a row prove itself and the one before it: `mac = HMAC(key, mac before ‖ canonical JSON of the row)`.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::audit::AuditRow;
use crate::store::column::hex;
use crate::store::master_key::{INFO_AUDIT, MasterKey};

/// The key of the chain, derived from the master key.
#[derive(Clone)]
pub struct AuditKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}

impl AuditKey {
    /// The key of an installation.
    #[must_use]
    pub fn of(master: &MasterKey) -> Self {
        Self(Zeroizing::new(master.derive(INFO_AUDIT)))
    }

    /// Keyed hash of a user agent: equal ones can be found, none can be read.
    #[must_use]
    pub fn user_agent(&self, text: &str) -> [u8; 32] {
        self.mac(&[b"user-agent\x1f", text.as_bytes()])
    }

    /// The MAC a row must have.
    pub(super) fn mac_of(&self, row: &AuditRow) -> [u8; 32] {
        self.mac(&[&row.prev_mac, canonical(row).as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else {
            // HMAC takes a key of any length.
            return [0; 32];
        };
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// The row without its MAC: members in alphabetical order, no white space, bytes as lower-case hex. The detail is a text,
/// so that not even its spelling can change.
fn canonical(row: &AuditRow) -> String {
    let event = &row.event;
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let members: [(&str, Value); 15] = [
        ("actor", event.actor.as_str().into()),
        ("client_ip", text(&event.client_ip)),
        ("count", event.count.into()),
        ("detail", event.detail.as_str().into()),
        ("event", event.event.as_str().into()),
        ("method", text(&event.method)),
        ("outcome", event.outcome.as_str().into()),
        ("path", text(&event.path)),
        ("peer_ip", text(&event.peer_ip)),
        ("prev_mac", hex(&row.prev_mac).into()),
        ("request_id", text(&event.request_id)),
        ("seq", row.seq.into()),
        ("status", event.status.map_or(Value::Null, Value::from)),
        ("ts_ms", event.ts_ms.into()),
        ("ua_hash", event.ua_hash.map_or(Value::Null, |hash| hex(&hash).into())),
    ];
    let object: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::NewEvent;
    use crate::store::master_key::KeyOrigin;

    #[test]
    fn the_mac_is_that_of_an_independent_implementation() {
        let event = NewEvent {
            ts_ms: 1,
            event: "logout".to_owned(),
            outcome: "ok".to_owned(),
            actor: "admin".to_owned(),
            count: 1,
            detail: "{}".to_owned(),
            ..NewEvent::default()
        };
        let row = AuditRow { seq: 1, event, prev_mac: [0; 32], mac: [0; 32] };
        let want = concat!(
            r#"{"actor":"admin","client_ip":null,"count":1,"detail":"{}","event":"logout","method":null,"#,
            r#""outcome":"ok","path":null,"peer_ip":null,"prev_mac":"#,
            r#""0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""request_id":null,"seq":1,"status":null,"ts_ms":1,"ua_hash":null}"#
        );
        assert_eq!(canonical(&row), want);
        // HMAC-SHA256 under HKDF-SHA256(ikm = 32 × 0x07, no salt, info "nr/audit/v1"), computed with Python's hmac.
        let key = AuditKey::of(&MasterKey::from_bytes([7; 32], KeyOrigin::File));
        assert_eq!(hex(&key.mac_of(&row)), MAC);
    }

    const MAC: &str = "c18d87196214347c6685509e5502996248c957dd29b849be7d62bf7f6c3cccf7";
}
