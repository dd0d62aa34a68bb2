//! What the tests share: clients with a resolver under control, requests with short limits.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_http::Method;
use actix_http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use ninerouter_dialect::SplicedBody;
use rustls::RootCertStore;

use crate::demo::chaos::{Chaos, Reading, Received, Step};
use crate::net::resolve::{Lookup, Resolve};
use crate::net::{
    Clients, DestClass, Destination, Initiator, NetError, NetSettings, NetShared, Outgoing,
    Purpose, Reply, Route,
};
use crate::provider::node::NetworkPolicy;

/// Longer than anything that is to happen, shorter than a hanging test run.
pub(super) const LONG: Duration = Duration::from_secs(10);
/// A limit that is meant to expire.
pub(super) const SHORT: Duration = Duration::from_millis(150);
/// What a cancellation may take (REL-CAN-1).
pub(super) const PROMPT: Duration = Duration::from_millis(250);

/// Answers each name from a list, one entry per question; the last one stays. Other names never answer.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    pub(super) fn with(answers: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        let table = answers
            .iter()
            .map(|(name, lists)| ((*name).to_owned(), lists.iter().map(parse).collect()))
            .collect();
        Arc::new(Self(Mutex::new(table)))
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        let mut table = self.0.lock().unwrap();
        let Some(lists) = table.get_mut(host) else { return Box::pin(std::future::pending()) };
        let answer = if lists.len() > 1 { lists.remove(0) } else { lists[0].clone() };
        Box::pin(async move {
            if answer.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(answer) }
        })
    }
}

pub(super) fn clients() -> Clients {
    clients_with(NetSettings::default(), Names::with(&[]), RootCertStore::empty())
}

pub(super) fn clients_with(
    settings: NetSettings,
    names: Arc<Names>,
    roots: RootCertStore,
) -> Clients {
    Clients::new(NetShared::with(settings, names, roots).unwrap())
}

pub(super) fn destination(network: NetworkPolicy) -> Destination {
    Destination { class: DestClass::Node, network, insecure_http: true, h2: false }
}

pub(super) fn post(url: &str, body: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        method: Method::POST,
        url: url.to_owned(),
        headers: vec![
            (HeaderName::from_static("content-type"), HeaderValue::from_static("application/json")),
            (HeaderName::from_static("x-api-key"), HeaderValue::from_static("canary")),
        ],
        body: SplicedBody::whole(body.into()),
        dest: destination(NetworkPolicy::Loopback),
        route: Route::Direct,
        head_timeout: LONG,
        send_stall: LONG,
        initiator: Initiator::new(Purpose::Inference),
    }
}

pub(super) async fn ask(clients: &Clients, upstream: &Chaos) -> Result<Reply, NetError> {
    clients.send(post(&upstream.url("/v1/x?y=z"), r#"{"a":1}"#)).await
}

/// Head and whole body.
pub(super) async fn fetch(clients: &Clients, upstream: &Chaos) -> Result<(u16, Bytes), NetError> {
    let reply = ask(clients, upstream).await?;
    Ok((reply.status, reply.body.collect(64 * 1024 * 1024, LONG).await?))
}

/// An upstream that answers each request with `bytes`, then closes.
pub(super) fn once(bytes: impl Into<Bytes>) -> Chaos {
    let bytes = bytes.into();
    scripted(move |_| vec![Step::Send(bytes.clone()), Step::Close])
}

pub(super) fn scripted(plan: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Chaos {
    Chaos::start(Reading::Whole, plan).unwrap()
}
