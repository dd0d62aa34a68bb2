//! The config file: read, understood, checked (cli-and-deploy §7.5). TOML, or JSON with the same names.

mod account;
mod budget;
mod combo;
mod document;
mod json_places;
mod key;
mod model;
mod node;
mod object;
mod proxy;
mod reader;
mod secret_ref;

use std::fs;
use std::path::Path;

use serde_json::Value;

pub use document::{Document, FileError, Step, Trail};
pub use secret_ref::{SecretRef, SecretRefError};

use crate::provider::node::NetworkPolicy;
use crate::provider::proxy::ProxyUrl;
use crate::routing::account::AccountConfig;
use crate::routing::budget::{BudgetAction, BudgetLimits, BudgetWindow};
use crate::store::api_keys::ApiKeyRow;
use crate::store::combos::ComboRow;
use crate::store::models::ModelRow;
use crate::store::nodes::NodeRow;
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;

/// Largest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// An object of the file and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct At<T> {
    /// Its place.
    pub trail: Trail,
    /// The object.
    pub value: T,
}

/// An account of the file. Its provider is as written: id or prefix; its id is not the stored one.
#[derive(Clone, PartialEq, Debug)]
pub struct AccountSpec {
    /// Configuration.
    pub config: AccountConfig,
    /// Where its key lies; `None` for accounts without credential.
    pub api_key: Option<SecretRef>,
    /// The way its calls go out.
    pub proxy: ProxyName,
    /// The operator's text.
    pub notes: Option<String>,
}

/// Settings of a provider of the file; its id as written.
#[derive(Clone, PartialEq, Debug)]
pub struct ProviderSpec {
    /// What is stored, but for the way out.
    pub row: ProviderOverride,
    /// The way its calls go out.
    pub proxy: ProxyName,
}

/// A proxy of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct ProxySpec {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: ProxyAddress,
    /// Hosts reached without it, with commas.
    pub no_proxy: String,
    /// The operator's switch.
    pub enabled: bool,
}

/// Where a proxy is.
#[derive(Clone, PartialEq, Debug)]
pub enum ProxyAddress {
    /// A URL without user and password.
    Plain(ProxyUrl),
    /// Where the URL lies.
    Secret(SecretRef),
}

/// A way out as written: a proxy by its name, or by its stored id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ProxyName {
    /// As the next wider scope says.
    #[default]
    Inherit,
    /// Without a proxy.
    Direct,
    /// Through this one.
    Proxy(String),
}

/// A setting that is a secret, or the id of a provider's client; they are no part of the typed settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamedText {
    /// Its value.
    Plain(String),
    /// Where its value lies.
    Secret(SecretRef),
}

/// A combo of the file, with new ids.
#[derive(Clone, PartialEq, Debug)]
pub struct ComboSpec {
    /// What is stored.
    pub row: ComboRow,
    /// The file names no strategy: the setting `combo_strategy_default` counts.
    pub default_strategy: bool,
}

/// A router key of the file. Its id, look-up and shown parts are filled in when the text is known.
#[derive(Clone, PartialEq, Debug)]
pub struct KeySpec {
    /// What is stored besides the text.
    pub row: ApiKeyRow,
    /// Where its text lies.
    pub text: SecretRef,
}

/// A budget of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetSpec {
    /// Word of the scope.
    pub scope: &'static str,
    /// What the scope names, as written: provider or node, `provider/label`, name of a combo or a key, or an id. Empty
    /// for everything.
    pub scope_id: String,
    /// Over which time.
    pub window: BudgetWindow,
    /// How much.
    pub limits: BudgetLimits,
    /// IANA name; `None` = the setting `timezone`.
    pub tz: Option<String>,
    /// What happens when it is reached.
    pub action: BudgetAction,
    /// Percents, ascending.
    pub notify_at: Vec<u8>,
    /// Counted and acted on.
    pub enabled: bool,
}

/// A config file that is right in itself. What it refers to is checked when it is planned.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The text, for places of later errors.
    pub document: Document,
    /// Remove what an earlier file made and this one does not name.
    pub prune: bool,
    /// Settings by their snake_case names, values in normal form; null = the default.
    pub settings: Vec<At<(&'static str, Value)>>,
    /// Settings that are secrets, and clients of providers' sign-ins.
    pub texts: Vec<At<(String, NamedText)>>,
    /// Outbound proxies.
    pub proxies: Vec<At<ProxySpec>>,
    /// Nodes, without ids.
    pub nodes: Vec<At<NodeRow>>,
    /// Accounts.
    pub accounts: Vec<At<AccountSpec>>,
    /// Combos.
    pub combos: Vec<At<ComboSpec>>,
    /// Aliases with their targets.
    pub aliases: Vec<At<(String, String)>>,
    /// Router keys.
    pub keys: Vec<At<KeySpec>>,
    /// Models that differ from the catalog; their provider as written.
    pub models: Vec<At<ModelRow>>,
    /// Prices; their provider as written.
    pub prices: Vec<At<PriceRow>>,
    /// Settings of providers; their provider as written.
    pub providers: Vec<At<ProviderSpec>>,
    /// Spending limits.
    pub budgets: Vec<At<BudgetSpec>>,
    /// Things that work but have no effect, or not the one hoped for.
    pub warnings: Vec<FileError>,
}

/// Reads a config file. `outbound_default` is the network policy of nodes that name none.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn read(path: &Path, outbound_default: NetworkPolicy) -> Result<ConfigFile, Vec<FileError>> {
    let refuse = |message: String| vec![FileError::whole(path, message)];
    let size = fs::metadata(path).map_err(|e| refuse(format!("cannot be read: {e}")))?.len();
    if size > MOST_BYTES {
        return Err(refuse(format!("is larger than {MOST_BYTES} bytes")));
    }
    let bytes = fs::read(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
    parse(path, &bytes, outbound_default)
}

/// The same for a text that is at hand; `path` is for messages and relative paths.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse(
    path: &Path,
    bytes: &[u8],
    outbound_default: NetworkPolicy,
) -> Result<ConfigFile, Vec<FileError>> {
    let document = Document::parse(path, bytes).map_err(|error| vec![error])?;
    reader::understand(document, outbound_default)
}

/// A combo that does not come in a file, with new ids. What it refers to is not looked at.
///
/// # Errors
/// Everything that is wrong with it; paths begin at the object.
pub fn combo(object: &Value) -> Result<ComboSpec, Vec<FileError>> {
    reader::one(object, combo::read)
}

/// A custom node without id. What needs the catalog is not looked at; `outbound_default` is its network policy when it
/// names none.
///
/// # Errors
/// As [`combo`].
pub fn node(object: &Value, outbound_default: NetworkPolicy) -> Result<NodeRow, Vec<FileError>> {
    reader::one(object, |reader, trail, object| node::read(reader, trail, object, outbound_default))
}

/// A router key without its text, with a new id.
///
/// # Errors
/// As [`combo`].
pub fn key(object: &Value) -> Result<ApiKeyRow, Vec<FileError>> {
    reader::one(object, |reader, trail, object| key::read_without_text(reader, trail, &object))
}

/// A model that differs from the catalog; its provider as written.
///
/// # Errors
/// As [`combo`].
pub fn model(object: &Value) -> Result<ModelRow, Vec<FileError>> {
    reader::one(object, model::read_model)
}

/// A price; its provider as written.
///
/// # Errors
/// As [`combo`].
pub fn price(object: &Value) -> Result<PriceRow, Vec<FileError>> {
    reader::one(object, model::read_price)
}

/// Settings of the provider with this id, but for the way its calls go out.
///
/// # Errors
/// As [`combo`].
pub fn provider(id: &str, object: &Value) -> Result<ProviderOverride, Vec<FileError>> {
    let read = |reader: &mut reader::Reader, trail: &Trail, object| {
        model::read_provider(reader, trail, id, object)
    };
    reader::one(object, read).map(|spec| spec.row)
}

#[cfg(test)]
mod tests;
