//! Memory with many open streams, and whether all of them come to their end.

use std::time::Duration;

use super::clients::hold;
use super::process;
use super::side::Sides;

/// Long enough for all to be open, short enough for none to have ended.
const LOOK_AFTER: Duration = Duration::from_secs(12);

pub(crate) fn run(sides: &Sides, streams: usize) {
    println!("\n| {streams} open streams, through | MB before | MB | KB per stream | failed |");
    println!("|---|--:|--:|--:|--:|");
    for side in sides.all() {
        let before = process::resident(&side.processes);
        let mut during = 0.0;
        let request = side.ask("slow", 64);
        let got = hold(side.address, &request, streams, LOOK_AFTER, || {
            during = process::resident(&side.processes);
        });
        let failed = got.iter().filter(|got| !got.is_good()).count();
        let each = (during - before) * 1e3 / f64::from(u32::try_from(streams).unwrap());
        println!("| {} | {before:.1} | {during:.1} | {each:.1} | {failed} |", side.name);
    }
}
