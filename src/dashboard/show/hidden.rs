//! Names of accounts that are not shown: `Account 3` stands in their place (dashboard §4.10).

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::Value;

use crate::dashboard::json::Read;

/// Numbers of accounts, and the words that would tell whose they are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::dashboard) struct Hidden {
    numbers: HashMap<String, usize>,
    /// Labels and e-mails with what stands for them, the longest first.
    words: Vec<(String, String)>,
}

impl Hidden {
    /// Of all accounts, numbered as they were added.
    pub(in crate::dashboard) fn of(accounts: &[Value]) -> Self {
        let mut accounts: Vec<&Value> = accounts.iter().collect();
        accounts.sort_by_key(|one| (one.int("/created_at"), one.text("/id").to_owned()));
        let mut hidden = Self::default();
        for account in accounts {
            hidden.learn(account);
        }
        hidden
    }

    /// Takes in an account that is new, or has another name by now; its former one stays hidden.
    pub(in crate::dashboard) fn learn(&mut self, account: &Value) {
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(account.text("/id").to_owned()).or_insert(next);
        for word in [account.text("/label"), account.text("/email")] {
            if !word.is_empty() && !self.words.iter().any(|(known, _)| known == word) {
                self.words.push((word.to_owned(), format!("Account {number}")));
            }
        }
        self.words.sort_by_key(|(word, _)| Reverse(word.len()));
    }

    /// What stands for an account.
    pub(in crate::dashboard) fn name(&self, id: &str) -> String {
        match self.numbers.get(id) {
            Some(number) => format!("Account {number}"),
            None => "Account".to_owned(),
        }
    }

    /// `text` with what stands for every name in it that is not part of another word.
    pub(in crate::dashboard) fn text(&self, text: &str) -> String {
        let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        let mut told = String::with_capacity(text.len());
        let (mut rest, mut before) = (text, None);
        while let Some(first) = rest.chars().next() {
            let begins = ends(before);
            let hit = self.words.iter().filter(|_| begins).find_map(|(word, name)| {
                let after = rest.strip_prefix(word.as_str())?;
                ends(after.chars().next()).then_some((name, after))
            });
            match hit {
                Some((name, after)) => {
                    before = name.chars().next_back();
                    told.push_str(name);
                    rest = after;
                }
                None => {
                    before = Some(first);
                    told.push(first);
                    rest = rest.get(first.len_utf8()..).unwrap_or_default();
                }
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hidden() -> Hidden {
        Hidden::of(&[
            json!({"id": "b", "created_at": 2, "label": "work 2", "email": "ada@x.example"}),
            json!({"id": "a", "created_at": 1, "label": "work", "email": null}),
        ])
    }

    #[test]
    fn accounts_have_numbers_as_they_were_added() {
        let mut hidden = hidden();
        assert_eq!(
            (hidden.name("a").as_str(), hidden.name("b").as_str()),
            ("Account 1", "Account 2")
        );
        assert_eq!(hidden.name("c"), "Account");
        hidden.learn(&json!({"id": "c", "label": "new"}));
        hidden.learn(&json!({"id": "a", "label": "home"}));
        assert_eq!(
            (hidden.name("c").as_str(), hidden.name("a").as_str()),
            ("Account 3", "Account 1")
        );
        assert_eq!(hidden.text("home was work"), "Account 1 was Account 1");
    }

    #[test]
    fn a_name_is_found_within_a_text_but_not_within_a_word() {
        for (text, want) in [
            ("“work” is off", "“Account 1” is off"),
            ("work 2, work 22", "Account 2, Account 1 22"),
            ("claude/work: ada@x.example", "claude/Account 1: Account 2"),
            ("networking works", "networking works"),
            ("Ünïcode wörk", "Ünïcode wörk"),
            ("", ""),
        ] {
            assert_eq!(hidden().text(text), want, "{text}");
        }
    }
}
