//! What is stored as a config file: every object it can hold, in a fixed order, with references where secrets stand.
//!
//! Applied to the store it came from, with its references resolved, such a file changes nothing but who owns what.

mod objects;
mod text;

use crate::config::apply::Titles;
use crate::config::export::text::{Variables, Writer};
use crate::routing::account::AccountKind;
use crate::store::{
    Store, StoreError, accounts, aliases, api_keys, budgets, combos, models, nodes, prices,
    provider_overrides, proxies, settings,
};

/// The config file of what is stored. Blocking.
///
/// # Errors
/// The store failed.
pub fn export(store: &Store) -> Result<String, StoreError> {
    let sealer = store.sealer();
    store.read(|conn| {
        let (nodes, accounts) = (nodes::list(conn)?, accounts::list(conn)?);
        let (combos, keys) = (combos::list(conn)?, api_keys::list(conn)?);
        let proxies = proxies::list(conn)?;
        let titles = Titles::of_stored(&nodes, &accounts, &combos, &keys, &proxies);
        let mut file = Writer::default();
        let mut variables = Variables::default();
        objects::settings(&mut file, &mut variables, &settings::list(conn)?);
        for row in &proxies {
            let url = proxies::url(conn, sealer, row.id).ok();
            objects::proxy(&mut file, &mut variables, row, url.as_ref());
        }
        for row in &nodes {
            objects::node(&mut file, row);
        }
        for row in &provider_overrides::list(conn)? {
            objects::provider(&mut file, row, &titles);
        }
        for row in &accounts {
            objects::account(&mut file, &mut variables, row, &titles);
        }
        for row in &models::list(conn)? {
            objects::model(&mut file, row, &titles);
        }
        for row in &prices::list(conn)? {
            objects::price(&mut file, row, &titles);
        }
        for row in &combos {
            objects::combo(&mut file, row);
        }
        objects::aliases(&mut file, &aliases::list(conn)?);
        for row in keys.iter().filter(|row| row.revoked_at.is_none()) {
            objects::key(&mut file, &mut variables, row);
        }
        for row in &budgets::list(conn)? {
            objects::budget(&mut file, &row.budget, &titles);
        }
        let signed_in = accounts
            .iter()
            .filter(|row| !matches!(row.config.kind, AccountKind::ApiKey | AccountKind::None));
        let revoked = keys.iter().filter(|row| row.revoked_at.is_some());
        Ok(text::headed(&file, &variables, signed_in.count(), revoked.count()))
    })
}

#[cfg(test)]
mod tests;
