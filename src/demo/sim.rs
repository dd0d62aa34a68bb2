//! A simulated provider: an HTTP server on a loopback port that answers in four wire formats.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::answer::Answer;
use super::ask::{Ask, Head};
use super::host::Host;
use super::wire::{Framing, Wire, frames, refusal};
use crate::clock::{Clock, UnixMs};

/// Header that every reply of a simulator carries, with its name.
const LABEL: HeaderName = HeaderName::from_static("x-simulated-provider");

/// How a simulator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// Each credential is refused with 429 after so many requests, until the window ends.
    Quota {
        /// Requests of one credential per window.
        after: u64,
        /// Length of the refusal.
        retry_after_s: u32,
    },
    /// The first piece of every answer is late.
    Slow {
        /// Delay of the first piece.
        first_token_ms: u64,
    },
    /// Always answers at once.
    Free,
    /// Always answers at once with filler, without looking at the question: for load.
    Fast {
        /// Pieces per answer.
        chunks: u32,
        /// Bytes of text per piece.
        bytes: usize,
    },
}

/// What to start.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Name in texts and headers.
    pub name: String,
    /// How it behaves.
    pub behavior: Behavior,
    /// Pause between the pieces of a streamed answer.
    pub word_pause: Duration,
    /// Worker threads.
    pub workers: usize,
    /// Source of time for quota windows.
    pub clock: Clock,
}

impl SimConfig {
    /// One worker, no pauses, the machine's clock.
    #[must_use]
    pub fn new(name: &str, behavior: Behavior) -> Self {
        Self {
            name: name.to_owned(),
            behavior,
            word_pause: Duration::ZERO,
            workers: 1,
            clock: Clock::System,
        }
    }
}

/// A simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// No loopback port, or no thread, was to be had.
    #[error("cannot start the simulated provider `{name}`: {source}")]
    Start {
        /// Its name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running simulated provider. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    state: Arc<State>,
    host: Host,
}

impl Simulator {
    /// Starts a server on a free loopback port, on a thread of its own.
    ///
    /// # Errors
    /// When the port or the thread cannot be had.
    pub fn start(config: SimConfig) -> Result<Self, SimError> {
        let (name, workers) = (config.name.clone(), config.workers);
        let state = Arc::new(State::new(config));
        let shared = web::Data::from(Arc::clone(&state));
        let host = Host::start(workers, move |app| {
            app.app_data(shared.clone()).default_service(web::to(serve));
        })
        .map_err(|source| SimError::Start { name, source })?;
        Ok(Self { state, host })
    }

    /// Address of its socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// Base URL of its chat, Responses and Messages endpoints.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.host.address())
    }

    /// Base URL of its Gemini endpoints.
    #[must_use]
    pub fn gemini_base_url(&self) -> String {
        format!("http://{}/v1beta", self.host.address())
    }

    /// Requests for answers so far, refused ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.served.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct State {
    config: SimConfig,
    served: AtomicU64,
    /// Quota window of each credential.
    windows: Mutex<HashMap<String, Window>>,
    /// Answers of [`Behavior::Fast`], made once.
    ready_made: Mutex<HashMap<Shape, Arc<[Bytes]>>>,
}

/// What tells one ready-made answer from another: wire, framing, model.
type Shape = (Wire, Framing, String);

#[derive(Debug, Default)]
struct Window {
    served: u64,
    resets_at: Option<UnixMs>,
}

impl State {
    fn new(config: SimConfig) -> Self {
        Self {
            config,
            served: AtomicU64::new(0),
            windows: Mutex::default(),
            ready_made: Mutex::default(),
        }
    }

    /// When the credential's quota is used up: the instant at which it is refilled.
    fn refused_until(&self, credential: &str, now: UnixMs) -> Option<UnixMs> {
        let Behavior::Quota { after, retry_after_s } = self.config.behavior else {
            return None;
        };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(credential.to_owned()).or_default();
        if window.resets_at.is_some_and(|at| at <= now) {
            *window = Window::default();
        }
        if window.served >= after {
            let until = now + i64::from(retry_after_s) * 1000;
            return Some(*window.resets_at.get_or_insert(until));
        }
        window.served += 1;
        None
    }

    fn answer(&self, call: &Call, body: &[u8]) -> Result<Arc<[Bytes]>, serde_json::Error> {
        let number = self.served.load(Ordering::Relaxed);
        if let Behavior::Fast { chunks, bytes } = self.config.behavior {
            let key = (call.wire, call.framing, call.model.clone());
            let mut made = self.ready_made.lock().unwrap_or_else(PoisonError::into_inner);
            let reply = made.entry(key).or_insert_with(|| {
                let answer = Answer::filler(chunks, bytes, call.model.clone());
                frames(call.wire, call.framing, &answer).into()
            });
            return Ok(Arc::clone(reply));
        }
        let ask = Ask::read(call.wire, &serde_json::from_slice::<Value>(body)?);
        let created = self.config.clock.now_ms() / 1000;
        let answer = Answer::to(ask, &self.config.name, call.model.clone(), number, created);
        Ok(frames(call.wire, call.framing, &answer).into())
    }

    fn first_pause(&self) -> Duration {
        match self.config.behavior {
            Behavior::Slow { first_token_ms } => Duration::from_millis(first_token_ms),
            Behavior::Quota { .. } | Behavior::Free | Behavior::Fast { .. } => Duration::ZERO,
        }
    }
}

/// What a request asks for, as far as path and head of the body tell.
struct Call {
    wire: Wire,
    framing: Framing,
    model: String,
}

async fn serve(request: HttpRequest, body: Bytes, state: web::Data<State>) -> HttpResponse {
    let mut reply = match (request.method().as_str(), wire_of(request.path())) {
        ("POST", Some(wire)) => answer(&request, &body, wire, &state).await,
        ("GET", _) if request.path().ends_with("/models") => models(request.path()),
        _ => HttpResponse::NotFound().json(json!({"error": {"message": "no such path"}})),
    };
    let name = header::HeaderValue::from_str(&state.config.name);
    if let Ok(name) = name {
        reply.headers_mut().insert(LABEL, name);
    }
    reply
}

async fn answer(request: &HttpRequest, body: &[u8], wire: Wire, state: &State) -> HttpResponse {
    state.served.fetch_add(1, Ordering::Relaxed);
    let name = &state.config.name;
    let now = state.config.clock.now_ms();
    if let Some(until) = state.refused_until(credential(request), now) {
        return refusal::quota(wire, name, now, until);
    }
    let call = match call(request, body, wire) {
        Ok(call) => call,
        Err(why) => return refusal::bad_request(wire, name, &why.to_string()),
    };
    let pieces = match state.answer(&call, body) {
        Ok(pieces) => pieces,
        Err(why) => return refusal::bad_request(wire, name, &why.to_string()),
    };
    let mut reply = HttpResponse::Ok();
    reply.content_type(call.framing.content_type());
    if call.framing == Framing::Whole {
        actix_web::rt::time::sleep(state.first_pause()).await;
        return reply.body(pieces.iter().next().cloned().unwrap_or_default());
    }
    reply.streaming(paced(pieces, state.first_pause(), state.config.word_pause))
}

fn call(request: &HttpRequest, body: &[u8], wire: Wire) -> Result<Call, serde_json::Error> {
    let head: Head = serde_json::from_slice(body)?;
    let include_usage = head.include_usage();
    let events = Framing::Events { include_usage };
    if wire == Wire::Gemini {
        let (model, action) = gemini_target(request.path());
        let framing = match action {
            "streamGenerateContent" if request.query_string().contains("alt=sse") => events,
            "streamGenerateContent" => Framing::Array,
            _ => Framing::Whole,
        };
        return Ok(Call { wire, framing, model: model.to_owned() });
    }
    let framing = if head.stream == Some(true) { events } else { Framing::Whole };
    Ok(Call { wire, framing, model: head.model.unwrap_or_default() })
}

fn wire_of(path: &str) -> Option<Wire> {
    // Vendors put the same endings under paths of their own.
    let endings = [
        ("/chat/completions", Wire::Chat),
        ("/responses", Wire::Responses),
        ("/messages", Wire::Messages),
    ];
    if let Some((_, wire)) = endings.into_iter().find(|(ending, _)| path.ends_with(ending)) {
        return Some(wire);
    }
    let (_, action) = gemini_target(path);
    matches!(action, "generateContent" | "streamGenerateContent").then_some(Wire::Gemini)
}

/// Model and action of `…/models/{model}:{action}`.
fn gemini_target(path: &str) -> (&str, &str) {
    let tail = path.split_once("/models/").map_or("", |(_, tail)| tail);
    tail.rsplit_once(':').unwrap_or((tail, ""))
}

fn credential(request: &HttpRequest) -> &str {
    ["authorization", "x-api-key", "x-goog-api-key"]
        .iter()
        .find_map(|name| request.headers().get(*name))
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn models(path: &str) -> HttpResponse {
    let id = super::world::DEMO_MODEL;
    if path.starts_with("/v1beta") {
        return HttpResponse::Ok().json(json!({"models": [{"name": format!("models/{id}")}]}));
    }
    let model = json!({"id": id, "object": "model", "created": 1_700_000_000,
        "owned_by": "simulated"});
    HttpResponse::Ok().json(json!({"object": "list", "data": [model]}))
}

/// The pieces one by one: `first` before the first, `between` before each other.
fn paced(
    pieces: Arc<[Bytes]>,
    first: Duration,
    between: Duration,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold(0, move |at: usize| {
        let piece = pieces.get(at).cloned();
        async move {
            let piece = piece?;
            let pause = if at == 0 { first } else { between };
            if !pause.is_zero() {
                actix_web::rt::time::sleep(pause).await;
            }
            Some((Ok(piece), at + 1))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_window_is_counted_per_credential_and_starts_anew_after_its_reset() {
        let clock = Clock::manual(1_000_000);
        let behavior = Behavior::Quota { after: 2, retry_after_s: 60 };
        let config = SimConfig { clock: clock.clone(), ..SimConfig::new("sim", behavior) };
        let state = State::new(config);
        let ask = |key| state.refused_until(key, clock.now_ms());
        assert_eq!([ask("a"), ask("a"), ask("b")], [None; 3]);
        assert_eq!(ask("a"), Some(1_060_000));
        clock.advance(Duration::from_secs(59));
        assert_eq!(ask("a"), Some(1_060_000), "a refused request does not move the reset");
        clock.advance(Duration::from_secs(1));
        assert_eq!(ask("a"), None);
    }

    #[test]
    fn paths_tell_the_wire_and_the_gemini_model() {
        let table = [
            ("/v1/chat/completions", Some(Wire::Chat)),
            ("/v1/responses", Some(Wire::Responses)),
            ("/v1/messages", Some(Wire::Messages)),
            ("/v1beta/models/a/b:streamGenerateContent", Some(Wire::Gemini)),
            ("/v1/models/m:generateContent", Some(Wire::Gemini)),
            ("/v1beta/models/m:countTokens", None),
            ("/v1/models", None),
        ];
        for (path, wire) in table {
            assert_eq!(wire_of(path), wire, "{path}");
        }
        assert_eq!(gemini_target("/v1beta/models/a/b:x:generateContent").0, "a/b:x");
    }
}
