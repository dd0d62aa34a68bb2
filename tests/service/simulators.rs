//! The simulated providers and the chaos upstream do what the other suites believe of them.

use std::time::Duration;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Hold, Limits, Person, Place, Scripted};
use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use ninerouter::demo::{Behavior, SimConfig, Simulator};
use serde_json::json;

use crate::support::client::{Conn, Piece, request};
use crate::support::{Dialect, PATIENCE, Reply};

fn ask(sim: &Simulator, dialect: Dialect, stream: bool, headers: &[(&str, &str)]) -> Reply {
    let path = dialect.path("sim-1", stream);
    let body = dialect.body("sim-1", stream);
    let mut conn = Conn::open(sim.address());
    conn.send(&request("POST", &path, headers, body.as_bytes()));
    conn.reply(false).unwrap()
}

#[test]
fn simulator_answers_in_every_wire_and_says_that_it_is_simulated() {
    let sim = Simulator::start(SimConfig::new("sim-free", Behavior::Free)).unwrap();
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let reply = ask(&sim, dialect, stream, &[]);
            assert_eq!(reply.status, 200, "{dialect:?} {stream} {}", reply.brief());
            assert!(reply.complete && reply.text().contains("simulated"), "{}", reply.brief());
            assert_eq!(reply.header("x-simulated-provider"), Some("sim-free"));
            let kind = reply.header("content-type").unwrap();
            assert_eq!(kind.starts_with("text/event-stream"), stream, "{kind}");
            let ended = dialect.end_marks().iter().all(|m| reply.text().contains(m));
            assert!(ended || !stream, "{}", reply.brief());
        }
    }
    assert_eq!(sim.requests(), 8);
}

#[test]
fn quota_counts_each_credential_and_names_its_reset() {
    let behavior = Behavior::Quota { after: 1, retry_after_s: 30 };
    let sim = Simulator::start(SimConfig::new("sim-plan", behavior)).unwrap();
    for dialect in Dialect::ALL {
        let key = format!("Bearer {}", dialect.name());
        let auth = [("authorization", key.as_str())];
        assert_eq!(ask(&sim, dialect, false, &auth).status, 200);
        let refused = ask(&sim, dialect, false, &auth);
        assert_eq!(refused.status, 429);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((29..=30).contains(&wait), "{wait}");
        dialect.error_message(&refused).unwrap();
    }
}

#[test]
fn load_behaviour_sends_the_asked_number_of_pieces() {
    let sim = SimConfig::new("sim-fast", Behavior::Fast { chunks: 7, bytes: 100 });
    let sim = Simulator::start(sim).unwrap();
    let text = ask(&sim, Dialect::Anth, true, &[]).text();
    assert_eq!(text.matches(&"x".repeat(100)).count(), 7);
}

#[test]
fn chaos_plays_its_script_and_remembers_the_exact_bytes() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::send(reply::json(200, "{}"))],
        1 => vec![Step::send(reply::sse_head()), Step::send(reply::chunk(b"data: 1")), Step::Reset],
        _ => vec![Step::AwaitClient],
    })
    .unwrap();
    let sent = request("POST", "/x?y=1", &[("X-A", "b")], b"{\"a\": 1}");
    let mut conn = Conn::open(chaos.address());
    conn.send(&sent);
    assert_eq!(conn.reply(false).unwrap().json(), serde_json::json!({}));
    conn.send(&sent);
    assert_eq!(conn.head(false).unwrap().status, 200);
    assert_eq!(conn.piece(), Piece::Data(b"data: 1".to_vec()));
    assert_eq!(conn.piece(), Piece::Cut);
    let seen = chaos.requests();
    assert_eq!([&seen[0].head[..], &seen[0].body[..]].concat(), sent);
    assert_eq!((seen[1].connection, seen[1].nth, seen[1].target()), (0, 1, "/x?y=1".into()));
    assert_eq!(seen[0].header("x-a").as_deref(), Some("b"));

    let mut leaving = Conn::open(chaos.address());
    leaving.send(&sent);
    assert!(chaos.wait_requests(3, PATIENCE));
    assert_eq!(chaos.gone(), 0);
    leaving.reset();
    assert!(chaos.wait_gone(1, PATIENCE));
}

fn call(
    vendor: &Authority,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut conn = Conn::open(vendor.address());
    conn.send(&request(method, path, headers, body.as_bytes()));
    conn.reply(false).unwrap()
}

const BETA: (&str, &str) = ("anthropic-beta", "oauth-2025-04-20");

/// Asks with an access token.
fn ask_as(vendor: &Authority, token: &str, method: &str, path: &str, model: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let body = Dialect::Anth.body(model, false);
    call(vendor, method, path, &[("authorization", &bearer), BETA], &body)
}

#[test]
fn authority_signs_in_with_pkce_and_rotates() {
    let vendor = Authority::start(&Clock::System).unwrap();
    // verifier and challenge of RFC 7636, appendix B
    let query = "response_type=code&client_id=c&redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fcallback\
                 &scope=user:profile+user:inference&state=st&code_challenge_method=S256\
                 &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let page = call(&vendor, "GET", &format!("/oauth/authorize?{query}"), &[], "");
    assert_eq!(page.status, 302, "{}", page.brief());
    let location = page.header("location").unwrap();
    let code = location.strip_prefix("http://localhost:9/callback?code=").unwrap();
    let code = code.strip_suffix("&state=st").unwrap();
    let mut ask = json!({"grant_type": "authorization_code", "code": code, "client_id": "c",
        "redirect_uri": "http://localhost:9/callback", "state": "st",
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"});
    let token =
        |ask: &serde_json::Value| call(&vendor, "POST", "/v1/oauth/token", &[], &ask.to_string());
    let granted = token(&ask).json();
    assert_eq!(granted["expires_in"], 28_800);
    assert_eq!(granted["account"]["email_address"], "ada@example.com");
    assert_eq!(token(&ask).json()["error"], "invalid_grant", "a code works once");
    let access = granted["access_token"].as_str().unwrap();
    let profile = ask_as(&vendor, access, "GET", "/api/oauth/profile", "").json();
    assert_eq!(profile["organization"]["organization_type"], "claude_max");

    ask = json!({"grant_type": "refresh_token", "client_id": "c",
        "refresh_token": granted["refresh_token"]});
    let renewed = token(&ask).json();
    assert_ne!(renewed["refresh_token"], granted["refresh_token"]);
    assert_eq!(token(&ask).status, 400, "a spent refresh token");
    let access = renewed["access_token"].as_str().unwrap();
    let refused = ask_as(&vendor, access, "POST", "/v1/messages", "claude-opus-5");
    assert_eq!(refused.status, 403, "reuse revokes the family: {}", refused.brief());
    let counts = vendor.counts();
    assert_eq!((counts.exchanges, counts.refused_exchanges), (1, 1));
    assert_eq!((counts.refreshes, counts.refused_refreshes, counts.reuses), (1, 1, 2));
}

#[test]
fn authority_serves_the_plan_until_it_is_used_up_and_again_after_the_reset() {
    let clock = Clock::manual(1_790_000_000_000);
    let vendor = Authority::start(&clock).unwrap();
    let families = vec![("opus".to_owned(), 1)];
    let bob = Person::new("bob").with_limits(Limits { families, ..Limits::default() });
    let token = vendor.issue(&bob).access_token;
    let ask = |model: &str| ask_as(&vendor, &token, "POST", "/v1/messages", model);
    assert_eq!(ask("claude-opus-5").status, 200);
    let refused = ask("claude-opus-5");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("604800"));
    let status = refused.header("anthropic-ratelimit-unified-7d_opus-status");
    assert_eq!(status, Some("rejected"), "{}", refused.brief());
    assert_eq!(ask("claude-sonnet-5").status, 200);
    let usage = ask_as(&vendor, &token, "GET", "/api/oauth/usage", "").json();
    assert_eq!(usage["seven_day_opus"]["utilization"], 100.0);
    clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(ask("claude-opus-5").status, 401, "the token is older than its life");
    let token = vendor.issue(&bob).access_token;
    assert_eq!(ask_as(&vendor, &token, "POST", "/v1/messages", "claude-opus-5").status, 200);

    let plain = call(&vendor, "POST", "/v1/messages", &[("authorization", "Bearer x")], "{}");
    assert_eq!(plain.status, 401, "no beta: {}", plain.brief());
    let set_up = vendor.issue_setup_token(&bob);
    assert_eq!(ask_as(&vendor, &set_up, "GET", "/api/oauth/usage", "").status, 403);
    assert_eq!(ask_as(&vendor, &set_up, "POST", "/v1/messages", "claude-sonnet-5").status, 200);
}

#[test]
fn authority_follows_its_script_and_holds_requests() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let refresh = vendor.issue(&Person::new("ada")).refresh_token;
    let ask = json!({"grant_type": "refresh_token", "refresh_token": refresh,
        "client_id": "9d1c250a-e61b-44d9-88ed-5944d1962f5e"})
    .to_string();
    let busy = Scripted::reply(429, "{}").header("retry-after", "7");
    let lost = Scripted::reply(500, "<html>").taking_effect();
    vendor.script(Place::Token, [busy, lost]);
    let token = || call(&vendor, "POST", "/v1/oauth/token", &[], &ask);
    assert_eq!(token().header("retry-after"), Some("7"));
    assert_eq!((token().status, vendor.counts().refreshes), (500, 1));

    vendor.hold(Place::Token, Hold::Request);
    let mut conn = Conn::open(vendor.address());
    conn.send(&request("POST", "/v1/oauth/token", &[], ask.as_bytes()));
    assert!(vendor.wait(PATIENCE, |c| c.token_calls == 3));
    assert_eq!(vendor.counts().reuses, 0);
    vendor.hold(Place::Token, Hold::Off);
    assert_eq!(conn.reply(false).unwrap().status, 400, "the token was spent by the lost reply");
    assert_eq!(vendor.counts().reuses, 1);
}
