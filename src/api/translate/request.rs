//! A client's request as an upstream of another dialect would get it, with address and headers where the model tells
//! them. Placeholders stand where an account's own values would.

use std::borrow::Cow;

use bytes::Bytes;
use ninerouter_dialect::translate::{RequestTranslator, Target as Written};
use ninerouter_dialect::{Dialect, apply_edits, estimate_tokens, peek, splice_model};

use super::write::Writer;
use super::{Fault, Note, Outcome, Question, place};
use crate::actors::snapshot::Snapshot;
use crate::provider::catalog::{AuthKind, Endpoint, Provider};
use crate::provider::credential::Credential;
use crate::provider::endpoint::candidates;
use crate::provider::request::{Call, Moment, ShapeCx, Shaped, shape};
use crate::provider::translation::Upstream;
use crate::routing::account::{AccountConfig, AccountKind};
use crate::routing::resolve::{Resolved, resolve};
use crate::routing::target::Target;
use crate::secret::Secret;

/// Where an account's credential would stand.
const CREDENTIAL: &str = "your-credential";
/// Where the value of a header would stand that the operator set: it may be a secret.
const HIDDEN: &str = "***";

pub(super) fn translated(ask: &Question, snapshot: &Snapshot, moment: &Moment<'_>) -> Outcome {
    if let Some(fault) = place::of_json(&ask.text) {
        return Outcome::failed(fault);
    }
    match translate(ask, snapshot, moment) {
        Ok(outcome) => outcome,
        Err(fault) => Outcome::failed(fault),
    }
}

fn translate(ask: &Question, snapshot: &Snapshot, moment: &Moment<'_>) -> Result<Outcome, Fault> {
    let body = Bytes::copy_from_slice(ask.text.as_bytes());
    let read = RequestTranslator::decode(ask.from, &body)?;
    let asked = ask.model.clone().unwrap_or_else(|| read.request().model.to_string());
    let mut notes = Vec::new();
    let meant = meant(&asked, ask.to, snapshot, &mut notes);
    let stream =
        read.request().stream || meant.as_ref().is_some_and(|meant| meant.endpoint.force_stream);
    let passes = ask.from == ask.to
        && meant.as_ref().is_none_or(|meant| meant.endpoint.dialect() == Some(ask.to));
    let (body, betas) = if passes {
        notes.push(Note::about("", "both sides speak this dialect: the body goes as it came"));
        (body, Vec::new())
    } else {
        let target = match &meant {
            Some(meant) => meant.written(snapshot)?,
            None => Written::new(ask.to, upstream_name(&asked)),
        };
        let writer = Writer {
            from: ask.from,
            target,
            asked,
            stream,
            effort: meant.as_ref().and_then(|meant| meant.target.effort),
            now: u64::try_from(moment.now.div_euclid(1_000)).unwrap_or(0),
            estimated_input: estimate_tokens(ask.from, &body).unwrap_or(0),
        };
        let (encoded, fetches) = writer.write(&body)?;
        if fetches {
            let text = "media behind an address would be fetched by the router and sent as bytes";
            notes.push(Note::about("", text));
        }
        notes.extend(encoded.warnings.iter().map(Note::from));
        notes.extend(writer.unsaid(&body, &encoded));
        (Bytes::from(encoded.body), encoded.betas)
    };
    let Some(meant) = meant else {
        return Ok(Outcome { body: Some(json(&body)), notes, ..Outcome::default() });
    };
    let sent = Sent { body: &body, betas: &betas, stream, translated: !passes };
    match meant.shaped(ask.to, &sent, snapshot, moment) {
        Ok((shaped, body)) => {
            let headers = shown(&shaped, snapshot.extra_headers(&meant.target.provider.id));
            Ok(Outcome {
                url: Some(shaped.url),
                headers,
                body: Some(json(&body)),
                notes,
                fault: None,
            })
        }
        Err(why) => {
            notes.push(Note::about("", format!("no address can be shown: {why}")));
            Ok(Outcome { body: Some(json(&body)), notes, ..Outcome::default() })
        }
    }
}

/// A model of a provider that takes the dialect.
struct Meant<'a> {
    target: std::sync::Arc<Target>,
    /// Of that provider.
    endpoint: Cow<'a, Endpoint>,
}

/// What the id means, as far as an address can be told from it.
fn meant<'a>(
    asked: &str,
    to: Dialect,
    snapshot: &Snapshot,
    notes: &mut Vec<Note>,
) -> Option<Meant<'a>> {
    let mut without = |why: String| {
        notes.push(Note::about("model", format!("{why}; shown without an address, for any model")));
        None
    };
    if asked.is_empty() {
        return without("no model is named".to_owned());
    }
    let unknown = snapshot.settings.unknown_model_provider.as_deref();
    let target = match resolve(asked, &snapshot.names, &snapshot.catalog, unknown) {
        Ok(Resolved::Target(target)) => target,
        Ok(Resolved::Combo { .. }) => {
            return without(
                "this is a combo, whose entries have addresses of their own".to_owned(),
            );
        }
        Err(why) => return without(why.to_string()),
    };
    let provider = &target.provider;
    let all = candidates(provider, provider.model(&target.model), None);
    let speaks = |e: &&&Endpoint| e.speaks().is_some_and(|(dialect, _)| dialect == to);
    match all.iter().find(speaks) {
        Some(endpoint) => {
            let endpoint = Cow::Owned((**endpoint).clone());
            Some(Meant { target, endpoint })
        }
        None => without(format!("`{}` does not take {} bodies", provider.id, to.as_str())),
    }
}

/// The name behind a prefix.
fn upstream_name(asked: &str) -> String {
    asked.split_once('/').map_or(asked, |(_, name)| name).to_owned()
}

/// A body on its way.
struct Sent<'a> {
    body: &'a Bytes,
    betas: &'a [&'static str],
    stream: bool,
    translated: bool,
}

impl Meant<'_> {
    /// What the request is written for.
    fn written(&self, snapshot: &Snapshot) -> Result<Written, Fault> {
        let target = &self.target;
        let facts = snapshot.catalog.model_facts(&target.provider, &target.model);
        let upstream =
            Upstream::at(&target.provider, &self.endpoint, &target.upstream_model, facts)
                .ok_or_else(|| Fault::saying("the provider's protocol is not supported yet"))?;
        let mut written = upstream.target();
        if written.envelope.is_code_assist() {
            written.ids.project = Some("your-project".into());
        }
        written.ids.request = Some("00000000-0000-4000-8000-000000000000".into());
        Ok(written)
    }

    /// Address, headers and the body with the provider's own edits.
    fn shaped(
        &self,
        to: Dialect,
        sent: &Sent<'_>,
        snapshot: &Snapshot,
        moment: &Moment<'_>,
    ) -> Result<(Shaped, Bytes), String> {
        let target = &self.target;
        let peeked = peek(to, sent.body).map_err(|error| error.to_string())?;
        let query = (sent.translated && to == Dialect::Gem).then_some("alt=sse");
        let shaped = shape(&ShapeCx {
            provider: &target.provider,
            endpoint: &self.endpoint,
            upstream_model: &target.upstream_model,
            facts: snapshot.catalog.model_facts(&target.provider, &target.model),
            effort: target.effort.filter(|_| !sent.translated),
            long_context: target.long_context,
            account: &account(&target.provider),
            credential: &credential(&target.provider),
            dialect: to,
            betas: sent.betas,
            call: Call::Generate,
            stream: sent.stream,
            client_headers: &|_none| None,
            client_query: query,
            peek: &peeked,
            session_id: None,
            supports_stream_usage: true,
            extra_headers: snapshot.extra_headers(&target.provider.id),
            moment: *moment,
        })
        .map_err(|error| error.to_string())?;
        let body = if !shaped.edits.is_empty() {
            let edited =
                apply_edits(sent.body, &shaped.edits).map_err(|error| error.to_string())?;
            edited.parts.concat().into()
        } else if let (Some(model), Some(new)) = (&peeked.model, &shaped.body_model) {
            splice_model(sent.body, model, new).parts.concat().into()
        } else {
            sent.body.clone()
        };
        Ok((shaped, body))
    }
}

/// An account of nobody, with a placeholder for each value that it would have to bring.
fn account(provider: &Provider) -> AccountConfig {
    let kind = if signs_in(provider) { AccountKind::OAuth } else { AccountKind::ApiKey };
    let params = provider.params.iter().filter(|param| param.default.trim().is_empty());
    let placeholder = |name: &str| format!("your-{}", name.replace('_', "-"));
    AccountConfig {
        params: params.map(|p| (p.name.clone(), placeholder(&p.name))).collect(),
        ..AccountConfig::new(std::sync::Arc::clone(&provider.id), kind, "nobody".to_owned())
    }
}

fn credential(provider: &Provider) -> Credential {
    let placeholder = Some(Secret::new(CREDENTIAL.to_owned()));
    match signs_in(provider) {
        true => Credential { access_token: placeholder, ..Credential::default() },
        false => Credential { api_key: placeholder, ..Credential::default() },
    }
}

fn signs_in(provider: &Provider) -> bool {
    matches!(provider.auth.first(), Some(AuthKind::OauthPkce | AuthKind::OauthDevice))
}

/// Headers without what the operator put into them.
pub(super) fn shown(shaped: &Shaped, own: &[(String, String)]) -> Vec<(String, String)> {
    let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let shown = |(name, value): &(String, String)| {
        let value = if is_own(name) { HIDDEN } else { value.as_str() };
        (name.clone(), value.to_owned())
    };
    shaped.headers.iter().map(shown).collect()
}

fn json(body: &[u8]) -> serde_json::Value {
    // What was written here is JSON; a body that passes was checked.
    serde_json::from_slice(body).unwrap_or_default()
}
