//! Sign-ins under way, as stored.

use super::{NOW, new_store};
use crate::id::{AccountId, FlowId};
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::oauth_flows::{
    End, FlowOptions, FlowStatus, NewFlow, claim, count_pending, fail_interrupted, find,
    find_by_state, finish, insert, settle,
};

fn flow(state: &str) -> NewFlow {
    NewFlow {
        id: FlowId::new(),
        provider: "claude".into(),
        account_id: None,
        mode: "loopback_path",
        verifier: Secret::new("verifier-1".into()),
        options: FlowOptions {
            state: Secret::new(state.into()),
            label: Some("mine".into()),
            proxy: Some(ProxyChoice::Direct),
            replace: true,
            client_id: None,
        },
        redirect_uri: Some("http://localhost:1/callback".into()),
        device: None,
        scopes: "a b".into(),
        created_at: NOW,
        expires_at: NOW + 600_000,
    }
}

#[test]
fn a_sign_in_is_claimed_once_and_ends_once() {
    let (_folder, store) = new_store();
    let sealer = store.sealer().clone();
    let new = flow("st-1");
    store.write(|conn| insert(conn, &sealer, &new)).unwrap();
    let found = store.read(|conn| find_by_state(conn, "st-1")).unwrap().unwrap();
    assert_eq!((found.id, found.status), (new.id, FlowStatus::Pending));
    assert!(store.read(|conn| find_by_state(conn, "st-2")).unwrap().is_none());
    let claim = || store.write(|conn| claim(conn, &sealer, new.id, NOW)).unwrap();
    let claimed = claim().unwrap();
    assert_eq!(claimed.verifier, new.verifier);
    assert_eq!(claimed.options, new.options);
    assert!(claim().is_none(), "one exchange");
    let end = |end: End| store.write(|conn| finish(conn, new.id, &end, NOW)).unwrap();
    let account = AccountId::new();
    assert!(end(End::Done(account)));
    assert!(!end(End::Failed("late".into())) && !end(End::Cancelled(None)));
    let row = store.read(|conn| find(conn, new.id)).unwrap().unwrap();
    assert_eq!((row.status, row.result_account_id), (FlowStatus::Done, Some(account)));
    store.write(|conn| settle(conn, NOW + 120_000)).unwrap();
    assert!(store.read(|conn| find(conn, new.id)).unwrap().is_some());
    store.write(|conn| settle(conn, NOW + 120_000 + 1)).unwrap();
    assert!(store.read(|conn| find(conn, new.id)).unwrap().is_none());
}

#[test]
fn what_is_late_or_cancelled_cannot_be_exchanged() {
    let (_folder, store) = new_store();
    let sealer = store.sealer().clone();
    let (late, cancelled, cut) = (flow("a"), flow("b"), flow("c"));
    for new in [&late, &cancelled, &cut] {
        store.write(|conn| insert(conn, &sealer, new)).unwrap();
    }
    assert_eq!(store.read(|conn| count_pending(conn, NOW)).unwrap(), 3);
    let claim = |id, now| store.write(|conn| claim(conn, &sealer, id, now)).unwrap().is_some();
    assert!(!claim(late.id, late.expires_at), "expired before it is marked so");
    store.write(|conn| finish(conn, cancelled.id, &End::Cancelled(None), NOW)).unwrap();
    assert!(!claim(cancelled.id, NOW));
    assert!(!store.write(|c| finish(c, late.id, &End::Done(AccountId::new()), NOW)).unwrap());
    assert!(claim(cut.id, NOW));
    store.write(|conn| fail_interrupted(conn, NOW + 1, "cut")).unwrap();
    let status = |id| store.read(|conn| find(conn, id)).unwrap().unwrap().status;
    assert_eq!(status(cut.id), FlowStatus::Error);
    store.write(|conn| settle(conn, late.expires_at)).unwrap();
    assert_eq!(status(late.id), FlowStatus::Expired);
}
