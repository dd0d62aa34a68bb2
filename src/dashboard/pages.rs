//! Which page answers a request of a browser.

use std::collections::BTreeSet;

use futures_util::future::LocalBoxFuture;
use ninerouter_templates::error_page::Problem;
use serde_json::Value;

use crate::dashboard::connect::Subject;
use crate::dashboard::stage::{Refused, problem_page};
use crate::dashboard::visit::{Page, Visit};
use crate::dashboard::{
    account, accounts, add, combo, combos, connect, endpoint, import, keys, live, logs, models,
    names, node, order, overview, palette, provider, providers, remote, sudo, trial,
};

type Answer<'a> = LocalBoxFuture<'a, Result<Page, Refused>>;

/// One page, or one thing that a form of a page does.
struct Route {
    methods: &'static [&'static str],
    /// Below `/dashboard`. `{x}` is one part, as it was sent; `{x...}` is all that is left.
    path: &'static str,
    answer: for<'a> fn(&'a Visit, &'a [String]) -> Answer<'a>,
}

macro_rules! routes {
    ($($($method:ident)+ $path:literal ($visit:ident $(, $part:ident)*) => $answer:expr;)*) => {
        &[$(Route {
            methods: &[$(stringify!($method)),+],
            path: $path,
            answer: |$visit, parts| Box::pin(async move {
                let [$($part),*] = parts else { return Err(nothing()) };
                $answer
            }),
        }),*]
    };
}

/// All of them; of two that fit, the first. HTML forms know GET and POST alone; scripts may say what they mean.
static ROUTES: &[Route] = routes! {
    GET "/" (visit) => overview::show(visit).await;
    GET "/live" (visit) => live::feed(visit).await;
    GET "/palette" (visit) => palette::show(visit).await;
    GET "/palette/found" (visit) => palette::found(visit).await;
    POST "/names" (visit) => Ok(names::turn(visit));
    POST "/alerts/{id}/dismiss" (visit, id) => overview::dismiss(visit, id).await;
    POST "/requests/{id}/cancel" (visit, id) => overview::cancel(visit, id).await;
    POST "/jobs/{id}/cancel" (visit, id) => provider::cancel_job(visit, id).await;

    GET "/endpoint" (visit) => endpoint::show(visit).await;
    POST "/endpoint/requirement" (visit) => endpoint::require(visit).await;
    POST "/endpoint/remote" (visit) => remote::change(visit).await;
    POST "/endpoint/keys" (visit) => keys::create(visit).await;
    GET "/endpoint/keys/new" (visit) => keys::new(visit).await;
    POST PATCH "/endpoint/keys/{id}" (visit, id) => keys::change(visit, id).await;
    DELETE "/endpoint/keys/{id}" (visit, id) => keys::remove(visit, id).await;
    GET "/endpoint/keys/{id}/edit" (visit, id) => keys::edit(visit, id).await;
    GET "/endpoint/keys/{id}/rotate" (visit, id) => keys::ask(visit, id, "rotate").await;
    POST "/endpoint/keys/{id}/rotate" (visit, id) => keys::rotate(visit, id).await;
    GET "/endpoint/keys/{id}/revoke" (visit, id) => keys::ask(visit, id, "revoke").await;
    POST "/endpoint/keys/{id}/revoke" (visit, id) => keys::revoke(visit, id).await;
    GET "/endpoint/keys/{id}/delete" (visit, id) => keys::ask(visit, id, "delete").await;
    POST "/endpoint/keys/{id}/delete" (visit, id) => keys::remove(visit, id).await;

    GET "/providers" (visit) => providers::show(visit).await;
    GET "/providers/new" (visit) => node::new(visit).await;
    GET "/providers/{id}" (visit, id) => provider::show(visit, id).await;
    POST PATCH "/providers/{id}" (visit, id) => provider::change(visit, id).await;
    GET "/providers/{id}/edit" (visit, id) => node::edit(visit, id).await;
    POST "/providers/{id}/keys" (visit, id) => add::add(visit, id).await;
    GET "/providers/{id}/keys/new" (visit, id) => add::ask(visit, id, false).await;
    GET "/providers/{id}/keys/many" (visit, id) => add::ask(visit, id, true).await;
    POST "/providers/{id}/models" (visit, id) => models::create(visit, id).await;
    POST "/providers/{id}/models/batch" (visit, id) => models::batch(visit, id).await;
    POST "/providers/{id}/models/fetch" (visit, id) => models::fetch(visit, id).await;
    GET "/providers/{id}/models/new" (visit, id) => models::new(visit, id).await;
    POST "/providers/{id}/accounts/batch" (visit, id) => accounts::batch(visit, id).await;
    POST "/providers/{id}/accounts/reorder" (visit, id) => order::take(visit, id).await;
    GET "/providers/{id}/connect" (visit, id) => connect::ask(visit, Subject::Provider(id)).await;
    POST "/providers/{id}/connect" (visit, id) => connect::begin(visit, Subject::Provider(id)).await;
    GET "/providers/{id}/import" (visit, id) => import::ask(visit, id).await;
    POST "/providers/{id}/import" (visit, id) => import::take(visit, id).await;

    POST "/nodes" (visit) => node::save(visit, None).await;
    POST PATCH "/nodes/{id}" (visit, id) => node::save(visit, Some(id)).await;
    DELETE "/nodes/{id}" (visit, id) => node::delete(visit, id).await;
    GET "/nodes/{id}/delete" (visit, id) => node::ask_delete(visit, id).await;
    POST "/nodes/{id}/delete" (visit, id) => node::delete(visit, id).await;

    GET "/accounts/{id}" (visit, id) => account::show(visit, id).await;
    POST PATCH "/accounts/{id}" (visit, id) => accounts::change(visit, id).await;
    DELETE "/accounts/{id}" (visit, id) => accounts::delete(visit, id).await;
    GET "/accounts/{id}/edit" (visit, id) => account::edit(visit, id).await;
    GET "/accounts/{id}/secret" (visit, id) => account::ask_secret(visit, id).await;
    POST "/accounts/{id}/secret" (visit, id) => account::replace_secret(visit, id).await;
    GET "/accounts/{id}/reconnect" (visit, id) => connect::ask(visit, Subject::Account(id)).await;
    POST "/accounts/{id}/reconnect" (visit, id) => connect::begin(visit, Subject::Account(id)).await;
    POST "/accounts/{id}/test" (visit, id) => accounts::act(visit, id, "test").await;
    POST "/accounts/{id}/refresh" (visit, id) => accounts::act(visit, id, "refresh").await;
    POST "/accounts/{id}/clear-locks" (visit, id) => accounts::act(visit, id, "clear-locks").await;
    POST "/accounts/{id}/try-again" (visit, id) => accounts::act(visit, id, "try-again").await;
    POST "/accounts/{id}/quota/refresh" (visit, id) => accounts::act(visit, id, "quota/refresh").await;
    GET "/accounts/{id}/delete" (visit, id) => accounts::ask_delete(visit, id).await;
    POST "/accounts/{id}/delete" (visit, id) => accounts::delete(visit, id).await;

    GET "/combos" (visit) => combos::show(visit).await;
    POST "/combos" (visit) => combo::save(visit, None).await;
    GET POST "/combos/new" (visit) => combo::new(visit).await;
    POST "/combos/explain" (visit) => combos::explain(visit).await;
    GET "/combos/{id}" (visit, id) => combo::show(visit, id).await;
    POST PATCH "/combos/{id}" (visit, id) => combo::save(visit, Some(id)).await;
    DELETE "/combos/{id}" (visit, id) => combos::delete(visit, id).await;
    POST "/combos/{id}/enabled" (visit, id) => combos::turn(visit, id).await;
    POST "/combos/{id}/simulate" (visit, id) => combos::simulate(visit, id).await;
    POST "/combos/{id}/test" (visit, id) => trial::run(visit, id).await;
    GET "/combos/{id}/delete" (visit, id) => combos::ask_delete(visit, id).await;
    POST "/combos/{id}/delete" (visit, id) => combos::delete(visit, id).await;
    POST "/aliases" (visit) => combos::put_alias(visit).await;
    POST "/aliases/delete" (visit) => combos::delete_alias(visit).await;

    POST PATCH "/models/{model...}" (visit, model) => models::turn(visit, model).await;
    GET "/connect/{session}" (visit, session) => connect::show(visit, session).await;
    POST "/connect/{session}/paste" (visit, session) => connect::paste(visit, session).await;
    POST "/connect/{session}/cancel" (visit, session) => connect::cancel(visit, session).await;

    GET "/logs" (visit) => logs::show(visit).await;
    GET "/logs/download" (visit) => logs::download(visit, "/api/logs/export").await;
    POST "/logs/level" (visit) => logs::detail(visit).await;
    POST "/audit/verify" (visit) => logs::verify(visit).await;
    GET "/audit/export" (visit) => logs::download(visit, "/api/audit/export").await;
    GET "/console-log" (_visit) =>
        Ok(Page::empty(308).header("location", "/dashboard/logs?tab=console"));
};

/// Answers a request that the guard let in.
pub async fn page(visit: Visit) -> Page {
    // As they were sent: a part goes into a path of the API as it is, and stays one part there.
    let parts: Vec<&str> = visit.path.split('/').filter(|part| !part.is_empty()).collect();
    // `/dashboard/f/x` is `/dashboard/x` as the body of a dialog: in a browser's address bar it means the page.
    let parts = match parts.as_slice() {
        ["f", rest @ ..] => {
            if visit.method == "GET" && !visit.hx.is_fragment {
                let query = if visit.query.is_empty() { "" } else { "?" };
                let page = format!("/dashboard/{}{query}{}", rest.join("/"), visit.query);
                return Page::see_other(page);
            }
            rest
        }
        all => all,
    };
    let found = |route: &'static Route| Some((route, route.values(parts)?));
    let found: Vec<(&'static Route, Vec<String>)> = ROUTES.iter().filter_map(found).collect();
    let of_method =
        |found: &&(&'static Route, Vec<String>)| found.0.methods.contains(&visit.method.as_str());
    let Some((route, values)) = found.iter().find(of_method) else {
        return match allowed(found.iter().map(|(route, _)| *route)) {
            Some(allow) => problem_page(&visit, &Problem::WrongMethod).await.header("allow", allow),
            None => problem_page(&visit, &Problem::NotFound).await,
        };
    };
    match (route.answer)(&visit, values).await {
        Ok(page) => page,
        // What the API wants the password for, the browser asks for, and then does it again.
        Err(refused) if refused.status == 428 => sudo::ask(&visit, purpose(&visit)),
        Err(refused) => refused.page(&visit).await,
    }
}

/// What is about to be done, behind "To …".
fn purpose(visit: &Visit) -> &'static str {
    match visit.path.trim_matches('/') {
        "endpoint/requirement" => "change who needs a key",
        "endpoint/remote" => "change by which names the router is reached from outside",
        path if path.starts_with("nodes/") => "send an account's key to another address",
        _ => "do this",
    }
}

/// The header `Allow` of pages that share a path; `None` = there is no such page.
fn allowed(routes: impl Iterator<Item = &'static Route>) -> Option<String> {
    let mut methods: BTreeSet<&str> = routes.flat_map(|route| route.methods).copied().collect();
    if methods.contains("GET") {
        methods.insert("HEAD");
    }
    let methods: Vec<&str> = methods.into_iter().collect();
    (!methods.is_empty()).then(|| methods.join(", "))
}

fn nothing() -> Refused {
    Refused { status: 404, error: Value::Null }
}

impl Route {
    /// What stands at the places of its path that are not fixed; `None` = `parts` is another path.
    fn values(&self, parts: &[&str]) -> Option<Vec<String>> {
        let mut values = Vec::new();
        let mut parts = parts.iter().copied();
        for part in self.path.split('/').filter(|part| !part.is_empty()) {
            if part.ends_with("...}") {
                let rest: Vec<&str> = parts.by_ref().collect();
                values.push((!rest.is_empty()).then(|| rest.join("/"))?);
                continue;
            }
            let given = parts.next()?;
            match part.starts_with('{') {
                true => values.push(given.to_owned()),
                false if part == given => {}
                false => return None,
            }
        }
        parts.next().is_none().then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Vec<&'static Route> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        ROUTES.iter().filter(|route| route.values(&parts).is_some()).collect()
    }

    #[test]
    fn a_path_has_the_methods_of_all_its_pages() {
        let of = |path: &str| allowed(at(path).into_iter());
        assert_eq!(of("/").as_deref(), Some("GET, HEAD"));
        assert_eq!(of("/logs/level").as_deref(), Some("POST"));
        assert_eq!(of("/combos/7").as_deref(), Some("DELETE, GET, HEAD, PATCH, POST"));
        assert_eq!(of("/models/a/b/c").as_deref(), Some("PATCH, POST"));
        for nowhere in ["/models", "/nowhere", "/logs/level/x", "/accounts"] {
            assert_eq!(of(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_route_gives_as_many_values_as_it_takes() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "").replace("...", "/more");
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            let values = route.values(&parts).unwrap();
            assert_eq!(values.len(), route.path.matches('{').count(), "{}", route.path);
        }
        let route = at("/models/open%20router/a/b").pop().unwrap();
        let values = route.values(&["models", "open%20router", "a", "b"]).unwrap();
        assert_eq!(values, ["open%20router/a/b"], "as it was sent");
    }

    #[test]
    fn no_route_hides_behind_another() {
        for (place, route) in ROUTES.iter().enumerate() {
            let fixed = route.path.replace(['{', '}', '.'], "");
            let parts: Vec<&str> = fixed.split('/').filter(|part| !part.is_empty()).collect();
            for method in route.methods {
                let first = ROUTES.iter().position(|other| {
                    other.methods.contains(method) && other.values(&parts).is_some()
                });
                assert_eq!(first, Some(place), "{method} {}", route.path);
            }
        }
    }
}
