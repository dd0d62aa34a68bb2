//! Load on the real binary: requests per second, latency, and the router's CPU per request.
//!
//! `cargo bench --bench load -- [--seconds 5] [--connections 32] [--chunks 32] [--bytes 64] [--case "chat stream"]`
//!
//! The upstream is a simulated provider in this process. Each case also runs without the router, so
//! that what the machine itself costs can be told apart, and through nginx when the machine has it:
//! the target is at most twice its CPU, with the key check, the lease, the usage tap and the stored
//! row of each request. Then each dialect's clients get streams of every other dialect's upstream: the
//! target is at most twice the CPU of a stream that is passed through.

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

mod nginx;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use nginx::Nginx;
use ninerouter::demo::{Behavior, SimConfig, Simulator};
use support::client::request;
use support::{Conn, Dialect, Router, Setup, now};

struct Options {
    seconds: u64,
    connections: usize,
    chunks: u32,
    bytes: usize,
    /// Of the cases, those whose name begins so.
    case: String,
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
    let nginx = Nginx::start(sim.address());
    let ours = vec![router.pid().as_raw_nonzero().get().unsigned_abs()];
    let theirs = nginx.as_ref().map(Nginx::processes).unwrap_or_default();
    println!(
        "{} connections, {} s per case, {} chunks of {} bytes",
        options.connections, options.seconds, options.chunks, options.bytes
    );
    println!(
        "{:<24}{:>10}{:>10}{:>10}{:>14}{:>14}",
        "case", "req/s", "p50 ms", "p99 ms", "cpu µs/req", "cpu µs/chunk"
    );
    let mut passed_through = Vec::new();
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let mode = if stream { "stream" } else { "whole" };
            let name = format!("{} {mode}", dialect.name());
            if !name.starts_with(&options.case) {
                continue;
            }
            let case = |name: &str, model: &str, address, processes: &[u32]| {
                run(&options, name, dialect, stream, model, address, processes)
            };
            case(&format!("{name} direct"), "sim-1", sim.address(), &[]);
            let model = format!("{}/sim-1", dialect.name());
            let router = case(&name, &model, router.address, &ours);
            if stream {
                passed_through.push((dialect, router));
            }
            let Some(nginx) = &nginx else { continue };
            let bare = case(&format!("{name} nginx"), "sim-1", nginx.address, &theirs);
            println!("{:<24}{:>10.2} x the CPU of nginx", "", router / bare);
        }
    }
    for (client, bare) in passed_through {
        for upstream in Dialect::ALL.into_iter().filter(|upstream| *upstream != client) {
            let name = format!("{} from {} stream", client.name(), upstream.name());
            let model = format!("{}/sim-1", upstream.name());
            let translated = run(&options, &name, client, true, &model, router.address, &ours);
            println!("{:<24}{:>10.2} x the CPU of a passed-through stream", "", translated / bare);
        }
    }
}

fn options() -> Options {
    let case = String::new();
    let mut options = Options { seconds: 5, connections: 32, chunks: 32, bytes: 64, case };
    let arguments: Vec<String> = std::env::args().collect();
    for pair in arguments.windows(2) {
        let number = || pair[1].parse::<u32>().expect("a number");
        match pair[0].as_str() {
            "--seconds" => options.seconds = number().into(),
            "--connections" => options.connections = usize::try_from(number()).unwrap(),
            "--chunks" => options.chunks = number(),
            "--case" => options.case.clone_from(&pair[1]),
            "--bytes" => options.bytes = usize::try_from(number()).unwrap(),
            _ => {}
        }
    }
    options
}

/// Runs one case and prints its line. Gives the CPU time per request of `processes`, in µs.
fn run(
    options: &Options,
    name: &str,
    dialect: Dialect,
    stream: bool,
    model: &str,
    address: SocketAddr,
    processes: &[u32],
) -> f64 {
    let body = dialect.body(model, stream);
    let bytes = request("POST", &dialect.path(model, stream), &[], body.as_bytes());
    let cpu_before = cpu(processes);
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
    let per_request = (cpu(processes) - cpu_before).as_secs_f64() * 1e6 / count;
    let chunks = f64::from(options.chunks);
    let show = |n: f64, known| if known { format!("{n:.1}") } else { "-".to_owned() };
    let known = !processes.is_empty();
    println!(
        "{name:<24}{:>10.0}{:>10.2}{:>10.2}{:>14}{:>14}",
        count / seconds,
        at(50),
        at(99),
        show(per_request, known),
        show(per_request / chunks, known && stream)
    );
    per_request
}

/// CPU time that processes have used so far.
fn cpu(processes: &[u32]) -> Duration {
    let ticks = processes.iter().map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = &stat[stat.rfind(')').unwrap() + 2..];
        let fields: Vec<_> = after_name.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    });
    // The kernel reports hundredths of a second, whatever its own tick is.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
