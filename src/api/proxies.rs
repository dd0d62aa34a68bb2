//! Outbound proxies: named, tested, and used by accounts and providers. A URL goes in and never comes out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ninerouter_dialect::SplicedBody;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actors::router::Views;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, found, page};
use crate::api::{Api, managed};
use crate::id::ProxyId;
use crate::net::{Clients, Destination, Initiator, Method, NetError, Outgoing, Purpose};
use crate::provider::catalog::Provider;
use crate::provider::proxy::{NoProxy, ProxyUrl, Route};
use crate::store::proxies::{self, NewProxy, ProxyRow, ProxyUsers};
use crate::store::{Stamp, StoreError};

const WHAT: &str = "proxy";
/// Longest test.
const TEST: Duration = Duration::from_secs(20);
/// Proxies of one call.
const MOST: usize = 500;
/// Longest name.
const LONGEST_NAME: usize = 80;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let rows = api
        .read(|conn| {
            let rows = proxies::list(conn)?;
            let with_users = |row: ProxyRow| Ok((proxies::users(conn, row.id)?, row));
            rows.into_iter().map(with_users).collect::<Result<Vec<_>, StoreError>>()
        })
        .await?;
    let shown = rows.iter().filter(|(_, row)| found(&call, &[&row.name, &row.display_url]));
    page(&call, shown.map(|(users, row)| (row.name.clone(), object(row, users))))
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let proxy = read(ProxyId::new(), &call)?;
    if proxy.url.is_none() {
        return Err(ApiError::invalid("url", "is missing"));
    }
    let id = proxy.id;
    api.keep(proxy, None).await?;
    Ok(Reply::created(api.proxy_object(id).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    /// One proxy each: a URL, or `name|URL`. Blank lines are none.
    proxies: Vec<String>,
    enabled: Option<bool>,
}

/// What became of a line.
type Line = (String, Result<NewProxy, ApiError>);

/// Many proxies; what is wrong with one of them leaves the others alone.
pub(super) async fn bulk(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let dry_run = call.flag("dry_run")?;
    let wish: Bulk = call.typed()?;
    let texts = wish.proxies.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let texts: Vec<&str> = texts.collect();
    if texts.is_empty() || texts.len() > MOST {
        return Err(ApiError::invalid("proxies", format!("name 1 to {MOST} proxies")));
    }
    let stored = api.read(proxies::list).await?;
    let mut taken: HashSet<String> = stored.into_iter().map(|row| row.name).collect();
    let lines: Vec<Line> =
        texts.into_iter().map(|text| line(text, wish.enabled, &mut taken)).collect();
    let good: Vec<NewProxy> = lines.iter().filter_map(|(_, read)| read.clone().ok()).collect();
    if !dry_run && !good.is_empty() {
        let sealer = api.shared().store.sealer().clone();
        let now = api.shared().clock.now_ms();
        api.write(move |conn| {
            for proxy in &good {
                proxies::upsert(conn, &sealer, proxy, Stamp::operator(now))?;
            }
            Ok(Ok(()))
        })
        .await?;
        api.reload().await?;
    }
    let results: Vec<Value> = lines.iter().map(|line| told(line, dry_run)).collect();
    let ok = lines.iter().filter(|(_, read)| read.is_ok()).count();
    Ok(Reply::ok(
        json!({"ok": ok, "failed": lines.len() - ok, "results": results, "applied": !dry_run}),
    ))
}

/// A line with the name it goes by: its own, else where its proxy is. A name that is in use gets a number, unless
/// somebody chose it.
fn line(text: &str, enabled: Option<bool>, taken: &mut HashSet<String>) -> Line {
    let named = text.split_once('|').filter(|(name, _)| !name.contains("://"));
    let (own, text) = named.map_or(("", text), |(name, url)| (name.trim(), url.trim()));
    let address = match ProxyUrl::parse(text) {
        Ok(url) => url.address(),
        // The reason never repeats the URL: it may hold a password.
        Err(why) => return (own.to_owned(), Err(ApiError::invalid("url", why.to_string()))),
    };
    let name = if own.is_empty() { unused(&address, taken) } else { own.to_owned() };
    if taken.contains(&name) {
        return (name, Err(ApiError::invalid("name", "is taken; choose another")));
    }
    let url = Some(text.to_owned());
    let read =
        checked(ProxyId::new(), Wish { name: name.clone(), url, no_proxy: String::new(), enabled });
    if read.is_ok() {
        taken.insert(name.clone());
    }
    (name, read)
}

/// Host and port of an address, with a number where they are a name already.
fn unused(address: &str, taken: &HashSet<String>) -> String {
    let place = address.split_once("://").map_or(address, |(_, place)| place);
    let mut name = place.to_owned();
    let mut number = 1;
    while taken.contains(&name) {
        number += 1;
        name = format!("{place} ({number})");
    }
    name
}

fn told((name, read): &Line, dry_run: bool) -> Value {
    match read {
        Ok(proxy) => {
            let id = (!dry_run).then(|| proxy.id.to_string());
            json!({"name": name, "ok": true, "id": id})
        }
        Err(why) => json!({"name": name, "ok": false, "code": why.code, "message": why.message}),
    }
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ProxyId = call.id(WHAT)?;
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let old = api.proxy_row(id).await?;
    managed(WHAT, old.managed_by)?;
    if rev.is_some_and(|rev| rev != old.rev) {
        return Err(ApiError::conflict(api.proxy_object(id).await?));
    }
    let given = merged(input_of(&old), patch);
    let given = Call { body: Value::Object(given).to_string().into_bytes(), ..Call::default() };
    api.keep(read(id, &given)?, Some(old.rev)).await?;
    Ok(Reply::ok(api.proxy_object(id).await?))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ProxyId = call.id(WHAT)?;
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    no_more(&body)?;
    let row = api.proxy_row(id).await?;
    managed(WHAT, row.managed_by)?;
    if rev.is_some_and(|rev| rev != row.rev) {
        return Err(ApiError::conflict(api.proxy_object(id).await?));
    }
    api.write(move |conn| {
        let users = proxies::users(conn, id)?;
        if users.count() > 0 {
            let message = format!("the proxy `{}` is in use; change those first", row.name);
            return Ok(Err(ApiError::in_use(message, used_by(&users))));
        }
        proxies::delete(conn, id).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

/// Reaches a provider through the proxy: any answer of it shows that the way is open.
pub(super) async fn test(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ProxyId = call.id(WHAT)?;
    api.proxy_row(id).await?;
    let sealer = api.shared().store.sealer().clone();
    let url = api.read(move |conn| proxies::url(conn, &sealer, id)).await?;
    let url = ProxyUrl::parse(url.expose())
        .map_err(|why| ApiError::invalid("url", format!("cannot be used: {why}")))?;
    let provider = api.some_provider().await?;
    let clock = api.shared().clock.clone();
    let started = clock.now();
    let reached = reach(api, &provider, Route::through(url, NoProxy::default())).await;
    let ms = i64::try_from(clock.now().duration_since(started).as_millis()).unwrap_or(i64::MAX);
    let result = json!({
        "ok": reached.is_ok(),
        "ms": ms,
        "target": provider.name,
        "message": reached.as_ref().err().map(ToString::to_string),
        "at": clock.now_ms(),
    });
    let kept = result.clone();
    api.write(move |conn| proxies::keep_test(conn, id, &kept).map(Ok)).await?;
    Ok(Reply::ok(result))
}

async fn reach(api: &Api, provider: &Provider, route: Route) -> Result<(), NetError> {
    let base = provider.endpoints.first().map(|endpoint| endpoint.base_url.clone());
    let outgoing = Outgoing {
        method: Method::HEAD,
        url: base.unwrap_or_default(),
        headers: Vec::new(),
        body: SplicedBody::whole(bytes::Bytes::new()),
        dest: Destination::of(provider),
        route,
        head_timeout: TEST,
        send_stall: TEST,
        initiator: Initiator::of(Purpose::ProxyTest, &provider.id),
    };
    // A pool of its own: a connection that is open already would prove nothing.
    Clients::new(Arc::clone(&api.shared().net)).send(outgoing).await.map(drop)
}

/// A proxy as a caller sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    url: Option<String>,
    #[serde(default)]
    no_proxy: String,
    enabled: Option<bool>,
}

fn read(id: ProxyId, call: &Call) -> Result<NewProxy, ApiError> {
    checked(id, call.typed()?)
}

fn checked(id: ProxyId, wish: Wish) -> Result<NewProxy, ApiError> {
    let name = wish.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)
    {
        return Err(ApiError::invalid("name", "must be one line of 1 to 80 characters"));
    }
    if matches!(name.as_str(), "direct" | "inherit") {
        return Err(ApiError::invalid(
            "name",
            "is the word for a way without this proxy; choose another",
        ));
    }
    // The reason never repeats the URL: it may hold a password.
    let url = wish.url.map(|url| ProxyUrl::parse(&url)).transpose();
    let url = url.map_err(|why| ApiError::invalid("url", why.to_string()))?;
    let (_, bad) = NoProxy::parse(&wish.no_proxy);
    if let Some(bad) = bad.first() {
        let why = format!("`{bad}` is neither a host, a suffix nor a range");
        return Err(ApiError::invalid("no_proxy", why));
    }
    Ok(NewProxy { id, name, url, no_proxy: wish.no_proxy, enabled: wish.enabled.unwrap_or(true) })
}

impl Api {
    async fn proxy_row(&self, id: ProxyId) -> Result<ProxyRow, ApiError> {
        let row = self.read(move |conn| proxies::find(conn, id)).await?;
        row.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))
    }

    async fn proxy_object(&self, id: ProxyId) -> Result<Value, ApiError> {
        let row = self.proxy_row(id).await?;
        let users = self.read(move |conn| proxies::users(conn, id)).await?;
        Ok(object(&row, &users))
    }

    async fn keep(&self, proxy: NewProxy, seen: Option<i64>) -> Result<(), ApiError> {
        let sealer = self.shared().store.sealer().clone();
        let now = self.shared().clock.now_ms();
        self.write(move |conn| {
            if proxies::find(conn, proxy.id)?.map(|row| row.rev) != seen {
                return Ok(Err(ApiError::conflict(Value::Null)));
            }
            proxies::upsert(conn, &sealer, &proxy, Stamp::operator(now)).map(Ok)
        })
        .await?;
        self.reload().await
    }

    /// A provider that is in use, else any that lies on the network.
    async fn some_provider(&self) -> Result<Arc<Provider>, ApiError> {
        let views = self.ask(Views).await?;
        let snapshot = self.shared().snapshot.load();
        let usable = |provider: &&Arc<Provider>| !provider.local && !provider.endpoints.is_empty();
        let used = |provider: &&Arc<Provider>| {
            views.iter().any(|view| view.config.provider == provider.id)
        };
        let all: Vec<&Arc<Provider>> = snapshot.catalog.providers().filter(usable).collect();
        let chosen = all.iter().copied().find(used).or(all.first().copied());
        chosen
            .cloned()
            .ok_or_else(|| ApiError::unavailable("the catalog names no provider to reach"))
    }
}

fn object(row: &ProxyRow, users: &ProxyUsers) -> Value {
    let mut object = input_of(row);
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("id", row.id.to_string().into());
    put("scheme", row.scheme.as_str().into());
    put("display_url", row.display_url.clone().into());
    put("used_by", used_by(users).into());
    put("last_test", row.last_test.clone().into());
    put("managed_by", row.managed_by.map(|owner| owner.as_str()).into());
    put("rev", row.rev.into());
    Value::Object(object)
}

fn input_of(row: &ProxyRow) -> Map<String, Value> {
    members(json!({"name": row.name, "no_proxy": row.no_proxy, "enabled": row.enabled}))
}

fn used_by(users: &ProxyUsers) -> Vec<Value> {
    let accounts = users.accounts.iter().map(|(id, provider, label)| {
        json!({"kind": "account", "id": id.to_string(), "name": format!("{provider}/{label}")})
    });
    let providers =
        users.providers.iter().map(|id| json!({"kind": "provider", "id": id, "name": id}));
    accounts.chain(providers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(body: Value) -> Result<NewProxy, ApiError> {
        read(ProxyId::new(), &Call { body: body.to_string().into_bytes(), ..Call::default() })
    }

    #[test]
    fn a_password_is_never_repeated() {
        for url in ["socks9://u:hunter22@h:1", "http://u:hunter22@", "http://u:hunter22@h:99999999"]
        {
            let error = wish(json!({"name": "office", "url": url})).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter22"), "{error:?}");
            assert!(error.details.fields.contains_key("url"), "{error:?}");
        }
        let proxy = wish(json!({"name": " office ", "url": "socks5h://u:hunter22@h:1"})).unwrap();
        assert_eq!(proxy.name, "office");
        assert!(!format!("{proxy:?}").contains("hunter22"));
    }

    #[test]
    fn lines_get_names_that_are_free_and_tell_no_password() {
        let mut taken = HashSet::from(["office".to_owned()]);
        for (text, name, ok) in [
            ("socks5://u:hunter22@proxy.example:1080", "proxy.example:1080", true),
            ("http://proxy.example:1080", "proxy.example:1080 (2)", true),
            ("home | http://u:hunter22@10.0.0.1:3128", "home", true),
            ("home|http://10.0.0.2:3128", "home", false),
            ("office|http://10.0.0.3:3128", "office", false),
            ("socks9://u:hunter22@h:1", "", false),
            ("direct|http://10.0.0.4:3128", "direct", false),
        ] {
            let (found, read) = line(text, None, &mut taken);
            assert_eq!((found.as_str(), read.is_ok()), (name, ok), "{text}: {read:?}");
            assert!(!format!("{read:?}").contains("hunter22"), "{read:?}");
        }
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in ["", "direct", "inherit", "a\nb"] {
            let error = wish(json!({"name": name, "url": "http://h:1"})).unwrap_err();
            assert!(error.details.fields.contains_key("name"), "{name:?}: {error:?}");
        }
        let error =
            wish(json!({"name": "x", "url": "http://h:1", "no_proxy": "a b://c"})).unwrap_err();
        assert!(error.details.fields.contains_key("no_proxy"), "{error:?}");
    }
}
