//! `ninerouter chat MODEL TEXT`: one request over the router's own listener, as a client would send it.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Session, status};
use crate::cli::args::ChatArgs;
use crate::cli::client::{Client, Failed, NO, Refusal, escape};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{count, money, print};
use crate::net::{LocalClient, LocalError, LocalReply, Place};

/// The variable that holds the key (cli-and-deploy §3).
const KEY: &str = "NINEROUTER_API_KEY";
/// Longest wait for the head of the answer: the router's own limits end first.
const HEAD: Duration = Duration::from_secs(600);
/// Usage rows are written in batches of 200 ms.
const ROW_LOOKS: u32 = 10;
const ROW_PAUSE: Duration = Duration::from_millis(100);

/// Runs it; exit 1 when the answer is an error.
///
/// # Errors
/// No router runs, or it does not answer.
pub fn run(session: &Session, args: &ChatArgs) -> Result<(), Failed> {
    let client = Client::of_running(&session.options)?;
    let place = listener(&client.get("/api/status")?)?;
    let key = session.options.environment.clone().get(KEY)?;
    let text = if args.text == "-" { input::file(Path::new("-"))? } else { args.text.clone() };
    let mut messages = Vec::new();
    if let Some(system) = &args.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.push(json!({"role": "user", "content": text}));
    let mut body = json!({"model": args.model, "messages": messages, "stream": true,
        "stream_options": {"include_usage": true}});
    if let (Some(most), Some(members)) = (args.max_tokens, body.as_object_mut()) {
        members.insert("max_tokens".to_owned(), most.into());
    }
    let started = client.clock().now();
    let runner = actix_web::rt::System::new();
    let said =
        runner.block_on(ask(session, &place, key.as_ref().map(|k| k.value.as_str()), &body))?;
    let took = client.clock().now().duration_since(started);
    let row = said.request_id.as_deref().and_then(|id| row(&client, id));
    tell(session, said, row, i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
}

/// Where a client on this computer reaches the router: loopback first.
fn listener(status: &Value) -> Result<Place, Failed> {
    let places: Vec<Place> =
        status::listeners(status).iter().filter_map(|text| place(text)).collect();
    let is_local = |place: &&Place| matches!(place, Place::Tcp(addr) if addr.ip().is_loopback());
    places.iter().find(is_local).or(places.first()).cloned().ok_or_else(|| Failed::Garbled {
        place: "its admin socket".to_owned(),
        why: "it names no address it listens on".to_owned(),
    })
}

fn place(text: &str) -> Option<Place> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(Place::Unix(path.into()));
    }
    let text = text.trim_start_matches("http://").trim_end_matches('/');
    let mut addr: std::net::SocketAddr = text.replace("localhost", "127.0.0.1").parse().ok()?;
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    Some(Place::Tcp(addr))
}

/// What came back.
#[derive(Clone, PartialEq, Debug, Default)]
struct Said {
    text: String,
    usage: Value,
    finish: String,
    model: String,
    account: String,
    attempts: i64,
    request_id: Option<String>,
    error: Option<Value>,
}

async fn ask(
    session: &Session,
    place: &Place,
    key: Option<&str>,
    body: &Value,
) -> Result<Said, Failed> {
    let silent = |error: LocalError| Failed::Silent { place: place.clone(), error };
    let mut headers: Vec<(HeaderName, HeaderValue)> =
        vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if let Some(key) = key {
        let value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
            .map_err(|_no_text| Failed::Usage(format!("`{KEY}` holds what cannot be a key")))?;
        headers.push((AUTHORIZATION, value));
    }
    let client = LocalClient::new(place.clone());
    let body = Bytes::from(body.to_string());
    let mut reply = client
        .send(Method::POST, "/v1/chat/completions", &headers, body, HEAD)
        .await
        .map_err(silent)?;
    let mut said = head(&reply);
    if !reply.status().is_success() {
        let status = reply.status().as_u16();
        let body = reply.body().await.map_err(silent)?;
        return Err(refused(status, serde_json::from_slice(&body).ok(), key.is_some()));
    }
    let mut lines = Lines::default();
    while let Some(bytes) = reply.chunk().await.map_err(silent)? {
        for event in lines.push(&bytes) {
            said.take(&event, session);
        }
    }
    Ok(said)
}

fn head(reply: &LocalReply) -> Said {
    let header = |name: &str| {
        reply
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    Said {
        model: header("x-ninerouter-model"),
        account: header("x-ninerouter-account"),
        attempts: header("x-ninerouter-attempts").parse().unwrap_or_default(),
        request_id: Some(header("x-request-id")).filter(|id| !id.is_empty()),
        ..Said::default()
    }
}

/// The router's refusal, with what helps where a key is missing.
fn refused(status: u16, body: Option<Value>, had_key: bool) -> Failed {
    let refusal = Refusal::read(status, body);
    if status != 401 {
        return Failed::No(refusal.to_string());
    }
    let hint = if had_key {
        format!(
            "\n  The key in `{KEY}` was not accepted; `ninerouter key list` shows the valid ones."
        )
    } else {
        format!("\n  Make a key with `ninerouter key create NAME` and put its text into `{KEY}`.")
    };
    Failed::No(format!("{refusal}{hint}"))
}

/// Splits an event stream of the router's into the objects of its data lines.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<Value> {
        self.open.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', &self.open) {
            let rest = self.open.split_off(end + 1);
            let line = std::mem::replace(&mut self.open, rest);
            if let Some(data) = line.strip_prefix(b"data:") {
                // The closing `[DONE]` is no JSON.
                events.extend(serde_json::from_slice::<Value>(data.trim_ascii()).ok());
            }
        }
        events
    }
}

impl Said {
    fn take(&mut self, event: &Value, session: &Session) {
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            self.error = Some(error.clone());
        }
        let piece = event.text("/choices/0/delta/content");
        if !piece.is_empty() {
            self.text.push_str(piece);
            if !session.out.is_json() {
                print(piece);
            }
        }
        let finish = event.text("/choices/0/finish_reason");
        if !finish.is_empty() {
            self.finish = finish.to_owned();
        }
        if let Some(usage) = event.get("usage").filter(|usage| usage.is_object()) {
            self.usage = usage.clone();
        }
    }
}

/// The row of the request, once it is written.
fn row(client: &Client, id: &str) -> Option<Value> {
    for _ in 0..ROW_LOOKS {
        match client.get(&format!("/api/requests/{}", escape(id))) {
            Ok(row) => return Some(row),
            Err(Failed::Refused(refusal)) if refusal.status == 404 => {}
            Err(_) => return None,
        }
        std::thread::park_timeout(ROW_PAUSE);
    }
    None
}

fn tell(session: &Session, said: Said, row: Option<Value>, ms: i64) -> Result<(), Failed> {
    let row = row.unwrap_or_default();
    let cost = row.int("/paid_umicro").zip(row.int("/list_umicro"));
    if session.out.is_json() {
        session.out.json(&json!({
            "text": said.text, "finish_reason": said.finish, "target": said.model, "account": said.account,
            "attempts": said.attempts, "usage": said.usage, "paid_umicro": cost.map(|c| c.0),
            "list_umicro": cost.map(|c| c.1), "ms": ms, "request_id": said.request_id, "error": said.error,
        }));
        return if said.error.is_some() { Err(Failed::Said(NO)) } else { Ok(()) };
    }
    if !said.text.is_empty() && !said.text.ends_with('\n') {
        print("\n");
    }
    if let Some(error) = &said.error {
        return Err(Failed::No(format!("the answer broke off: {}", error.text("/message"))));
    }
    session.out.note(&format!("{}\n", closing(&said, cost, ms)));
    if std::io::stderr().is_terminal() && said.finish == "length" {
        session.out.note("The answer was cut at the longest length allowed.\n");
    }
    Ok(())
}

/// `served by glm/glm-4.7 at the 2nd attempt; 15 tokens in, 20 out; paid $0.00 (list price $0.0012); 800 ms`.
fn closing(said: &Said, cost: Option<(i64, i64)>, ms: i64) -> String {
    let mut parts = Vec::new();
    let served = if said.model.is_empty() {
        "served".to_owned()
    } else {
        format!("served by {}", said.model)
    };
    parts.push(match said.attempts {
        0 | 1 => served,
        n => format!("{served} after {n} attempts"),
    });
    if let (Some(input), Some(output)) =
        (said.usage.int("/prompt_tokens"), said.usage.int("/completion_tokens"))
    {
        parts.push(format!("{} tokens in, {} out", count(input), count(output)));
    }
    if let Some((paid, list)) = cost {
        parts.push(if paid == list {
            format!("paid {}", money(paid))
        } else {
            format!("paid {} (list price {})", money(paid), money(list))
        });
    }
    parts.push(format!("{} ms", count(ms)));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_read_however_it_is_cut() {
        let stream = b"data: {\"a\":1}\n\n: ping\n\ndata: {\"a\":2}\r\n\r\ndata: [DONE]\n\n";
        for size in 1..stream.len() {
            let mut lines = Lines::default();
            let events: Vec<Value> =
                stream.chunks(size).flat_map(|chunk| lines.push(chunk)).collect();
            assert_eq!(events, [json!({"a": 1}), json!({"a": 2})], "in pieces of {size}");
        }
    }

    #[test]
    fn loopback_is_preferred_and_wildcards_are_reached_there() {
        let find =
            |list: &[&str]| listener(&json!({ "listeners": list })).map(|place| place.to_string());
        assert_eq!(find(&["192.168.1.2:1", "127.0.0.1:2"]).unwrap(), "http://127.0.0.1:2");
        assert_eq!(find(&["0.0.0.0:3"]).unwrap(), "http://127.0.0.1:3");
        assert_eq!(find(&["[::]:3"]).unwrap(), "http://[::1]:3");
        assert_eq!(find(&["unix:/run/x"]).unwrap(), "/run/x");
        assert_eq!(find(&["http://localhost:4"]).unwrap(), "http://127.0.0.1:4");
        assert!(find(&[]).is_err());
    }

    #[test]
    fn the_closing_line_tells_target_tokens_and_cost() {
        let said = Said {
            model: "glm/glm-4.7".to_owned(),
            attempts: 2,
            usage: json!({"prompt_tokens": 1_500, "completion_tokens": 20}),
            ..Said::default()
        };
        assert_eq!(
            closing(&said, Some((0, 1_200)), 800),
            "served by glm/glm-4.7 after 2 attempts; 1,500 tokens in, 20 out; paid $0.00 (list price $0.0012); 800 ms"
        );
        assert_eq!(closing(&Said::default(), None, 5), "served; 5 ms");
    }

    #[test]
    fn a_missing_key_is_told_with_what_to_do() {
        let body = json!({"error": {"message": "an API key is needed"}});
        let text = refused(401, Some(body.clone()), false).to_string();
        assert!(
            text.starts_with("an API key is needed\n") && text.contains("key create"),
            "{text}"
        );
        assert!(refused(401, Some(body.clone()), true).to_string().contains("not accepted"));
        assert_eq!(refused(404, Some(body), false).exit_code(), 1);
    }
}
