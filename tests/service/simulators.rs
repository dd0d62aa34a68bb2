//! The simulated providers and the chaos upstream do what the other suites believe of them.

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use ninerouter::demo::{Behavior, SimConfig, Simulator};

use crate::support::client::{Conn, Piece, request};
use crate::support::{Dialect, PATIENCE, Reply};

fn ask(sim: &Simulator, dialect: Dialect, stream: bool, headers: &[(&str, &str)]) -> Reply {
    let path = dialect.path("sim-1", stream);
    let body = dialect.body("sim-1", stream);
    let mut conn = Conn::open(sim.address());
    conn.send(&request("POST", &path, headers, body.as_bytes()));
    conn.reply(false).unwrap()
}

#[test]
fn simulator_answers_in_every_wire_and_says_that_it_is_simulated() {
    let sim = Simulator::start(SimConfig::new("sim-free", Behavior::Free)).unwrap();
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let reply = ask(&sim, dialect, stream, &[]);
            assert_eq!(reply.status, 200, "{dialect:?} {stream} {}", reply.brief());
            assert!(reply.complete && reply.text().contains("simulated"), "{}", reply.brief());
            assert_eq!(reply.header("x-simulated-provider"), Some("sim-free"));
            let kind = reply.header("content-type").unwrap();
            assert_eq!(kind.starts_with("text/event-stream"), stream, "{kind}");
            let ended = dialect.end_marks().iter().all(|m| reply.text().contains(m));
            assert!(ended || !stream, "{}", reply.brief());
        }
    }
    assert_eq!(sim.requests(), 8);
}

#[test]
fn quota_counts_each_credential_and_names_its_reset() {
    let behavior = Behavior::Quota { after: 1, retry_after_s: 30 };
    let sim = Simulator::start(SimConfig::new("sim-plan", behavior)).unwrap();
    for dialect in Dialect::ALL {
        let key = format!("Bearer {}", dialect.name());
        let auth = [("authorization", key.as_str())];
        assert_eq!(ask(&sim, dialect, false, &auth).status, 200);
        let refused = ask(&sim, dialect, false, &auth);
        assert_eq!(refused.status, 429);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((29..=30).contains(&wait), "{wait}");
        dialect.error_message(&refused).unwrap();
    }
}

#[test]
fn load_behaviour_sends_the_asked_number_of_pieces() {
    let sim = SimConfig::new("sim-fast", Behavior::Fast { chunks: 7, bytes: 100 });
    let sim = Simulator::start(sim).unwrap();
    let text = ask(&sim, Dialect::Anth, true, &[]).text();
    assert_eq!(text.matches(&"x".repeat(100)).count(), 7);
}

#[test]
fn chaos_plays_its_script_and_remembers_the_exact_bytes() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::send(reply::json(200, "{}"))],
        1 => vec![Step::send(reply::sse_head()), Step::send(reply::chunk(b"data: 1")), Step::Reset],
        _ => vec![Step::AwaitClient],
    })
    .unwrap();
    let sent = request("POST", "/x?y=1", &[("X-A", "b")], b"{\"a\": 1}");
    let mut conn = Conn::open(chaos.address());
    conn.send(&sent);
    assert_eq!(conn.reply(false).unwrap().json(), serde_json::json!({}));
    conn.send(&sent);
    assert_eq!(conn.head(false).unwrap().status, 200);
    assert_eq!(conn.piece(), Piece::Data(b"data: 1".to_vec()));
    assert_eq!(conn.piece(), Piece::Cut);
    let seen = chaos.requests();
    assert_eq!([&seen[0].head[..], &seen[0].body[..]].concat(), sent);
    assert_eq!((seen[1].connection, seen[1].nth, seen[1].target()), (0, 1, "/x?y=1".into()));
    assert_eq!(seen[0].header("x-a").as_deref(), Some("b"));

    let mut leaving = Conn::open(chaos.address());
    leaving.send(&sent);
    assert!(chaos.wait_requests(3, PATIENCE));
    assert_eq!(chaos.gone(), 0);
    leaving.reset();
    assert!(chaos.wait_gone(1, PATIENCE));
}
