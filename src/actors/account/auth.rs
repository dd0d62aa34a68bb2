//! Whether an account's credential can be used: its states, what leads from one to another, and what people see of
//! it (accounts §0.3, §3.4).

use std::sync::Arc;

use actix::prelude::*;
use serde_json::json;
use tracing::warn;

use super::renewal::Rest;
use super::{Account, UNREADABLE};
use crate::actors::exchanges::{Unrenewed, Why};
use crate::auth::audit::{Caller, Event, EventName};
use crate::clock::UnixMs;
use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::provider::oauth::Family;
use crate::routing::account::{AccountKind, Ownership, Shown, ShownAuth};
use crate::routing::freshness::{self, Freshness, Life};
use crate::routing::instant::{DAY, MINUTE};
use crate::routing::ladder::FailureMemory;
use crate::store::hot_state::StoredAuth;

/// A followed file is looked at again after this.
const FILE_AGAIN_MS: i64 = MINUTE;
/// A refresh token is finished, and nobody knows when the access token ends: it is believed for this long.
const UNKNOWN_END_MS: i64 = DAY;

/// One refresh in so many is noted in the audit log: they come every hour, and of every account.
const REFRESH_SAMPLE: u64 = 10;

/// The way to a next token.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Whose endpoint.
    pub provider: Arc<Provider>,
    /// Refresh when less than this is left, ms.
    pub lead_ms: i64,
}

/// What an account may do with its token now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readiness {
    /// Use it.
    Ready,
    /// Use it; a refresh is due that nobody waits for.
    Aging,
    /// A new one first.
    Short,
    /// None is to be had before this instant; `None` = there is no way to one.
    Expired(Option<UnixMs>),
    /// The access token of a finished sign-in ran out.
    Finished,
}

impl Account {
    /// The way to a next token, as configured now. `None` = the token ends with its time.
    fn find_way(&self) -> Option<Way> {
        let config = &self.config;
        if config.kind != AccountKind::OAuth || !config.refresh_enabled {
            return None;
        }
        let snapshot = self.shared.snapshot.load();
        let provider = snapshot.catalog.by_id(&config.provider)?;
        let family = Family::of(provider)?;
        let has_source = match config.ownership {
            Ownership::Follow => config.follow_path.is_some() && family.file.is_some(),
            Ownership::Own | Ownership::Copy => self.credential.as_ref()?.refreshable,
        };
        has_source.then(|| Way {
            provider: Arc::clone(provider),
            lead_ms: snapshot.refresh_lead_ms(provider),
        })
    }

    /// Looks for the way again: configuration or credential changed.
    pub(super) fn look_for_way(&mut self) {
        self.renewal.way = self.find_way();
        if self.renewal.way.is_some() && self.hot.auth == (StoredAuth::Expired { next_try: None }) {
            // Refreshing was switched on.
            self.hot.auth = StoredAuth::Ok;
        }
    }

    /// Times of the access token, when its end is known.
    pub(super) fn life(&self) -> Option<Life> {
        let credential = self.credential.as_ref()?;
        Some(Life { expires_at: credential.expires_at?, obtained_at: credential.refreshed_at })
    }

    /// What may be done with the token at `now`.
    pub(super) fn readiness(&self, now: UnixMs) -> Readiness {
        let Some(life) = self.life() else { return Readiness::Ready };
        let over = life.expires_at <= now;
        if let StoredAuth::Expiring { until, .. } = self.hot.auth {
            return if until <= now { Readiness::Finished } else { Readiness::Ready };
        }
        let Some(way) = &self.renewal.way else {
            return if over { Readiness::Expired(None) } else { Readiness::Ready };
        };
        // A token that was refused is not given out while its successor is on the way.
        if self.renewal.is_refused(self.generation()) && self.renewal.is_running() {
            return Readiness::Short;
        }
        let rests = self.renewal.rests(now).is_some();
        match life.freshness(now, way.lead_ms) {
            Freshness::Fresh => Readiness::Ready,
            Freshness::Over if rests => Readiness::Expired(Some(self.renewal.not_before)),
            Freshness::Aging | Freshness::Short if rests => Readiness::Ready,
            Freshness::Aging => Readiness::Aging,
            Freshness::Short | Freshness::Over => Readiness::Short,
        }
    }

    /// Generation of the credential; 0 = none.
    pub(super) fn generation(&self) -> u64 {
        self.credential.as_ref().map_or(0, |credential| credential.generation)
    }

    /// Takes a credential that a refresh brought. An older one changes nothing.
    pub(super) fn adopt(&mut self, credential: Arc<Credential>, ctx: &mut Context<Self>) {
        if credential.generation <= self.generation() {
            return;
        }
        let now = self.shared.clock.now_ms();
        if credential.generation % REFRESH_SAMPLE == 1 {
            let event = Event::ok(EventName::ProviderAccountTokenRefreshed);
            self.audit(event.with("generation", credential.generation).with("of", REFRESH_SAMPLE));
        }
        self.credential = Some(credential);
        self.renewal.start_over();
        self.look_for_way();
        if self.readiness(now) != Readiness::Ready {
            // A token that is due again at once is no reason to refresh without end.
            self.renewal.rest_until(now.saturating_add(freshness::SPACING_MS), Rest::Spacing);
        }
        self.set_auth(StoredAuth::Ok, ctx);
    }

    /// Takes the credential of a new sign-in: what was held against the old one is over (accounts §0.1).
    pub(super) fn take_sign_in(&mut self, credential: Option<Arc<Credential>>) {
        self.credential = credential;
        self.memory = FailureMemory::default();
        self.since_generation = self.generation();
        self.renewal.start_over();
        self.look_for_way();
        self.hot.auth = StoredAuth::Ok;
        self.table.borrow_mut().update(self.id, |view| view.locks.clear());
    }

    /// A refresh brought nothing.
    pub(super) fn not_renewed(&mut self, failed: &Unrenewed, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now_ms();
        let end = self.life().map(|life| life.expires_at);
        let over = end.is_some_and(|end| end <= now);
        let pause_until = match failed.why {
            Why::Removed => return,
            Why::Throttled(until) => until,
            Why::FileIsStale => now.saturating_add(FILE_AGAIN_MS),
            Why::Transient => {
                self.renewal.failures = self.renewal.failures.saturating_add(1);
                now.saturating_add(freshness::backoff_ms(self.renewal.failures))
            }
            Why::NoWay => {
                self.note_failure(now, "refresh_impossible", failed);
                self.renewal.way = None;
                return match &self.hot.auth {
                    StoredAuth::Dead { .. } => self.show(),
                    _ if over => self.set_auth(StoredAuth::Expired { next_try: None }, ctx),
                    _ => self.set_auth(StoredAuth::Ok, ctx),
                };
            }
            Why::Dead(reason) => {
                self.note_failure(now, "refresh_refused", failed);
                let refused = self.renewal.is_refused(self.generation());
                return if over || refused {
                    self.die(reason, ctx);
                } else {
                    let until = end.unwrap_or(now.saturating_add(UNKNOWN_END_MS));
                    warn!(
                        account.id = %self.id, provider = %self.config.provider, until,
                        "account serves until its access token ends and needs a new sign-in: {reason}"
                    );
                    self.set_auth(StoredAuth::Expiring { until, reason: reason.to_owned() }, ctx);
                };
            }
        };
        let throttled = matches!(failed.why, Why::Throttled(_));
        let rest = if throttled { Rest::Throttled } else { Rest::Backoff };
        self.renewal.rest_until(pause_until, rest);
        self.note_failure(now, "refresh_failed", failed);
        let auth = match &self.hot.auth {
            dead @ StoredAuth::Dead { .. } => dead.clone(),
            _ if over => StoredAuth::Expired { next_try: Some(pause_until) },
            _ => StoredAuth::Ok,
        };
        self.set_auth(auth, ctx);
    }

    /// Only the operator can mend it now.
    pub(super) fn die(&mut self, reason: &str, ctx: &mut Context<Self>) {
        let since = self.shared.clock.now_ms();
        warn!(
            account.id = %self.id, provider = %self.config.provider,
            "account needs the operator: {reason}"
        );
        let event = Event::failed(EventName::ProviderAccountReauthNeeded).with("reason", reason);
        self.audit(event);
        self.set_auth(StoredAuth::Dead { reason: reason.to_owned(), since }, ctx);
    }

    /// Tells the audit log what became of this account.
    fn audit(&self, event: Event) {
        let event = event.with("id", self.id.to_string()).with("provider", &*self.config.provider);
        self.shared.audit.record(&Caller::system(), event);
    }

    fn note_failure(&mut self, now: UnixMs, class: &str, failed: &Unrenewed) {
        self.hot.last_error = Some(json!({
            "at": now, "class": class, "rule": "token_endpoint", "status": failed.status, "message": failed.text,
        }));
    }

    /// Puts a credential state in place: for routing, for people, and on the disk.
    pub(super) fn set_auth(&mut self, auth: StoredAuth, ctx: &mut Context<Self>) {
        let urgent = matches!(auth, StoredAuth::Dead { .. } | StoredAuth::Expiring { .. });
        self.hot.auth = auth;
        let routed = self.hot.auth_state(self.credential.is_some());
        self.change(|view| view.auth = routed);
        self.plan_refresh();
        self.show();
        self.save(ctx, urgent);
    }

    /// Plans the next background refresh.
    pub(super) fn plan_refresh(&self) {
        let now = self.shared.clock.now_ms();
        let due = self.renewal.way.as_ref().and_then(|way| {
            if !self.config.enabled || self.retired || self.renewal.is_running() {
                return None;
            }
            let follows = self.config.ownership == Ownership::Follow;
            match self.hot.auth {
                StoredAuth::Dead { .. } if follows => Some(now.saturating_add(FILE_AGAIN_MS)),
                StoredAuth::Dead { .. } | StoredAuth::Expiring { .. } => None,
                StoredAuth::Expired { next_try } => next_try,
                StoredAuth::Ok | StoredAuth::Refreshing => {
                    let due = self.life()?.due(now, way.lead_ms, self.shared.jitter());
                    Some(due.max(self.renewal.not_before))
                }
            }
        });
        self.renewal.due.set(due);
    }

    /// Brings what people see up to date.
    pub(super) fn show(&mut self) {
        if self.retired {
            return;
        }
        let shown = self.shown();
        self.table.borrow_mut().update(self.id, |view| {
            if *view.shown != shown {
                view.shown = Arc::new(shown);
            }
        });
    }

    fn shown(&self) -> Shown {
        let auth = match &self.hot.auth {
            _ if self.credential.is_none() => {
                ShownAuth::Dead { reason: UNREADABLE.to_owned(), since: 0 }
            }
            StoredAuth::Dead { reason, since } => {
                ShownAuth::Dead { reason: reason.clone(), since: *since }
            }
            StoredAuth::Expiring { until, .. } => ShownAuth::Expiring { until: *until },
            _ if self.renewal.is_running() => ShownAuth::Refreshing,
            StoredAuth::Expired { next_try } => ShownAuth::Expired { next_try: *next_try },
            StoredAuth::Ok | StoredAuth::Refreshing => ShownAuth::Ok,
        };
        let credential = self.credential.as_deref();
        Shown {
            auth,
            expires_at: credential.and_then(|credential| credential.expires_at),
            refreshable: self.renewal.way.is_some(),
            last_refresh_at: credential.and_then(|credential| credential.refreshed_at),
            generation: self.generation(),
            last_ok_at: self.hot.last_ok_at,
            last_error: self.hot.last_error.clone(),
            quota: self.quota.clone(),
        }
    }
}
