//! Streams of one dialect's upstream for another dialect's clients, beside streams that are passed through.

use ninerouter::demo::{Behavior, SimConfig, Simulator};

use super::clients::saturate;
use super::support::client::request;
use super::support::{Dialect, Setup};
use super::{Options, process};

pub(crate) fn run(options: &Options) {
    let behavior = Behavior::Fast { chunks: options.shape.chunks, bytes: options.shape.bytes };
    let sim = Simulator::start(SimConfig::new("sim-fast", behavior)).unwrap();
    let mut setup = options.setup();
    for dialect in Dialect::ALL {
        let base = format!("http://{}{}", sim.address(), dialect.base());
        setup = setup.upstream(dialect, dialect.name(), &base);
    }
    let router = setup.start();
    let processes = process::tree(router.pid().as_raw_nonzero().get().unsigned_abs());
    let cost = |client: Dialect, upstream: Dialect| {
        let model = format!("{}/sim-1", upstream.name());
        let body = client.body(&model, true);
        let bytes = request("POST", &client.path(&model, true), &[], body.as_bytes());
        let before = process::cpu(&processes);
        let times = saturate(router.address, &bytes, options.connections, options.time);
        let cpu = process::cpu(&processes) - before;
        cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(times.len()).unwrap())
    };
    println!("\n| stream, client's dialect | upstream's | CPU µs | × passed through |");
    println!("|---|---|--:|--:|");
    for client in Dialect::ALL {
        let own = cost(client, client);
        println!("| {0} | {0} | {own:.1} | 1.00 |", client.name());
        for upstream in Dialect::ALL.into_iter().filter(|upstream| *upstream != client) {
            let cost = cost(client, upstream);
            println!("| {} | {} | {cost:.1} | {:.2} |", client.name(), upstream.name(), cost / own);
        }
    }
}
