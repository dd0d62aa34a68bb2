//! Load on the real binary: requests per second, latency, and the router's CPU per request.
//!
//! `cargo bench --bench load -- [--seconds 5] [--connections 32] [--chunks 32] [--bytes 64]`
//!
//! The upstream is a simulated provider in this process; each case also runs without the router,
//! so that what the machine itself costs can be told apart. design.md §7 names the target: at
//! most twice the CPU of a bare reverse proxy.

#![expect(
    dead_code,
    unused_imports,
    reason = "the harness is shared with the test suites, which use more of it"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench fails by panicking and prints what it found"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use ninerouter::demo::{Behavior, SimConfig, Simulator};
use support::client::request;
use support::{Conn, Dialect, Router, Setup, now};

struct Options {
    seconds: u64,
    connections: usize,
    chunks: u32,
    bytes: usize,
}

fn main() {
    let options = options();
    let behavior = Behavior::Fast { chunks: options.chunks, bytes: options.bytes };
    let sim = Simulator::start(SimConfig::new("sim-fast", behavior)).unwrap();
    let mut setup = Setup::new();
    for dialect in Dialect::ALL {
        let base = format!("http://{}{}", sim.address(), dialect.base());
        setup = setup.upstream(dialect, dialect.name(), &base);
        for more in 1..options.connections.div_ceil(64) {
            setup = setup.account(dialect.name(), &format!("more{more}"));
        }
    }
    let router = setup.start();
    println!(
        "{} connections, {} s per case, {} chunks of {} bytes",
        options.connections, options.seconds, options.chunks, options.bytes
    );
    println!(
        "{:<24}{:>10}{:>10}{:>10}{:>14}{:>14}",
        "case", "req/s", "p50 ms", "p99 ms", "cpu µs/req", "cpu µs/chunk"
    );
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let mode = if stream { "stream" } else { "whole" };
            let name = format!("{} {mode}", dialect.name());
            run(&options, &format!("{name} direct"), dialect, stream, "sim-1", sim.address(), None);
            let model = format!("{}/sim-1", dialect.name());
            run(&options, &name, dialect, stream, &model, router.address, Some(&router));
        }
    }
}

fn options() -> Options {
    let mut options = Options { seconds: 5, connections: 32, chunks: 32, bytes: 64 };
    let arguments: Vec<String> = std::env::args().collect();
    for pair in arguments.windows(2) {
        let number = || pair[1].parse::<u32>().expect("a number");
        match pair[0].as_str() {
            "--seconds" => options.seconds = number().into(),
            "--connections" => options.connections = usize::try_from(number()).unwrap(),
            "--chunks" => options.chunks = number(),
            "--bytes" => options.bytes = usize::try_from(number()).unwrap(),
            _ => {}
        }
    }
    options
}

/// Runs one case and prints its line.
fn run(
    options: &Options,
    name: &str,
    dialect: Dialect,
    stream: bool,
    model: &str,
    address: SocketAddr,
    router: Option<&Router>,
) {
    let body = dialect.body(model, stream);
    let bytes = request("POST", &dialect.path(model, stream), &[], body.as_bytes());
    let cpu_before = router.map(cpu);
    let start = now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let client = || {
            let mut conn = Conn::open(address);
            let mut times = Vec::new();
            while start.elapsed() < Duration::from_secs(options.seconds) {
                let sent = now();
                conn.send(&bytes);
                let reply = conn.reply(false).expect("an answer");
                assert!(reply.status == 200 && reply.complete, "{}", reply.brief());
                times.push(sent.elapsed());
            }
            times
        };
        let clients: Vec<_> = (0..options.connections).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|c| c.join().unwrap()).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let count = f64::from(u32::try_from(times.len()).unwrap());
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    let per_request =
        router.zip(cpu_before).map(|(r, before)| (cpu(r) - before).as_secs_f64() * 1e6 / count);
    let chunks = f64::from(options.chunks);
    let show = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.1}"));
    println!(
        "{name:<24}{:>10.0}{:>10.2}{:>10.2}{:>14}{:>14}",
        count / seconds,
        at(50),
        at(99),
        show(per_request),
        show(per_request.filter(|_| stream).map(|n| n / chunks))
    );
}

/// CPU time the router has used so far.
fn cpu(router: &Router) -> Duration {
    let file = format!("/proc/{}/stat", router.pid().as_raw_nonzero());
    let stat = std::fs::read_to_string(file).unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    let fields: Vec<_> = after_name.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // The kernel reports hundredths of a second, whatever its own tick is.
    Duration::from_millis(ticks * 10)
}
