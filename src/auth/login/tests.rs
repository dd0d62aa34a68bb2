//! The table of security §5.2, and what follows a sign-in.

use std::cell::RefCell;

use super::*;
use crate::auth::login_limit::Limited;
use crate::auth::session::NoSession;
use crate::store::tests::new_store;

struct World {
    dir: tempfile::TempDir,
    store: Store,
    login: Login,
    events: RefCell<Vec<String>>,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn world(initial: Option<&str>) -> World {
    let (dir, store) = new_store();
    let keys = SessionKeys { current: [1; 32], previous: None, csrf: [2; 32] };
    let secrets = LoginSecrets { keys, initial_password: initial.map(secret) };
    let clock = store.clock().clone();
    let login = Login::new(store.clone(), clock, dir.path().to_owned(), &secrets);
    World { dir, store, login, events: RefCell::default() }
}

fn knock(is_local: bool, is_loopback_only: bool) -> Knock {
    let client = if is_local { "127.0.0.1" } else { "192.0.2.7" };
    let client = client.parse().unwrap();
    Knock { client, is_local, is_loopback_only, user_agent: "curl/8".into() }
}

/// On this computer, with loopback listeners.
fn home() -> Knock {
    knock(true, true)
}

/// From the network, to a router that serves it.
fn away() -> Knock {
    knock(false, false)
}

impl World {
    async fn sign_in(&self, knock: &Knock, given: &str) -> Result<Issued, Refused> {
        self.sign_in_with(knock, given, None).await
    }

    async fn sign_in_with(
        &self,
        knock: &Knock,
        given: &str,
        new: Option<&str>,
    ) -> Result<Issued, Refused> {
        let record = |event: Event| self.events.borrow_mut().push(told(&event));
        self.login.sign_in(knock, secret(given), new.map(secret), &record).await
    }

    async fn change(&self, proof: Proof, new: &str) -> Result<Option<Issued>, Refused> {
        let record = |event: Event| self.events.borrow_mut().push(told(&event));
        self.login.change_password(&home(), proof, secret(new), &record).await
    }

    fn code(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("setup-code")).unwrap().trim().to_owned()
    }

    fn events(&self) -> Vec<String> {
        self.events.take()
    }

    async fn is_live(&self, issued: &Issued) -> Result<(), NoSession> {
        let found = self.login.sessions.find([issued.token.expose()].into_iter()).await.unwrap();
        found.map(|_live| ())
    }
}

fn told(event: &Event) -> String {
    format!("{} {}", event.name.as_str(), event.outcome.as_str())
}

const GOOD: &str = "correct horse battery";

#[actix_web::test]
async fn t_first_01_a_stored_password_is_the_only_way_in() {
    let world = world(Some("of the environment"));
    world.change(Proof::Command, GOOD).await.unwrap();
    assert_eq!(world.events(), ["password_changed ok"]);
    assert_eq!(world.login.entry(true).await, Ok(Entry::Password));
    let issued = world.sign_in(&home(), GOOD).await.unwrap();
    assert!(!issued.session.must_change);
    assert_eq!(world.events(), ["login_attempt ok"]);
    for wrong in ["123456", "of the environment", ""] {
        assert_eq!(world.sign_in(&home(), wrong).await, Err(Refused::Wrong), "{wrong}");
    }
    assert_eq!(world.events(), ["login_attempt failed"; 3]);
}

#[actix_web::test]
async fn t_first_02_and_07_the_initial_password_counts_once() {
    let world = world(Some(GOOD));
    assert_eq!(world.login.entry(false).await, Ok(Entry::Password));
    assert_eq!(world.sign_in(&away(), "123456").await, Err(Refused::Wrong));
    let issued = world.sign_in(&away(), GOOD).await.unwrap();
    assert!(!issued.session.must_change);
    assert!(world.login.has_password().await.unwrap());
    // Another value of the variable at the next start.
    let keys = SessionKeys { current: [1; 32], previous: None, csrf: [2; 32] };
    let secrets = LoginSecrets { keys, initial_password: Some(secret("another one")) };
    let clock = world.store.clock().clone();
    let next = Login::new(world.store.clone(), clock, world.dir.path().to_owned(), &secrets);
    let ignore = |_event: Event| {};
    let signed = next.sign_in(&away(), secret("another one"), None, &ignore).await;
    assert_eq!(signed, Err(Refused::Wrong));
    assert!(next.sign_in(&away(), secret(GOOD), None, &ignore).await.is_ok());
}

#[actix_web::test]
async fn t_first_03_the_documented_password_opens_to_this_computer_alone() {
    let world = world(None);
    let stranger = knock(false, true);
    assert_eq!(world.sign_in(&stranger, DOCUMENTED).await, Err(Refused::Wrong));
    assert_eq!(world.events(), ["login_attempt failed"]);
    let issued = world.sign_in(&home(), DOCUMENTED).await.unwrap();
    assert!(issued.session.must_change && !issued.session.is_sudo);
    assert_eq!(world.events(), ["password_default_used ok", "login_attempt ok"]);
    assert!(!world.login.has_password().await.unwrap(), "it is not stored");
    // While others can reach the router it opens to nobody.
    for knock in [away(), knock(true, false)] {
        assert_eq!(world.sign_in(&knock, DOCUMENTED).await, Err(Refused::Wrong));
    }
}

#[actix_web::test]
async fn t_first_04_the_set_up_code_opens_once_and_a_password_must_be_chosen() {
    let world = world(None);
    assert_eq!(world.login.entry(false).await, Ok(Entry::SetUpCode));
    let code = world.code();
    assert_eq!(world.sign_in(&away(), "AAAA-BBBB").await, Err(Refused::Wrong));
    assert_eq!(world.events(), ["setup_code_failed failed", "login_attempt failed"]);
    let issued = world.sign_in(&away(), &code).await.unwrap();
    assert!(issued.session.must_change);
    assert_eq!(world.events(), ["setup_code_used ok", "login_attempt ok"]);
    assert_eq!(world.sign_in(&away(), &code).await, Err(Refused::Wrong), "it is used up");
    assert_ne!(world.code(), code, "who never chose a password is not locked out");
    let changed = world.change(Proof::FirstRun, GOOD).await.unwrap().unwrap();
    assert!(!changed.session.must_change);
    assert_eq!(world.is_live(&issued).await, Err(NoSession::Ended));
    assert!(!world.dir.path().join("setup-code").exists());
    assert!(world.sign_in(&away(), GOOD).await.is_ok());
}

#[actix_web::test]
async fn t_first_04_code_and_password_in_one_form() {
    let world = world(None);
    world.login.entry(false).await.unwrap();
    let code = world.code();
    let weak = world.sign_in_with(&away(), &code, Some("password")).await;
    assert_eq!(weak, Err(Refused::Unfit(Unfit::Common)));
    let wrong = world.sign_in_with(&away(), "AAAA", Some(GOOD)).await;
    assert_eq!(wrong, Err(Refused::Wrong));
    let issued = world.sign_in_with(&away(), &code, Some(GOOD)).await.unwrap();
    assert!(!issued.session.must_change);
    assert!(world.is_live(&issued).await.is_ok());
    assert!(world.sign_in(&away(), GOOD).await.is_ok());
}

#[actix_web::test]
async fn t_first_05_a_common_initial_password_is_for_loopback_and_must_be_changed() {
    let away_world = world(Some("changeme"));
    assert_eq!(away_world.login.entry(false).await, Ok(Entry::SetUpCode));
    assert_eq!(away_world.sign_in(&away(), "changeme").await, Err(Refused::Wrong));
    let world = world(Some("changeme"));
    assert!(world.sign_in(&home(), "changeme").await.unwrap().session.must_change);
    assert!(world.events().contains(&"password_default_used ok".to_owned()));
    // It is stored now, and still demands another.
    assert!(world.sign_in(&home(), "changeme").await.unwrap().session.must_change);
}

#[actix_web::test]
async fn t_pw_02_an_overlong_password_is_refused_unseen() {
    let world = world(Some(GOOD));
    let long = "x".repeat(LONGEST + 1);
    assert_eq!(world.sign_in(&home(), &long).await, Err(Refused::TooLong));
    assert_eq!(world.events(), [""; 0]);
}

#[actix_web::test]
async fn t_lim_01_and_06_the_sixth_attempt_is_not_looked_at_and_a_success_begins_anew() {
    let world = world(Some(GOOD));
    for _ in 0..4 {
        assert_eq!(world.sign_in(&home(), "wrong one").await, Err(Refused::Wrong));
    }
    assert!(world.sign_in(&home(), GOOD).await.is_ok());
    for _ in 0..5 {
        assert_eq!(world.sign_in(&home(), "wrong one").await, Err(Refused::Wrong));
    }
    world.events();
    assert_eq!(world.sign_in(&home(), GOOD).await, Err(Refused::Limited(900)));
    assert_eq!(world.events(), ["login_rate_limited denied"]);
    assert_eq!(world.login.limit.count("192.0.2.9".parse().unwrap(), false), Ok::<(), Limited>(()));
}

#[actix_web::test]
async fn sec_lim_4_the_password_once_more_is_limited_with_the_rest() {
    let world = world(Some(GOOD));
    let issued = world.sign_in(&home(), GOOD).await.unwrap();
    world.events();
    let record = |event: Event| world.events.borrow_mut().push(told(&event));
    let (world, home, id, record) = (&world, &home(), &issued.session.id, &record);
    let again = |given: &str| world.login.enter_again(home, id, secret(given), record);
    for _ in 0..3 {
        assert_eq!(again("wrong one").await, Err(Refused::Wrong));
    }
    assert_eq!(again(&"x".repeat(LONGEST + 1)).await, Err(Refused::TooLong));
    let (sudo, _until) = again(GOOD).await.unwrap();
    assert!(sudo.session.is_sudo);
    assert_eq!(again(GOOD).await, Err(Refused::Over), "the session has another id now");
    for _ in 0..5 {
        assert_eq!(again("wrong one").await, Err(Refused::Wrong));
    }
    assert_eq!(again(GOOD).await, Err(Refused::Limited(900)));
    assert_eq!(world.events().last().unwrap(), "login_rate_limited denied");
}

#[actix_web::test]
async fn a_default_session_gets_no_further_by_the_password_it_came_with() {
    let world = world(None);
    let issued = world.sign_in(&home(), DOCUMENTED).await.unwrap();
    let ignore = |_event: Event| {};
    let again =
        world.login.enter_again(&home(), &issued.session.id, secret(DOCUMENTED), &ignore).await;
    assert_eq!(again, Err(Refused::Wrong));
}

#[actix_web::test]
async fn t_ses_06_another_password_needs_proof_and_is_another_one() {
    let world = world(Some(GOOD));
    let mine = world.sign_in(&home(), GOOD).await.unwrap();
    let other = world.sign_in(&away(), GOOD).await.unwrap();
    let current = |text| Proof::Current(secret(text));
    assert_eq!(world.change(current("wrong one"), "another good one").await, Err(Refused::Wrong));
    assert_eq!(world.change(current(GOOD), GOOD).await, Err(Unfit::Same.into()));
    assert_eq!(world.change(current(GOOD), "password").await, Err(Unfit::Common.into()));
    assert!(world.is_live(&other).await.is_ok(), "nothing was changed");
    let issued = world.change(Proof::Sudo, "another good one").await.unwrap().unwrap();
    assert!(world.is_live(&issued).await.is_ok());
    for old in [&mine, &other] {
        assert_eq!(world.is_live(old).await, Err(NoSession::Ended));
    }
    assert_eq!(world.sign_in(&home(), GOOD).await, Err(Refused::Wrong));
    assert!(world.sign_in(&home(), "another good one").await.is_ok());
}

#[actix_web::test]
async fn sec_pw_4_a_reset_ends_every_session_and_begins_none() {
    let world = world(Some(GOOD));
    let mine = world.sign_in(&home(), GOOD).await.unwrap();
    assert_eq!(world.change(Proof::Command, GOOD).await, Ok(None), "also to the same one");
    assert_eq!(world.is_live(&mine).await, Err(NoSession::Ended));
}

#[actix_web::test]
async fn a_weaker_hash_is_replaced_after_a_sign_in() {
    let world = world(None);
    let bcrypt = bcrypt::hash_with_salt(GOOD, 4, [3; 16]).unwrap();
    let old = secret(&bcrypt.format_for_version(bcrypt::Version::TwoB));
    world.store.write(|conn| auth_state::set_password(conn, &old, 1)).unwrap();
    assert!(world.sign_in(&home(), GOOD).await.is_ok());
    let stored = world.store.read(auth_state::load).unwrap();
    assert!(stored.password_hash.unwrap().expose().starts_with("$argon2id$"));
    assert_eq!(stored.password_changed_at, Some(1), "the password is the same");
    assert!(world.sign_in(&home(), GOOD).await.is_ok());
}
