//! CPU per request, of each side in turn.

use std::time::Duration;

use super::clients::saturate;
use super::side::{Side, Sides};
use super::{Options, median, process};

/// One way of asking.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    title: &'static str,
    answer: &'static str,
    is_large: bool,
}

/// Bytes of a small prompt.
const SMALL: usize = 64;

pub(crate) const CASES: [Case; 4] = [
    Case { name: "small", title: "small, whole", answer: "small", is_large: false },
    Case { name: "stream", title: "stream, pieces at once", answer: "stream", is_large: false },
    Case { name: "paced", title: "stream, pieces 1 ms apart", answer: "paced", is_large: false },
    Case { name: "megabyte", title: "prompt of a megabyte", answer: "small", is_large: true },
];

/// What a side needed in one round.
#[derive(Clone, Copy)]
struct Round {
    per_request: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

pub(crate) fn run(options: &Options, sides: &Sides) {
    let Options { rounds, connections, shape, .. } = options;
    println!(
        "\n{connections} connections, {rounds} rounds of {:?}, streams of {} pieces of {} bytes\n",
        options.time, shape.chunks, shape.bytes
    );
    println!("| request | through | CPU µs | × nginx | requests/s | p50 ms | p99 ms |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    let sides = sides.all();
    for case in CASES.iter().filter(|case| options.wants(case.name)) {
        let mut measured: Vec<Vec<Round>> = sides.iter().map(|_| Vec::new()).collect();
        for _ in 0..*rounds {
            for (side, measured) in sides.iter().zip(&mut measured) {
                measured.push(round(options, case, side));
            }
        }
        let nginx = sides.iter().position(|side| side.name == "nginx");
        let costs = |at: usize| measured[at].iter().map(|round| round.per_request);
        for (at, side) in sides.iter().enumerate() {
            let middle =
                |of: fn(&Round) -> f64| median(&measured[at].iter().map(of).collect::<Vec<_>>());
            let cost = middle(|round| round.per_request);
            let ratio = nginx.map(|nginx| {
                let ratios: Vec<f64> = costs(at).zip(costs(nginx)).map(|(a, b)| a / b).collect();
                median(&ratios)
            });
            let known = !side.processes.is_empty();
            let show = |text: String| if known { text } else { "–".to_owned() };
            println!(
                "| {} | {} | {} | {} | {:.0} | {:.2} | {:.2} |",
                case.title,
                side.name,
                show(format!("{cost:.1}")),
                ratio.map_or("–".to_owned(), |ratio| show(format!("{ratio:.2}"))),
                middle(|round| round.rate),
                middle(|round| round.p50),
                middle(|round| round.p99),
            );
        }
    }
}

fn round(options: &Options, case: &Case, side: &Side) -> Round {
    let request = side.ask(case.answer, if case.is_large { options.megabyte } else { SMALL });
    let connections = if case.is_large { options.connections.min(8) } else { options.connections };
    // Connections, caches and the kernel's buffers are there before it counts.
    saturate(side.address, &request, connections, options.time / 10);
    let before = process::cpu(&side.processes);
    let mut times = saturate(side.address, &request, connections, options.time);
    // What is left to do when the answers are there, such as rows to store, counts as well.
    std::thread::park_timeout(Duration::from_millis(300));
    let cpu = process::cpu(&side.processes) - before;
    times.sort_unstable();
    let count = f64::from(u32::try_from(times.len()).unwrap());
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    Round {
        per_request: cpu.as_secs_f64() * 1e6 / count,
        rate: count / options.time.as_secs_f64(),
        p50: at(50),
        p99: at(99),
    }
}
