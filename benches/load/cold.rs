//! From the start of the process to the first answer, and what it holds before there is any load.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::side::{Side, router};
use super::support::{Conn, PATIENCE, now, until};
use super::upstream::Upstream;
use super::{Options, median, process};

pub(crate) fn run(options: &Options, upstream: &Upstream) {
    let mut router = router(options, upstream.address).prepare();
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut times = Vec::new();
    let mut idle = 0.0;
    for _ in 0..=options.rounds {
        let start = now();
        router.spawn(&["serve", "--port", &address.port().to_string()]);
        let side = Side::router(address, router.pid());
        let request = side.ask("small", 64);
        until(PATIENCE, "the router listens", || TcpStream::connect(address).ok());
        let mut conn = Conn::open(address);
        conn.send(&request);
        let reply = conn.reply(false).expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.brief());
        times.push(start.elapsed().as_secs_f64() * 1e3);
        // What start-up itself needed is given back, or it counts.
        std::thread::park_timeout(Duration::from_secs(2));
        idle = process::resident(&side.processes);
        router.stop();
    }
    println!("\n| start of the router | |\n|---|--:|");
    println!("| first start, to the first answer | {:.0} ms |", times[0]);
    println!("| later start, to the first answer | {:.0} ms |", median(&times[1..]));
    println!("| resident, idle | {idle:.1} MB |");
}
