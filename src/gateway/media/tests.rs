//! Media fetched from real sockets and put into requests.

use ninerouter_dialect::translate::{NoSignatures, PrepareCx, RequestTranslator, Target};
use ninerouter_dialect::{Dialect, ErrorShape};
use rustls::RootCertStore;
use serde_json::{Value, json};

use super::*;
use crate::demo::chaos::reply::whole;
use crate::demo::chaos::{Chaos, PATIENCE, Reading, Step};
use crate::net::resolve::SystemResolver;
use crate::net::{NetSettings, Purpose, Route};

const LONG: Duration = Duration::from_secs(10);
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

struct Rig {
    net: Arc<NetShared>,
    rules: ContentRules,
    memory: Capacity,
    clock: Clock,
}

impl Rig {
    fn new() -> Self {
        let resolver = Arc::new(SystemResolver);
        let net = NetShared::with(NetSettings::default(), resolver, RootCertStore::empty());
        Self {
            net: net.unwrap(),
            rules: ContentRules::on_loopback(LONG),
            memory: Capacity::new(1 << 20),
            clock: Clock::manual(0),
        }
    }

    async fn provide(&self, media: &Media, urls: &[String]) -> Result<Value, Box<Refusal>> {
        let cx = FetchCx {
            net: &self.net,
            rules: &self.rules,
            route: &Route::Direct,
            memory: &self.memory,
            clock: &self.clock,
            deadline: Some(self.clock.now() + LONG),
            initiator: &Initiator::new(Purpose::Media),
        };
        let mut prepared = prepared(urls);
        media.provide(&mut prepared, &cx).await?;
        assert!(prepared.wanted_media().is_empty());
        Ok(serde_json::from_slice(&prepared.encode().unwrap().body).unwrap())
    }

    async fn refused(&self, urls: &[String]) -> (u16, Value) {
        let refusal = self.provide(&Media::default(), urls).await.unwrap_err();
        let status = refusal.http_status(ErrorShape::Chat);
        (status, serde_json::from_slice(&refusal.body(ErrorShape::Chat, "r")).unwrap())
    }
}

/// A chat request with images, on its way to Gemini.
fn prepared(urls: &[String]) -> Prepared {
    let image = |url: &String| json!({"type": "image_url", "image_url": {"url": url}});
    let content: Vec<_> = urls.iter().map(image).collect();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
    let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    RequestTranslator::decode(Dialect::Chat, body.to_string().as_bytes())
        .unwrap()
        .prepare(&Target::new(Dialect::Gem, "gemini-2.5-pro"), &cx)
        .unwrap()
}

fn png() -> Vec<u8> {
    whole(200, &[("content-type", "image/png")], PNG)
}

#[actix_rt::test]
async fn t104_images_are_fetched_once_for_all_attempts() {
    let rig = Rig::new();
    let upstream = Chaos::always(png()).unwrap();
    let urls = [upstream.url("/a"), upstream.url("/b"), upstream.url("/a")];
    let media = Media::default();
    let got = rig.provide(&media, &urls).await.unwrap();
    let inline =
        json!({"inlineData": {"mimeType": "image/png", "data": BASE64_STANDARD.encode(PNG)}});
    assert_eq!(got["contents"][0]["parts"], json!([inline, inline, inline]));
    assert_eq!(upstream.requests().len(), 2);
    assert!(rig.memory.used() > 0);

    assert_eq!(rig.provide(&media, &urls).await.unwrap(), got);
    assert_eq!(upstream.requests().len(), 2);
    rig.clock.advance(FRESH);
    assert_eq!(rig.provide(&media, &urls).await.unwrap(), got);
    assert_eq!(upstream.requests().len(), 4);

    drop(media);
    assert_eq!(rig.memory.used(), 0);
}

#[actix_rt::test]
async fn eight_are_fetched_at_once_and_twenty_in_all() {
    let rig = Rig::new();
    let upstream = Chaos::start(Reading::Whole, |_| vec![Step::Hold, Step::send(png())]).unwrap();
    let urls: Vec<_> = (0..21).map(|at| upstream.url(&format!("/{at}"))).collect();
    let (status, body) = rig.refused(&urls).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid_image_url")));
    assert_eq!(upstream.connections(), 0);

    let watch = async {
        let upstream = &upstream;
        let seen = move || {
            let first = upstream.wait_requests(8, Duration::ZERO);
            first.then(|| upstream.requests().len())
        };
        let at_once = loop {
            if let Some(count) = seen() {
                break count;
            }
            actix_rt::task::yield_now().await;
        };
        upstream.release();
        at_once
    };
    let media = Media::default();
    let (got, at_once) = futures_util::future::join(rig.provide(&media, &urls[..20]), watch).await;
    assert_eq!(got.unwrap()["contents"][0]["parts"].as_array().unwrap().len(), 20);
    assert_eq!(at_once, AT_ONCE);
    assert!(upstream.wait_requests(20, PATIENCE));
}

#[actix_rt::test]
async fn what_cannot_be_fetched_is_the_clients_to_mend() {
    let rig = Rig::new();
    let page = Chaos::always(whole(200, &[("content-type", "image/png")], b"<html>secret</html>"));
    let page = page.unwrap();
    let gone = Chaos::always(whole(404, &[], b"secret")).unwrap();
    for (url, want) in [
        (page.url("/p?sig=secret"), "no image"),
        (gone.url("/g?sig=secret"), "`404`"),
        ("http://169.254.169.254/latest/secret".to_owned(), "not public"),
        ("http://u:secret@127.0.0.1/".to_owned(), "user name"),
        ("no URL".to_owned(), "not a valid URL"),
    ] {
        let (status, body) = rig.refused(std::slice::from_ref(&url)).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid_image_url")), "{url}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("could not fetch image") && message.contains(want),
            "{message}"
        );
        assert!(!message.contains("secret") && !message.contains("policy"), "{message}");
    }
    // One bad address spoils the request, and nothing stays counted.
    let good = Chaos::always(png()).unwrap();
    assert_eq!(rig.refused(&[good.url("/"), gone.url("/")]).await.0, 400);
    assert_eq!(rig.memory.used(), 0);
}

#[actix_rt::test]
async fn what_is_fetched_counts_as_memory() {
    let rig = Rig { memory: Capacity::new(20), ..Rig::new() };
    let upstream = Chaos::always(png()).unwrap();
    let (status, body) = rig.refused(&[upstream.url("/")]).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("router_overloaded")));
    assert_eq!(rig.memory.used(), 0);
}

#[actix_rt::test]
async fn the_requests_deadline_ends_a_download() {
    let rig = Rig { clock: Clock::System, ..Rig::new() };
    let upstream = Chaos::start(Reading::Whole, |_| vec![Step::Hold]).unwrap();
    let cx = FetchCx {
        net: &rig.net,
        rules: &rig.rules,
        route: &Route::Direct,
        memory: &rig.memory,
        clock: &rig.clock,
        deadline: Some(rig.clock.now()),
        initiator: &Initiator::new(Purpose::Media),
    };
    let mut prepared = prepared(&[upstream.url("/")]);
    let refusal = Media::default().provide(&mut prepared, &cx).await.unwrap_err();
    assert!(refusal.error.message.contains("in time"), "{}", refusal.error.message);
}
