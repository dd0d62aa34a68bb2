//! The sides of every comparison: nobody between, nginx, the bare pass-through, the router.

use std::net::SocketAddr;

use rustix::process::Pid;

use super::Options;
use super::bare::Bare;
use super::nginx::Nginx;
use super::process;
use super::support::client::request;
use super::support::{Dialect, Router, Setup};
use super::upstream::Upstream;

/// The key that clients of the router send.
const KEY: &str = "load-bench-key-0001";
/// More than any section holds at one time.
const PLACES: u32 = 20_000;
/// Answers of the upstream that have a node in the router, each with its account.
const ANSWERS: [&str; 4] = ["small", "stream", "paced", "slow"];

/// Everything that a request may go through.
pub(crate) struct Sides {
    nginx: Option<Nginx>,
    bare: Bare,
    router: Router,
    upstream: SocketAddr,
}

/// One of them.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Whose CPU and memory count; nobody's when the upstream is asked directly.
    pub(crate) processes: Vec<u32>,
    is_router: bool,
}

impl Sides {
    pub(crate) fn start(options: &Options, upstream: &Upstream) -> Self {
        let nginx = Nginx::start(upstream.address);
        if nginx.is_none() {
            eprintln!("no nginx on this machine: its columns stay empty");
        }
        let router = router(options, upstream.address).start();
        Self { nginx, bare: Bare::start(upstream.address), router, upstream: upstream.address }
    }

    /// In the order of the table; the router last.
    pub(crate) fn all(&self) -> Vec<Side> {
        let side = |name, address, root: Option<u32>| Side {
            name,
            address,
            processes: root.map(process::tree).unwrap_or_default(),
            is_router: false,
        };
        let nginx =
            self.nginx.as_ref().map(|nginx| side("nginx", nginx.address, Some(nginx.pid())));
        let mut sides = vec![side("direct", self.upstream, None)];
        sides.extend(nginx);
        sides.push(side("bare actix + awc", self.bare.address, Some(self.bare.pid())));
        sides.push(Side::router(self.router.address, self.router.pid()));
        sides
    }
}

impl Side {
    /// A router alone.
    pub(crate) fn router(address: SocketAddr, pid: Pid) -> Self {
        let processes = process::tree(pid.as_raw_nonzero().get().unsigned_abs());
        Self { name: "router", address, processes, is_router: true }
    }

    /// A request for an answer of the upstream, with a prompt of so many bytes.
    pub(crate) fn ask(&self, answer: &str, prompt: usize) -> Vec<u8> {
        let stream = answer != "small";
        let (path, model) = if self.is_router {
            ("/v1/chat/completions".to_owned(), format!("{answer}/sim-1"))
        } else {
            (format!("/{answer}/v1/chat/completions"), "sim-1".to_owned())
        };
        let text = "lorem ipsum ".repeat(prompt.div_ceil(12));
        let more = if stream { ",\"stream_options\":{\"include_usage\":true}" } else { "" };
        let body = format!(
            "{{\"model\":\"{model}\",\"stream\":{stream}{more},\"messages\":[{{\"role\":\"user\",\
             \"content\":\"{}\"}}]}}",
            &text[..prompt]
        );
        let credential = format!("Bearer {KEY}");
        let headers = [
            ("authorization", credential.as_str()),
            ("user-agent", "load/1.0"),
            ("accept", "application/json"),
        ];
        request("POST", &path, &headers, body.as_bytes())
    }
}

/// A router with a node and an account for each answer of the upstream, that wants a key.
pub(crate) fn router(options: &Options, upstream: SocketAddr) -> Setup {
    let setup = options
        .setup()
        .setting("require_api_key", true)
        .setting("\"limits.in_flight\"", PLACES)
        .setting("\"limits.provider_in_flight\"", PLACES)
        .setting("\"limits.account_in_flight\"", PLACES)
        .key("load", KEY, "");
    ANSWERS.iter().fold(setup, |setup, answer| {
        setup.upstream(Dialect::Chat, answer, &format!("http://{upstream}/{answer}/v1"))
    })
}
