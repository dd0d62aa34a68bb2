//! The whole matrix (T-OUT-11): URLs, exceptions, and which proxy wins.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::routing::account::ProxyChoice;

fn proxy(text: &str) -> ProxyUrl {
    ProxyUrl::parse(text).unwrap()
}

#[test]
fn t_out_11_urls_are_read_with_their_default_ports_and_shown_without_password() {
    for (text, shown, user, password) in [
        ("http://proxy.example:3128", "http://proxy.example:3128", "", ""),
        ("proxy.example:3128", "http://proxy.example:3128", "", ""),
        ("http://proxy.example", "http://proxy.example:80", "", ""),
        ("http://proxy.example:443/", "http://proxy.example:443", "", ""),
        ("https://proxy.example:80", "https://proxy.example:80", "", ""),
        ("HTTPS://Proxy.Example.", "https://proxy.example:443", "", ""),
        ("socks5://proxy.example", "socks5://proxy.example:1080", "", ""),
        ("socks5://proxy.example:80", "socks5://proxy.example:80", "", ""),
        ("socks5h://10.0.0.1:443", "socks5h://10.0.0.1:443", "", ""),
        ("socks5h://[::1]:9050", "socks5h://[::1]:9050", "", ""),
        (" http://u:p@h:1 ", "http://u:***@h:1", "u", "p"),
        ("http://u%40x:p%3A%2F%23%25@h:1", "http://u@x:***@h:1", "u@x", "p:/#%"),
        ("http://u:p@ss@h:1", "http://u:***@h:1", "u", "p@ss"),
        ("http://key:@h:1", "http://***@h:1", "key", ""),
        ("http://key@h:1", "http://***@h:1", "key", ""),
        ("socks5://u:%C3%A4@h", "socks5://u:***@h:1080", "u", "ä"),
        ("http://bücher.example:1", "http://xn--bcher-kva.example:1", "", ""),
    ] {
        let read = proxy(text);
        assert_eq!(read.to_string(), shown, "{text}");
        assert_eq!(format!("{read:?}"), format!("ProxyUrl({shown})"));
        let login = read.login().map(|l| (l.user.expose(), l.password.expose()));
        assert_eq!(login.unwrap_or_default(), (user, password), "{text}");
        assert_eq!(proxy(read.to_secret().expose()), read, "{text}: the normal form is read back");
    }
}

#[test]
fn t_out_11_what_is_no_proxy_is_refused_without_showing_it() {
    let long = format!("socks5://u:{}@h", "p".repeat(256));
    for (text, want) in [
        ("", BadProxyUrl::Empty),
        ("  ", BadProxyUrl::Empty),
        ("ftp://u:hunter2@h", BadProxyUrl::Scheme),
        ("socks4://h", BadProxyUrl::Scheme),
        ("://h", BadProxyUrl::Scheme),
        ("http://", BadProxyUrl::Malformed),
        ("http://u:hunter2@", BadProxyUrl::Malformed),
        ("http://u:hunter#2@h:1", BadProxyUrl::Malformed),
        ("http://h:99999", BadProxyUrl::Malformed),
        ("http://h h:1", BadProxyUrl::Malformed),
        ("http://h:1/path", BadProxyUrl::Trailing),
        ("http://h:1?hunter2", BadProxyUrl::Trailing),
        ("http://h:1#hunter2", BadProxyUrl::Trailing),
        ("http://h:0", BadProxyUrl::Port),
        ("http://u:hunter2%0d%0aX: y@h:1", BadProxyUrl::Login),
        ("http://u:hunter2%ff@h:1", BadProxyUrl::Login),
        ("http://u%3Av:hunter2@h:1", BadProxyUrl::Login),
        ("socks5://user@h:1", BadProxyUrl::SocksLogin),
        ("socks5://:hunter2@h:1", BadProxyUrl::SocksLogin),
        (&long, BadProxyUrl::SocksLogin),
    ] {
        let bad = ProxyUrl::parse(text).unwrap_err();
        assert_eq!(bad, want, "{text}");
        assert!(!bad.to_string().contains("hunter"));
    }
}

#[test]
fn two_logins_are_two_proxies() {
    assert_ne!(proxy("http://u:a@h:1"), proxy("http://u:b@h:1"));
    assert_eq!(proxy("http://u:a@h:80"), proxy("http://u:a@h"));
}

#[test]
fn t_out_11_no_proxy_rules() {
    type Host = (&'static str, u16, bool);
    let table: &[(&str, &[Host])] = &[
        ("", &[("a.example", 443, false)]),
        ("*", &[("a.example", 443, true), ("10.0.0.1", 80, true), ("::1", 1, true)]),
        (
            "API.Example.",
            &[
                ("api.example", 443, true),
                ("api.example.", 443, true),
                ("x.api.example", 443, false),
                ("myapi.example", 443, false),
                ("api.example.com", 443, false),
            ],
        ),
        (
            ".example",
            &[
                ("a.example", 443, true),
                ("a.b.example", 1, true),
                ("example", 443, false),
                ("anexample", 443, false),
            ],
        ),
        ("*.example", &[("a.example", 443, true), ("example", 443, false)]),
        (
            "api.example:8443, .corp:80",
            &[
                ("api.example", 8443, true),
                ("api.example", 443, false),
                ("a.corp", 80, true),
                ("a.corp", 443, false),
            ],
        ),
        (
            "10.0.0.0/8 192.168.1.7",
            &[
                ("10.255.0.1", 443, true),
                ("11.0.0.1", 443, false),
                ("192.168.1.7", 1, true),
                ("192.168.1.8", 1, false),
                ("10.example", 443, false),
            ],
        ),
        ("10.1.2.3/8", &[("10.9.9.9", 443, true)]),
        ("10.0.0.1:8080", &[("10.0.0.1", 8080, true), ("10.0.0.1", 80, false)]),
        ("::1", &[("::1", 443, true), ("::2", 443, false)]),
        ("[::1]:8080", &[("::1", 8080, true), ("::1", 443, false)]),
        ("[fd00::1]", &[("fd00::1", 443, true)]),
        ("fd00::/8", &[("fd12::1", 443, true), ("fe80::1", 443, false)]),
        ("::ffff:10.0.0.1", &[("10.0.0.1", 443, true)]),
        ("10.0.0.0/8", &[("::ffff:a00:1", 443, true)]),
        ("bücher.example", &[("xn--bcher-kva.example", 443, true)]),
        (
            " , a.example ,,\tb.example\n",
            &[("a.example", 1, true), ("b.example", 1, true), ("", 1, false)],
        ),
    ];
    for (list, hosts) in table {
        let (rules, bad) = NoProxy::parse(list);
        assert_eq!(bad, [""; 0], "{list}");
        for (host, port, covered) in *hosts {
            assert_eq!(rules.covers(host, *port), *covered, "`{list}` and {host}:{port}");
        }
    }
}

#[test]
fn t_out_11_entries_that_are_none_are_told_and_the_others_count() {
    let (rules, bad) = NoProxy::parse(
        "http://x.example, a.example:http, 10.0.0.0/99, a*b, *x, a.example:0, ok.example, .",
    );
    assert_eq!(
        bad,
        ["http://x.example", "a.example:http", "10.0.0.0/99", "a*b", "*x", "a.example:0", "."]
    );
    assert!(rules.covers("ok.example", 443));
    assert!(!rules.covers("a.example", 0));
}

fn to(tls: bool, host: &str) -> RouteTarget<'_> {
    RouteTarget { tls, host, port: if tls { 443 } else { 80 } }
}

fn taken(route: &Route, to: RouteTarget<'_>) -> String {
    match route.hop(to) {
        None => "direct".to_owned(),
        Some(Hop::Proxy(proxy)) => proxy.display().trim_end_matches(":80").replace("http://", ""),
        Some(Hop::Closed(closed)) => format!("closed:{}", closed.proxy),
    }
}

#[test]
fn t_out_11_each_variable_serves_its_kind_of_target() {
    for (https, http, all, over_tls, in_clear) in [
        ("", "", "", "direct", "direct"),
        ("s", "", "", "s", "direct"),
        ("", "h", "", "direct", "h"),
        ("", "", "a", "a", "a"),
        ("s", "", "a", "s", "a"),
        ("", "h", "a", "a", "h"),
        ("s", "h", "a", "s", "h"),
    ] {
        let read = |text: &str| (!text.is_empty()).then(|| Arc::new(proxy(text)));
        let environment = EnvironmentProxies {
            https: read(https),
            http: read(http),
            all: read(all),
            no_proxy: NoProxy::parse("skip.example").0,
        };
        let route = environment.route(None);
        let case = format!("{https}/{http}/{all}");
        assert_eq!(taken(&route, to(true, "a.example")), over_tls, "{case}");
        assert_eq!(taken(&route, to(false, "a.example")), in_clear, "{case}");
        assert_eq!(taken(&route, to(true, "skip.example")), "direct", "{case}");
        let (own, _) = NoProxy::parse("a.example");
        let route = environment.route(Some(&own));
        assert_eq!(taken(&route, to(true, "a.example")), "direct", "{case}");
        assert_eq!(taken(&route, to(true, "skip.example")), over_tls, "{case}");
    }
}

#[test]
fn t_out_11_names_of_variables_lower_case_first_and_none_that_cgi_fills() {
    assert_eq!(EnvironmentProxies::names("HTTP_PROXY", false), ["http_proxy", "HTTP_PROXY"]);
    assert_eq!(EnvironmentProxies::names("HTTP_PROXY", true), ["http_proxy"]);
    assert_eq!(EnvironmentProxies::names("HTTPS_PROXY", true), ["https_proxy", "HTTPS_PROXY"]);
    assert_eq!(EnvironmentProxies::names("ALL_PROXY", true), ["all_proxy", "ALL_PROXY"]);
}

#[test]
fn t_out_11_account_before_provider_before_everybody() {
    let inherit = || ProxyChoice::Inherit;
    let stored = |id: &str| ProxyChoice::Proxy(id.to_owned());
    let routes = Routes::new(
        Route::through(proxy("e"), NoProxy::default()),
        HashMap::from([
            ("1".to_owned(), Route::through(proxy("one"), NoProxy::parse("skip.example").0)),
            ("2".to_owned(), Route::through(proxy("two"), NoProxy::default())),
            ("3".to_owned(), Route::closed("off", "it is switched off")),
        ]),
    );
    for (account, provider, want) in [
        (inherit(), inherit(), "e"),
        (inherit(), ProxyChoice::Direct, "direct"),
        (inherit(), stored("1"), "one"),
        (ProxyChoice::Direct, inherit(), "direct"),
        (ProxyChoice::Direct, stored("1"), "direct"),
        (stored("2"), stored("1"), "two"),
        (stored("2"), ProxyChoice::Direct, "two"),
        (stored("3"), stored("1"), "closed:off"),
        (stored("9"), stored("1"), "closed:9"),
    ] {
        let route = routes.choose(&account, &provider, false);
        assert_eq!(taken(&route, to(true, "a.example")), want, "{account:?} {provider:?}");
    }
    let route = routes.choose(&stored("1"), &inherit(), false);
    assert_eq!(taken(&route, to(true, "skip.example")), "direct", "a proxy's own exceptions");
    let everybody = routes.choose(&inherit(), &inherit(), false);
    assert_eq!(taken(&everybody, to(true, "skip.example")), "e", "are its own alone");
}

#[test]
fn servers_of_this_machine_are_spared_unless_a_proxy_was_chosen_for_them() {
    let routes = Routes::new(
        Route::through(proxy("e"), NoProxy::default()),
        HashMap::from([("1".to_owned(), Route::through(proxy("one"), NoProxy::default()))]),
    );
    let chosen = ProxyChoice::Proxy("1".to_owned());
    for host in [
        "localhost",
        "LOCALHOST".to_lowercase().as_str(),
        "x.localhost",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
    ] {
        let inherits = routes.choose(&ProxyChoice::Inherit, &ProxyChoice::Inherit, true);
        assert_eq!(taken(&inherits, to(false, host)), "direct", "{host}");
        for (account, provider) in
            [(chosen.clone(), ProxyChoice::Inherit), (ProxyChoice::Inherit, chosen.clone())]
        {
            let route = routes.choose(&account, &provider, true);
            assert_eq!(taken(&route, to(false, host)), "one", "{host}");
        }
        let other = routes.choose(&ProxyChoice::Inherit, &ProxyChoice::Inherit, false);
        assert_eq!(taken(&other, to(false, host)), "e", "{host}: only local servers are spared");
    }
    for host in ["a.example", "10.0.0.1", "localhost.example"] {
        let route = routes.choose(&ProxyChoice::Inherit, &ProxyChoice::Inherit, true);
        assert_eq!(taken(&route, to(false, host)), "e", "{host}");
    }
}
