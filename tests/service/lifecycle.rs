//! Start, drain, stop, crash: security §20, §22, cli-and-deploy §1, §2.

use std::net::TcpListener;
use std::time::Duration;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use rustix::process::Signal;

use crate::support::client::request;
use crate::support::{Conn, Dialect, PATIENCE, Piece, Router, Setup, database, now, until};

/// A stream that waits for the test in its middle.
fn held() -> Chaos {
    let story = Dialect::Anth.story();
    let begun = format!("{}{}", story.start, story.content[0]);
    let rest = format!("{}{}", story.content[1], story.finish);
    Chaos::start(Reading::Whole, move |_| {
        vec![
            Step::send([reply::sse_head(), reply::chunk(begun.as_bytes())].concat()),
            Step::Hold,
            Step::send([&reply::chunk(rest.as_bytes()), reply::LAST_CHUNK].concat()),
        ]
    })
    .unwrap()
}

fn streaming(router: &Router) -> Conn {
    let mut conn = router.connect();
    let body = Dialect::Anth.body("one/m", true);
    conn.send(&request("POST", "/v1/messages", &[], body.as_bytes()));
    assert_eq!(conn.head(false).unwrap().status, 200);
    conn.read_to("Hé".as_bytes());
    conn
}

/// The rest of the body, and whether it ended properly.
fn rest(conn: &mut Conn) -> (String, bool) {
    let mut text = String::new();
    loop {
        match conn.piece() {
            Piece::Data(data) => text += &String::from_utf8_lossy(&data),
            end => return (text, end == Piece::End),
        }
    }
}

#[test]
fn port_0_is_printed_and_the_banner_names_it() {
    let router = Setup::new().start();
    assert_ne!(router.address.port(), 0);
    assert!(router.output().contains(&format!(":{}/dashboard", router.address.port())));
    assert_eq!(router.get("/healthz").json()["status"], "ok");
}

/// T-BOOT-10.
#[test]
fn busy_port_ends_with_98_and_says_what_to_do() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let mut router = Setup::new().prepare();
    router.spawn(&["serve", "--port", &port, "--host", "127.0.0.1"]);
    assert_eq!(router.wait(PATIENCE).code(), Some(98));
    let output = router.output();
    let busy = format!("port {port} is already in use");
    for part in [busy.as_str(), "/dashboard", "/v1", "--port"] {
        assert!(output.contains(part), "{part} in {output}");
    }
}

#[test]
fn second_router_on_the_same_folder_is_refused() {
    let router = Setup::new().start();
    let mut second = Setup::new().env("DATA_DIR", router.data_dir().to_str().unwrap()).prepare();
    second.spawn(&["serve", "--port", "0"]);
    assert_eq!(second.wait(PATIENCE).code(), Some(75), "{}", second.output());
    assert_eq!(router.get("/healthz").status, 200);
}

#[test]
fn t_run_05_bad_starts_have_their_exit_code() {
    let table: [(Setup, &[&str], i32); 5] = [
        (Setup::new(), &["serve", "--nonsense"], 2),
        (Setup::new().env("PORT", "many"), &["serve"], 78),
        (Setup::new().env("REQUIRE_API_KEY", "perhaps"), &["serve", "--port", "0"], 78),
        (Setup::new().toml("[[nodes]]\nprefix = 5\n"), &["serve", "--port", "0"], 78),
        (Setup::new().toml("this is no toml"), &["serve", "--port", "0"], 78),
    ];
    for (setup, args, code) in table {
        let mut router = setup.prepare();
        router.spawn(args);
        let status = router.wait(PATIENCE);
        assert_eq!(status.code(), Some(code), "{args:?}: {}", router.output());
        assert!(!router.output().contains("panicked"), "{}", router.output());
    }
}

#[test]
fn t_run_01_streams_finish_while_draining_and_no_row_is_lost() {
    let chaos = held();
    let mut router = Setup::new().upstream(Dialect::Anth, "one", &chaos.url("/v1")).start();
    let mut streams: Vec<_> = (0..20).map(|_| streaming(&router)).collect();
    let mut idle = router.connect();
    idle.send(&request("GET", "/healthz", &[], b""));
    assert_eq!(idle.reply(false).unwrap().status, 200);
    router.signal(Signal::TERM);
    assert!(idle.is_closed_by_router(), "idle keep-alive connections are closed");
    until(PATIENCE, "it accepts no more", || {
        std::net::TcpStream::connect(router.address).is_err().then_some(())
    });
    chaos.release();
    for conn in &mut streams {
        let (text, ended) = rest(conn);
        assert!(ended && text.contains("message_stop"), "{text:?}");
    }
    assert_eq!(router.wait(PATIENCE).code(), Some(0), "{}", router.output());
    let rows = router.rows(&["status", "output_tokens"], "requests");
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|r| r["status"] == "ok" && r["output_tokens"] == 5), "{rows:?}");
}

#[test]
fn t_run_02_streams_that_outlast_the_drain_end_with_an_error() {
    let chaos = held();
    let mut router = Setup::new()
        .env("NINEROUTER_DRAIN_SECONDS", "1")
        .upstream(Dialect::Anth, "one", &chaos.url("/v1"))
        .start();
    let mut conn = streaming(&router);
    router.signal(Signal::TERM);
    let (text, ended) = rest(&mut conn);
    assert!(text.contains("event: error") && !ended, "{text:?}");
    assert_eq!(router.wait(PATIENCE).code(), Some(0));
    let rows = router.rows(&["incomplete", "status"], "requests");
    assert_eq!((rows.len(), &rows[0]["incomplete"]), (1, &1.into()), "{rows:?}");
}

#[test]
fn t_run_03_second_signal_ends_at_once_and_still_writes() {
    let chaos = held();
    let mut router = Setup::new().upstream(Dialect::Anth, "one", &chaos.url("/v1")).start();
    let _conn = streaming(&router);
    router.signal(Signal::TERM);
    until(PATIENCE, "it drains", || {
        std::net::TcpStream::connect(router.address).is_err().then_some(())
    });
    let start = now();
    router.signal(Signal::INT);
    assert_eq!(router.wait(PATIENCE).code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!(router.rows(&["id"], "requests").len(), 1);
}

#[test]
fn requests_on_live_connections_are_refused_while_draining() {
    let chaos = held();
    let mut router = Setup::new().upstream(Dialect::Anth, "one", &chaos.url("/v1")).start();
    let mut conn = streaming(&router);
    router.signal(Signal::TERM);
    until(PATIENCE, "it drains", || {
        std::net::TcpStream::connect(router.address).is_err().then_some(())
    });
    chaos.release();
    // Sent behind the stream on the same connection.
    let body = Dialect::Anth.body("one/m", true);
    conn.try_send(&request("POST", "/v1/messages", &[], body.as_bytes()));
    assert!(rest(&mut conn).1);
    if let Some(refused) = conn.reply(false) {
        assert_eq!(refused.status, 503, "{}", refused.brief());
        assert_eq!(refused.header("connection"), Some("close"));
    }
    assert_eq!(router.wait(PATIENCE).code(), Some(0));
    assert_eq!(chaos.requests().len(), 1);
}

/// T-DB-01.
#[test]
fn kill_under_load_then_clean_start() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let mut router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    for round in 1..=3 {
        let address = router.address;
        let clients: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    let body = Dialect::Chat.body("one/m", false);
                    let bytes = request("POST", "/v1/chat/completions", &[], body.as_bytes());
                    let mut conn = Conn::open(address);
                    let mut served = 0;
                    while conn.try_send(&bytes) && conn.reply(false).is_some() {
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        let seen = chaos.requests().len();
        assert!(chaos.wait_requests(seen + 300, PATIENCE), "round {round}");
        router.kill();
        let served: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
        router.launch();
        let integrity = "SELECT integrity_check AS j FROM pragma_integrity_check";
        assert_eq!(database::text(&router.database(), integrity).as_deref(), Some("ok"));
        // REL-DB-3: a batch of 512 rows, and what 200 ms brought.
        let rows = router.rows(&["id"], "requests").len();
        assert!(rows > 0 || served < 600, "round {round}: {rows} of {served} rows");
        assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
        let objects = router.rows(&["label"], "accounts");
        assert_eq!(objects.len(), 1, "round {round}");
    }
}

#[test]
fn stop_loses_no_usage_row() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let mut router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    for _ in 0..50 {
        assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
    }
    assert_eq!(router.stop().code(), Some(0));
    assert_eq!(router.rows(&["id"], "requests").len(), 50);
    assert_eq!(
        router.rows(&["value"], "counters WHERE name = 'requests_lifetime'")[0]["value"],
        50
    );
}

#[test]
fn config_file_is_applied_once_and_again() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let mut router = Setup::new()
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .combo("stack", &["one/m"])
        .start();
    let before = router.rows(&["id", "label", "managed_by"], "accounts");
    assert_eq!(before[0]["managed_by"], "config_file");
    assert!(router.stop().success());
    router.launch();
    assert_eq!(router.rows(&["id", "label", "managed_by"], "accounts"), before);
    assert_eq!(router.rows(&["name"], "combos").len(), 1);
}

#[test]
fn demo_prints_a_curl_line_that_works() {
    let mut demo = Setup::new().prepare();
    demo.spawn(&["demo", "--port", "0"]);
    let line = until(PATIENCE, "demo prints a curl line", || {
        demo.output().lines().find(|l| l.starts_with("curl ")).map(str::to_owned)
    });
    let url = line.split(['\'', '"', ' ']).find(|w| w.starts_with("http://")).unwrap();
    let authority = url.trim_start_matches("http://").split('/').next().unwrap();
    let port = authority.rsplit(':').next().unwrap().parse().unwrap();
    demo.address = ([127, 0, 0, 1], port).into();
    until(PATIENCE, "demo is ready", || (demo.get("/readyz").status == 200).then_some(()));
    // The plan's two accounts run out of quota after three requests each.
    let mut served = Vec::new();
    for _ in 0..8 {
        let got = demo.ask(Dialect::Chat, "demo", true);
        assert_eq!(got.status, 200, "{}", got.brief());
        assert!(got.text().contains("simulated"), "{}", got.brief());
        served.push(got.header("x-ninerouter-model").unwrap().to_owned());
    }
    assert_eq!(served[0], "sim-plan/sim-1");
    assert_eq!(served[5], "sim-plan/sim-1");
    assert_eq!(served[6], "sim-cheap/sim-1", "{served:?}");
    for (dialect, prefix) in [
        (Dialect::Resp, "sim-responses"),
        (Dialect::Anth, "sim-messages"),
        (Dialect::Gem, "sim-gemini"),
    ] {
        let got = demo.ask(dialect, &format!("{prefix}/sim-1"), true);
        assert!(got.text().contains("simulated"), "{}", got.brief());
    }
    assert_eq!(demo.stop().code(), Some(0));
}
