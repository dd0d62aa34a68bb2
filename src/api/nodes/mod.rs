//! Custom nodes: providers the operator adds by base URL (providers §4).

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, found, page};
use crate::api::{Api, managed};
use crate::auth::audit::{Event, EventName};
use crate::config::file;
use crate::id::{AccountId, EntryId};
use crate::net::url::{UrlRefusal, accept};
use crate::provider::node::{
    AuthStyle, ModelSource, NetworkPolicy, Node, NodeProblem, validate_node,
};
use crate::routing::account::AccountKind;
use crate::store::accounts::{self, AccountRow};
use crate::store::nodes::{self, NodeRow};
use crate::store::{Connection, Owner, Stamp, StoreError, secrets};

mod rename;
pub(in crate::api) mod validate;

const WHAT: &str = "node";

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let (rows, accounts) = api.read(|conn| Ok((nodes::list(conn)?, accounts::list(conn)?))).await?;
    let shown = rows.iter().filter(|row| {
        let node = &row.node;
        found(&call, &[&node.name, &node.prefix, &node.base_url])
    });
    // Names need not be unique; the id behind them keeps the pages apart.
    let keyed = shown.map(|row| {
        (format!("{}\n{}", row.node.name, row.node.id), object(row, of(&accounts, &row.node.id)))
    });
    page(&call, keyed)
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    Ok(Reply::ok(api.node(call.param("id")).await?))
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let given = merged(Map::new(), call.object()?);
    let mut row = api.read_node(given)?;
    row.node.id = row.node.node_type.new_id(&EntryId::new().to_string());
    let row = NodeRow { node: api.checked_node(&row.node)?, ..row };
    let id = row.node.id.clone();
    let now = api.shared().clock.now_ms();
    api.write(move |conn| nodes::upsert(conn, &row, Stamp::operator(now)).map(Ok)).await?;
    api.reload().await?;
    Ok(Reply::created(api.node(&id).await?))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let old = api.node_row(call.param("id")).await?;
    managed(WHAT, old.managed_by)?;
    if rev.is_some_and(|rev| rev != old.rev) {
        return Err(ApiError::conflict(api.node(&old.node.id).await?));
    }
    let mut base = input_of(&old);
    base.retain(|_, value| !value.is_null());
    let row = api.read_node(merged(Map::new(), merged(base, patch)))?;
    if row.node.node_type != old.node.node_type {
        let why =
            "a node keeps its type: its accounts and models belong to it; add another node instead";
        return Err(ApiError::invalid("type", why));
    }
    let node = api.checked_node(&Node { id: old.node.id.clone(), ..row.node })?;
    let row = NodeRow { node, test_model: row.test_model, ..old.clone() };
    let id = old.node.id.clone();
    let accounts = api.read(accounts::list).await?;
    let keyed = of(&accounts, &id).filter(|row| row.config.kind == AccountKind::ApiKey);
    let keyed: Vec<AccountId> = keyed.map(|row| row.config.id).collect();
    let moved = row.node.base_url != old.node.base_url && !keyed.is_empty();
    if moved {
        api.require_sudo(&call.caller)?;
    }
    // SEC-OUT-2: a key belongs to the origin it was entered for.
    let forget = if moved && origin(&row.node.base_url) != origin(&old.node.base_url) {
        keyed
    } else {
        Vec::new()
    };
    let forgotten: Vec<String> = forget.iter().map(ToString::to_string).collect();
    let now = api.shared().clock.now_ms();
    let events = events(&old.node, &row.node);
    api.write(move |conn| {
        if nodes::find(conn, &row.node.id)?.map(|stored| stored.rev) != Some(old.rev) {
            return Ok(Err(ApiError::conflict(Value::Null)));
        }
        let (from, to) = (&old.node.prefix, &row.node.prefix);
        if from != to
            && let Err(why) = rename::targets(conn, from, to, Stamp::operator(now))?
        {
            return Ok(Err(why));
        }
        nodes::upsert(conn, &row, Stamp::operator(now))?;
        for id in forget {
            secrets::forget_api_key(conn, id, now)?;
            // Without its key it would go out to the new address as nobody.
            switch_off(conn, id, now)?;
        }
        Ok(Ok(()))
    })
    .await?;
    api.reload().await?;
    for event in events {
        api.shared().audit.record(&call.caller, event);
    }
    let mut object = api.node(&id).await?;
    if !forgotten.is_empty()
        && let Some(object) = object.as_object_mut()
    {
        object.insert("keys_cleared".to_owned(), forgotten.into());
    }
    Ok(Reply::ok(object))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    let force = match body.remove("force") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(force)) => force,
        Some(_) => return Err(ApiError::invalid("force", "must be true or false")),
    };
    no_more(&body)?;
    let row = api.node_row(call.param("id")).await?;
    managed(WHAT, row.managed_by)?;
    if rev.is_some_and(|rev| rev != row.rev) {
        return Err(ApiError::conflict(api.node(&row.node.id).await?));
    }
    api.write(move |conn| {
        let id = &row.node.id;
        let all = accounts::list(conn)?;
        let own: Vec<&AccountRow> = of(&all, id).collect();
        if let Some(kept) = own.iter().find(|row| row.managed_by == Some(Owner::ConfigFile)) {
            let message = format!(
                "the config file keeps the account `{}` on this node; take both out there and reload",
                kept.config.label
            );
            return Ok(Err(ApiError::in_use(message, own.into_iter().map(user).collect())));
        }
        if !own.is_empty() && !force {
            let message = format!(
                "the node `{}` has accounts; delete them first, or send `force`: they are deleted with it",
                row.node.name
            );
            return Ok(Err(ApiError::in_use(message, own.into_iter().map(user).collect())));
        }
        for row in own {
            accounts::delete(conn, row.config.id)?;
        }
        nodes::delete(conn, id).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

impl Api {
    async fn node_row(&self, id: &str) -> Result<NodeRow, ApiError> {
        let wanted = id.to_owned();
        let row = self.read(move |conn| nodes::find(conn, &wanted)).await?;
        row.ok_or_else(|| ApiError::not_found(WHAT, id))
    }

    async fn node(&self, id: &str) -> Result<Value, ApiError> {
        let row = self.node_row(id).await?;
        let accounts = self.read(accounts::list).await?;
        Ok(object(&row, of(&accounts, id)))
    }

    fn read_node(&self, given: Map<String, Value>) -> Result<NodeRow, ApiError> {
        Ok(file::node(&Value::Object(given), self.service.options.outbound_default)?)
    }

    /// The node in canonical form, if it may be saved.
    fn checked_node(&self, node: &Node) -> Result<Node, ApiError> {
        let node = validate_node(node, &self.shared().snapshot.load().catalog)
            .map_err(|problems| refused(&problems))?;
        // What its policy refuses, whatever the name resolves to, is said now and not at the first request; the
        // connector judges every address again (SEC §9.4).
        match accept(&node.base_url, node.network, node.insecure_http) {
            Err(
                why @ (UrlRefusal::Address(_) | UrlRefusal::LocalName | UrlRefusal::MetadataName),
            ) => Err(ApiError::invalid("base_url", why.to_string())),
            Ok(_) | Err(_) => Ok(node),
        }
    }
}

fn refused(problems: &[NodeProblem]) -> ApiError {
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let error = ApiError::new(422, "validation_failed", text);
    problems.iter().fold(error, |error, problem| error.field(problem.field(), problem.to_string()))
}

fn switch_off(conn: &mut Connection, id: AccountId, now: i64) -> Result<(), StoreError> {
    match accounts::find(conn, id)? {
        Some(row) if row.config.enabled => {
            accounts::set_enabled(conn, id, false, row.rev, now).map(|_rev| ())
        }
        Some(_) | None => Ok(()),
    }
}

fn origin(url: &str) -> Option<url::Origin> {
    url::Url::parse(url).ok().map(|url| url.origin())
}

fn events(old: &Node, new: &Node) -> Vec<Event> {
    let mut events = Vec::new();
    if old.base_url != new.base_url {
        let event = Event::ok(EventName::NodeBaseUrlChanged)
            .with("node", &*new.name)
            .with("from", &*old.base_url)
            .with("to", &*new.base_url);
        events.push(event);
    }
    if (old.network, old.insecure_http) != (new.network, new.insecure_http) {
        let event = Event::ok(EventName::NodePolicyChanged)
            .with("node", &*new.name)
            .with("network", network(new.network))
            .with("insecure_http", new.insecure_http);
        events.push(event);
    }
    events
}

fn of<'a>(accounts: &'a [AccountRow], node: &'a str) -> impl Iterator<Item = &'a AccountRow> {
    accounts.iter().filter(move |row| *row.config.provider == *node)
}

fn user(row: &AccountRow) -> Value {
    json!({"kind": "account", "id": row.config.id.to_string(), "name": row.config.label})
}

fn object<'a>(row: &NodeRow, accounts: impl Iterator<Item = &'a AccountRow>) -> Value {
    let mut object = input_of(row);
    let provider = row.node.to_provider();
    let called = match provider.endpoints.first() {
        Some(endpoint) => Some(format!("{}{}", endpoint.base_url, endpoint.path)),
        None => provider.apis.embeddings.clone(),
    };
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("id", row.node.id.clone().into());
    put("called_url", called.into());
    put("accounts", accounts.count().into());
    put("managed_by", row.managed_by.map(|owner| owner.as_str()).into());
    put("rev", row.rev.into());
    Value::Object(object)
}

fn input_of(row: &NodeRow) -> Map<String, Value> {
    let node = &row.node;
    let (kind, api_type) = node.node_type.stored();
    let (style, header) = match &node.auth_style {
        None => (None, None),
        Some(AuthStyle::Bearer) => (Some("bearer"), None),
        Some(AuthStyle::XApiKey) => (Some("x-api-key"), None),
        Some(AuthStyle::None) => (Some("none"), None),
        Some(AuthStyle::Header(name)) => (Some("header"), Some(name.as_str())),
    };
    let headers = node.headers.iter().map(|(name, value)| json!({"name": name, "value": value}));
    members(json!({
        "type": kind,
        "api_type": api_type,
        "name": node.name,
        "prefix": node.prefix,
        "base_url": node.base_url,
        "auth_style": style,
        "auth_header": header,
        "headers": headers.collect::<Vec<_>>(),
        "network": network(node.network),
        "insecure_http": node.insecure_http,
        "model_source": match node.model_source {
            ModelSource::Fetch => "fetch",
            ModelSource::Manual => "manual",
        },
        "test_model": row.test_model,
    }))
}

fn network(policy: NetworkPolicy) -> &'static str {
    match policy {
        NetworkPolicy::Public => "public",
        NetworkPolicy::Private | NetworkPolicy::PrivateAndLoopback => "private",
        NetworkPolicy::Loopback => "loopback",
    }
}
