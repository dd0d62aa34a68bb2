//! Table `nodes`: providers the operator added by base URL.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::provider::node::{ModelSource, Node};
use crate::store::column::{self, Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::nodes;

const TABLE: &str = "nodes";

/// A node as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRow {
    /// What routing and requests need of it.
    pub node: Node,
    /// Model its check uses.
    pub test_model: Option<String>,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

impl NodeRow {
    /// A node that is not stored yet.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node, test_model: None, managed_by: None, rev: 1 }
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = nodes, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    type_: String,
    api_type: Option<String>,
    name: String,
    prefix: String,
    base_url: String,
    auth_style: Option<String>,
    auth_header: Option<String>,
    headers: String,
    network: String,
    insecure_http: bool,
    model_source: String,
    test_model: Option<String>,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

column::names!(ModelSource, model_source_text, model_source_from, {
    Fetch => "fetch",
    Manual => "manual",
});

/// Every node, by name.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<NodeRow>, StoreError> {
    let rows = nodes::table.order((nodes::name, nodes::id)).select(Raw::as_select()).load(conn)?;
    rows.into_iter().map(read).collect()
}

/// The node with this id.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: &str) -> Result<Option<NodeRow>, StoreError> {
    raw(conn, id)?.map(read).transpose()
}

/// Stores a new node, or the new content of one with the same id (`rev` + 1).
///
/// # Errors
///
/// The prefix is taken, a value is refused, or the database fails.
pub fn upsert(conn: &mut SqliteConnection, row: &NodeRow, stamp: Stamp) -> Result<(), StoreError> {
    let mut new = write(row, stamp)?;
    match raw(conn, &new.id)? {
        None => {
            diesel::insert_into(nodes::table).values(&new).execute(conn)?;
        }
        Some(old) => {
            new.rev = old.rev + 1;
            new.created_at = old.created_at;
            diesel::update(nodes::table.find(&old.id)).set(&new).execute(conn)?;
        }
    }
    Ok(())
}

/// Removes a node. True = there was one. Its accounts stay.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, id: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(nodes::table.find(id)).execute(conn)? > 0)
}

fn raw(conn: &mut SqliteConnection, id: &str) -> QueryResult<Option<Raw>> {
    nodes::table.find(id).select(Raw::as_select()).first(conn).optional()
}

fn read(raw: Raw) -> Result<NodeRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    let node_type = cell
        .name("type", &raw.type_, |text| column::node_type_from(text, raw.api_type.as_deref()))?;
    let auth_style = cell.optional_name("auth_style", raw.auth_style.as_deref(), |text| {
        column::auth_style_from(text, raw.auth_header.as_deref())
    })?;
    let node = Node {
        node_type,
        auth_style,
        headers: cell.pairs("headers", &raw.headers)?,
        network: cell.name("network", &raw.network, column::network_from)?,
        insecure_http: raw.insecure_http,
        // No column: nodes are asked for HTTP/1.1.
        h2: false,
        model_source: cell.name("model_source", &raw.model_source, model_source_from)?,
        name: raw.name,
        prefix: raw.prefix,
        base_url: raw.base_url,
        id: raw.id.clone(),
    };
    Ok(NodeRow {
        node,
        managed_by: cell.owner(raw.managed_by.as_deref())?,
        test_model: raw.test_model,
        rev: raw.rev,
    })
}

fn write(row: &NodeRow, stamp: Stamp) -> Result<Raw, StoreError> {
    let node = &row.node;
    let (type_, api_type) = column::node_type_text(node.node_type);
    let (auth_style, auth_header) = column::auth_style_text(node.auth_style.as_ref());
    let network = column::network_text(node.network).ok_or_else(|| {
        StoreError::invalid(TABLE, &node.id, "network must be public, private or loopback")
    })?;
    Ok(Raw {
        id: node.id.clone(),
        type_: type_.to_owned(),
        api_type: api_type.map(str::to_owned),
        name: node.name.clone(),
        prefix: node.prefix.clone(),
        base_url: node.base_url.clone(),
        auth_style: auth_style.map(str::to_owned),
        auth_header: auth_header.map(str::to_owned),
        headers: column::pairs_text(&node.headers),
        network: network.to_owned(),
        insecure_http: node.insecure_http,
        model_source: model_source_text(node.model_source).to_owned(),
        test_model: row.test_model.clone(),
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    })
}
