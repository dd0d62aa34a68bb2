//! A node's new prefix in everything that names its models by the old one (providers §4).

use serde_json::{Value, json};

use crate::api::error::ApiError;
use crate::store::{Connection, Owner, Stamp, StoreError, aliases, api_keys, combos};

/// Rewrites `from/…` to `to/…` in combos, aliases and what keys may use. The inner error: something of the config file
/// names the old prefix, and nothing is rewritten.
pub(super) fn targets(
    conn: &mut Connection,
    from: &str,
    to: &str,
    stamp: Stamp,
) -> Result<Result<(), ApiError>, StoreError> {
    let moved = |target: &str| renamed(target, from, to);
    let (mut fixed, mut changed_combos) = (Vec::new(), Vec::new());
    for mut row in combos::list(conn)? {
        let mut touched = false;
        for entry in &mut row.combo.entries {
            if let Some(target) = moved(&entry.target) {
                (entry.target, touched) = (target, true);
            }
        }
        if touched && row.managed_by == Some(Owner::ConfigFile) {
            fixed.push(
                json!({"kind": "combo", "id": row.combo.id.to_string(), "name": &*row.combo.name}),
            );
        } else if touched {
            changed_combos.push(row);
        }
    }
    let mut changed_aliases = Vec::new();
    for row in aliases::list(conn)? {
        let Some(target) = moved(&row.target) else { continue };
        if row.managed_by == Some(Owner::ConfigFile) {
            fixed.push(json!({"kind": "alias", "id": row.alias, "name": row.alias}));
        } else {
            changed_aliases.push((row.alias, target));
        }
    }
    let mut changed_keys = Vec::new();
    for mut row in api_keys::list(conn)? {
        let mut touched = false;
        for glob in row.allowed_models.iter_mut().flatten() {
            if let Some(new) = moved(glob) {
                (*glob, touched) = (new, true);
            }
        }
        if touched && row.managed_by == Some(Owner::ConfigFile) {
            fixed.push(json!({"kind": "key", "id": row.id.to_string(), "name": row.name}));
        } else if touched {
            changed_keys.push(row);
        }
    }
    if !fixed.is_empty() {
        return Ok(Err(in_config_file(from, fixed)));
    }
    for row in &changed_combos {
        combos::upsert(conn, row, stamp)?;
    }
    for (alias, target) in &changed_aliases {
        aliases::set(conn, alias, target, stamp)?;
    }
    for row in &changed_keys {
        api_keys::upsert(conn, row, stamp)?;
    }
    Ok(Ok(()))
}

fn in_config_file(prefix: &str, users: Vec<Value>) -> ApiError {
    let message = format!(
        "the config file names models by `{prefix}/…`; change the prefix there first, or keep it"
    );
    ApiError::in_use(message, users)
}

/// `None` = the target does not begin with the prefix. Prefixes have no case.
fn renamed(target: &str, from: &str, to: &str) -> Option<String> {
    let (prefix, model) = target.split_once('/')?;
    prefix.eq_ignore_ascii_case(from).then(|| format!("{to}/{model}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_prefix_is_renamed() {
        assert_eq!(renamed("Lab/llama/3", "lab", "rig").as_deref(), Some("rig/llama/3"));
        for other in ["labs/llama", "combo:lab", "lab", "x/lab/llama"] {
            assert_eq!(renamed(other, "lab", "rig"), None, "{other}");
        }
    }
}
