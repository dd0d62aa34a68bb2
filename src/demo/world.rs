//! The small world of `ninerouter demo`: three simulated providers and a combo over them.

use std::sync::Arc;
use std::time::Duration;

use super::sim::{Behavior, SimConfig, SimError, Simulator};
use crate::clock::Clock;
use crate::id::{ComboId, EntryId};
use crate::provider::credential::Credential;
use crate::provider::node::{ModelSource, NetworkPolicy, Node, NodeType};
use crate::routing::account::{AccountConfig, AccountKind, Tier};
use crate::routing::combo::{Combo, Entry, Strategy};
use crate::secret::Secret;

/// Name of the demo's combo.
pub const DEMO_COMBO: &str = "demo";
/// The one model each simulated provider lists.
pub const DEMO_MODEL: &str = "sim-1";

/// Requests a plan account serves before its quota is used up.
const PLAN_REQUESTS: u64 = 3;
/// Length of a plan account's refusal: short enough to watch it come back.
const PLAN_RESET_S: u32 = 60;
const SLOW_FIRST_TOKEN_MS: u64 = 1_500;
const WORD_PAUSE: Duration = Duration::from_millis(40);

/// Three running simulators: one that runs out of quota, one slow, one free.
#[derive(Debug)]
pub struct DemoWorld {
    plan: Simulator,
    cheap: Simulator,
    free: Simulator,
    clock: Clock,
}

/// A node of the demo: prefix, what it speaks, price class, keys of its accounts.
struct Spec {
    prefix: &'static str,
    node_type: NodeType,
    tier: Tier,
    base_url: String,
    accounts: &'static [&'static str],
}

impl DemoWorld {
    /// Starts the simulators on free loopback ports.
    ///
    /// # Errors
    /// When a port or a thread cannot be had.
    pub fn start(clock: &Clock) -> Result<Self, SimError> {
        let start = |name: &str, behavior| {
            let config = SimConfig::new(name, behavior);
            Simulator::start(SimConfig { word_pause: WORD_PAUSE, clock: clock.clone(), ..config })
        };
        let quota = Behavior::Quota { after: PLAN_REQUESTS, retry_after_s: PLAN_RESET_S };
        Ok(Self {
            plan: start("sim-plan", quota)?,
            cheap: start("sim-cheap", Behavior::Slow { first_token_ms: SLOW_FIRST_TOKEN_MS })?,
            free: start("sim-free", Behavior::Free)?,
            clock: clock.clone(),
        })
    }

    /// The three nodes of the combo, which speak chat, and one for each other wire format.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.specs().into_iter().map(node).collect()
    }

    /// The accounts of the nodes; the plan has two, so that a change of account can be seen.
    #[must_use]
    pub fn accounts(&self) -> Vec<(AccountConfig, Credential)> {
        let created_at = self.clock.now_ms();
        self.specs()
            .iter()
            .flat_map(|spec| {
                spec.accounts.iter().zip(1_u16..).map(move |(label, priority)| {
                    (account(spec, label, priority, created_at), credential(label))
                })
            })
            .collect()
    }

    /// The combo `demo`: plan, then cheap, then free, then one provider for each other wire format.
    #[must_use]
    pub fn combos(&self) -> Vec<Combo> {
        let entry = |prefix: &str, tier| Entry {
            id: EntryId::new(),
            target: format!("{prefix}/{DEMO_MODEL}"),
            weight: 1,
            tier: Some(tier),
            enabled: true,
            account_id: None,
            tags: Vec::new(),
        };
        vec![Combo {
            id: ComboId::new(),
            name: Arc::from(DEMO_COMBO),
            enabled: true,
            strategy: Strategy::Tier,
            tier_inner: Strategy::Fallback,
            entries: vec![
                entry("sim-plan", Tier::Subscription),
                entry("sim-cheap", Tier::Cheap),
                entry("sim-free", Tier::Free),
                // The others speak chat only: with these, each wire format gets an answer.
                entry("sim-messages", Tier::Free),
                entry("sim-responses", Tier::Free),
                entry("sim-gemini", Tier::Free),
            ],
            sticky_enabled: None,
            sticky_ttl_s: 3600,
            rr_sticky_count: 1,
            max_attempts: 12,
            deadline_ms: None,
            fallback_on_policy: false,
            capability_filter: true,
        }]
    }

    fn specs(&self) -> Vec<Spec> {
        let spec = |prefix, node_type, tier, base_url, accounts| Spec {
            prefix,
            node_type,
            tier,
            base_url,
            accounts,
        };
        let (v1, v1beta) = (self.free.base_url(), self.free.gemini_base_url());
        let plan: &[&str] = &["plan A", "plan B"];
        vec![
            spec("sim-plan", NodeType::OpenAiChat, Tier::Subscription, self.plan.base_url(), plan),
            spec("sim-cheap", NodeType::OpenAiChat, Tier::Cheap, self.cheap.base_url(), &["cheap"]),
            spec("sim-free", NodeType::OpenAiChat, Tier::Free, v1.clone(), &["free"]),
            spec("sim-responses", NodeType::OpenAiResponses, Tier::Free, v1.clone(), &["free"]),
            spec("sim-messages", NodeType::Anthropic, Tier::Free, v1, &["free"]),
            spec("sim-gemini", NodeType::Gemini, Tier::Free, v1beta, &["free"]),
        ]
    }
}

fn node(spec: Spec) -> Node {
    Node {
        id: node_id(&spec),
        node_type: spec.node_type,
        name: format!("Simulated ({})", spec.prefix),
        prefix: spec.prefix.to_owned(),
        base_url: spec.base_url,
        auth_style: None,
        headers: Vec::new(),
        network: NetworkPolicy::Loopback,
        insecure_http: false,
        h2: false,
        model_source: ModelSource::default(),
    }
}

fn node_id(spec: &Spec) -> String {
    spec.node_type.new_id(spec.prefix)
}

fn account(spec: &Spec, label: &str, priority: u16, created_at: i64) -> AccountConfig {
    AccountConfig {
        priority,
        tier: Some(spec.tier),
        created_at,
        ..AccountConfig::new(Arc::from(node_id(spec)), AccountKind::ApiKey, label.to_owned())
    }
}

/// The simulators count per credential, so each account has its own.
fn credential(label: &str) -> Credential {
    Credential {
        api_key: Some(Secret::new(format!("simulated-{}", label.replace(' ', "-")))),
        ..Credential::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combo_targets_are_models_of_the_worlds_nodes() {
        let world = DemoWorld::start(&Clock::System).unwrap();
        let prefixes: Vec<_> = world.nodes().into_iter().map(|n| n.prefix).collect();
        for entry in world.combos().iter().flat_map(|c| &c.entries) {
            let prefix = entry.target.split('/').next().unwrap();
            assert!(prefixes.iter().any(|p| p == prefix), "{prefix}");
        }
        let nodes: Vec<_> = world.nodes().into_iter().map(|n| n.id).collect();
        let accounts = world.accounts();
        assert_eq!(accounts.len(), 7);
        assert!(accounts.iter().all(|(a, _)| nodes.iter().any(|n| **n == *a.provider)));
    }
}
