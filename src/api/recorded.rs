//! Which event of the audit log a call leaves that went well. One place for all routes, so that none is forgotten.

use serde_json::{Map, Value};

use crate::api::Route;
use crate::api::call::{Body, Call, Reply};
use crate::auth::audit::{Event, EventName};

/// What is noted of a call before it runs: names, never values.
pub(super) struct Noted {
    kind: Kind,
    detail: Map<String, Value>,
}

/// What a route leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Nothing: it changes nothing, or its handler, or what it sets going, records more than could be known here.
    Own,
    /// This event.
    Event(EventName),
    /// A change of an object that has no event of its own: its kind.
    Object(&'static str),
}

impl Noted {
    /// What is known of a call before its handler takes it.
    pub(super) fn of(route: &Route, call: &Call) -> Option<Self> {
        if route.method == "GET" || route.later.is_some() {
            return None;
        }
        let kind = kind(route);
        if kind == Kind::Own {
            return None;
        }
        let mut detail = Map::new();
        if let Kind::Object(object) = kind {
            detail.insert("object".to_owned(), object.into());
        }
        let action = route.path.rsplit('/').next().filter(|last| !last.starts_with('{'));
        if let (Kind::Event(_), "POST", Some(action)) = (kind, route.method, action)
            && route.path.contains('{')
        {
            detail.insert("action".to_owned(), action.into());
        }
        detail.insert("change".to_owned(), change(route.method).into());
        for (name, value) in &call.params {
            detail.insert((*name).to_owned(), value.as_str().into());
        }
        let members: Vec<String> =
            call.object().map(|body| body.keys().cloned().collect()).unwrap_or_default();
        if !members.is_empty() {
            detail.insert("members".to_owned(), members.into());
        }
        Some(Self { kind, detail })
    }

    /// The event of a call that went well; of anything else `None`.
    pub(super) fn after(self, reply: &Reply) -> Option<Event> {
        if !(200..300).contains(&reply.status) {
            return None;
        }
        let Self { kind, mut detail } = self;
        // What could be imported was listed; nothing is added by that.
        if let Body::Json(body) = &reply.body
            && body.get("candidates").is_some()
        {
            return None;
        }
        if let Body::Json(body) = &reply.body
            && let Some(body) = named(body)
        {
            for name in ["id", "name", "label", "provider"] {
                if let Some(value @ Value::String(_)) = body.get(name) {
                    detail.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        let name = match kind {
            Kind::Event(name) => name,
            Kind::Object(_) => EventName::SettingsChanged,
            Kind::Own => return None,
        };
        let event = match name {
            // The one who gives up a sign-in did what was wanted; the sign-in did not come to its end.
            EventName::OauthFailed => Event::failed(name).with("why", "cancelled"),
            _ => Event::ok(name),
        };
        let event = detail.into_iter().fold(event, |event, (name, value)| event.with(&name, value));
        Some(event.with("status", reply.status))
    }
}

/// The object a reply is about: the reply itself, or the member of it that has an id.
fn named(body: &Value) -> Option<&Value> {
    if body.get("id").is_some() {
        return Some(body);
    }
    body.as_object()?.values().find(|member| member.get("id").is_some())
}

fn change(method: &str) -> &'static str {
    match method {
        "POST" => "made",
        "DELETE" => "removed",
        _ => "changed",
    }
}

/// Every route that is no `GET`. One that is not named here leaves a change of the object its path begins with.
fn kind(route: &Route) -> Kind {
    use EventName::{
        ApiKeyCreated, ApiKeyRevoked, ApiKeyUpdated, OauthFailed, OauthStarted,
        ProviderAccountAdded, ProviderAccountRemoved, ProviderAccountUpdated,
    };
    match (route.method, route.path) {
        // They ask, and change nothing that is stored.
        ("POST", "/api/explain" | "/api/combos/{id}/simulate" | "/api/proxies/{id}/test")
        | ("POST", "/api/combos/{id}/test" | "/api/requests/{id}/replay")
        | ("POST", "/api/providers/{id}/models/fetch" | "/api/providers/{id}/models/test")
        | ("POST", "/api/config/validate" | "/api/config/diff" | "/api/audit/verify")
        | ("POST", "/api/accounts/{id}/test" | "/api/accounts/{id}/quota/refresh")
        | ("POST", "/api/nodes/validate" | "/api/translate" | "/api/db/check" | "/api/db/vacuum")
        | ("POST", "/api/alerts/{id}/dismiss" | "/api/jobs/{id}/cancel")
        | ("POST", "/api/requests/{id}/cancel") => Kind::Own,
        // Their handlers, or the actors behind them, know more: keys, sources, how it ended.
        ("PATCH", "/api/settings" | "/api/logs/level")
        | ("POST" | "DELETE", "/api/capture")
        | ("POST", "/api/config/apply" | "/api/accounts/{id}/refresh")
        | ("POST", "/api/accounts/connect/sessions/{session}/paste") => Kind::Own,

        ("POST", "/api/accounts" | "/api/accounts/batch" | "/api/accounts/import/{provider}") => {
            Kind::Event(ProviderAccountAdded)
        }
        ("DELETE", "/api/accounts/{id}") => Kind::Event(ProviderAccountRemoved),
        ("POST", "/api/accounts/connect/{provider}/start" | "/api/accounts/{id}/reconnect") => {
            Kind::Event(OauthStarted)
        }
        ("POST", "/api/accounts/connect/sessions/{session}/cancel") => Kind::Event(OauthFailed),
        (_, path) if path.starts_with("/api/accounts/") => Kind::Event(ProviderAccountUpdated),

        // A change of settings, which is recorded as one.
        ("PUT", "/api/providers/{id}/client-secret") => Kind::Own,
        ("DELETE", "/api/providers/{id}/data") => Kind::Event(ProviderAccountRemoved),

        ("POST", "/api/keys") => Kind::Event(ApiKeyCreated),
        ("DELETE", "/api/keys/{id}") | ("POST", "/api/keys/{id}/revoke") => {
            Kind::Event(ApiKeyRevoked)
        }
        (_, path) if path.starts_with("/api/keys/") => Kind::Event(ApiKeyUpdated),

        // A backup is recorded with its size, a restore with what it restored.
        (_, path) if path.starts_with("/api/backups") => Kind::Own,
        // Signing in and out, and what a session may do: `auth` records it, also what was refused.
        (_, path) if path.starts_with("/api/auth/") => Kind::Own,
        (_, path) => Kind::Object(path.split('/').nth(2).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::ROUTES;

    #[test]
    fn t_aud_01_every_route_that_changes_something_has_its_event() {
        let lines: Vec<String> = ROUTES
            .iter()
            .filter(|route| route.method != "GET" && route.later.is_none())
            .map(|route| format!("{:<7}{:<55}{:?}", route.method, route.path, kind(route)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn names_are_noted_and_values_are_not() {
        let route =
            ROUTES.iter().find(|r| r.method == "POST" && r.path == "/api/accounts").unwrap();
        let body = json!({"provider": "glm", "api_key": "hush-hush", "label": "work"});
        let call = Call { body: body.to_string().into_bytes(), ..Call::default() };
        let reply = Reply::created(json!({"id": "7", "label": "work", "secret": {"set": true}}));
        let event = Noted::of(route, &call).unwrap().after(&reply).unwrap();
        assert_eq!(event.name, EventName::ProviderAccountAdded);
        let text = Value::from(event.detail).to_string();
        assert!(text.contains("api_key") && !text.contains("hush"), "{text}");
        let nested = json!({"key": {"id": "8", "name": "laptop"}, "text": "hush"});
        let event = Noted::of(route, &call).unwrap().after(&Reply::created(nested)).unwrap();
        assert_eq!((&event.detail["id"], &event.detail["name"]), (&json!("8"), &json!("laptop")));
        assert!(!Value::from(event.detail).to_string().contains("hush"));
        let refused = Reply { status: 422, ..Reply::gone() };
        assert!(Noted::of(route, &call).unwrap().after(&refused).is_none());
    }
}
