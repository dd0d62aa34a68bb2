//! What the store shall hold: the objects of a file with their stored ids and their secrets.

use serde_json::Value;

use crate::config::file::FileError;
use crate::routing::account::AccountConfig;
use crate::secret::Secret;
use crate::store::api_keys::ApiKeyRow;
use crate::store::budgets::BudgetRow;
use crate::store::combos::ComboRow;
use crate::store::models::ModelRow;
use crate::store::nodes::NodeRow;
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;
use crate::store::proxies::NewProxy;

/// Whether secrets are looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Secrets {
    /// They must be there.
    Need,
    /// The file is only checked.
    Skip,
}

/// An account with what is not its configuration.
#[derive(Clone, Debug)]
pub(super) struct DesiredAccount {
    pub(super) config: AccountConfig,
    pub(super) secret: Option<Secret>,
    pub(super) notes: Option<String>,
}

/// A setting that is no part of the typed ones.
#[derive(Clone, Debug)]
pub(super) enum DesiredText {
    Plain(String),
    Secret(Secret),
}

#[derive(Debug, Default)]
pub(super) struct Desired {
    pub(super) settings: Vec<(&'static str, Value)>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) accounts: Vec<DesiredAccount>,
    pub(super) proxies: Vec<NewProxy>,
    pub(super) texts: Vec<(String, DesiredText)>,
    pub(super) combos: Vec<ComboRow>,
    pub(super) aliases: Vec<(String, String)>,
    pub(super) keys: Vec<ApiKeyRow>,
    pub(super) models: Vec<ModelRow>,
    pub(super) prices: Vec<PriceRow>,
    pub(super) providers: Vec<ProviderOverride>,
    pub(super) budgets: Vec<BudgetRow>,
    pub(super) warnings: Vec<FileError>,
}
