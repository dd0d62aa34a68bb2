//! Finding the object a person means: by its name, its id, or the beginning of its id.

use serde_json::Value;

use super::{Client, Failed, escape};
use crate::cli::fields::Fields;
use crate::config::keys::nearest;

/// Shortest beginning of an id that counts.
const SHORTEST: usize = 4;

/// What is looked for, for messages: `account`, and how the existing ones are listed.
#[derive(Clone, Copy, Debug)]
pub struct What {
    /// Its noun.
    pub noun: &'static str,
    /// Command that lists them.
    pub listing: &'static str,
}

const ACCOUNT: What = What { noun: "account", listing: "ninerouter account list" };
const KEY: What = What { noun: "key", listing: "ninerouter key list" };
const COMBO: What = What { noun: "combo", listing: "ninerouter combo list" };
const PROXY: What = What { noun: "proxy", listing: "ninerouter proxy list" };

/// `provider/label` of an account.
#[must_use]
pub fn account_name(account: &Value) -> String {
    format!("{}/{}", account.text("/provider"), account.text("/label"))
}

impl Client {
    /// The account that `wanted` means.
    ///
    /// # Errors
    /// None or several fit; the router does not answer.
    pub fn account(&self, wanted: &str) -> Result<Value, Failed> {
        let all = self.list("/api/accounts")?;
        let names =
            |account: &Value| vec![account_name(account), account.text("/label").to_owned()];
        let items = all.list("/data");
        match pick(items, wanted, ACCOUNT, names) {
            Err(failed) => match self.with_canonical_provider(wanted) {
                Some(name) => pick(items, &name, ACCOUNT, names).cloned(),
                None => Err(failed),
            },
            found => found.cloned(),
        }
    }

    /// `cc/work` as `claude/work`.
    fn with_canonical_provider(&self, wanted: &str) -> Option<String> {
        let (provider, label) = wanted.split_once('/')?;
        let found = self.get(&format!("/api/providers/{}", escape(provider))).ok()?;
        let id = found.text("/id");
        (id != provider).then(|| format!("{id}/{label}"))
    }

    /// The API key that `wanted` means.
    ///
    /// # Errors
    /// As [`Client::account`].
    pub fn key(&self, wanted: &str) -> Result<Value, Failed> {
        self.named("/api/keys", wanted, KEY)
    }

    /// The combo called `wanted`.
    ///
    /// # Errors
    /// As [`Client::account`].
    pub fn combo(&self, wanted: &str) -> Result<Value, Failed> {
        self.named("/api/combos", wanted, COMBO)
    }

    /// The proxy that `wanted` means.
    ///
    /// # Errors
    /// As [`Client::account`].
    pub fn proxy(&self, wanted: &str) -> Result<Value, Failed> {
        self.named("/api/proxies", wanted, PROXY)
    }

    fn named(&self, path: &str, wanted: &str, what: What) -> Result<Value, Failed> {
        let all = self.list(path)?;
        pick(all.list("/data"), wanted, what, |item| vec![item.text("/name").to_owned()]).cloned()
    }
}

/// The one item that `wanted` means: an id or the first kind of name that fits exactly one, then a name without
/// case, then the beginning of an id.
///
/// # Errors
/// None or several fit.
pub fn pick<'a>(
    items: &'a [Value],
    wanted: &str,
    what: What,
    names: impl Fn(&Value) -> Vec<String>,
) -> Result<&'a Value, Failed> {
    let exact = |item: &Value| item.text("/id") == wanted;
    if let Some(found) = items.iter().find(|item| exact(item)) {
        return Ok(found);
    }
    let by_rank = |fits: &dyn Fn(&str) -> bool| -> Vec<&'a Value> {
        let most = items.iter().map(|item| names(item).len()).max().unwrap_or_default();
        (0..most)
            .map(|rank| {
                let fits = |item: &&Value| names(item).get(rank).is_some_and(|name| fits(name));
                items.iter().filter(fits).collect::<Vec<_>>()
            })
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    };
    let mut found = by_rank(&|name| name == wanted);
    if found.is_empty() {
        found = by_rank(&|name| name.eq_ignore_ascii_case(wanted));
    }
    if found.is_empty() && wanted.len() >= SHORTEST {
        let wanted = wanted.to_ascii_lowercase();
        found = items.iter().filter(|item| item.text("/id").starts_with(&wanted)).collect();
    }
    let first_name = |item: &Value| names(item).into_iter().next().unwrap_or_default();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let all: Vec<String> = items.iter().flat_map(&names).collect();
            let near = nearest(wanted, all.iter().map(String::as_str));
            let near = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            Err(Failed::Usage(format!(
                "there is no {} `{wanted}`{near}\n  `{}` shows them.",
                what.noun, what.listing
            )))
        }
        several => {
            let several: Vec<String> = several
                .iter()
                .map(|item| format!("\n  {}  {}", item.text("/id"), first_name(item)))
                .collect();
            Err(Failed::Usage(format!(
                "`{wanted}` fits more than one {}; name one of them whole:{}",
                what.noun,
                several.concat()
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accounts() -> Vec<Value> {
        vec![
            json!({"id": "019a0001-aa", "provider": "claude", "label": "work"}),
            json!({"id": "019a0001-bb", "provider": "glm", "label": "work"}),
            json!({"id": "019a0002-cc", "provider": "glm", "label": "plan"}),
        ]
    }

    fn find(wanted: &str) -> Result<String, String> {
        let names = |a: &Value| vec![account_name(a), a.text("/label").to_owned()];
        pick(&accounts(), wanted, ACCOUNT, names)
            .map(|found| found.text("/id").to_owned())
            .map_err(|failed| failed.to_string())
    }

    #[test]
    fn names_ids_and_beginnings_of_ids_are_found() {
        for (wanted, id) in [
            ("019a0001-aa", "019a0001-aa"),
            ("glm/work", "019a0001-bb"),
            ("GLM/Work", "019a0001-bb"),
            ("plan", "019a0002-cc"),
            ("019a0002", "019a0002-cc"),
        ] {
            assert_eq!(find(wanted).as_deref(), Ok(id), "{wanted}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        let several = find("work").unwrap_err();
        assert!(
            several.contains("more than one account") && several.contains("glm/work"),
            "{several}"
        );
        assert!(find("019a0001").unwrap_err().contains("claude/work"));
        let none = find("glm/plam").unwrap_err();
        assert!(
            none.contains("did you mean `glm/plan`?") && none.contains("account list"),
            "{none}"
        );
        assert!(find("019").is_err(), "three letters of an id are too few");
    }
}
