//! Sessions on a store and a clock of their own.

use super::*;
use crate::store::tests::new_store;

const HOUR: Duration = Duration::from_secs(3_600);

struct World {
    _dir: tempfile::TempDir,
    store: Store,
    clock: Clock,
    sessions: Sessions,
}

fn keys() -> SessionKeys {
    SessionKeys { current: [1; 32], previous: None, csrf: [2; 32] }
}

fn world() -> World {
    let (dir, store) = new_store();
    let clock = store.clock().clone();
    let sessions = Sessions::new(store.clone(), clock.clone(), &keys());
    World { _dir: dir, store, clock, sessions }
}

fn newcomer() -> Newcomer {
    Newcomer { ip: "192.0.2.1".into(), user_agent: "curl/8".into(), must_change: false }
}

impl World {
    async fn begin(&self) -> Issued {
        self.sessions.begin(newcomer()).await.unwrap()
    }

    async fn find(&self, issued: &Issued) -> Result<Live, NoSession> {
        self.sessions.find([issued.token.expose()].into_iter()).await.unwrap()
    }

    /// As another process, or this one after what it read is no longer believed.
    fn elsewhere(&self) -> Sessions {
        Sessions::new(self.store.clone(), self.clock.clone(), &keys())
    }
}

#[actix_web::test]
async fn a_session_is_found_by_its_token_and_by_no_other() {
    let world = world();
    let issued = world.begin().await;
    let live = world.find(&issued).await.unwrap();
    assert_eq!(live.session, issued.session);
    assert!(live.renewed.is_none() && !live.session.is_sudo);
    assert_eq!(live.session.id.len(), 16);
    let nobody = world.sessions.find(std::iter::empty()).await.unwrap();
    assert_eq!(nobody.unwrap_err(), NoSession::NoCookie);
    // T-SES-05: a neighbour's cookie in front of ours.
    let tossed = ["x", "a.b.c", issued.token.expose()];
    assert!(world.sessions.find(tossed.into_iter()).await.unwrap().is_ok());
    let forged = world.sessions.find(["a.b.c"].into_iter()).await.unwrap().unwrap_err();
    assert_eq!(forged, NoSession::BadToken(BadToken::Forged));
}

#[actix_web::test]
async fn sec_ses_3_idle_and_absolute_ends_and_renewal() {
    let world = world();
    let issued = world.begin().await;
    world.clock.advance(HOUR * 11);
    assert!(world.find(&issued).await.unwrap().renewed.is_none());
    world.clock.advance(HOUR);
    let renewed = world.find(&issued).await.unwrap().renewed.unwrap();
    assert_eq!(renewed.session.id, issued.session.id, "the same session");
    assert_eq!(renewed.life, IDLE);
    world.clock.advance(HOUR * 12);
    assert_eq!(world.find(&issued).await.unwrap_err(), NoSession::Expired, "the token's own end");
    let mut current = renewed;
    for _ in 0..12 {
        match world.find(&current).await {
            Ok(live) => current = live.renewed.unwrap_or(current),
            Err(why) => panic!("{why:?}"),
        }
        world.clock.advance(HOUR * 12);
    }
    assert_eq!(world.find(&current).await.unwrap_err(), NoSession::Expired, "seven days are over");
}

#[actix_web::test]
async fn an_idle_session_ends_although_its_row_lives() {
    let world = world();
    let issued = world.begin().await;
    world.clock.advance(HOUR * 24);
    assert_eq!(world.find(&issued).await.unwrap_err(), NoSession::Expired);
    assert_eq!(world.sessions.prune().unwrap(), 0, "idle for exactly as long as it may be");
    world.clock.advance(HOUR);
    assert_eq!(world.sessions.prune().unwrap(), 1);
}

#[actix_web::test]
async fn t_ses_02_and_03_ends_are_seen_at_once_here_and_within_five_seconds_elsewhere() {
    let world = world();
    let (first, second) = (world.begin().await, world.begin().await);
    let elsewhere = world.elsewhere();
    let at = |issued: &Issued| issued.token.expose().to_owned();
    for issued in [&first, &second] {
        assert!(elsewhere.find([at(issued).as_str()].into_iter()).await.unwrap().is_ok());
    }
    assert!(world.sessions.end(&first.session.id).await.unwrap());
    assert_eq!(world.find(&first).await.unwrap_err(), NoSession::Ended);
    assert!(world.find(&second).await.is_ok());
    assert!(elsewhere.find([at(&first).as_str()].into_iter()).await.unwrap().is_ok(), "believed");
    world.sessions.end_all().await.unwrap();
    assert_eq!(world.find(&second).await.unwrap_err(), NoSession::Ended);
    world.clock.advance(BELIEVED);
    for issued in [&first, &second] {
        let found = elsewhere.find([at(issued).as_str()].into_iter()).await.unwrap();
        assert_eq!(found.unwrap_err(), NoSession::Ended);
    }
}

#[actix_web::test]
async fn a_revoked_session_is_over_and_no_longer_listed() {
    let world = world();
    let (mine, other) = (world.begin().await, world.begin().await);
    assert_eq!(world.sessions.list().await.unwrap().len(), 2);
    assert!(world.sessions.revoke(&other.session.id).await.unwrap());
    assert!(!world.sessions.revoke(&other.session.id).await.unwrap());
    assert!(!world.sessions.revoke("0000000000000000").await.unwrap());
    assert_eq!(world.find(&other).await.unwrap_err(), NoSession::Ended);
    let listed = world.sessions.list().await.unwrap();
    assert_eq!((listed.len(), &listed[0].id), (1, &mine.session.id));
    assert_eq!(listed[0].row.ua_family, "curl");
}

#[actix_web::test]
async fn sec_ses_3_sudo_moves_the_session_to_another_id_and_ends_after_five_minutes() {
    let world = world();
    let issued = world.begin().await;
    let (sudo, until) = world.sessions.grant_sudo(&issued.session.id).await.unwrap().unwrap();
    assert_eq!(until, world.clock.now_ms() + 300_000);
    assert_ne!(sudo.session.id, issued.session.id);
    assert_ne!(sudo.session.csrf, issued.session.csrf);
    assert_eq!(world.find(&issued).await.unwrap_err(), NoSession::Ended);
    assert!(world.find(&sudo).await.unwrap().session.is_sudo);
    world.clock.advance(SUDO);
    assert!(!world.find(&sudo).await.unwrap().session.is_sudo);
    assert_eq!(world.sessions.grant_sudo("0000000000000000").await.unwrap(), None);
}

#[actix_web::test]
async fn t_ses_06_another_password_ends_every_session_and_begins_one() {
    let world = world();
    let (mine, other) = (world.begin().await, world.begin().await);
    let hash = Secret::new("a hash".into());
    let issued =
        world.sessions.set_password(hash.clone(), Some(newcomer())).await.unwrap().unwrap();
    assert!(world.find(&issued).await.is_ok());
    for old in [&mine, &other] {
        assert_eq!(world.find(old).await.unwrap_err(), NoSession::Ended);
    }
    let stored = world.store.read(auth_state::load).unwrap();
    assert_eq!(stored.password_hash, Some(hash.clone()));
    assert_eq!(world.sessions.set_password(hash, None).await.unwrap(), None);
    assert_eq!(world.find(&issued).await.unwrap_err(), NoSession::Ended);
}

#[actix_web::test]
async fn the_fifty_first_session_ends_the_one_idle_longest() {
    let world = world();
    let first = world.begin().await;
    for _ in 1..MOST {
        world.clock.advance(Duration::from_secs(1));
        world.begin().await;
    }
    assert!(world.find(&first).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    let last = world.begin().await;
    assert_eq!(world.find(&first).await.unwrap_err(), NoSession::Ended);
    assert!(world.find(&last).await.is_ok());
    assert_eq!(world.sessions.list().await.unwrap().len(), MOST);
}
