//! Content that a request names: what is asked, how far it is followed, where it ends.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use super::rig::{LONG, Names, SHORT, once, post, scripted};
use crate::demo::chaos::reply::{head, whole};
use crate::demo::chaos::{Chaos, PATIENCE, Step};
use crate::net::content::{Content, ContentError, ContentRules, fetch};
use crate::net::url::UrlRefusal;
use crate::net::verdict::Range;
use crate::net::{
    Clients, DestClass, Initiator, NetError, NetSettings, NetShared, Purpose, Refusal, Route,
};

const MEDIA: Initiator = Initiator { purpose: Purpose::Media, provider: None, request_id: None };

fn net(answers: &[(&str, &[&[&str]])]) -> Arc<NetShared> {
    let names = Names::with(answers);
    NetShared::with(NetSettings::default(), names, RootCertStore::empty()).unwrap()
}

async fn get(url: &str, longest: Duration) -> Result<Content, ContentError> {
    let rules = ContentRules::on_loopback(longest);
    fetch(&net(&[]), url, &rules, &Route::Direct, LONG, |_| true, &MEDIA).await
}

fn png() -> Vec<u8> {
    whole(200, &[("content-type", "image/png")], b"bytes")
}

/// `steps` answers, each leading to the next, then the image.
fn chain(steps: usize, status: u16) -> Chaos {
    scripted(move |asked| {
        let at: usize = asked.target().trim_start_matches('/').parse().unwrap();
        let next = format!("/{}#top", at + 1);
        let more = head(status, &[("location", &next), ("content-length", "0")]);
        vec![Step::send(if at < steps { more } else { png() })]
    })
}

#[actix_rt::test]
async fn content_is_asked_for_with_a_bare_request() {
    let upstream = Chaos::always(png()).unwrap();
    let got = get(&upstream.url("/a.png?sig=1"), LONG).await.unwrap();
    assert_eq!((&*got.bytes, got.declared.as_deref()), (&b"bytes"[..], Some("image/png")));
    let asked = upstream.requests().remove(0);
    assert!(asked.head.starts_with(b"GET /a.png?sig=1 HTTP/1.1\r\n"));
    let bare = ["accept", "accept-encoding", "content-length", "date", "host", "user-agent"];
    for (name, _) in asked.headers() {
        assert!(bare.contains(&name.as_str()), "{name}");
    }
    // No connection stays behind for an address that a client chose.
    assert!(upstream.wait_gone(1, PATIENCE));
}

#[actix_rt::test]
async fn three_redirects_are_followed_and_no_more() {
    for status in [301, 302, 303, 307, 308] {
        let upstream = chain(3, status);
        assert_eq!(&*get(&upstream.url("/0"), LONG).await.unwrap().bytes, b"bytes");
        assert_eq!(upstream.requests().len(), 4);
    }
    let upstream = chain(4, 302);
    assert_eq!(get(&upstream.url("/0"), LONG).await, Err(ContentError::Redirects));
    assert_eq!(upstream.requests().len(), 4);
    let upstream = once(head(302, &[("content-length", "0")]));
    assert_eq!(get(&upstream.url("/"), LONG).await, Err(ContentError::Redirects));
}

#[actix_rt::test]
async fn t104_t_out_05_each_redirect_is_judged() {
    let refused = |why: UrlRefusal| Err(ContentError::Net(why.into()));
    for (location, want) in [
        ("http://10.0.0.1/x", refused(UrlRefusal::Address(Range::Private))),
        ("http://169.254.169.254/latest", refused(UrlRefusal::Address(Range::Metadata))),
        ("//user:pw@127.0.0.1/", refused(UrlRefusal::UserInfo)),
        ("file:///etc/passwd", refused(UrlRefusal::Scheme)),
        ("http://[", refused(UrlRefusal::Unparsable)),
    ] {
        let fields = [("location", location), ("content-length", "0")];
        let upstream = once(head(302, &fields));
        assert_eq!(get(&upstream.url("/"), LONG).await, want, "{location}");
    }
}

#[actix_rt::test]
async fn t104_t_out_06_only_public_https_is_fetched_from() {
    let upstream = Chaos::always(png()).unwrap();
    let port = upstream.address().port();
    let net =
        net(&[("moved.example", &[&["169.254.169.254"]]), ("home.example", &[&["127.0.0.1"]])]);
    let ask = async |url: &str, plain_http| {
        fetch(&net, url, &ContentRules::new(plain_http), &Route::Direct, LONG, |_| true, &MEDIA)
            .await
            .unwrap_err()
    };
    let url = |why: UrlRefusal| ContentError::Net(why.into());
    let address = |range| ContentError::Net(Refusal::Address(range).into());
    for (text, plain_http, want) in [
        (
            "http://169.254.169.254/latest/meta-data/",
            true,
            url(UrlRefusal::Address(Range::Metadata)),
        ),
        ("http://example.org/a.png", false, url(UrlRefusal::PlainHttp)),
        ("https://127.0.0.1/", false, url(UrlRefusal::Address(Range::Loopback))),
        ("https://2130706433/", false, url(UrlRefusal::Address(Range::Loopback))),
        ("https://[::ffff:7f00:1]/", false, url(UrlRefusal::Address(Range::Loopback))),
        ("https://u:p@example.org/", false, url(UrlRefusal::UserInfo)),
        ("https://example.org:8443/", false, ContentError::Port(8443)),
        ("https://example.org:6379/", false, ContentError::Port(6379)),
        ("ftp://example.org/", true, url(UrlRefusal::Scheme)),
        ("https://metadata.google.internal/", false, url(UrlRefusal::MetadataName)),
        ("https://moved.example/", false, address(Range::Metadata)),
        ("https://home.example/", false, address(Range::Loopback)),
        ("http://home.example/", true, address(Range::Loopback)),
    ] {
        assert_eq!(ask(text, plain_http).await, want, "{text}");
    }
    assert_eq!(
        ask(&format!("http://127.0.0.1:{port}/"), true).await,
        url(UrlRefusal::Address(Range::Loopback))
    );
    assert_eq!(upstream.connections(), 0);
}

#[actix_rt::test]
async fn t_out_12_slow_and_large_content_ends_at_its_limit() {
    let head_of = |fields: &[(&str, &str)]| Step::send(head(200, fields));
    let drip = Step::Drip { bytes: vec![b'x'; 1000].into(), pause: Duration::from_millis(20) };
    let slow = [head_of(&[("content-length", "1000")]), drip];
    let upstream = scripted(move |_| slow.to_vec());
    assert_eq!(get(&upstream.url("/"), SHORT).await, Err(ContentError::TooSlow));
    assert!(upstream.wait_gone(1, PATIENCE));

    let upstream = scripted(|_| vec![Step::Hold]);
    assert_eq!(get(&upstream.url("/"), SHORT).await, Err(ContentError::TooSlow));

    let mib = vec![b'x'; 1 << 20];
    let chunk = [b"100000\r\n".as_slice(), &mib, b"\r\n"].concat();
    let endless = [
        head_of(&[("transfer-encoding", "chunked")]),
        Step::Repeat { bytes: chunk.into(), times: 1000 },
    ];
    let upstream = scripted(move |_| endless.to_vec());
    assert_eq!(get(&upstream.url("/"), LONG).await, Err(ContentError::TooLarge));
    assert!(upstream.wait_gone(1, PATIENCE));

    let declared = (21 << 20).to_string();
    let upstream = once(head(200, &[("content-length", &declared)]));
    assert_eq!(get(&upstream.url("/"), LONG).await, Err(ContentError::TooLarge));
}

#[actix_rt::test]
async fn what_is_no_content_is_told() {
    for status in [204, 206, 304, 401, 404, 500] {
        let upstream = once(whole(status, &[], b""));
        let got = get(&upstream.url("/"), LONG).await;
        assert_eq!(got, Err(ContentError::Status(status)), "{status}");
    }
    let upstream = once(head(200, &[("content-length", "9")]));
    assert_eq!(get(&upstream.url("/"), LONG).await, Err(NetError::Truncated.into()));

    let upstream = Chaos::always(png()).unwrap();
    let rules = ContentRules::on_loopback(LONG);
    let got = fetch(
        &net(&[]),
        &upstream.url("/"),
        &rules,
        &Route::Direct,
        LONG,
        |bytes| bytes < 5,
        &MEDIA,
    )
    .await;
    assert_eq!(got, Err(ContentError::NoRoom));
}

#[actix_rt::test]
async fn content_never_comes_from_this_machine() {
    let upstream = Chaos::always(png()).unwrap();
    let ask = async |class| {
        let mut out = post(&upstream.url("/"), "");
        out.dest.class = class;
        Clients::new(net(&[])).send(out).await.map(|reply| reply.status)
    };
    assert_eq!(ask(DestClass::Content).await, Err(Refusal::Own.into()));
    // The operator's own node may well be here.
    assert_eq!(ask(DestClass::Node).await, Ok(200));
    assert_eq!(upstream.requests().len(), 1);
}
