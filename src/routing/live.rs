//! What upstreams list beyond the catalog, for resolving ids and for model lists. Reading never waits.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::provider::models::LiveModel;

/// The models one provider lists, over all its accounts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LiveList {
    /// Sorted by id.
    models: Vec<LiveModel>,
    by_lower_id: HashMap<String, usize>,
}

impl LiveList {
    /// The union of the lists of several accounts; of two entries with one id the first counts.
    #[must_use]
    pub fn new(models: impl IntoIterator<Item = LiveModel>) -> Self {
        let mut models: Vec<LiveModel> = models.into_iter().collect();
        // stable: what came first stays first among equals
        models.sort_by(|a, b| a.id.cmp(&b.id));
        models.dedup_by(|later, first| later.id == first.id);
        let mut by_lower_id = HashMap::with_capacity(models.len());
        for (at, model) in models.iter().enumerate() {
            by_lower_id.entry(model.id.to_ascii_lowercase()).or_insert(at);
        }
        Self { models, by_lower_id }
    }

    /// Every model, sorted by id.
    #[must_use]
    pub fn models(&self) -> &[LiveModel] {
        &self.models
    }

    /// The model `id` names: the exact spelling first, then without case.
    #[must_use]
    pub fn model(&self, id: &str) -> Option<&LiveModel> {
        let at = match self.models.binary_search_by(|model| model.id.as_str().cmp(id)) {
            Ok(at) => Some(at),
            Err(_) => self.by_lower_id.get(&id.to_ascii_lowercase()).copied(),
        };
        self.models.get(at?)
    }
}

/// Live lists of all providers. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct LiveModels(Arc<ArcSwap<HashMap<Arc<str>, Arc<LiveList>>>>);

impl LiveModels {
    /// The list of a provider.
    #[must_use]
    pub fn of(&self, provider: &str) -> Option<Arc<LiveList>> {
        self.0.load().get(provider).cloned()
    }

    /// What a provider's list says of a model.
    #[must_use]
    pub fn model(&self, provider: &str, id: &str) -> Option<LiveModel> {
        self.0.load().get(provider)?.model(id).cloned()
    }

    /// Replaces the list of one provider.
    pub fn set(&self, provider: &Arc<str>, list: LiveList) {
        let list = Arc::new(list);
        self.0.rcu(|lists| {
            let mut lists = HashMap::clone(lists);
            lists.insert(Arc::clone(provider), Arc::clone(&list));
            lists
        });
    }

    /// Replaces all lists.
    pub fn replace(&self, lists: HashMap<Arc<str>, Arc<LiveList>>) {
        self.0.store(Arc::new(lists));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, ctx: Option<u32>) -> LiveModel {
        LiveModel { id: id.to_owned(), ctx, ..LiveModel::default() }
    }

    #[test]
    fn exact_spelling_comes_before_another_case() {
        let list = LiveList::new([model("m-1", None), model("M-1", None), model("Big", None)]);
        for (asked, want) in [("m-1", "m-1"), ("M-1", "M-1"), ("bIG", "Big")] {
            assert_eq!(list.model(asked).map(|m| m.id.as_str()), Some(want), "{asked}");
        }
        assert_eq!(list.model("m-2"), None);
    }

    #[test]
    fn of_two_accounts_the_first_says_what_a_model_is() {
        let list = LiveList::new([model("b", Some(1)), model("a", None), model("b", Some(2))]);
        assert_eq!(list.models(), [model("a", None), model("b", Some(1))]);
    }

    #[test]
    fn clones_see_what_one_of_them_learns() {
        let (lists, provider) = (LiveModels::default(), Arc::from("p"));
        let twin = lists.clone();
        twin.set(&provider, LiveList::new([model("a", Some(7))]));
        assert_eq!(lists.model("p", "A").and_then(|m| m.ctx), Some(7));
        lists.replace(HashMap::new());
        assert!(twin.of("p").is_none());
    }
}
