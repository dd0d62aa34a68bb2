//! A client that leaves takes its upstream call with it: security §18.

use std::time::Duration;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};

use crate::support::client::request;
use crate::support::{Conn, Dialect, PATIENCE, Router, Setup, for_all};

/// Limit of the rule is 250 ms at the 99th percentile; a busy machine gets a second.
const SOON: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Leave {
    Fin,
    Rst,
    HalfClose,
}

/// Where the request is when its client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The upstream has the request and says nothing.
    AwaitingHead,
    /// The upstream sent a head and no content.
    AwaitingContent,
    /// The client has a keep-alive comment and no content yet.
    KeepAlive,
    /// The client has content.
    Streaming,
    /// The first target failed, the second one is silent.
    Fallback,
    /// The upstream is in the middle of a whole body.
    WholeBody,
}

const PHASES: [Phase; 6] = [
    Phase::AwaitingHead,
    Phase::AwaitingContent,
    Phase::KeepAlive,
    Phase::Streaming,
    Phase::Fallback,
    Phase::WholeBody,
];

impl Phase {
    /// What the upstream does before it falls silent.
    fn steps(self, dialect: Dialect) -> Vec<Step> {
        let story = dialect.story();
        let sent = match self {
            Self::AwaitingHead | Self::Fallback => Vec::new(),
            Self::AwaitingContent | Self::KeepAlive => reply::sse_head(),
            Self::Streaming => {
                let seen = format!("{}{}", story.start, story.content[0]);
                [reply::sse_head(), reply::chunk(seen.as_bytes())].concat()
            }
            Self::WholeBody => {
                let whole = reply::json(200, &dialect.answer());
                whole[..whole.len() - 10].to_vec()
            }
        };
        vec![Step::send(sent), Step::AwaitClient]
    }

    fn streams(self) -> bool {
        self != Self::WholeBody
    }
}

fn leave(conn: Conn, how: Leave) -> Option<Conn> {
    match how {
        Leave::Fin => None,
        Leave::Rst => {
            conn.reset();
            None
        }
        Leave::HalfClose => {
            conn.half_close();
            Some(conn)
        }
    }
}

/// T-CAN-04 as well: each has its usage row. T-BUG-12.
#[test]
fn t_can_01_f48_upstream_sees_the_client_leave_in_every_phase() {
    let mut cases = Vec::new();
    for dialect in Dialect::ALL {
        for phase in PHASES {
            for how in [Leave::Fin, Leave::Rst, Leave::HalfClose] {
                cases.push((dialect, phase, how));
            }
        }
    }
    for_all(&cases, 8, |(dialect, phase, how)| {
        let (dialect, phase) = (*dialect, *phase);
        let what = format!("{dialect:?} {phase:?} {how:?}");
        let chaos = Chaos::start(Reading::Whole, move |_| phase.steps(dialect)).unwrap();
        let failing = Chaos::always(reply::json(500, "{}")).unwrap();
        let early = if phase == Phase::KeepAlive { 100 } else { 15_000 };
        let router = Setup::new()
            .setting("timeouts.early_head_ms", early)
            .setting("timeouts.keep_alive_ms", 100)
            .node(dialect, "one", &chaos.url(dialect.base()))
            .account_with("one", "one", "max_concurrent = 1")
            .upstream(dialect, "bad", &failing.url(dialect.base()))
            .combo("stack", &["bad/m", "one/m"])
            .start();
        let model = if phase == Phase::Fallback { "stack" } else { "one/m" };
        let mut conn = send(&router, dialect, model, phase.streams());
        if !chaos.wait_requests(1, PATIENCE) {
            return Err(format!("{what}: the upstream was not asked"));
        }
        match phase {
            Phase::KeepAlive => {
                conn.head(false).ok_or("no early head")?;
                conn.piece();
            }
            Phase::Streaming => {
                conn.head(false).ok_or("no head")?;
                conn.read_to("Hé".as_bytes());
            }
            Phase::AwaitingHead | Phase::AwaitingContent | Phase::Fallback | Phase::WholeBody => {}
        }
        let _kept = leave(conn, *how);
        crate::check!(chaos.wait_gone(1, SOON), "{what}: upstream still open after {SOON:?}");
        // The account's only slot is free again, and nobody was punished.
        let mut next = send(&router, dialect, "one/m", phase.streams());
        crate::check!(chaos.wait_requests(2, SOON), "{what}: the lease was not freed");
        crate::check!(next.try_send(b""), "{what}");
        let columns = ["status", "estimated", "input_tokens", "provider", "account_label", "tier"];
        let row = router.wait_rows(1, &columns, "requests").remove(0);
        crate::check!(row["status"] == "client_cancelled", "{what}: {row}");
        // REL-CAN-4: the upstream bills what it was sent, whatever it had answered.
        crate::check!(row["input_tokens"].as_u64() > Some(0), "{what}: {row}");
        crate::check!(row["account_label"] == "one" && row["tier"].is_string(), "{what}: {row}");
        if phase == Phase::Streaming {
            crate::check!(row["estimated"] == 1 || dialect == Dialect::Anth, "{what}: {row}");
        } else {
            crate::check!(row["estimated"] == 1, "{what}: {row}");
        }
        let locks = router.rows(
            &["scope"],
            "account_locks l JOIN accounts a \
            ON a.id = l.account_id WHERE a.label = 'one'",
        );
        crate::check!(locks.is_empty(), "{what}: {locks:?}");
        Ok(())
    });
}

#[test]
fn rel_can_05_client_that_leaves_the_waiting_room_is_skipped() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::Hold, Step::send(reply::json(200, &Dialect::Chat.answer()))],
        _ => vec![Step::send(reply::json(200, &Dialect::Chat.answer()))],
    })
    .unwrap();
    let router = Setup::new()
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account_with("one", "one", "max_concurrent = 1")
        .start();
    let mut first = send(&router, Dialect::Chat, "one/m", false);
    assert!(chaos.wait_requests(1, PATIENCE));
    let waiting = send(&router, Dialect::Chat, "one/gone", false);
    let mut last = send(&router, Dialect::Chat, "one/last", false);
    drop(waiting);
    let gone = "requests WHERE status = 'client_cancelled'";
    let row = router.wait_rows(1, &["input_tokens", "attempts"], gone).remove(0);
    assert_eq!((&row["input_tokens"], &row["attempts"]), (&0.into(), &0.into()), "{row}");
    chaos.release();
    assert_eq!(first.reply(false).unwrap().status, 200);
    assert_eq!(last.reply(false).unwrap().status, 200);
    let bodies: Vec<_> =
        chaos.requests().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect();
    assert!(!bodies.iter().any(|b| b.contains("\"gone\"")), "{bodies:?}");
}

/// T-BUG-17: every gauge is back where it was.
#[test]
fn t_can_02_many_clients_leave_at_once() {
    let chaos = Chaos::start(Reading::Whole, |_| {
        let story = Dialect::Anth.story();
        let seen = format!("{}{}", story.start, story.content[0]);
        let sent = [reply::sse_head(), reply::chunk(seen.as_bytes())].concat();
        vec![Step::send(sent), Step::AwaitClient]
    })
    .unwrap();
    let router = Setup::new()
        .node(Dialect::Anth, "one", &chaos.url("/v1"))
        .account_with("one", "one", "max_concurrent = 80")
        .account_with("one", "two", "max_concurrent = 80")
        .start();
    let files = || {
        std::fs::read_dir(format!("/proc/{}/fd", router.pid().as_raw_nonzero())).unwrap().count()
    };
    let before = files();
    let clients: Vec<_> = (0..150).map(|_| send(&router, Dialect::Anth, "one/m", true)).collect();
    assert!(chaos.wait_requests(150, PATIENCE));
    drop(clients);
    assert!(chaos.wait_gone(150, Duration::from_secs(2)));
    crate::support::until(Duration::from_secs(2), "open files are back to the base line", || {
        (files() <= before + 5).then_some(())
    });
    router.wait_rows(150, &["id"], "requests WHERE status = 'client_cancelled'");
}

#[test]
fn client_that_leaves_after_the_terminal_mark_had_its_answer() {
    let chaos = Chaos::start(Reading::Whole, |_| {
        let all = Dialect::Anth.story().all();
        vec![Step::send([reply::sse_head(), reply::chunk(&all)].concat()), Step::AwaitClient]
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Anth, "one", &chaos.url("/v1")).start();
    let mut conn = send(&router, Dialect::Anth, "one/m", true);
    conn.head(false).unwrap();
    conn.read_to(b"message_stop");
    drop(conn);
    let row = router.wait_rows(1, &["status", "output_tokens"], "requests").remove(0);
    assert_eq!((&row["status"], &row["output_tokens"]), (&"ok".into(), &5.into()));
}

fn send(router: &Router, dialect: Dialect, model: &str, stream: bool) -> Conn {
    let mut conn = router.connect();
    let body = dialect.body(model, stream);
    conn.send(&request("POST", &dialect.path(model, stream), &[], body.as_bytes()));
    conn
}
