//! Two accounts of which one always refuses: how many requests find that out.

use super::Options;
use super::clients::bursts;
use super::side::Side;
use super::support::{Dialect, Setup};
use super::upstream::{LIMITED, Upstream};

const CONNECTIONS: usize = 4;
/// Per connection, twice.
const REQUESTS: usize = 10;

pub(crate) fn run(options: &Options, upstream: &Upstream) {
    let base = format!("http://{}/limited/v1", upstream.address);
    let label = LIMITED.trim_start_matches("key-");
    let router = options
        .setup()
        .node(Dialect::Chat, "small", &base)
        .account_with("small", label, "priority = 1")
        .account_with("small", "free", "priority = 2")
        .start();
    let side = Side::router(router.address, router.pid());
    let request = side.ask("small", 64);
    let got: Vec<_> =
        (0..2).flat_map(|_| bursts(router.address, &request, CONNECTIONS, REQUESTS)).collect();
    let failed = got.iter().filter(|got| !got.is_good()).count();
    println!("\n| two accounts, the first always 429 | |\n|---|--:|");
    println!("| requests | {} |", got.len());
    println!("| failed | {failed} |");
    println!("| reached the limited account | {} |", upstream.refused());
}
