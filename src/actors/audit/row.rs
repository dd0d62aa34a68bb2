//! What of an event and its caller is written: secrets are taken out, sizes are bounded.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::auth::audit::{Caller, Event, EventName, Outcome};
use crate::clock::UnixMs;
use crate::redact::{redact_json, redact_text};
use crate::store::audit::{AuditKey, MAX_DETAIL, NewEvent};

/// Longest path that is written, characters.
const MAX_PATH: usize = 256;

/// An event that waits for the writer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pending {
    /// What.
    pub name: EventName,
    /// From where: equal events of one client are counted together.
    pub client: Option<IpAddr>,
    /// Whether equal ones may be counted together (SEC-AUD-5).
    pub floods: bool,
    /// How many it stands for.
    pub count: u64,
    /// The row.
    pub event: NewEvent,
}

impl Pending {
    pub(super) fn of(now: UnixMs, caller: &Caller, event: Event, key: &AuditKey) -> Self {
        let Event { name, outcome, mut detail } = event;
        // A member of this name has a column of its own.
        let status = detail.get("status").and_then(Value::as_i64);
        if status.is_some() {
            detail.remove("status");
        }
        let path = caller.path.as_deref().map(|path| {
            let path = path.split('?').next().unwrap_or_default();
            redact_text(path).chars().take(MAX_PATH).collect()
        });
        let row = NewEvent {
            ts_ms: now,
            event: name.as_str().to_owned(),
            outcome: outcome.as_str().to_owned(),
            actor: caller.actor().to_owned(),
            client_ip: caller.client_ip.map(|ip| ip.to_string()),
            peer_ip: caller.peer_ip.map(|ip| ip.to_string()),
            ua_hash: caller.user_agent.as_deref().map(|text| key.user_agent(text)),
            method: caller.method.as_deref().map(|text| text.chars().take(16).collect()),
            path,
            status,
            request_id: caller.request_id.as_deref().map(str::to_owned),
            count: 1,
            detail: written(detail),
        };
        Self { name, client: caller.client_ip, floods: floods(name, outcome), count: 1, event: row }
    }
}

/// Refusals and failures of anybody who knocks, and headers of his that were passed over. What changed something, and what
/// succeeded, has a row each.
fn floods(name: EventName, outcome: Outcome) -> bool {
    name == EventName::ProxyHeaderIgnored || (outcome != Outcome::Ok && !name.is_change())
}

/// The detail as it is stored. One that is too long is cut member by member: what stays is a JSON object.
fn written(detail: Map<String, Value>) -> String {
    let Value::Object(detail) = redact_json(Value::Object(detail)) else { return "{}".to_owned() };
    let whole = Value::Object(detail.clone()).to_string();
    if whole.len() <= MAX_DETAIL {
        return whole;
    }
    const MARK: usize = r#","truncated":true"#.len();
    let mut kept = Map::new();
    let mut size = 2 + MARK;
    for (name, value) in detail {
        let value = match value {
            Value::String(text) if text.len() > 200 => {
                Value::from(text.chars().take(200).collect::<String>())
            }
            other => other,
        };
        let more = Value::from(name.as_str()).to_string().len() + value.to_string().len() + 2;
        if size + more <= MAX_DETAIL {
            size += more;
            kept.insert(name, value);
        }
    }
    kept.insert("truncated".to_owned(), true.into());
    Value::Object(kept).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::master_key::{KeyOrigin, MasterKey};

    fn row(caller: &Caller, event: Event) -> NewEvent {
        let key = AuditKey::of(&MasterKey::from_bytes([7; 32], KeyOrigin::File));
        Pending::of(5, caller, event, &key).event
    }

    #[test]
    fn t_aud_07_no_secret_reaches_a_row() {
        let secret = format!("sk-ant-api03-{}", "Ab3_".repeat(12));
        let caller = Caller {
            path: Some(format!("/api/x/{secret}?key={secret}").into()),
            user_agent: Some(secret.clone().into()),
            ..Caller::default()
        };
        let event = Event::failed(EventName::OauthFailed)
            .with("why", format!("refused {secret}"))
            .with("refresh_token", "short")
            .with("inner", json!([{"password": "hush"}, {"text": secret}]));
        let row = row(&caller, event);
        let all = format!("{row:?}");
        for marker in [secret.as_str(), "short", "hush"] {
            assert!(!all.contains(marker), "{marker} in {all}");
        }
        assert!(row.ua_hash.is_some());
    }

    #[test]
    fn details_are_bounded_and_stay_json() {
        let event = Event::ok(EventName::SettingsChanged)
            .with("status", 200)
            .with("long", "é".repeat(5_000))
            .with("list", json!(vec!["x".repeat(100); 40]))
            .with("small", 1);
        let row = row(&Caller::system(), event);
        assert_eq!(row.status, Some(200));
        assert!(row.detail.len() <= MAX_DETAIL);
        let detail: Value = serde_json::from_str(&row.detail).unwrap();
        assert_eq!((&detail["small"], &detail["truncated"]), (&json!(1), &json!(true)));
        assert!(detail["long"].as_str().unwrap().starts_with('é') && detail["list"].is_null());
    }
}
