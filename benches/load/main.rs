//! Load on the real binary, beside what else could stand in its place: CPU per request, delay, memory.
//!
//! `cargo bench --bench load -- [--only "small, stream"] [--rounds 5] [--seconds 2] [--connections 32]
//! [--chunks 32] [--bytes 64] [--megabyte 1000000] [--router PATH]`
//!
//! One fast upstream in this process is asked directly, through nginx where the machine has it, through a bare
//! pass-through of actix-web and awc, and through the router, in turn, round after round; medians of the rounds are
//! printed as a table in Markdown. The router checks a key, leases an account, counts the tokens of each answer and
//! stores a row of each request.
//!
//! What tells is the CPU time of the process and its children per request: the rate is limited by the two cores that
//! all of them share. Nothing is judged here; the targets are in `design.md` §7, twice nginx's CPU.

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

mod accounts;
mod bare;
mod clients;
mod cold;
mod cost;
mod delay;
mod nginx;
mod open;
mod process;
mod side;
#[path = "../../tests/support/mod.rs"]
mod support;
mod translated;
mod upstream;

use std::path::PathBuf;
use std::time::Duration;

use side::Sides;
use upstream::{Shape, Upstream};

/// What to run, and how long.
struct Options {
    /// Sections to run; all when empty.
    only: Vec<String>,
    rounds: usize,
    time: Duration,
    connections: usize,
    shape: Shape,
    /// Bytes of the large prompt.
    megabyte: usize,
    /// Another build of the router.
    router: Option<PathBuf>,
}

impl Options {
    /// What a router of this run begins with.
    fn setup(&self) -> support::Setup {
        let mut setup = support::Setup::new();
        setup.binary.clone_from(&self.router);
        setup
    }

    fn read() -> Self {
        let shape = Shape { chunks: 32, bytes: 64 };
        let mut options = Self {
            only: Vec::new(),
            rounds: 5,
            time: Duration::from_secs(2),
            connections: 32,
            shape,
            megabyte: 1_000_000,
            router: None,
        };
        let arguments: Vec<String> = std::env::args().collect();
        for pair in arguments.windows(2) {
            let number = || pair[1].parse::<usize>().expect("a number");
            match pair[0].as_str() {
                "--only" => options.only = pair[1].split(',').map(|s| s.trim().into()).collect(),
                "--rounds" => options.rounds = number(),
                "--seconds" => options.time = Duration::from_secs(number().try_into().unwrap()),
                "--connections" => options.connections = number(),
                "--chunks" => options.shape.chunks = number().try_into().unwrap(),
                "--bytes" => options.shape.bytes = number(),
                "--megabyte" => options.megabyte = number(),
                "--router" => options.router = Some(std::path::absolute(&pair[1]).unwrap()),
                _ => {}
            }
        }
        options
    }

    fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == section)
    }
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != bare::ARGUMENT);
    if let (Some(_), Some(upstream)) = (arguments.next(), arguments.next()) {
        return bare::run(&upstream);
    }
    let options = Options::read();
    let upstream = Upstream::start(options.shape);
    if options.wants("idle") || options.wants("cold") {
        cold::run(&options, &upstream);
    }
    if cost::CASES.iter().any(|case| options.wants(case.name)) {
        cost::run(&options, &Sides::start(&options, &upstream));
    }
    if options.wants("delay") {
        delay::run(&Sides::start(&options, &upstream));
    }
    for (section, streams) in [("open", 1_000), ("slow", 5_000)] {
        if options.wants(section) {
            open::run(&Sides::start(&options, &upstream), streams);
        }
    }
    if options.wants("accounts") {
        accounts::run(&options, &upstream);
    }
    if options.wants("translated") {
        translated::run(&options);
    }
}

/// The middle one.
fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("no NaN"));
    sorted[(sorted.len() - 1) / 2]
}
