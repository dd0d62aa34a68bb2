//! Sign-ins by code from end to end, against a vendor that keeps the standard's rules.

use super::*;
use crate::demo::authority::Counts;
use crate::provider::catalog::Role;
use crate::provider::oauth::connect::StartOption;
use crate::provider::oauth::refresh::CLIENT_ID;
use crate::store::oauth_flows;

const SECOND: Duration = Duration::from_secs(1);
/// Nothing is due: what could follow from a step of the clock would have followed by then.
const MOMENT: Duration = Duration::from_millis(40);

fn grok() -> StartSignIn {
    StartSignIn { provider: "xai".to_owned(), ..StartSignIn::default() }
}

fn user_code(started: &Started) -> String {
    started.device.as_ref().unwrap().user_code.clone()
}

fn pending() -> Scripted {
    Scripted::reply(400, r#"{"error":"authorization_pending"}"#)
}

impl World {
    async fn start_code(&self) -> Started {
        self.sign_ins.start(grok()).await.unwrap()
    }

    async fn vendor_has(
        &self,
        limit: Duration,
        done: impl Fn(&Counts) -> bool + Send + 'static,
    ) -> bool {
        let vendor = Arc::clone(&self.vendor);
        tokio::task::spawn_blocking(move || vendor.wait(limit, done)).await.unwrap()
    }

    /// Lets time pass, second by second, until the vendor has been asked so often.
    async fn asked(&self, times: u32) {
        for _ in 0..200 {
            if self.vendor_has(MOMENT, move |c| c.device_polls >= times).await {
                return;
            }
            self.clock.advance(SECOND);
        }
        panic!("{:?}", self.vendor.counts());
    }

    /// Lets time pass until the sign-in is over.
    async fn over(&self, started: &Started) -> Session {
        for _ in 0..200 {
            let polls = self.vendor.counts().device_polls;
            let session = self.session(started).await;
            if !matches!(session.status, FlowStatus::Pending | FlowStatus::Exchanging) {
                return session;
            }
            self.vendor_has(MOMENT, move |c| c.device_polls > polls).await;
            self.clock.advance(SECOND);
        }
        panic!("{:?}", self.session(started).await);
    }

    /// Pauses before each question, the first one counted from the start, ms.
    fn pauses(&self) -> Vec<i64> {
        let asked: Vec<i64> = [NOW].into_iter().chain(self.vendor.questions()).collect();
        asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn interval_ms(&self, started: &Started) -> i64 {
        let (store, id) = (&self.shared.store, started.session_id);
        let now = self.clock.now_ms();
        let awaited = store.read(|c| oauth_flows::awaited(c, store.sealer(), id, now)).unwrap();
        awaited.unwrap().device.interval_ms
    }
}

#[actix_rt::test]
async fn code_is_shown_entered_and_the_account_is_in_use() {
    let world = World::new();
    let started = world.start_code().await;
    assert_eq!((started.mode, started.paste_allowed), ("device", false));
    assert_eq!((&started.authorize_url, &started.redirect_uri), (&None, &None));
    let shown = started.device.clone().unwrap();
    assert_eq!((shown.expires_at, started.expires_at), (NOW + 900_000, NOW + 900_000));
    assert_eq!(shown.verification_uri, world.vendor.url("/device"));
    let session = world.session(&started).await;
    assert_eq!((session.status, session.device), (FlowStatus::Pending, Some(shown.clone())));
    world.asked(2).await;
    let page = path_of(shown.verification_uri_complete.as_deref().unwrap()).to_owned();
    let vendor = world.vendor.address();
    let page = tokio::task::spawn_blocking(move || get(vendor, &page, "vendor")).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");

    let session = world.over(&started).await;
    assert_eq!((session.status, session.existed), (FlowStatus::Done, false), "{session:?}");
    assert_eq!(session.device, None);
    let ada = Person::new("ada");
    let row = world.account(session.account_id.unwrap());
    assert_eq!((&*row.config.provider, row.config.kind), ("xai", AccountKind::OAuth));
    assert_eq!(&*row.config.label, "ada@example.com");
    assert_eq!(row.about.identity_key.as_deref(), Some(&*ada.account_uuid));
    let usable = world.desk.addr().send(UsableAccounts).await.unwrap();
    assert!(usable.iter().any(|account| account.id == row.config.id), "done means in use");
    let counts = world.vendor.counts();
    assert_eq!((counts.device_codes, counts.exchanges, counts.early_polls), (1, 1, 0));
    assert!(world.pauses().iter().all(|pause| *pause >= 5_000), "{:?}", world.pauses());

    let polls = counts.device_polls;
    world.clock.advance(MINUTE);
    assert!(!world.vendor_has(MOMENT, move |c| c.device_polls > polls).await, "it is over");
    let needles = world.vendor.secrets();
    assert_nowhere(&world.folder.path().join("data"), &needles);
    for text in [format!("{started:?}"), format!("{session:?}")] {
        assert!(needles.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[actix_rt::test]
async fn slow_down_is_heeded_for_good_and_outlives_a_restart() {
    let world = World::new();
    let started = world.start_code().await;
    let slow = |body: &str| Scripted::reply(400, body);
    let script = [
        pending(),
        slow(r#"{"error":"slow_down"}"#),
        pending(),
        slow(r#"{"error":"slow_down","interval":40}"#),
    ];
    world.vendor.script(Place::DeviceToken, script);
    world.asked(4).await;
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&started)));
    world.asked(5).await;
    assert_eq!(world.over(&started).await.status, FlowStatus::Done);
    let pauses = world.pauses();
    for (pause, at_least) in pauses.iter().zip([5_000, 5_000, 10_000, 10_000, 40_000]) {
        assert!(*pause >= at_least, "{pauses:?}");
    }

    let world = World::new();
    let started = world.start_code().await;
    assert_eq!(world.interval_ms(&started), 5_000);
    world.vendor.script(Place::DeviceToken, [slow(r#"{"error":"slow_down"}"#)]);
    // The next question comes after the interval was stored.
    world.asked(2).await;
    assert_eq!(world.interval_ms(&started), 10_000);
}

#[actix_rt::test]
async fn every_other_word_of_the_vendor_ends_it_with_its_reason() {
    let world = World::new();
    for (status, body, want) in [
        (400, r#"{"error":"expired_token"}"#, "the code expired"),
        (400, r#"{"error":"access_denied"}"#, "you declined"),
        (200, r#"{"error":"access_denied"}"#, "you declined"),
        (400, r#"{"error":"invalid_grant","error_description":"<b>gone</b>"}"#, "<b>gone</b>"),
        (401, r#"{"error":"invalid_client"}"#, "invalid_client"),
        (400, r#"{"error":"something_new"}"#, "something_new"),
        (404, "not here", "404"),
    ] {
        let started = world.start_code().await;
        world.vendor.script(Place::DeviceToken, [Scripted::reply(status, body)]);
        let session = world.over(&started).await;
        assert_eq!(session.status, FlowStatus::Error, "{body}");
        let message = session.message.unwrap();
        assert!(message.contains(want) && message.contains("start again"), "{message}");
        let polls = world.vendor.counts().device_polls;
        world.clock.advance(MINUTE);
        assert!(!world.vendor_has(MOMENT, move |c| c.device_polls > polls).await, "{body}");
    }
    let started = world.start_code().await;
    assert!(world.vendor.decline_code(&user_code(&started)));
    assert!(world.over(&started).await.message.unwrap().contains("you declined"));
    assert!(world.accounts().is_empty());
}

#[actix_rt::test]
async fn faults_between_two_questions_are_waited_out() {
    let world = World::new();
    let started = world.start_code().await;
    let script = [
        Scripted::reply(503, ""),
        Scripted::reply(200, "<html>sign in to the hotel</html>"),
        Scripted::reply(502, r#"{"error":"authorization_pending"}"#),
        Scripted::reply(429, ""),
    ];
    world.vendor.script(Place::DeviceToken, script);
    world.asked(4).await;
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&started)));
    assert_eq!(world.over(&started).await.status, FlowStatus::Done);
    let pauses = world.pauses();
    for (pause, at_least) in pauses.iter().zip([5_000, 10_000, 20_000, 5_000, 10_000]) {
        assert!(*pause >= at_least, "{pauses:?}");
    }
    assert_eq!(world.vendor.counts().early_polls, 0);
}

#[actix_rt::test]
async fn a_network_that_is_gone_is_waited_out_until_the_code_is_late() {
    // Nobody listens there.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/oauth2/token");
    let token = EndpointOverride { provider: "xai".to_owned(), role: Role::Token, url };
    let world = World::reaching(None, false, &[], &[token]);
    let started = world.start_code().await;
    world.clock.advance(MINUTE);
    assert_eq!(world.session(&started).await.status, FlowStatus::Pending);
    world.clock.advance(14 * MINUTE);
    let session = world.session(&started).await;
    assert_eq!((session.status, session.device), (FlowStatus::Expired, None));
    assert!(session.message.unwrap().contains("start again"));
}

#[actix_rt::test]
async fn late_codes_buy_nothing_and_are_not_asked_for() {
    let world = World::new();
    world.vendor.set_device(120, 5);
    let started = world.start_code().await;
    assert_eq!(started.expires_at, NOW + 120_000);
    world.asked(1).await;
    world.clock.advance(2 * MINUTE);
    assert_eq!(world.session(&started).await.status, FlowStatus::Expired);
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&started)));
    world.clock.advance(MINUTE);
    assert!(!world.vendor_has(MOMENT, |c| c.device_polls > 1).await);
    assert!(world.accounts().is_empty());
    world.vendor.set_device(86_400, 1);
    let started = world.start_code().await;
    let shown = started.device.unwrap();
    assert_eq!(shown.expires_at, world.clock.now_ms() + 900_000, "15 minutes at most");
}

#[actix_rt::test]
async fn cancelling_stops_the_questions_and_throws_away_what_the_last_one_brings() {
    let world = World::new();
    let started = world.start_code().await;
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&started)));
    world.vendor.hold(Place::DeviceToken, Hold::Reply);
    world.asked(1).await;
    let session = world.sign_ins.cancel(started.session_id).await.unwrap();
    assert_eq!(session.status, FlowStatus::Cancelled);
    world.vendor.hold(Place::DeviceToken, Hold::Off);
    assert!(world.vendor_has(PATIENCE, |c| c.exchanges == 1).await);
    world.clock.advance(MINUTE);
    assert!(!world.vendor_has(MOMENT, |c| c.device_polls > 1).await);
    assert_eq!(world.session(&started).await.status, FlowStatus::Cancelled);
    assert!(world.accounts().is_empty());
}

#[actix_rt::test]
async fn two_at_once_become_two_accounts() {
    let world = World::new();
    let (first, second) = (world.start_code().await, world.start_code().await);
    assert_ne!(user_code(&first), user_code(&second));
    assert!(world.vendor.enter_code(&Person::new("bob"), &user_code(&second)));
    let second = world.over(&second).await;
    assert_eq!(world.session(&first).await.status, FlowStatus::Pending);
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&first)));
    let first = world.over(&first).await;
    let email = |session: &Session| world.account(session.account_id.unwrap()).about.email;
    assert_eq!(email(&first).as_deref(), Some("ada@example.com"));
    assert_eq!(email(&second).as_deref(), Some("bob@example.com"));
    assert_eq!(world.vendor.counts().early_polls, 0, "each at its own pace");
}

#[actix_rt::test]
async fn signing_in_again_by_code_keeps_the_account_and_its_client() {
    let world = World::new();
    let own = vec![(StartOption::ClientId, "own-client".to_owned())];
    let ask = StartSignIn { options: own, label: Some("mine".to_owned()), ..grok() };
    let started = world.sign_ins.start(ask).await.unwrap();
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&started)));
    let id = world.over(&started).await.account_id.unwrap();
    let store = &world.shared.store;
    let client = || {
        let extra = store.credential(id).unwrap().extra;
        extra.get(CLIENT_ID).map(|own| own.expose().to_owned())
    };
    assert_eq!(client().as_deref(), Some("own-client"));

    let again = StartSignIn { account: Some(id), ..grok() };
    let started = world.sign_ins.start(again.clone()).await.unwrap();
    assert!(world.vendor.enter_code(&Person::new("bob"), &user_code(&started)));
    let session = world.over(&started).await;
    let message = session.message.unwrap();
    assert!(message.contains("different account") && message.contains("bob"), "{message}");
    let started = world.sign_ins.start(again.clone()).await.unwrap();
    assert!(world.vendor.enter_code(&Person::new("ada"), &user_code(&started)));
    let session = world.over(&started).await;
    assert_eq!(
        (session.status, session.account_id, session.existed),
        (FlowStatus::Done, Some(id), true)
    );
    assert_eq!(
        (&*world.account(id).config.label, client().as_deref()),
        ("mine", Some("own-client"))
    );
    let replacing = StartSignIn { replace: true, ..again };
    let started = world.sign_ins.start(replacing).await.unwrap();
    assert!(world.vendor.enter_code(&Person::new("bob"), &user_code(&started)));
    assert_eq!(world.over(&started).await.status, FlowStatus::Done);
    let bob = Person::new("bob").account_uuid;
    assert_eq!(world.account(id).about.identity_key, Some(bob));
    assert_eq!(world.accounts().len(), 1);
}

#[actix_rt::test]
async fn what_a_flow_does_not_know_is_refused_at_the_start() {
    let world = World::new();
    let with = |provider: &str, prefer, options: &[(StartOption, &str)]| StartSignIn {
        provider: provider.to_owned(),
        prefer,
        options: options.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        ..StartSignIn::default()
    };
    for (ask, want) in [
        (with("xai", None, &[(StartOption::Region, "eu")]), "`region`"),
        (with("xai", None, &[(StartOption::BaseUrl, "https://x.example")]), "`base_url`"),
        (with("claude", None, &[(StartOption::Project, "p")]), "`project`"),
        (with("claude", None, &[(StartOption::StartUrl, "u")]), "`start_url`"),
        (with("xai", None, &[(StartOption::ClientId, "two words")]), "`client_id`"),
        (with("xai", Some(Means::Browser), &[]), "by a code alone"),
        (with("claude", Some(Means::Device), &[]), "no device sign-in"),
    ] {
        let error = world.sign_ins.start(ask).await.unwrap_err();
        assert_eq!(error.status(), 422, "{error}");
        assert!(error.message.contains(want), "{error}");
    }
    let started = world.start_code().await;
    let refused = world.paste(started.session_id, "code").await.unwrap_err();
    assert_eq!(refused.status(), 422, "{refused}");
    assert_eq!(world.session(&started).await.status, FlowStatus::Pending);
    for (status, body, want) in [
        (400, r#"{"error":"invalid_client","error_description":"who?"}"#, "who?"),
        (200, r#"{"user_code":"A"}"#, "device_code"),
        (500, "", "500"),
    ] {
        world.vendor.script(Place::DeviceCode, [Scripted::reply(status, body)]);
        let error = world.sign_ins.start(grok()).await.unwrap_err();
        assert!(error.status() == 503 && error.message.contains(want), "{error}");
    }
}
