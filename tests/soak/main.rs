//! A router under mixed traffic, faults, reloads and clients that hang up, for minutes: nothing may grow, leak or get lost.
//!
//! `cargo test --release --test soak -- --minutes 10` runs it; without `--minutes` it does nothing, so that ordinary test
//! runs are not held up. Every five seconds a line tells resident memory, open files, threads, requests in flight and how
//! far the usage rows are behind. It fails when memory drifts by more than 5 % after the warm-up, when a file, thread, or
//! place in the house is not given back, or when the stop under load cuts a stream or loses a row. All traffic stays on
//! loopback and ends with the time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one tells how it goes"
)]

#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the other suites, which use more of it")]
mod support;

mod clients;
mod gauges;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rustix::process::Signal;

use clients::{Clients, Tally};
use gauges::{Gauge, Sample};
use support::{Dialect, Router, Setup, now, until};
use upstream::{Temper, Upstream};

/// Between two samples.
const TICK: Duration = Duration::from_secs(5);
/// Between two reloads.
const RELOAD: Duration = Duration::from_secs(7);
/// Patience with the end of what is under way.
const SETTLE: Duration = Duration::from_secs(60);
/// Streams that run while the router is told to stop.
const LAST_STREAMS: usize = 24;
const KEY: &str = "sk-nr1-soak-key-0123456789abcdefghijkl";

#[derive(Debug, Parser)]
struct Args {
    /// How long the load lasts
    #[arg(long)]
    minutes: Option<f64>,
    /// Clients at one time
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// The router's binary, where it is not the one that was built beside this
    #[arg(long)]
    router: Option<PathBuf>,
}

fn main() {
    // Runners that list tests or pass their own flags find none here.
    let Ok(Args { minutes: Some(minutes), clients, router: binary }) = Args::try_parse() else {
        println!("soak: not run; give `-- --minutes 10`");
        return;
    };
    let length = Duration::from_secs_f64((minutes * 60.0).clamp(30.0, 3_600.0));
    let upstream = Upstream::start();
    let mut setup = house(&upstream);
    setup.binary = binary;
    let mut router = setup.start();
    println!("{}", Sample::HEAD);

    let tally = Arc::new(Tally::default());
    let samples = load(&router, &upstream, &tally, clients, length);
    let memory = gauges::drift(&samples, length);
    println!("resident memory: {memory}");
    let quiet = quiet(&router, &tally);
    println!("{quiet}   (nobody there)");
    let lost = stop_under_load(&mut router, &upstream, &tally);
    let told = tally.told();
    println!("requests: {told}; usage rows: {}", rows(&router));

    let mut wrong = Vec::new();
    if !memory.is_fine() {
        wrong.push(format!("resident memory drifts: {memory}"));
    }
    let first = &samples[0];
    if quiet.in_flight != 0 {
        wrong.push(format!("{} places in the house were not given back", quiet.in_flight));
    }
    // Connections to the upstream are kept for the next request.
    if quiet.files > first.files + Upstream::KEPT_CONNECTIONS {
        wrong.push(format!("open files: {} at first, {} at the end", first.files, quiet.files));
    }
    if quiet.threads > first.threads + gauges::SPARE_THREADS {
        wrong.push(format!("threads: {} at first, {} at the end", first.threads, quiet.threads));
    }
    wrong.extend(lost);
    wrong.extend(tally.wrong());
    for fault in &wrong {
        eprintln!("soak: {fault}");
    }
    assert!(wrong.is_empty(), "{} things went wrong", wrong.len());
    println!("soak: all is well after {:.1} minutes", length.as_secs_f64() / 60.0);
}

/// Two upstreams of each dialect, one of them moody, and combos over them and across dialects.
fn house(upstream: &Upstream) -> Setup {
    let mut setup = Setup::new()
        // Its address, and errors.
        .env("NINEROUTER_LOG", "error,ninerouter::cli::start=info")
        // Else the system shows its files to nobody.
        .arg("--debug")
        .setting("cooldown_base_s", 1)
        .setting("cooldown_max_s", 2)
        .setting("limits.provider_in_flight", 1_000)
        .key("soak", KEY, "rpm = 1000000\nusd_day = \"1000000\"");
    for dialect in Dialect::ALL {
        let name = dialect.name();
        for temper in [Temper::Moody, Temper::Good] {
            let prefix = format!("{}{name}", temper.prefix());
            let url = upstream.url(temper, dialect);
            setup = setup.node(dialect, &prefix, &url);
            for label in ["one", "two"] {
                setup = setup.account_with(&prefix, label, "max_concurrent = 200");
            }
        }
        let entries = [format!("moody{name}/m"), format!("good{name}/m")];
        setup = setup.combo(name, &entries.each_ref().map(String::as_str));
        let other = match dialect {
            Dialect::Chat => Dialect::Anth,
            Dialect::Resp => Dialect::Chat,
            Dialect::Anth => Dialect::Gem,
            Dialect::Gem => Dialect::Resp,
        };
        let entries = [format!("moody{}/m", other.name()), format!("good{}/m", other.name())];
        setup = setup.combo(&format!("over-{name}"), &entries.each_ref().map(String::as_str));
    }
    setup
}

/// The load itself; one sample a tick.
fn load(
    router: &Router,
    upstream: &Upstream,
    tally: &Arc<Tally>,
    clients: usize,
    length: Duration,
) -> Vec<Sample> {
    let gauge = Gauge::new(router);
    let began = now();
    let running = Clients::start(router.address, clients, tally);
    let config = std::fs::read_to_string(router.config_file()).unwrap();
    let (mut samples, mut reloads) = (Vec::new(), 0_u32);
    while began.elapsed() < length {
        std::thread::park_timeout(TICK.min(length.saturating_sub(began.elapsed())));
        let sample = gauge.sample(began.elapsed(), tally.answered(), rows(router));
        println!("{sample}");
        samples.push(sample);
        if began.elapsed() > RELOAD * reloads {
            reloads += 1;
            // One setting changes, the rest stays as it is.
            let seconds = 15 + reloads % 2;
            let settings = format!("[settings]\nstream_keepalive_s = {seconds}\n");
            let changed = config.replacen("[settings]\n", &settings, 1);
            std::fs::write(router.config_file(), changed).unwrap();
            router.signal(Signal::HUP);
        }
        upstream.next_mood();
    }
    running.stop();
    samples
}

/// Waits until everything that was under way has ended, and looks what is left.
fn quiet(router: &Router, tally: &Tally) -> Sample {
    let gauge = Gauge::new(router);
    until(SETTLE, "the house is empty", || (gauge.in_flight() == 0).then_some(()));
    until(SETTLE, "every answered request has its row", || {
        (rows(router) >= tally.answered()).then_some(())
    });
    gauge.sample(Duration::ZERO, tally.answered(), rows(router))
}

/// SIGTERM while streams run: they finish, and every row is there.
fn stop_under_load(router: &mut Router, upstream: &Upstream, tally: &Arc<Tally>) -> Vec<String> {
    upstream.hold();
    let mut streams = clients::begin_streams(router.address, LAST_STREAMS, tally);
    router.signal(Signal::TERM);
    until(SETTLE, "it accepts no more", || {
        std::net::TcpStream::connect(router.address).is_err().then_some(())
    });
    upstream.release();
    let cut = streams.iter_mut().filter_map(clients::Stream::finish).collect::<Vec<_>>();
    let code = router.wait(SETTLE).code();
    let mut wrong: Vec<String> =
        cut.into_iter().map(|why| format!("a stream was cut by the stop: {why}")).collect();
    if code != Some(0) {
        wrong.push(format!("the stop ended with {code:?}: {}", router.output()));
    }
    let (rows, answered, sent) = (rows(router), tally.answered(), tally.sent());
    if rows < answered || rows > sent {
        wrong.push(format!("{rows} usage rows for {answered} answers to {sent} requests"));
    }
    wrong
}

fn rows(router: &Router) -> u64 {
    router.rows(&["count(*)"], "requests")[0]["count(*)"].as_u64().unwrap()
}
