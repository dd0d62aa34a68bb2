//! Faults that only the inside can cause, seen from outside: actors that die or do not answer (F54, F55), a clock that is
//! set (F60), rows that grow old.

mod house;

use actix::dev::SendError;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use self::house::{House, PATIENCE, node, node_at};
use super::*;
use crate::actors::account::Sweep;
use crate::actors::testing::{Poison, Spill, Stall};
use crate::clock::Clock;
use crate::demo::chaos::{Chaos, Reading, Step, reply};
use crate::log::{self, LogOptions, Wanted};
use crate::net::Method;
use crate::net::resolve::{Lookup, Resolve};

const NOW: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const STACK: &str =
    "[[combos]]\nname = \"stack\"\nstrategy = \"fallback\"\nentries = [\"one/m\", \"two/m\"]\n";

fn answer() -> Vec<u8> {
    let message = json!({"role": "assistant", "content": "hello"});
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    reply::json(200, &body.to_string())
}

fn good() -> Chaos {
    Chaos::always(answer()).unwrap()
}

/// Holds its first request until it is released.
fn holding() -> Chaos {
    Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::Hold, Step::send(answer())],
        _ => vec![Step::send(answer())],
    })
    .unwrap()
}

/// Refuses its requests of these numbers for ten minutes.
fn throttling(refused: &'static [usize]) -> Chaos {
    Chaos::start(Reading::Whole, |request| {
        let error = json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}});
        let headers = [("content-type", "application/json"), ("retry-after", "600")];
        vec![Step::send(match refused.contains(&request.index) {
            true => reply::whole(429, &headers, error.to_string().as_bytes()),
            false => answer(),
        })]
    })
    .unwrap()
}

/// F54, T-ACT-01: an account's actor dies in the middle of a request.
#[actix_rt::test]
async fn f54_an_account_actor_that_dies_costs_no_request_and_comes_back() {
    let (first, second) = (holding(), good());
    let config = [node("one", &first), node("two", &second), STACK.to_owned()].concat();
    let house = House::start(&Clock::System, &config);
    let running = async {
        let answer = house.ask("stack").await;
        assert_eq!(answer.status, 200, "what ran goes on: {}", answer.body);
    };
    let faults = async {
        house
            .until("the request is at its upstream", async || {
                (first.requests().len() == 1).then_some(())
            })
            .await;
        let actor = house.actor("one").await;
        assert!(actor.send(Poison).await.is_err(), "it died");
        let next = house.ask("stack").await;
        assert_eq!(next.status, 200, "{}", next.body);
        house
            .until("its successor runs", async || {
                let successor = house.actor("one").await;
                (successor != actor && successor.connected()).then_some(())
            })
            .await;
        first.release();
    };
    tokio::join!(running, faults);
    let before = first.requests().len();
    assert_eq!(house.ask("one/m").await.status, 200);
    assert_eq!(first.requests().len(), before + 1, "it is asked again");
    let restarted = house.row("actor_restarted").await;
    let id = house.view("one").await.config.id.to_string();
    assert_eq!((&restarted["actor"], &restarted["why"]), (&json!(id), &json!("it died")));
    // State equals storage: nothing is locked or taken, and every request has its row.
    house
        .until("no place is taken", async || {
            let view = house.view("one").await;
            (view.in_flight == 0 && view.locks.is_empty() && !view.faulted).then_some(())
        })
        .await;
    let outcomes = house
        .until("three rows", async || Some(house.outcomes()).filter(|rows| rows.len() == 3))
        .await;
    assert_eq!(outcomes, ["ok"; 3]);
    house.close().await;
}

/// T-ACT-02: the sixth death in a minute faults the account; the others serve.
#[actix_rt::test]
async fn t_act_02_an_account_that_dies_again_and_again_is_left_alone() {
    let (first, second) = (good(), good());
    let config = [node("one", &first), node("two", &second), STACK.to_owned()].concat();
    let clock = Clock::manual(NOW);
    let house = House::start(&clock, &config);
    house
        .until("it is given up", async || {
            let _dead = house.actor("one").await.send(Poison).await;
            let view = house.view("one").await;
            view.faulted.then_some(())
        })
        .await;
    assert_eq!(house.ask("stack").await.status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (0, 1));
    assert_eq!(house.row("actor_restarted").await["why"], "it dies again and again");
    house.close().await;
}

/// F55, T-ACT-03: an account whose mailbox is full is passed over, and nothing is lost.
#[actix_rt::test]
async fn f55_a_full_mailbox_is_another_account_or_503_and_loses_nothing() {
    let (first, second) = (holding(), good());
    let config = [node("one", &first), node("two", &second), STACK.to_owned()].concat();
    let house = House::start(&Clock::System, &config);
    let running = async { assert_eq!(house.ask("one/m").await.status, 200) };
    let faults = async {
        house
            .until("the request is at its upstream", async || {
                (first.requests().len() == 1).then_some(())
            })
            .await;
        let actor = house.actor("one").await;
        let (held, holds) = oneshot::channel();
        actor.send(Stall(holds)).await.unwrap();
        loop {
            match actor.try_send(Sweep { granted_before: None }) {
                Ok(()) => {}
                Err(SendError::Full(_)) => break,
                Err(SendError::Closed(_)) => panic!("it died"),
            }
        }
        let other = house.ask("stack").await;
        assert_eq!(other.status, 200, "{}", other.body);
        assert_eq!(second.requests().len(), 1);
        let refused = house.ask("one/m").await;
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.retry_after.is_some(), "{refused:?}");
        // What ran ends while nobody reads its report.
        first.release();
        held
    };
    let ((), held) = tokio::join!(running, faults);
    drop(held);
    house
        .until("the report is read", async || {
            (house.view("one").await.in_flight == 0).then_some(())
        })
        .await;
    assert_eq!(house.ask("one/m").await.status, 200);
    let mut outcomes = house
        .until("every request has its row", async || {
            Some(house.outcomes()).filter(|rows| rows.len() == 4)
        })
        .await;
    outcomes.sort();
    assert_eq!(outcomes, ["error", "ok", "ok", "ok"]);
    house.close().await;
}

/// F60, T-CLK-01: the wall clock is set forward (or the machine slept), and back.
#[actix_rt::test]
async fn f60_a_clock_that_is_set_ends_no_service_and_makes_no_lock_eternal() {
    let upstream = throttling(&[0, 2]);
    let clock = Clock::manual(NOW);
    let house = House::start(&clock, &node("one", &upstream));
    assert_eq!(house.ask("one/m").await.status, 429);
    assert_eq!(house.ask("one/m").await.status, 429);
    assert_eq!(upstream.requests().len(), 1, "the lock holds");
    clock.set_wall(8 * HOUR_MS);
    assert_eq!(house.ask("one/m").await.status, 200, "its instant is over, slept or not");
    let jump = house.row("clock_jump").await;
    assert_eq!(jump["delta"], 8 * HOUR_MS);

    assert_eq!(house.ask("one/m").await.status, 429);
    clock.set_wall(-HOUR_MS);
    house
        .until("the lock keeps its length", async || {
            let view = house.view("one").await;
            let left = |until: i64| until - clock.now_ms();
            // Ten minutes and some jitter, no more the hour besides.
            view.locks.iter().all(|lock| left(lock.until) < HOUR_MS).then_some(())
        })
        .await;
    assert_eq!(house.ask("one/m").await.status, 429, "it is not forgotten");
    clock.advance(Duration::from_secs(45 * 60));
    assert_eq!(house.ask("one/m").await.status, 200);

    for by in [10 * 365 * 24 * HOUR_MS, -10 * 365 * 24 * HOUR_MS, HOUR_MS, -HOUR_MS] {
        clock.set_wall(by);
        let answer = house.ask("one/m").await;
        assert_eq!(answer.status, 200, "after {by} ms: {}", answer.body);
    }
    house.close().await;
}

/// SEC-AUD-3: rows of more than 90 days go, and the chain tells so.
#[actix_rt::test]
async fn t_aud_01_old_rows_of_the_audit_log_are_removed_and_told_of() {
    let clock = Clock::manual(NOW);
    let config = "[settings]\nrequire_api_key = true\n";
    let house = House::start(&clock, config);
    let knock = async || {
        let refused = house.send(Method::GET, "/v1/models", "").await;
        assert_eq!(refused.status, 401, "{}", refused.body);
    };
    for _ in 0..5 {
        knock().await;
    }
    house.row("keyless_denied").await;
    assert_eq!(house.rows("keyless_denied").len(), 5);
    clock.advance(91 * DAY);
    knock().await;
    let pruned = house.row("audit_pruned").await;
    assert_ne!(pruned, Value::Null);
    assert_eq!(house.rows("keyless_denied").len(), 1);
    let found = house.shared.audit.verify(PATIENCE).unwrap();
    assert_eq!(serde_json::to_value(found).unwrap()["ok"], true);
    house.close().await;
}

/// A resolver that panics over every name, and says this.
struct Exploding(String);

impl Resolve for Exploding {
    fn resolve<'a>(&'a self, _: &'a str) -> Lookup<'a> {
        Box::pin(async move { panic!("{}", self.0) })
    }
}

/// REL-ACT-6: a handler that panics has its client answered, and holds nothing afterwards.
#[actix_rt::test]
async fn rel_act_6_a_panic_in_a_handler_is_an_answer_and_nothing_is_kept() {
    let upstream = good();
    let config = [node("one", &upstream), node_at("odd", "http://odd.example/v1")].concat();
    let resolver = Arc::new(Exploding("no name".to_owned()));
    let house = House::resolving(&Clock::System, &config, resolver);
    for _ in 0..3 {
        let answer = house.ask("odd/m").await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (500, &json!("internal_error")));
        assert_eq!(house.ask("one/m").await.status, 200, "others are served");
    }
    house
        .until("no place is taken", async || {
            let views = house.views().await;
            let is_free = house.shared.in_flight.used() == 0 && house.shared.bodies.used() == 0;
            (is_free && views.iter().all(|view| view.in_flight == 0)).then_some(())
        })
        .await;
    house.close().await;
}

/// T-LOG-01: what a handler or an actor says as it dies is a line of the log like others, on standard error, in the file and in the
/// console. The log is the process's, and so is what happens on a panic: the test starts itself as a process of its own.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child by a variable")]
fn t_log_01_a_panic_tells_no_secret() {
    const CHILD: &str = "NINEROUTER_TEST_LOG";
    // Put together at run time so that no scanner takes this file for a leak.
    let secret = ["sk", "ant", "api03", &"Canary7_".repeat(6)].join("-");
    let Some(file) = std::env::var_os(CHILD) else {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        let said = in_a_process_of_its_own("t_log_01_a_panic_tells_no_secret", (CHILD, &file));
        let kept = std::fs::read_to_string(&file).unwrap();
        for text in [&said, &kept] {
            assert!(text.contains("panicked: the token"), "{text}");
            assert!(text.contains("panicked: api_key="), "{text}");
            assert!(!text.contains("Canary7_") && !text.contains("\u{1b}[2J"), "{text}");
        }
        return;
    };
    let options =
        LogOptions { level: "trace".to_owned(), file: Some(file.into()), ..LogOptions::default() };
    let kept = log::start(&options).unwrap();
    actix_web::rt::System::new().block_on(async {
        let upstream = good();
        let config = [node("one", &upstream), node_at("odd", "http://odd.example/v1")].concat();
        let resolver = Arc::new(Exploding(format!("api_key={secret}")));
        let house = House::resolving(&Clock::System, &config, resolver);
        let answer = house.ask("odd/m").await;
        assert_eq!(answer.status, 500);
        assert!(!answer.body.to_string().contains("Canary7_"), "{}", answer.body);
        let dying = format!("the token {secret} and Bearer {secret}\u{1b}[2J");
        assert!(house.actor("one").await.send(Spill(dying)).await.is_err());
        house.row("actor_restarted").await;
        let shown = log::console().find(&Wanted::default(), usize::MAX);
        let shown: String = shown.iter().map(|line| line.to_json().to_string()).collect();
        assert!(shown.contains("panicked: the token") && !shown.contains("Canary7_"), "{shown}");
        house.close().await;
    });
    drop(kept);
}

/// Runs one test of this file again, with a variable that tells it to; all that it wrote.
#[expect(clippy::disallowed_methods, reason = "a test runs itself")]
fn in_a_process_of_its_own(test: &str, (name, value): (&str, &std::path::Path)) -> String {
    let itself = std::env::current_exe().unwrap();
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let arguments = ["--exact", &test, "--nocapture"];
    let run = std::process::Command::new(itself).args(arguments).env(name, value).output().unwrap();
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    said
}
