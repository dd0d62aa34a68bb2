//! The corpus of URL texts.

use proptest::prelude::*;

use super::*;
use NetworkPolicy::{Loopback, Private, PrivateAndLoopback, Public};

fn under(text: &str, network: NetworkPolicy) -> Result<String, UrlRefusal> {
    accept(text, network, false).map(|accepted| accepted.as_str().to_owned())
}

#[test]
fn t_out_02_public_policy_corpus() {
    let loopback = Err(UrlRefusal::Address(Range::Loopback));
    let private = Err(UrlRefusal::Address(Range::Private));
    let table: &[(&str, Result<&str, UrlRefusal>)] = &[
        // accepted, in canonical spelling
        ("https://api.openai.com/v1", Ok("https://api.openai.com/v1")),
        ("  https://api.openai.com/v1  ", Ok("https://api.openai.com/v1")),
        ("HTTPS://API.OpenAI.com/v1", Ok("https://api.openai.com/v1")),
        ("https://api.openai.com:443/v1", Ok("https://api.openai.com/v1")),
        ("https://api.openai.com:8443/v1", Ok("https://api.openai.com:8443/v1")),
        ("https://api.openai.com./v1", Ok("https://api.openai.com/v1")),
        ("https:\\\\api.openai.com\\v1", Ok("https://api.openai.com/v1")),
        ("https:api.openai.com", Ok("https://api.openai.com/")),
        ("https://a.b/x/../y", Ok("https://a.b/y")),
        ("https://a.b/%2e%2e/y", Ok("https://a.b/y")),
        ("https://a.b/m?alt=sse", Ok("https://a.b/m?alt=sse")),
        ("https://bücher.example/", Ok("https://xn--bcher-kva.example/")),
        ("https://ａｐｉ.example/", Ok("https://api.example/")),
        ("https://8.8.8.8/", Ok("https://8.8.8.8/")),
        ("https://134744072/", Ok("https://8.8.8.8/")),
        ("https://[2606:4700::1]/", Ok("https://[2606:4700::1]/")),
        ("https://[::ffff:8.8.8.8]/", Ok("https://[::ffff:808:808]/")),
        (
            "https://a.b/v1beta/models/x:generateContent",
            Ok("https://a.b/v1beta/models/x:generateContent"),
        ),
        ("https://localhost/", Ok("https://localhost/")),
        ("https://notmetadata/", Ok("https://notmetadata/")),
        ("https://internal/", Ok("https://internal/")),
        // schemes
        ("http://api.openai.com/", Err(UrlRefusal::PlainHttp)),
        ("ftp://a.b/", Err(UrlRefusal::Scheme)),
        ("file:///etc/passwd", Err(UrlRefusal::Scheme)),
        ("gopher://a.b/", Err(UrlRefusal::Scheme)),
        ("data:text/plain,x", Err(UrlRefusal::Scheme)),
        ("javascript:alert(1)", Err(UrlRefusal::Scheme)),
        ("ws://a.b/", Err(UrlRefusal::Scheme)),
        ("unix:/run/x.sock", Err(UrlRefusal::Scheme)),
        ("", Err(UrlRefusal::Unparsable)),
        ("api.openai.com/v1", Err(UrlRefusal::Unparsable)),
        ("//api.openai.com/v1", Err(UrlRefusal::Unparsable)),
        // user-info, fragments
        ("https://user@a.b/", Err(UrlRefusal::UserInfo)),
        ("https://user:pass@a.b/", Err(UrlRefusal::UserInfo)),
        ("https://:pass@a.b/", Err(UrlRefusal::UserInfo)),
        ("https://api.openai.com@evil.example/", Err(UrlRefusal::UserInfo)),
        ("https://a.b/#x", Err(UrlRefusal::Fragment)),
        ("https://a.b/#", Err(UrlRefusal::Fragment)),
        // hosts
        ("https://", Err(UrlRefusal::NoHost)),
        ("https:///", Err(UrlRefusal::NoHost)),
        ("https://./", Err(UrlRefusal::NoHost)),
        ("https://a..b/", Err(UrlRefusal::HostName)),
        ("https://a.b../", Err(UrlRefusal::HostName)),
        ("https://a b/", Err(UrlRefusal::Unparsable)),
        ("https://a%00b/", Err(UrlRefusal::Unparsable)),
        ("https://a<b/", Err(UrlRefusal::Unparsable)),
        ("https://1.2.3.4.5/", Err(UrlRefusal::Unparsable)),
        ("https://256.1.1.1/", Err(UrlRefusal::Unparsable)),
        ("https://[::1/", Err(UrlRefusal::Unparsable)),
        ("https://[fe80::1%25eth0]/", Err(UrlRefusal::Unparsable)),
        // ports
        ("https://a.b:0/", Err(UrlRefusal::Port(0))),
        ("https://a.b:22/", Err(UrlRefusal::Port(22))),
        ("https://a.b:25/", Err(UrlRefusal::Port(25))),
        ("https://a.b:6000/", Err(UrlRefusal::Port(6000))),
        ("https://a.b:10080/", Err(UrlRefusal::Port(10080))),
        ("https://a.b:6379/", Ok("https://a.b:6379/")),
        ("https://a.b:65536/", Err(UrlRefusal::Unparsable)),
        // names
        ("https://metadata/", Err(UrlRefusal::MetadataName)),
        ("https://METADATA./", Err(UrlRefusal::MetadataName)),
        ("https://metadata.google.internal/", Err(UrlRefusal::MetadataName)),
        ("https://instance-data/", Err(UrlRefusal::MetadataName)),
        ("https://x.internal/", Err(UrlRefusal::LocalName)),
        ("https://x.INTERNAL./", Err(UrlRefusal::LocalName)),
        ("https://printer.local/", Err(UrlRefusal::LocalName)),
        ("https://a.localhost/", Err(UrlRefusal::LocalName)),
        ("https://nas.home.arpa/", Err(UrlRefusal::LocalName)),
        ("https://x.onion/", Err(UrlRefusal::LocalName)),
        ("https://x.test/", Err(UrlRefusal::LocalName)),
        ("https://host.docker.internal/", Err(UrlRefusal::LocalName)),
        // literal forms of loopback and others
        ("https://127.0.0.1/", loopback),
        ("https://127.1/", loopback),
        ("https://0x7f.1/", loopback),
        ("https://0177.0.0.1/", loopback),
        ("https://2130706433/", loopback),
        ("https://0x7f000001/", loopback),
        ("https://017700000001/", loopback),
        ("https://127.0.0.1./", loopback),
        ("https://①②⑦.0.0.1/", loopback),
        ("https://１２７.0.0.1/", loopback),
        ("https://127。0。0。1/", loopback),
        ("https://%31%32%37.0.0.1/", loopback),
        ("https://[::1]/", loopback),
        ("https://[0:0:0:0:0:0:0:1]/", loopback),
        ("https://[::ffff:7f00:1]/", loopback),
        ("https://[::ffff:127.0.0.1]/", loopback),
        ("https://[64:ff9b::7f00:1]/", loopback),
        ("https://[2002:7f00:1::]/", Err(UrlRefusal::Address(Range::Reserved))),
        ("https://0/", Err(UrlRefusal::Address(Range::ThisNetwork))),
        ("https://0.0.0.0/", Err(UrlRefusal::Address(Range::ThisNetwork))),
        ("https://10.1.2.3/", private),
        ("https://192.168.0.1/", private),
        ("https://[fd00::1]/", private),
        ("https://169.254.169.254/latest/meta-data/", Err(UrlRefusal::Address(Range::Metadata))),
        ("https://0xa9fea9fe/", Err(UrlRefusal::Address(Range::Metadata))),
        ("https://2852039166/", Err(UrlRefusal::Address(Range::Metadata))),
        ("https://[::ffff:a9fe:a9fe]/", Err(UrlRefusal::Address(Range::Metadata))),
    ];
    assert!(table.len() >= 60);
    for (text, want) in table {
        assert_eq!(under(text, Public).as_deref().map_err(|e| *e), *want, "{text}");
    }
}

#[test]
fn policies_open_what_they_name_and_nothing_else() {
    let table: &[(&str, NetworkPolicy, bool)] = &[
        ("http://10.0.0.5:8000/v1", Private, true),
        ("http://nas.local/v1", Private, true),
        ("http://127.0.0.1:11434/", Private, false),
        ("http://127.0.0.1:11434/", Loopback, true),
        ("http://[::1]:11434/", Loopback, true),
        ("http://localhost:11434/", Loopback, true),
        ("http://host.docker.internal:11434/", Loopback, true),
        ("http://other.internal/", Loopback, false),
        ("http://10.0.0.5/", Loopback, false),
        ("http://127.0.0.1:1234/", PrivateAndLoopback, true),
        ("http://192.168.1.2/", PrivateAndLoopback, true),
        ("http://x.test/", PrivateAndLoopback, true),
        // T-OUT-08: metadata stays shut under every policy
        ("http://169.254.169.254/", Private, false),
        ("http://169.254.169.254/", Loopback, false),
        ("http://169.254.169.254/", PrivateAndLoopback, false),
        ("http://100.100.100.200/", Private, false),
        ("http://metadata.google.internal/", PrivateAndLoopback, false),
    ];
    for (text, policy, ok) in table {
        assert_eq!(under(text, *policy).is_ok(), *ok, "{text} under {policy:?}");
    }
}

#[test]
fn insecure_http_opens_http_and_no_address() {
    assert!(accept("http://a.b/", Public, true).is_ok());
    assert_eq!(
        accept("http://127.0.0.1/", Public, true),
        Err(UrlRefusal::Address(Range::Loopback))
    );
}

#[test]
fn long_names_are_refused() {
    let label = "a".repeat(64);
    assert_eq!(under(&format!("https://{label}.b/"), Public), Err(UrlRefusal::HostName));
    let name = vec!["a".repeat(63); 4].join(".") + ".b";
    assert_eq!(under(&format!("https://{name}/"), Public), Err(UrlRefusal::HostName));
}

#[test]
fn authority_and_host_header_name_the_port_as_each_needs_it() {
    let parts = |text: &str| {
        let accepted = accept(text, PrivateAndLoopback, true).unwrap();
        (accepted.authority(), accepted.host_header())
    };
    assert_eq!(parts("https://a.b/x"), ("a.b:443".into(), "a.b".into()));
    assert_eq!(parts("http://a.b/x"), ("a.b:80".into(), "a.b".into()));
    assert_eq!(parts("http://a.b:443/x"), ("a.b:443".into(), "a.b:443".into()));
    assert_eq!(parts("http://[::1]:81/"), ("[::1]:81".into(), "[::1]:81".into()));
}

#[test]
fn refusals_say_what_would_allow_it_and_name_no_address() {
    let text = under("https://10.1.2.3/", Public).unwrap_err().to_string();
    assert_eq!(
        text,
        "the host is a private address: choose the network policy `private` to allow it"
    );
    let text = under("https://169.254.169.254/", Public).unwrap_err().to_string();
    assert_eq!(text, "the host is a metadata address");
}

proptest! {
    #[test]
    fn every_spelling_of_an_ipv4_number_is_judged_as_the_address(bits: u32) {
        let address = std::net::Ipv4Addr::from_bits(bits);
        let want = judge(IpAddr::V4(address), Public).map_err(UrlRefusal::Address);
        for text in [
            format!("https://{bits}/"),
            format!("https://0x{bits:x}/"),
            format!("https://0{bits:o}/"),
            format!("https://{address}/"),
            format!("https://[::ffff:{address}]/"),
        ] {
            prop_assert_eq!(accept(&text, Public, false).map(drop), want, "{}", text);
        }
    }

    #[test]
    fn no_text_panics_and_what_passes_passes_again(text in "\\PC{0,60}") {
        if let Ok(accepted) = accept(&text, Public, true) {
            let again = accept(accepted.as_str(), Public, true).unwrap();
            prop_assert_eq!(again.as_str(), accepted.as_str());
        }
    }
}
