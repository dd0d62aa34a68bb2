//! Every route of the management API with its class (SEC-ROUTE-1), and how a path finds it.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;

use crate::api::accounts::connect;
use crate::api::call::{Call, Reply, decoded};
use crate::api::error::ApiError;
use crate::api::{
    Api, accounts, alerts, aliases, audit, auth, backups, bodies, budgets, combos, config_file,
    events, explain, jobs, keys, logs, model_work, models, nodes, openapi, price_table, prices,
    providers, proxies, replay, report, reprice, requests, series, server, settings, status,
    translate, trial, usage,
};

/// What a caller needs beside an admitted transport (security §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A session, or the admin socket.
    Admin,
    /// The password entered again, or the admin socket.
    Sudo,
}

pub(super) type Pending<'a> = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + 'a>>;
type Handler = for<'a> fn(&'a Api, Call) -> Pending<'a>;

/// One route.
pub struct Route {
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Pattern: `{name}` is one part of the path, `{name...}` the rest of it.
    pub path: &'static str,
    /// Who may call it.
    pub class: Class,
    /// Largest body, bytes.
    pub body: usize,
    /// What it belongs to, where this version does not have that yet: it answers 501.
    pub later: Option<&'static str>,
    handler: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.path, self.class)
    }
}

impl Route {
    /// Its handler looks at the caller's rights itself: the first password is set without a password to enter again.
    pub(super) fn is_own_judge(&self) -> bool {
        self.path == "/api/auth/password"
    }

    pub(super) fn run<'a>(&self, api: &'a Api, call: Call) -> Pending<'a> {
        (self.handler)(api, call)
    }
}

/// Largest body of most routes.
const BODY: usize = 1 << 20;
/// Two passwords, escaped.
const LOGIN: usize = 16 << 10;
/// Largest config file, escaped; largest pasted request or answer.
const FILE: usize = 8 << 20;
/// A credential file of 1 MiB as a JSON text.
const IMPORT: usize = 3 << 20;

macro_rules! routes {
    (
        now { $($method:ident $path:literal $class:ident $body:expr => $handler:path;)* }
        later { $($later:ident $place:literal $rights:ident => $feature:literal;)* }
    ) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            class: Class::$class,
            body: $body,
            later: None,
            handler: |api, call| Box::pin($handler(api, call)),
        },)* $(Route {
            method: stringify!($later),
            path: $place,
            class: Class::$rights,
            body: BODY,
            later: Some($feature),
            handler: |_, _| Box::pin(ready(Err(not_yet($feature)))),
        },)*]
    };
}

/// What a route answers whose feature is still to come: its class holds already.
fn not_yet(feature: &str) -> ApiError {
    let message = format!("this version of the router does not offer {feature} yet");
    ApiError::new(501, "not_implemented", message)
}

/// All of them: those that do something, and those that say they will. A path that is not here does not exist, whoever
/// asks.
pub static ROUTES: &[Route] = routes! {
now {
    GET "/api/openapi.json" Admin BODY => openapi::show;

    GET "/api/auth/session" Admin BODY => auth::session;
    POST "/api/auth/sudo" Admin LOGIN => auth::sudo;
    POST "/api/auth/password" Sudo LOGIN => auth::password;
    POST "/api/auth/logout" Admin LOGIN => auth::logout;
    POST "/api/auth/logout-all" Sudo LOGIN => auth::logout_all;
    POST "/api/auth/unlock-login" Sudo LOGIN => auth::unlock_login;
    GET "/api/auth/sessions" Admin BODY => auth::sessions;
    DELETE "/api/auth/sessions/{id}" Admin BODY => auth::end_session;

    GET "/api/status" Admin BODY => status::show;
    GET "/api/events" Admin BODY => events::feed;
    POST "/api/server/reload" Admin BODY => server::reload;
    POST "/api/server/restart" Sudo BODY => server::restart;
    POST "/api/server/shutdown" Sudo BODY => server::shut_down;

    GET "/api/alerts" Admin BODY => alerts::list;
    POST "/api/alerts/{id}/dismiss" Admin BODY => alerts::dismiss;
    GET "/api/jobs" Admin BODY => jobs::list;
    GET "/api/jobs/{id}" Admin BODY => jobs::show;
    POST "/api/jobs/{id}/cancel" Admin BODY => jobs::cancel;
    GET "/api/jobs/{id}/report" Admin BODY => jobs::report;

    GET "/api/accounts" Admin BODY => accounts::list;
    POST "/api/accounts" Admin BODY => accounts::change::create;
    POST "/api/accounts/bulk" Admin IMPORT => accounts::many::bulk;
    POST "/api/accounts/batch" Admin BODY => accounts::many::batch;
    POST "/api/accounts/reorder" Admin BODY => accounts::many::reorder;
    GET "/api/accounts/{id}" Admin BODY => accounts::show;
    PATCH "/api/accounts/{id}" Admin BODY => accounts::change::change;
    DELETE "/api/accounts/{id}" Admin BODY => accounts::change::remove;
    POST "/api/accounts/{id}/secret" Admin BODY => accounts::change::secret;
    POST "/api/accounts/{id}/refresh" Admin BODY => accounts::actions::refresh;
    POST "/api/accounts/{id}/test" Admin BODY => accounts::actions::test;
    POST "/api/accounts/{id}/clear-locks" Admin BODY => accounts::actions::clear_locks;
    POST "/api/accounts/{id}/try-again" Admin BODY => accounts::actions::try_again;
    POST "/api/accounts/{id}/quota/refresh" Admin BODY => accounts::actions::poll_quota;
    POST "/api/accounts/connect/{provider}/start" Admin BODY => connect::start;
    GET "/api/accounts/connect/sessions/{session}" Admin BODY => connect::show;
    POST "/api/accounts/connect/sessions/{session}/paste" Admin BODY => connect::paste;
    POST "/api/accounts/connect/sessions/{session}/cancel" Admin BODY => connect::cancel;
    POST "/api/accounts/import/{provider}" Admin IMPORT => connect::import;
    POST "/api/accounts/{id}/reconnect" Admin BODY => connect::reconnect;

    GET "/api/combos" Admin BODY => combos::list;
    POST "/api/combos" Admin BODY => combos::create;
    GET "/api/combos/{id}" Admin BODY => combos::show;
    PATCH "/api/combos/{id}" Admin BODY => combos::change;
    DELETE "/api/combos/{id}" Admin BODY => combos::remove;
    POST "/api/combos/{id}/simulate" Admin BODY => explain::simulate;
    POST "/api/combos/{id}/test" Admin BODY => trial::test;
    POST "/api/explain" Admin BODY => explain::explain;
    POST "/api/translate" Admin FILE => translate::translate;
    GET "/api/aliases" Admin BODY => aliases::list;
    PUT "/api/aliases/{alias...}" Admin BODY => aliases::put;
    DELETE "/api/aliases/{alias...}" Admin BODY => aliases::remove;

    GET "/api/keys" Admin BODY => keys::list;
    POST "/api/keys" Admin BODY => keys::create;
    GET "/api/keys/{id}" Admin BODY => keys::show;
    PATCH "/api/keys/{id}" Admin BODY => keys::change;
    DELETE "/api/keys/{id}" Admin BODY => keys::remove;
    POST "/api/keys/{id}/revoke" Admin BODY => keys::revoke;
    POST "/api/keys/{id}/rotate" Admin BODY => keys::rotate;

    GET "/api/providers" Admin BODY => providers::list;
    GET "/api/providers/{id}" Admin BODY => providers::show;
    PATCH "/api/providers/{id}" Admin BODY => providers::change;
    PUT "/api/providers/{id}/client-secret" Sudo BODY => providers::put_client;
    DELETE "/api/providers/{id}/data" Sudo BODY => providers::remove_data;
    POST "/api/providers/{id}/models/fetch" Admin BODY => model_work::fetch;
    POST "/api/providers/{id}/models/test" Admin BODY => model_work::test;
    GET "/api/nodes" Admin BODY => nodes::list;
    POST "/api/nodes" Admin BODY => nodes::create;
    POST "/api/nodes/validate" Admin BODY => nodes::validate::validate;
    GET "/api/nodes/{id}" Admin BODY => nodes::show;
    PATCH "/api/nodes/{id}" Admin BODY => nodes::change;
    DELETE "/api/nodes/{id}" Admin BODY => nodes::remove;
    GET "/api/models" Admin BODY => models::list;
    POST "/api/models" Admin BODY => models::create;
    POST "/api/models/batch" Admin BODY => model_work::batch;
    PATCH "/api/models/{provider}/{model...}" Admin BODY => models::change;
    DELETE "/api/models/{provider}/{model...}" Admin BODY => models::remove;
    GET "/api/prices" Admin BODY => prices::list;
    GET "/api/prices/export" Admin BODY => price_table::export;
    POST "/api/prices/import" Admin FILE => price_table::import;
    POST "/api/prices/recalculate" Admin BODY => reprice::recalculate;
    PUT "/api/prices/{provider}/{model...}" Admin BODY => prices::put;
    DELETE "/api/prices/{provider}/{model...}" Admin BODY => prices::remove;

    GET "/api/usage/summary" Admin BODY => usage::summary;
    GET "/api/usage/table" Admin BODY => usage::table;
    GET "/api/usage/series" Admin BODY => series::series;
    GET "/api/usage/report" Admin BODY => report::month;
    DELETE "/api/usage" Sudo BODY => requests::remove_usage;
    GET "/api/usage/unpriced" Admin BODY => requests::unpriced;
    GET "/api/requests" Admin BODY => requests::list;
    DELETE "/api/requests" Sudo BODY => requests::remove;
    GET "/api/requests/export" Admin BODY => requests::export;
    GET "/api/requests/{id}" Admin BODY => requests::show;
    POST "/api/requests/{id}/cancel" Admin BODY => requests::cancel;
    POST "/api/requests/{id}/replay" Admin BODY => replay::replay;
    GET "/api/requests/{id}/bodies" Sudo BODY => bodies::show;
    GET "/api/requests/{id}/report" Admin BODY => bodies::report;
    POST "/api/capture" Sudo BODY => bodies::begin;
    DELETE "/api/capture" Sudo BODY => bodies::end;

    GET "/api/logs" Admin BODY => logs::list;
    GET "/api/logs/export" Admin BODY => logs::export;
    PATCH "/api/logs/level" Admin BODY => logs::change_level;
    GET "/api/audit" Admin BODY => audit::list;
    GET "/api/audit/export" Admin BODY => audit::export;
    POST "/api/audit/verify" Admin BODY => audit::verify;

    GET "/api/budgets" Admin BODY => budgets::list;
    POST "/api/budgets" Admin BODY => budgets::create;
    PATCH "/api/budgets/{id}" Admin BODY => budgets::change;
    DELETE "/api/budgets/{id}" Admin BODY => budgets::remove;

    GET "/api/proxies" Admin BODY => proxies::list;
    POST "/api/proxies" Admin BODY => proxies::create;
    POST "/api/proxies/bulk" Admin BODY => proxies::bulk;
    PATCH "/api/proxies/{id}" Admin BODY => proxies::change;
    DELETE "/api/proxies/{id}" Admin BODY => proxies::remove;
    POST "/api/proxies/{id}/test" Admin BODY => proxies::test;

    GET "/api/settings" Admin BODY => settings::show;
    PATCH "/api/settings" Admin BODY => settings::change;
    POST "/api/config/validate" Admin FILE => config_file::validate;
    POST "/api/config/diff" Admin FILE => config_file::diff;
    POST "/api/config/apply" Sudo FILE => config_file::apply;
    GET "/api/config/export" Admin BODY => config_file::export;

    GET "/api/backups" Admin BODY => backups::list;
    POST "/api/backups" Admin BODY => backups::create;
    GET "/api/backups/{name}" Sudo BODY => backups::download;
    POST "/api/backups/{name}/restore" Sudo BODY => backups::restore;
    DELETE "/api/backups/{name}" Sudo BODY => backups::remove;
    POST "/api/db/check" Admin BODY => backups::check;
    POST "/api/db/vacuum" Sudo BODY => backups::vacuum;
}
later {
    POST "/api/providers/{id}/client-secret/find" Admin => "the search for a client secret on this computer";

    GET "/api/morph/usage/stats" Admin => "the Morph endpoint";
    GET "/api/morph/usage/requests" Admin => "the Morph endpoint";
    POST "/api/morph/test-key" Admin => "the Morph endpoint";
    POST "/api/morph/keys/test-all" Admin => "the Morph endpoint";

    GET "/api/playground/runs" Admin => "the playground";
    POST "/api/playground/runs" Admin => "the playground";
    DELETE "/api/playground/runs" Admin => "the playground";
    POST "/api/playground/runs/{id}/stop" Admin => "the playground";

    GET "/api/tools" Admin => "the set-up of client tools";
    GET "/api/tools/{tool}" Admin => "the set-up of client tools";
    POST "/api/tools/{tool}/preview" Admin => "the set-up of client tools";
    POST "/api/tools/{tool}/apply" Admin => "the set-up of client tools";
    POST "/api/tools/{tool}/reset" Admin => "the set-up of client tools";
    POST "/api/tools/{tool}/test" Admin => "the set-up of client tools";

    POST "/api/settings/test-webhook" Admin => "webhooks";
    POST "/api/settings/test-s3" Admin => "backups on S3";

    POST "/api/export" Sudo => "the encrypted export";
    POST "/api/import/preview" Sudo => "the import of an export";
    POST "/api/import/{import_id}/apply" Sudo => "the import of an export";

    GET "/api/sync" Admin => "cloud sync";
    POST "/api/sync/setup" Sudo => "cloud sync";
    POST "/api/sync/now" Admin => "cloud sync";
    POST "/api/sync/pause" Admin => "cloud sync";
    POST "/api/sync/resume" Admin => "cloud sync";
    POST "/api/sync/off" Sudo => "cloud sync";
    GET "/api/sync/conflicts" Admin => "cloud sync";
    POST "/api/sync/conflicts" Admin => "cloud sync";

    GET "/api/instances" Admin => "remote instances";
    POST "/api/instances" Admin => "remote instances";
    PATCH "/api/instances/{id}" Admin => "remote instances";
    DELETE "/api/instances/{id}" Admin => "remote instances";

    GET "/api/diagnostics" Sudo => "the bundle of diagnostics";
}
};

/// What a method and a path lead to.
#[derive(Debug)]
pub(super) enum Found {
    /// A route, and the values of its pattern's places.
    Route(&'static Route, BTreeMap<&'static str, String>),
    /// The path exists, but not with this method; those it takes.
    Methods(Vec<&'static str>),
    /// No such path.
    Nothing,
}

/// Looks a path up. `HEAD` follows `GET` (SEC-ROUTE-3).
///
/// # Errors
/// 400 for paths that are written in more than one way (SEC-ROUTE-2).
pub(super) fn find(method: &str, path: &str) -> Result<Found, ApiError> {
    refuse_ambiguous(path)?;
    let wanted = if method == "HEAD" { "GET" } else { method };
    let mut methods = Vec::new();
    for route in ROUTES {
        let Some(params) = fit(route.path, path)? else { continue };
        if route.method == wanted {
            return Ok(Found::Route(route, params));
        }
        // `HEAD` goes with `GET`, and two patterns may lead to one path.
        let pair = [Some(route.method), (route.method == "GET").then_some("HEAD")];
        for method in pair.into_iter().flatten() {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
    }
    Ok(if methods.is_empty() { Found::Nothing } else { Found::Methods(methods) })
}

/// One resource has one path: what a proxy in front could read differently is refused.
fn refuse_ambiguous(path: &str) -> Result<(), ApiError> {
    let lower = path.to_ascii_lowercase();
    let odd =
        ["//", "/./", "/../", "%2f", "%5c", "%00", "\\"].iter().any(|bad| lower.contains(bad))
            || lower.ends_with("/.")
            || lower.ends_with("/..")
            || path.bytes().any(|b| b.is_ascii_control());
    if odd {
        return Err(ApiError::new(400, "invalid_path", "the path is not in its plain form"));
    }
    Ok(())
}

fn fit(
    pattern: &'static str,
    path: &str,
) -> Result<Option<BTreeMap<&'static str, String>>, ApiError> {
    let mut params = BTreeMap::new();
    let mut rest = Some(path);
    for part in pattern.split('/').skip(1) {
        let Some(left) = rest.and_then(|rest| rest.strip_prefix('/')) else { return Ok(None) };
        let name = part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        match name {
            Some(name) if name.ends_with("...") => {
                if left.is_empty() {
                    return Ok(None);
                }
                params.insert(name.trim_end_matches("..."), decoded(left)?);
                return Ok(Some(params));
            }
            Some(name) => {
                let (value, after) = cut(left);
                if value.is_empty() {
                    return Ok(None);
                }
                params.insert(name, decoded(value)?);
                rest = after;
            }
            None => {
                let (value, after) = cut(left);
                if value != part {
                    return Ok(None);
                }
                rest = after;
            }
        }
    }
    Ok(rest.is_none().then_some(params))
}

/// The first part of a path, and the rest with its slash.
fn cut(path: &str) -> (&str, Option<&str>) {
    match path.find('/') {
        Some(at) => {
            let (part, rest) = path.split_at(at);
            (part, Some(rest))
        }
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every route and its class: a change of this list is a change of who may do what (T-ROUTE-01).
    #[test]
    fn t_route_01_every_route_has_its_class() {
        let lines: Vec<String> =
            ROUTES.iter().map(|r| format!("{:<7}{:<55}{:?}", r.method, r.path, r.class)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn no_route_is_declared_twice_and_all_lie_below_api() {
        let mut seen = HashSet::new();
        for route in ROUTES {
            assert!(seen.insert((route.method, route.path)), "{route:?}");
            assert!(route.path.starts_with("/api/"), "{route:?}");
            assert_eq!(route.method, route.method.to_ascii_uppercase());
        }
    }

    /// The pattern with a value in each place finds this very route, not an earlier one that shadows it.
    #[test]
    fn every_route_can_be_reached() {
        for route in ROUTES {
            let path = route.path.replace("...}", "}").replace('{', "x-").replace('}', "");
            match find(route.method, &path).unwrap() {
                Found::Route(found, _) => assert_eq!(found.path, route.path),
                other => panic!("{route:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn patterns_take_their_parts() {
        let fits = |pattern, path| fit(pattern, path).unwrap();
        assert!(fits("/api/keys", "/api/keys").is_some());
        for path in ["/api/keysX", "/api/keys/", "/API/keys", "/api/key", "/api", "/api/keys;x=1"] {
            assert!(fits("/api/keys", path).is_none(), "{path}");
        }
        assert_eq!(fits("/api/keys/{id}", "/api/keys/a%20b").unwrap()["id"], "a b");
        assert!(fits("/api/keys/{id}", "/api/keys/").is_none());
        assert_eq!(fits("/api/m/{p}/{m...}", "/api/m/x/y/z:1").unwrap()["m"], "y/z:1");
    }

    #[test]
    fn t_route_02_ambiguous_paths_are_refused() {
        for path in [
            "/api//keys",
            "/api/keys%2f..",
            "/api/../api/keys",
            "/api/./keys",
            "/api/keys%5Cx",
            "/api/keys/%00",
            "/api/keys/..",
            "/api/keys\\x",
        ] {
            assert_eq!(find("GET", path).unwrap_err().status, 400, "{path}");
        }
        assert!(matches!(find("GET", "/api/nothing").unwrap(), Found::Nothing));
        assert!(
            matches!(find("PUT", "/api/status").unwrap(), Found::Methods(m) if m == ["GET", "HEAD"])
        );
        assert!(matches!(find("HEAD", "/api/status").unwrap(), Found::Route(..)));
    }
}
