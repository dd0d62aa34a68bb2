//! What a request would meet, in order, without sending one: `ninerouter route`, and the state of combo entries.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use ninerouter_dialect::{Dialect, Needs};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actors::router::{Candidate, Explain, Explained};
use crate::actors::snapshot::Snapshot;
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::dialect;
use crate::api::error::ApiError;
use crate::clock::UnixMs;
use crate::id::{ComboId, EntryId, KeyId};
use crate::routing::combo::{Combo, Entry};
use crate::routing::resolve::{Resolved, resolve};
use crate::routing::target::Wishes;
use crate::store::combos;

/// Combos within combos at most, as routing has it.
const DEEPEST: usize = 5;
/// Questions that are with the router at a time.
const AT_ONCE: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    model: Option<String>,
    dialect: Option<String>,
    #[serde(default)]
    pretend_out: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    api_key_id: Option<String>,
}

pub(super) async fn explain(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let question: Question = call.typed()?;
    let Some(model) = &question.model else { return Err(ApiError::invalid("model", "is missing")) };
    let snapshot = api.shared().snapshot.load_full();
    let unknown = snapshot.settings.unknown_model_provider.as_deref();
    let resolved = resolve(model, &snapshot.names, &snapshot.catalog, unknown).map_err(|why| {
        ApiError::invalid("model", why.to_string()).with("reason", why.code().into())
    })?;
    api.answer_question(&snapshot, resolved, &question).await
}

pub(super) async fn simulate(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let question: Question = call.typed()?;
    if question.model.is_some() {
        return Err(ApiError::invalid("model", "is the combo of the path; leave it out"));
    }
    let id: ComboId = call.id("combo")?;
    let row = api.read(move |conn| combos::find(conn, id)).await?;
    let row = row.ok_or_else(|| ApiError::not_found("combo", call.param("id")))?;
    let snapshot = api.shared().snapshot.load_full();
    let resolved = Resolved::Combo { combo: Arc::new(row.combo), wishes: Wishes::default() };
    api.answer_question(&snapshot, resolved, &question).await
}

impl Api {
    async fn answer_question(
        &self,
        snapshot: &Snapshot,
        resolved: Resolved,
        question: &Question,
    ) -> Result<Reply, ApiError> {
        let dialect = question.dialect.as_deref();
        let dialect = dialect.map_or(Ok(Dialect::Chat), |word| dialect::named("dialect", word))?;
        let needs = needs_of(&question.needs)?;
        let mut pretend_out = Vec::with_capacity(question.pretend_out.len());
        for (index, text) in question.pretend_out.iter().enumerate() {
            let path = format!("pretend_out[{index}]");
            let id = text.parse().map_err(|_no_id| ApiError::invalid(&path, "is no account id"))?;
            pretend_out.push(id);
        }
        let key = match question.api_key_id.as_deref() {
            None => None,
            Some(text) => {
                let id: Option<KeyId> = text.parse().ok();
                let known = snapshot.keys.iter().find(|key| Some(key.id) == id).cloned();
                Some(known.ok_or_else(|| ApiError::invalid("api_key_id", "there is no such key"))?)
            }
        };
        let combo = match &resolved {
            Resolved::Combo { combo, .. } => Some(combo.name.to_string()),
            Resolved::Target(_) => None,
        };
        let ask = Explain { resolved, dialect, needs, key, pretend_out };
        let explained = self.ask(ask).await?;
        let explained = explained.map_err(|why| {
            ApiError::invalid("model", why.to_string()).with("reason", why.code().into())
        })?;
        Ok(Reply::ok(answer(&explained, combo)))
    }

    /// How the entries of some combos stand.
    pub(super) async fn standings<'a>(
        &self,
        combos: impl IntoIterator<Item = &'a Combo>,
    ) -> Result<Standings, ApiError> {
        let snapshot = self.shared().snapshot.load_full();
        let mut standings = Standings::default();
        let ask = |combo: Combo| async move {
            let resolved =
                Resolved::Combo { combo: Arc::new(combo.clone()), wishes: Wishes::default() };
            let question = Explain {
                resolved,
                dialect: Dialect::Chat,
                needs: Needs::default(),
                key: None,
                pretend_out: Vec::new(),
            };
            self.ask(question).await.map(|explained| (combo, explained))
        };
        // A few at a time: whoever asks thousands of questions at once gets no answer in time to the last of them.
        let asked = stream::iter(combos.into_iter().cloned().map(ask)).buffered(AT_ONCE);
        for (combo, explained) in asked.try_collect::<Vec<_>>().await? {
            // A combo without an entry that means anything has no standing.
            let order = explained.map(|explained| explained.order).unwrap_or_default();
            standings.add(&combo, &order, &snapshot);
        }
        Ok(standings)
    }
}

fn needs_of(words: &[String]) -> Result<Needs, ApiError> {
    let mut needs = Needs::default();
    for (index, word) in words.iter().enumerate() {
        match word.as_str() {
            "vision" => needs.vision = true,
            "pdf" => needs.pdf = true,
            "audio" => needs.audio = true,
            "tools" => needs.tools = true,
            "json_schema" => needs.json_schema = true,
            _ => {
                let why = "expected one of `vision`, `pdf`, `audio`, `tools`, `json_schema`";
                return Err(ApiError::invalid(&format!("needs[{index}]"), why));
            }
        }
    }
    Ok(needs)
}

fn answer(explained: &Explained, combo: Option<String>) -> Value {
    let shown = |candidate: &Candidate| {
        json!({
            "target": candidate.target.key,
            "account_id": candidate.account.as_ref().map(|(id, _)| id.to_string()),
            "account_label": candidate.account.as_ref().map(|(_, label)| label),
            "tier": candidate.tier.as_str(),
            "eligible": candidate.skip.is_none(),
            "skip_reason": candidate.skip,
            "until": candidate.until,
        })
    };
    let first = explained.order.iter().find(|candidate| candidate.skip.is_none());
    json!({
        "combo": combo,
        "order": explained.order.iter().map(shown).collect::<Vec<_>>(),
        "unusable": explained.unusable,
        "would_serve": first.map(|candidate| candidate.target.key.as_str()),
    })
}

/// How an entry of a combo stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Some account could serve it now.
    Ready,
    /// Nobody could, for this reason, and until then.
    Waiting {
        /// In words.
        text: String,
        /// Unix ms.
        until: Option<UnixMs>,
    },
}

impl Standing {
    fn of<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<Self> {
        let mut waiting: Option<Self> = None;
        let mut soonest: Option<UnixMs> = None;
        for candidate in candidates {
            let Some(reason) = &candidate.skip else { return Some(Self::Ready) };
            soonest = soonest.into_iter().chain(candidate.until).min();
            waiting.get_or_insert_with(|| Self::Waiting { text: reason.clone(), until: None });
        }
        match waiting {
            Some(Self::Waiting { text, .. }) => Some(Self::Waiting { text, until: soonest }),
            other => other,
        }
    }

    /// `{status, text, until}` of an entry.
    pub(super) fn to_json(standing: Option<&Self>, enabled: bool) -> Value {
        let (status, text, until) = match standing {
            _ if !enabled => ("off", "switched off", None),
            Some(Self::Ready) => ("ready", "could serve now", None),
            Some(Self::Waiting { text, until }) => ("skipped", text.as_str(), *until),
            None => ("missing", "means nothing at present, or is reached by another entry", None),
        };
        json!({"status": status, "text": text, "until": until})
    }
}

/// Standings of entries, by combo.
#[derive(Debug, Default)]
pub(super) struct Standings {
    entries: HashMap<(ComboId, EntryId), Standing>,
    serving: HashMap<ComboId, Value>,
}

impl Standings {
    fn add(&mut self, combo: &Combo, order: &[Candidate], snapshot: &Snapshot) {
        for entry in combo.entries.iter().filter(|entry| entry.enabled) {
            let mut leaves = vec![entry.id];
            inner_entries(entry, snapshot, DEEPEST, &mut leaves);
            let own = order
                .iter()
                .filter(|candidate| candidate.entry.is_some_and(|id| leaves.contains(&id)));
            if let Some(standing) = Standing::of(own) {
                self.entries.insert((combo.id, entry.id), standing);
            }
        }
        if let Some(first) = order.iter().find(|candidate| candidate.skip.is_none()) {
            let account = first.account.as_ref();
            let serving = json!({
                "target": first.target.key,
                "account_id": account.map(|(id, _)| id.to_string()),
                "account_label": account.map(|(_, label)| label),
            });
            self.serving.insert(combo.id, serving);
        }
    }

    pub(super) fn entry(&self, combo: ComboId, entry: EntryId) -> Option<&Standing> {
        self.entries.get(&(combo, entry))
    }

    pub(super) fn serving(&self, combo: ComboId) -> Option<Value> {
        self.serving.get(&combo).cloned()
    }
}

/// Entries of the combo that an entry names, with those inside.
fn inner_entries(entry: &Entry, snapshot: &Snapshot, depth: usize, into: &mut Vec<EntryId>) {
    let (name, _) = Wishes::split(&entry.target);
    let name = name.strip_prefix("combo:").unwrap_or(name);
    let Some(combo) = snapshot.names.combo(name).filter(|_| depth > 0) else { return };
    for inner in &combo.entries {
        into.push(inner.id);
        inner_entries(inner, snapshot, depth - 1, into);
    }
}
