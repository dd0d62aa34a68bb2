//! What each side adds to an answer when there is next to no load.

use std::time::Duration;

use super::clients::trickle;
use super::median;
use super::side::Sides;

/// Between two requests: 20 a second.
const PAUSE: Duration = Duration::from_millis(50);
const ROUNDS: usize = 5;
const REQUESTS: usize = 40;

pub(crate) fn run(sides: &Sides) {
    println!("\n| at 20 requests/s, through | p50 ms | added ms |\n|---|--:|--:|");
    let sides = sides.all();
    let mut times: Vec<Vec<f64>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (side, times) in sides.iter().zip(&mut times) {
            let round = trickle(side.address, &side.ask("small", 64), PAUSE, REQUESTS);
            times.extend(round.iter().map(|time| time.as_secs_f64() * 1e3));
        }
    }
    let direct = median(&times[0]);
    for (side, times) in sides.iter().zip(&times) {
        let middle = median(times);
        println!("| {} | {middle:.3} | {:.3} |", side.name, middle - direct);
    }
}
