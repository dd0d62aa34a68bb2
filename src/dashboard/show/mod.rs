//! Objects of the management API as view models. Pages and the live feed show the same object by the same function.

pub(super) mod account;
pub(super) mod alert;
pub(super) mod combo;
pub(super) mod figures;
pub(super) mod hidden;
pub(super) mod job;
pub(super) mod key;
pub(super) mod provider;
pub(super) mod request;
pub(super) mod series;

use std::collections::HashMap;

use ninerouter_templates::moment::Now;
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::hidden::Hidden;

/// What objects are shown against.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// The present, and the zone it is told in.
    pub(super) now: Now,
    /// Names of providers by id.
    pub(super) providers: HashMap<String, String>,
    /// What stands for labels and e-mails of accounts; `None` = they are shown.
    pub(super) hidden: Option<Hidden>,
}

impl Sight {
    /// Name of a provider; its id when nobody told it.
    pub(super) fn provider<'a>(&'a self, id: &'a str) -> &'a str {
        self.providers.get(id).map_or(id, String::as_str)
    }

    /// Name of an account, or what stands for it.
    pub(super) fn account(&self, id: &str, label: &str) -> String {
        match &self.hidden {
            Some(hidden) => hidden.name(id),
            None => label.to_owned(),
        }
    }

    /// A text that may name accounts.
    pub(super) fn said(&self, text: &str) -> String {
        match &self.hidden {
            Some(hidden) => hidden.text(text),
            None => text.to_owned(),
        }
    }
}

/// Names out of a list of providers.
pub(super) fn provider_names(list: &Value) -> HashMap<String, String> {
    let name = |one: &Value| (one.text("/id").to_owned(), one.text("/name").to_owned());
    list.list("/data").iter().map(name).collect()
}
