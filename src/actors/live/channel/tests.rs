use futures_util::StreamExt;
use futures_util::task::noop_waker;
use serde_json::json;

use super::*;

const NOW: UnixMs = 1_700_000_000_000;

struct Rig {
    channel: Arc<Channel>,
    clock: Clock,
}

impl Rig {
    fn new() -> Self {
        Self { channel: Arc::new(Channel::new(NOW)), clock: Clock::manual(NOW) }
    }

    fn wish(topics: &str) -> Wish {
        let topics = Topics::parse(topics).unwrap();
        Wish { session: None, topics, since: None, most: 64, ping_every: PING_EVERY }
    }

    fn feed(&self, topics: &str) -> Feed {
        self.channel.open(Self::wish(topics), self.clock.clone()).unwrap()
    }

    fn since(&self, id: &str) -> Feed {
        let wish = Wish { since: Some(id.parse().unwrap()), ..Self::wish("req") };
        self.channel.open(wish, self.clock.clone()).unwrap()
    }

    fn tell(&self, topic: Topic, object: Option<&str>, number: u64) {
        self.channel.tell(topic, object.map(str::to_owned), json!({"n": number}));
    }
}

/// What a feed has to say now: names of events, `resync`, `end`.
fn heard(feed: &mut Feed) -> Vec<String> {
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    let mut out = Vec::new();
    loop {
        match Pin::new(&mut *feed).poll_next(&mut cx) {
            Poll::Ready(Some(Told::Event(event))) => {
                out.push(format!("{}{}", event.name(), event.text()));
            }
            Poll::Ready(Some(Told::Resync(id))) => out.push(format!("resync {id}")),
            Poll::Ready(Some(Told::Ping)) => out.push("ping".to_owned()),
            Poll::Ready(None) => {
                out.push("end".to_owned());
                return out;
            }
            Poll::Pending => return out,
        }
    }
}

#[tokio::test]
async fn a_feed_hears_what_it_asked_for_from_its_opening_on() {
    let rig = Rig::new();
    rig.tell(Topic::Req, None, 1);
    let mut feed = rig.feed("req,acct:a");
    rig.tell(Topic::Req, None, 2);
    rig.tell(Topic::Log, None, 3);
    rig.tell(Topic::Acct, Some("a"), 4);
    rig.tell(Topic::Acct, Some("b"), 5);
    assert_eq!(heard(&mut feed), [r#"req{"n":2}"#, r#"acct-a{"n":4}"#]);
    assert!(heard(&mut feed).is_empty());
}

#[tokio::test]
async fn ids_grow_and_carry_the_start_of_the_process() {
    let rig = Rig::new();
    rig.tell(Topic::Req, None, 1);
    assert_eq!(rig.channel.newest().to_string(), format!("{NOW}-1"));
    assert_eq!(format!("{NOW}-1").parse(), Ok(rig.channel.newest()));
    for bad in ["", "1", "-1", "1-", "a-1", "1-+2", "1--2", "99999999999999999999999-1"] {
        assert_eq!(bad.parse::<EventId>(), Err(NoEventId), "{bad}");
    }
    let later: EventId = format!("{}-0", NOW + 1).parse().unwrap();
    assert!(later > rig.channel.newest(), "a later process's ids are later");
}

#[tokio::test]
async fn a_feed_that_comes_back_hears_what_it_missed() {
    let rig = Rig::new();
    for n in 1..=5 {
        rig.tell(Topic::Req, None, n);
    }
    assert_eq!(heard(&mut rig.since(&format!("{NOW}-3"))), [r#"req{"n":4}"#, r#"req{"n":5}"#]);
    assert!(heard(&mut rig.since(&format!("{NOW}-5"))).is_empty());
}

#[tokio::test]
async fn what_is_gone_or_of_another_process_is_a_resync() {
    let rig = Rig::new();
    let all = u64::try_from(RING).unwrap() + 5;
    for n in 1..=all {
        rig.tell(Topic::Req, None, n);
    }
    let resync = format!("resync {NOW}-{all}");
    // The five oldest are gone; who knows the fifth has missed nothing.
    for (since, missed) in
        [("1-3", true), (&*format!("{NOW}-4"), true), (&*format!("{NOW}-5"), false)]
    {
        let told = heard(&mut rig.since(since));
        assert_eq!(told.first() == Some(&resync), missed, "{since}");
        assert_eq!(told.len(), if missed { 1 } else { RING });
    }
    let tomorrow = format!("{NOW}-{}", all + 1);
    assert_eq!(heard(&mut rig.since(&tomorrow)), [resync]);
}

#[tokio::test]
async fn a_feed_that_is_outrun_resyncs_and_goes_on() {
    let rig = Rig::new();
    let mut feed = rig.feed("req");
    for n in 0..=u64::try_from(RING).unwrap() {
        rig.tell(Topic::Req, None, n);
    }
    assert_eq!(heard(&mut feed), [format!("resync {NOW}-{}", RING + 1)]);
    rig.tell(Topic::Req, None, 7);
    assert_eq!(heard(&mut feed), [r#"req{"n":7}"#]);
}

#[tokio::test]
async fn after_an_interruption_who_knew_the_last_event_has_missed_something() {
    let rig = Rig::new();
    rig.tell(Topic::Req, None, 1);
    let known = rig.channel.newest().to_string();
    rig.channel.interrupt();
    assert_eq!(heard(&mut rig.since(&known)), [format!("resync {NOW}-2")]);
    let rendered_meanwhile = rig.channel.newest().to_string();
    rig.tell(Topic::Req, None, 3);
    assert_eq!(heard(&mut rig.since(&rendered_meanwhile)), [r#"req{"n":3}"#]);
}

/// T-RES-17.
#[tokio::test]
async fn seats_are_limited_and_free_again() {
    let rig = Rig::new();
    let of = |session: Option<&str>, most| {
        let wish = Wish { session: session.map(Arc::from), most, ..Rig::wish("req") };
        rig.channel.open(wish, rig.clock.clone())
    };
    let mut held: Vec<_> = (0..PER_SESSION).map(|_| of(Some("s"), 64).unwrap()).collect();
    assert_eq!(of(Some("s"), 64).unwrap_err(), Full::Session);
    assert!(of(Some("t"), 64).is_ok(), "another session has seats of its own");
    assert_eq!(of(None, PER_SESSION).unwrap_err(), Full::All);
    held.pop();
    held.push(of(Some("s"), 64).unwrap());
    rig.channel.end_session("s");
    assert_eq!(rig.channel.feeds(), 0);
    assert_eq!(heard(&mut held[0]), ["end"]);
}

#[tokio::test]
async fn a_feed_goes_on_with_its_session_under_another_id() {
    let rig = Rig::new();
    let wish = Wish { session: Some("old".into()), ..Rig::wish("req") };
    let mut feed = rig.channel.open(wish, rig.clock.clone()).unwrap();
    rig.channel.move_session("old", &"new".into());
    rig.channel.end_session("old");
    rig.tell(Topic::Req, None, 1);
    assert_eq!(heard(&mut feed), [r#"req{"n":1}"#]);
    rig.channel.end_session("new");
    assert_eq!(heard(&mut feed), ["end"]);
}

/// F66: the bus goes on, the stalled feed loses its seat.
#[tokio::test]
async fn f66_a_feed_whose_client_does_not_read_is_dropped() {
    let rig = Rig::new();
    let (mut stalled, mut reader) = (rig.feed("req"), rig.feed("req"));
    for n in 1..=3 {
        rig.tell(Topic::Req, None, n);
        rig.clock.advance(PING_EVERY);
        assert_eq!(heard(&mut reader), [format!(r#"req{{"n":{n}}}"#)]);
        rig.channel.drop_stalled(rig.clock.now());
    }
    assert_eq!(rig.channel.feeds(), 1);
    assert_eq!(heard(&mut stalled), ["end"]);
}

#[tokio::test]
async fn events_are_made_while_somebody_listens_or_is_about_to() {
    let rig = Rig::new();
    let soon = || rig.clock.now() + Duration::from_secs(10);
    assert!(rig.channel.ask_for_events(soon()), "the first is to begin");
    assert!(!rig.channel.ask_for_events(soon()));
    assert!(
        rig.channel.interest(rig.clock.now()).covers(Topic::Acct, "a"),
        "anything may be asked for"
    );
    let feed = rig.feed("acct:a");
    rig.clock.advance(Duration::from_secs(10));
    let interest = rig.channel.interest(rig.clock.now());
    assert!(interest.covers(Topic::Acct, "a") && !interest.covers(Topic::Acct, "b"));
    assert!(interest.has(Topic::Acct) && !interest.has(Topic::Log));
    assert!(!rig.channel.rests(rig.clock.now()));
    drop(feed);
    assert!(rig.channel.rests(rig.clock.now()));
    assert!(rig.channel.ask_for_events(soon()), "and begins anew");
}

#[tokio::test]
async fn a_router_that_stops_ends_its_feeds() {
    let rig = Rig::new();
    let mut feed = rig.feed("req");
    rig.channel.close();
    assert_eq!(heard(&mut feed), ["end"]);
    assert_eq!(rig.channel.open(Rig::wish("req"), rig.clock.clone()).unwrap_err(), Full::Closed);
}

#[tokio::test]
async fn a_silent_feed_pings() {
    let rig = Rig::new();
    let wish = Wish { ping_every: Duration::from_millis(1), ..Rig::wish("req") };
    let mut feed = rig.channel.open(wish, rig.clock.clone()).unwrap();
    for _ in 0..2 {
        assert!(matches!(feed.next().await, Some(Told::Ping)));
    }
}
