//! Configuration and state: written, read again, changed, deleted.

use diesel::prelude::*;
use serde_json::json;

use super::{NOW, account, combo, execute, new_store, node, stamp};
use crate::id::{JobId, KeyId};
use crate::provider::node::{AuthStyle, NetworkPolicy, NodeType};
use crate::routing::account::{AccountKind, Tier};
use crate::routing::classify::Class;
use crate::routing::combo::Strategy;
use crate::routing::lock::{Lock, Scope};
use crate::secret::Secret;
use crate::store::alerts::{Cause, Severity};
use crate::store::api_keys::ApiKeyRow;
use crate::store::column::{Owner, Stamp};
use crate::store::combos::ComboRow;
use crate::store::hot_state::{self, HotState, StoredAuth, StoredHealth, StoredQuota};
use crate::store::jobs::JobRow;
use crate::store::models::{LiveModel, ModelOrigin, ModelRow};
use crate::store::nodes::NodeRow;
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;
use crate::store::sqlite::probe;
use crate::store::{
    StoreError, accounts, alerts, aliases, api_keys, combos, jobs, models, nodes, prices,
    provider_overrides, settings,
};

fn lock(scope: Scope, until: i64) -> Lock {
    let reason = "rate limited".into();
    Lock { scope, until, reason, class: Class::RateLimited, level: 3, set_at: NOW }
}

#[test]
fn an_account_is_read_as_written_and_keeps_columns_it_does_not_know() {
    let (_dir, store) = new_store();
    for kind in [
        AccountKind::OAuth,
        AccountKind::ApiKey,
        AccountKind::Imported,
        AccountKind::ServiceAccount,
        AccountKind::None,
    ] {
        let mut config = account("glm", &format!("{kind:?}"));
        config.kind = kind;
        config.tier = Some(Tier::Cheap);
        config.endpoint = Some("coding".to_owned());
        let got = store
            .write(|conn| {
                accounts::upsert(conn, store.sealer(), &config, None, Stamp::config_file(NOW))?;
                accounts::find(conn, config.id)
            })
            .unwrap()
            .unwrap();
        assert_eq!((got.config, got.managed_by, got.rev), (config, Some(Owner::ConfigFile), 1));
    }
    let mut config = account("claude", "Me");
    let found = store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, None, stamp())?;
            execute(conn, "update accounts set email = 'me@example.org', notes = 'mine'")?;
            config.priority = 7;
            config.tier = None;
            config.created_at = 5;
            accounts::upsert(conn, store.sealer(), &config, None, Stamp::operator(NOW + 1))?;
            accounts::find_by_label(conn, "claude", "ME")
        })
        .unwrap()
        .unwrap();
    assert_eq!((found.rev, found.config.priority), (2, 7));
    assert_eq!(found.config.created_at, NOW, "the first creation stands");
    let rest = store
        .read(|conn| {
            Ok(probe::words(
                conn,
                "select email || notes || source || (updated_at - created_at) as word \
                 from accounts where provider = 'claude'",
            ))
        })
        .unwrap();
    assert_eq!(rest, ["me@example.orgminemanual1"]);
}

#[test]
fn two_config_file_accounts_may_share_a_key_two_of_the_operator_may_not() {
    let (_dir, store) = new_store();
    let key = Secret::new("sk-same".to_owned());
    let add = |label: &str, stamp| {
        let config = account("glm", label);
        store.write(|conn| accounts::upsert(conn, store.sealer(), &config, Some(&key), stamp))
    };
    add("a", Stamp::config_file(NOW)).unwrap();
    add("b", Stamp::config_file(NOW)).unwrap();
    assert!(matches!(add("c", stamp()), Err(StoreError::Duplicate(_))));
    assert_eq!(store.load().unwrap().accounts.len(), 2, "the refused one left nothing");
}

#[test]
fn a_change_with_an_old_rev_is_a_conflict() {
    let (_dir, store) = new_store();
    let config = account("glm", "a");
    store.write(|conn| accounts::upsert(conn, store.sealer(), &config, None, stamp())).unwrap();
    let switch = |rev| store.write(|c| accounts::set_enabled(c, config.id, false, rev, NOW));
    assert_eq!(switch(1).unwrap(), 2);
    assert!(matches!(switch(1), Err(StoreError::Conflict { table: "accounts", .. })));
    let unknown =
        store.write(|conn| accounts::set_enabled(conn, crate::id::AccountId::new(), true, 1, NOW));
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

#[test]
fn deleting_an_account_takes_secrets_state_and_locks_and_unpins_entries() {
    let (_dir, store) = new_store();
    let config = account("glm", "a");
    let mut stack = combo("stack", &["glm/x"]);
    stack.entries[0].account_id = Some(config.id);
    store
        .write(|conn| {
            let key = Secret::new("sk-1".to_owned());
            accounts::upsert(conn, store.sealer(), &config, Some(&key), stamp())?;
            combos::upsert(conn, &ComboRow::new(stack.clone()), stamp())
        })
        .unwrap();
    store.save_locks(config.id, &[lock(Scope::All, NOW + 1_000)], &HotState::default()).unwrap();
    let pinned = store.load().unwrap().combos.remove(0);
    assert_eq!(pinned.entries[0].account_id, Some(config.id));
    assert!(store.write(|conn| accounts::delete(conn, config.id)).unwrap());
    assert!(!store.write(|conn| accounts::delete(conn, config.id)).unwrap());
    for table in ["account_secrets", "account_hot_state", "account_locks"] {
        let sql = format!("select count(*) as n from {table}");
        assert_eq!(store.read(|conn| Ok(probe::one(conn, &sql))).unwrap(), 0, "{table}");
    }
    assert_eq!(store.load().unwrap().combos[0].entries[0].account_id, None);
    let gone = store.save_locks(config.id, &[], &HotState::default());
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
}

#[test]
fn hot_state_comes_back_without_locks_that_ended() {
    let (_dir, store) = new_store();
    let config = account("glm", "a");
    store.write(|conn| accounts::upsert(conn, store.sealer(), &config, None, stamp())).unwrap();
    let open = [
        lock(Scope::All, NOW + 1),
        lock(Scope::Family("opus".to_owned()), NOW + 2),
        lock(Scope::Feature("fast".to_owned()), NOW + 3),
        lock(Scope::Model("glm-4.7".to_owned()), NOW + 60_000),
    ];
    let ended = lock(Scope::Model("old".to_owned()), NOW);
    for auth in [
        StoredAuth::Ok,
        StoredAuth::Expiring { until: NOW + 5, reason: "invalid_grant".to_owned() },
        StoredAuth::Expired { next_try: None },
        StoredAuth::Expired { next_try: Some(NOW + 9) },
        StoredAuth::Dead { reason: "revoked".to_owned(), since: NOW - 1 },
    ] {
        let hot = HotState {
            auth,
            quota: StoredQuota::Low,
            quota_detail: Some(json!({"plan": "max"})),
            quota_observed_at: Some(NOW - 4),
            health: StoredHealth::Degraded,
            last_used_at: Some(NOW - 3),
            last_ok_at: None,
            last_error: Some(json!({"status": 429})),
        };
        let mut all = open.to_vec();
        all.push(ended.clone());
        store.save_locks(config.id, &all, &hot).unwrap();
        let loaded = store.load().unwrap().accounts.remove(0);
        assert_eq!(loaded.hot, hot);
        assert_eq!(loaded.locks, open);
    }
    store.clock().advance(std::time::Duration::from_secs(1));
    let left = store.load().unwrap().accounts.remove(0).locks;
    assert_eq!(left, [open[3].clone()]);
    store.save_locks(config.id, &[], &HotState::default()).unwrap();
    let loaded = store.load().unwrap().accounts.remove(0);
    assert_eq!((loaded.locks.len(), loaded.hot), (0, HotState::default()));
}

#[test]
fn a_refresh_cut_by_the_end_of_the_process_becomes_ok_or_expired() {
    let (_dir, store) = new_store();
    let hot = HotState { auth: StoredAuth::Refreshing, ..HotState::default() };
    for (label, expires_at, want) in [
        ("unknown", None, StoredAuth::Ok),
        ("valid", Some(NOW + 1), StoredAuth::Ok),
        ("over", Some(NOW), StoredAuth::Expired { next_try: Some(NOW) }),
    ] {
        let config = account("claude", label);
        store
            .write(|conn| {
                accounts::upsert(conn, store.sealer(), &config, None, stamp())?;
                let new = crate::store::secrets::NewSecrets {
                    expires_at: Some(expires_at),
                    ..Default::default()
                };
                crate::store::secrets::update(conn, store.sealer(), config.id, 0, &new, NOW)?;
                hot_state::save(conn, config.id, &[], &hot, NOW)
            })
            .unwrap();
        let loaded = store.load().unwrap().accounts;
        let own = loaded.iter().find(|a| a.config.id == config.id).unwrap();
        assert_eq!(own.hot.auth, want, "{label}");
    }
}

#[test]
fn a_node_is_read_as_written() {
    let (_dir, store) = new_store();
    let types = [
        NodeType::OpenAiChat,
        NodeType::OpenAiResponses,
        NodeType::Anthropic,
        NodeType::Gemini,
        NodeType::Embedding,
    ];
    let styles = [
        None,
        Some(AuthStyle::Bearer),
        Some(AuthStyle::XApiKey),
        Some(AuthStyle::None),
        Some(AuthStyle::Header("x-my-key".to_owned())),
    ];
    for (i, (node_type, auth_style)) in types.into_iter().zip(styles).enumerate() {
        let mut row = NodeRow::new(node(&format!("n{i}"), &format!("p{i}")));
        row.node.node_type = node_type;
        row.node.auth_style = auth_style;
        row.test_model = Some("m".to_owned());
        let got = store
            .write(|conn| {
                nodes::upsert(conn, &row, stamp())?;
                nodes::find(conn, &row.node.id)
            })
            .unwrap();
        assert_eq!(got, Some(row));
    }
    let mut wide = node("w", "wide");
    wide.network = NetworkPolicy::PrivateAndLoopback;
    let refused = store.write(|conn| nodes::upsert(conn, &NodeRow::new(wide), stamp()));
    assert!(matches!(refused, Err(StoreError::Invalid { table: "nodes", .. })));
    let taken = NodeRow::new(node("other", "P0"));
    let refused = store.write(|conn| nodes::upsert(conn, &taken, stamp()));
    assert!(matches!(refused, Err(StoreError::Duplicate(_))));
    let changed = store
        .write(|conn| {
            let mut row = nodes::find(conn, "n0")?.unwrap();
            row.node.base_url = "https://other.example/v1".to_owned();
            nodes::upsert(conn, &row, Stamp::config_file(NOW + 5))?;
            nodes::find(conn, "n0")
        })
        .unwrap()
        .unwrap();
    assert_eq!((changed.rev, changed.managed_by), (2, Some(Owner::ConfigFile)));
    assert_eq!(changed.node.base_url, "https://other.example/v1");
    assert!(store.write(|conn| nodes::delete(conn, "n0")).unwrap());
    assert_eq!(store.load().unwrap().nodes.len(), 4);
}

#[test]
fn a_combo_is_replaced_whole_and_deleted_with_its_entries() {
    let (_dir, store) = new_store();
    let mut row = ComboRow::new(combo("stack", &["cc/opus", "glm/x", "if/kimi"]));
    row.combo.strategy = Strategy::Tier;
    row.combo.tier_inner = Strategy::Weighted;
    row.combo.sticky_enabled = Some(false);
    row.combo.deadline_ms = Some(9_000);
    row.combo.entries[1].tier = Some(Tier::Free);
    row.combo.entries[1].tags = vec!["work".to_owned()];
    row.combo.entries[1].weight = 7;
    row.report_real_model = Some(true);
    let save = |row: &ComboRow| store.write(|conn| combos::upsert(conn, row, stamp()));
    save(&row).unwrap();
    let find = || store.read(|conn| combos::find_by_name(conn, "STACK")).unwrap();
    assert_eq!(find(), Some(row.clone()));
    row.combo.entries.rotate_left(1);
    row.combo.entries.pop();
    save(&row).unwrap();
    let got = find().unwrap();
    assert_eq!((got.rev, &got.combo), (2, &row.combo));
    let other = ComboRow::new(combo("Stack", &[]));
    assert!(matches!(save(&other), Err(StoreError::Duplicate(_))));
    assert!(store.write(|conn| combos::delete(conn, row.combo.id)).unwrap());
    let left = store.read(|c| Ok(probe::one(c, "select count(*) as n from combo_entries")));
    assert_eq!(left.unwrap(), 0);
}

#[test]
fn an_alias_and_a_setting_are_set_changed_and_deleted() {
    let (_dir, store) = new_store();
    store
        .write(|conn| {
            aliases::set(conn, "fast*", "glm/glm-4.7", stamp())?;
            aliases::set(conn, "fast*", "glm/glm-5", Stamp::config_file(NOW))?;
            settings::set(conn, "port", &json!(1), stamp())?;
            settings::set(conn, "allowed_hosts", &json!(["a"]), Stamp::config_file(NOW))
        })
        .unwrap();
    let rows = store.read(aliases::list).unwrap();
    assert_eq!((rows[0].target.as_str(), rows[0].rev), ("glm/glm-5", 2));
    let loaded = store.load().unwrap();
    assert_eq!(loaded.aliases, [("fast*".to_owned(), "glm/glm-5".to_owned())]);
    assert_eq!(loaded.settings["allowed_hosts"], json!(["a"]));
    assert_eq!(
        loaded.setting_owners.into_iter().collect::<Vec<_>>(),
        [("allowed_hosts".to_owned(), Owner::ConfigFile)]
    );
    store
        .write(|conn| {
            assert!(aliases::delete(conn, "fast*")? && !aliases::delete(conn, "fast*")?);
            assert!(settings::delete(conn, "port")? && !settings::delete(conn, "port")?);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_api_key_is_read_as_written() {
    let (_dir, store) = new_store();
    let mut row =
        ApiKeyRow::new(KeyId::new(), "laptop".into(), [4; 32], "sk-nr1-abcd".into(), "c4Qz".into());
    row.created_at = NOW;
    let save = |row: &ApiKeyRow| store.write(|conn| api_keys::upsert(conn, row, stamp()));
    let find = || store.read(|conn| api_keys::find_by_name(conn, "laptop")).unwrap().unwrap();
    save(&row).unwrap();
    assert_eq!(find(), row);
    row.allowed_models = Some(vec!["glm/*".to_owned()]);
    row.allowed_cidrs = Some(Vec::new());
    row.rpm = Some(60);
    row.usd_total = Some(5_000_000);
    row.expires_at = Some(NOW + 1);
    row.enabled = false;
    save(&row).unwrap();
    row.rev = 2;
    assert_eq!(find(), row);
    let twin = ApiKeyRow::new(KeyId::new(), "other".into(), [4; 32], "p".into(), "l".into());
    assert!(matches!(save(&twin), Err(StoreError::Duplicate(_))));
    store
        .write(|conn| {
            api_keys::touch(conn, row.id, NOW + 2, &json!({"tool": "codex"}))?;
            assert!(api_keys::delete(conn, KeyId::new()).is_ok_and(|gone| !gone));
            Ok(())
        })
        .unwrap();
    assert_eq!(find().last_used_at, Some(NOW + 2));
    assert!(store.write(|conn| api_keys::delete(conn, row.id)).unwrap());
}

#[test]
fn overrides_prices_and_models_are_read_as_written() {
    let (_dir, store) = new_store();
    let mut settings = ProviderOverride::new("glm".to_owned());
    settings.tier = Some(Tier::Cheap);
    settings.account_strategy = Some("round-robin".to_owned());
    settings.sticky_count = Some(3);
    settings.headers = vec![("x-a".to_owned(), "1".to_owned())];
    settings.retry_statuses = Some(json!([502]));
    let mut price = PriceRow {
        provider: "glm".to_owned(),
        model: "glm-4.7".to_owned(),
        input: Some(600_000),
        output: Some(0),
        rev: 1,
        ..PriceRow::default()
    };
    let mut model = ModelRow {
        provider: "glm".to_owned(),
        model: "glm-next".to_owned(),
        source: ModelOrigin::Manual,
        enabled: true,
        name: None,
        kind: "chat".to_owned(),
        ctx: Some(200_000),
        max_output: None,
        caps: Some(vec!["tools".to_owned()]),
        think: None,
        managed_by: None,
        rev: 1,
    };
    for rev in [1, 2] {
        store
            .write(|conn| {
                provider_overrides::upsert(conn, &settings, stamp())?;
                prices::upsert(conn, &price, stamp())?;
                models::upsert(conn, &model, stamp())
            })
            .unwrap();
        (settings.rev, price.rev, model.rev) = (rev, rev, rev);
        let loaded = store.load().unwrap();
        assert_eq!(loaded.provider_overrides, [settings.clone()]);
        assert_eq!(loaded.prices, [price.clone()]);
        assert_eq!(loaded.models, [model.clone()]);
        settings.tier = None;
        price.input = None;
        model.enabled = false;
    }
    store
        .write(|conn| {
            assert!(provider_overrides::delete(conn, "glm")?);
            assert!(prices::delete(conn, "glm", "glm-4.7")?);
            assert!(models::delete(conn, "glm", "glm-next")?);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_live_list_replaces_the_one_before() {
    let (_dir, store) = new_store();
    let item = |id: &str, n: i64| LiveModel { model: id.to_owned(), facts: json!({"ctx": n}) };
    let put = |account: &str, list: &[LiveModel], at| {
        store.write(|conn| models::replace_live(conn, "ollama", account, list, at)).unwrap();
    };
    put("", &[item("b", 1), item("a", 1), item("a", 2)], NOW);
    put("acc", &[item("c", 1)], NOW);
    let get = |account: &str| store.read(|conn| models::live(conn, "ollama", account)).unwrap();
    assert_eq!(get(""), [(item("a", 2), NOW), (item("b", 1), NOW)]);
    put("", &[item("z", 1)], NOW + 1);
    assert_eq!(get(""), [(item("z", 1), NOW + 1)]);
    assert_eq!(get("acc").len(), 1);
}

#[test]
fn a_row_nobody_can_read_is_named_and_no_panic() {
    let (_dir, store) = new_store();
    let config = account("glm", "a");
    store.write(|conn| accounts::upsert(conn, store.sealer(), &config, None, stamp())).unwrap();
    let spoil = |conn: &mut SqliteConnection, sql: &str| {
        execute(conn, "pragma ignore_check_constraints = on")?;
        execute(conn, sql)?;
        execute(conn, "pragma ignore_check_constraints = off")
    };
    for (column, value) in [
        ("kind", "'sorcery'"),
        ("priority", "99999"),
        ("tags", "'{'"),
        ("params", "'[]'"),
        ("tier", "'gold'"),
    ] {
        let sql = format!("update accounts set {column} = {value}");
        let old = format!("select cast(coalesce({column}, '') as text) as word from accounts");
        let before = store.read(|conn| Ok(probe::words(conn, &old))).unwrap().remove(0);
        store.write(|conn| spoil(conn, &sql)).unwrap();
        let error = store.load().unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { table: "accounts", .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&config.id.to_string()) && text.contains(column), "{text}");
        let back = if column == "tier" { "null".to_owned() } else { format!("'{before}'") };
        store.write(|conn| spoil(conn, &format!("update accounts set {column} = {back}"))).unwrap();
    }
    store.load().unwrap();
}

#[test]
fn a_budget_is_read_as_written_and_stands_alone_in_its_scope_and_window() {
    use crate::id::{AccountId, BudgetId};
    use crate::routing::budget::{Budget, BudgetAction, BudgetLimits, BudgetScope, BudgetWindow};
    use crate::store::budgets::{self, BudgetRow};

    let (_dir, store) = new_store();
    let budget = |scope, window| Budget {
        id: BudgetId::new(),
        scope,
        window,
        limits: BudgetLimits { umicro: Some(5), tokens: None, requests: Some(7) },
        tz: Some("Europe/Berlin".into()),
        action: BudgetAction::Warn,
        notify_at: vec![10, 90],
        enabled: false,
    };
    let mut all =
        BudgetRow::new(Budget { tz: None, ..budget(BudgetScope::All, BudgetWindow::FiveHours) });
    let one = BudgetRow::new(budget(BudgetScope::Account(AccountId::new()), BudgetWindow::Total));
    let put = |row: &BudgetRow, stamp| store.write(|conn| budgets::upsert(conn, row, stamp));
    put(&all, stamp()).unwrap();
    put(&one, Stamp::config_file(NOW)).unwrap();
    let owned = BudgetRow { managed_by: Some(Owner::ConfigFile), ..one.clone() };
    assert_eq!(store.load().unwrap().budgets, [owned, all.clone()]);
    let twin = BudgetRow::new(budget(BudgetScope::All, BudgetWindow::FiveHours));
    assert!(matches!(put(&twin, stamp()), Err(StoreError::Duplicate(_))));
    all.budget.limits.umicro = None;
    put(&all, stamp()).unwrap();
    let found = store.read(|conn| budgets::find(conn, all.budget.id)).unwrap().unwrap();
    assert_eq!(found, BudgetRow { rev: 2, ..all.clone() });
    assert!(store.write(|conn| budgets::delete(conn, all.budget.id)).unwrap());
    assert!(!store.write(|conn| budgets::delete(conn, all.budget.id)).unwrap());
}

#[test]
fn an_alert_opens_stays_dismissed_until_it_says_more_and_closes_with_its_cause() {
    let (_dir, store) = new_store();
    let cause = |title: &str| Cause {
        kind: "account_dead",
        subject: "a".into(),
        severity: Severity::Bad,
        title: title.into(),
        consequence: "c".into(),
        link: "/dashboard".into(),
    };
    let reconcile =
        |causes: &[Cause], now| store.write(|conn| alerts::reconcile(conn, causes, now)).unwrap();
    let open = || store.read(alerts::open).unwrap();
    let dismiss = |id, now| store.write(|conn| alerts::dismiss(conn, id, now)).unwrap();
    assert!(reconcile(&[cause("one")], 10));
    assert!(!reconcile(&[cause("one")], 20));
    let shown = open();
    assert_eq!((shown.len(), shown[0].opened_at), (1, 10));
    assert!(dismiss(shown[0].id, 30));
    assert!(!reconcile(&[cause("one")], 40));
    assert!(open().is_empty());
    assert!(reconcile(&[cause("two")], 50));
    assert_eq!(open()[0].title, "two");
    assert!(dismiss(shown[0].id, 55));
    assert!(reconcile(&[], 60));
    assert!(!dismiss(shown[0].id, 65));
    // It came back: the dismissal was for what is over.
    assert!(reconcile(&[cause("two")], 70));
    assert_eq!(open()[0].opened_at, 70);
    reconcile(&[], 80);
    store.write(|conn| alerts::prune(conn, 81)).unwrap();
    let rows = store.read(|conn| Ok(probe::one(conn, "select count(*) as n from alerts"))).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn a_job_of_a_process_that_is_gone_has_failed_and_old_ones_are_forgotten() {
    let (_dir, store) = new_store();
    let job = |started_at, finished_at: Option<i64>| JobRow {
        id: JobId::new(),
        kind: "test_accounts".into(),
        title: "Test 2 accounts".into(),
        provider: Some("claude".into()),
        state: if finished_at.is_some() { "done" } else { "running" }.into(),
        total: 2,
        done: 1,
        ok: 1,
        failed: 0,
        items: json!([{"name": "a", "state": "ok", "message": null}]),
        started_at,
        finished_at,
    };
    let (old, kept, gone) = (job(10, Some(20)), job(100, Some(120)), job(200, None));
    for row in [&old, &kept, &gone] {
        store.write(|conn| jobs::save(conn, row)).unwrap();
    }
    store.write(|conn| jobs::tidy(conn, 300, 50, 10)).unwrap();
    let gone = JobRow { state: "failed".into(), finished_at: Some(300), ..gone };
    assert_eq!(store.read(jobs::list).unwrap(), [gone.clone(), kept]);
    store.write(|conn| jobs::prune(conn, 50, 1)).unwrap();
    assert_eq!(store.read(jobs::list).unwrap(), [gone]);
}
