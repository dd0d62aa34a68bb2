//! An operator sets up a router from the terminal: with a running router and without, in words and as JSON.

use std::os::unix::fs::PermissionsExt;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Person};
use ninerouter::demo::{Behavior, SimConfig, Simulator};
use serde_json::Value;

use crate::support::Conn;
use crate::support::client::request;
use crate::support::terminal::{Done, Installation};

const KEY_ONE: &str = "sk-simulated-key-one-0001";
const KEY_TWO: &str = "sk-simulated-key-two-0002";

/// An installation whose GLM and DeepSeek are simulated.
struct World {
    home: Installation,
    glm: Simulator,
    deepseek: Simulator,
}

fn world() -> World {
    let sim = |name: &str| Simulator::start(SimConfig::new(name, Behavior::Free)).unwrap();
    let (glm, deepseek) = (sim("glm"), sim("deepseek"));
    let url = |sim: &Simulator| format!("http://{}", sim.address());
    let home = Installation::new()
        .env("NINEROUTER_ENDPOINT_GLM_API", &url(&glm))
        .env("NINEROUTER_ENDPOINT_DEEPSEEK_API", &url(&deepseek));
    World { home, glm, deepseek }
}

impl World {
    fn add_keys(&self) {
        let add = |provider: &str, label: &str, key: &str| {
            let args = ["account", "add", provider, "--label", label, "--key-stdin"];
            self.home.run_with(&args, &format!("{key}\n")).ok()
        };
        add("glm", "plan", KEY_ONE).says("Account glm/plan is added");
        add("ds", "paid", KEY_TWO).says("Account deepseek/paid is added");
    }
}

/// The steps of a set-up that need no sign-in; the same with a router and without.
fn set_up(world: &World) {
    let home = &world.home;
    home.run("account list").ok().says("There are no accounts yet");
    world.add_keys();
    let accounts = home.run("account list --json").ok().json();
    assert_eq!(accounts["data"].as_array().unwrap().len(), 2, "{accounts:#}");
    home.run("account list").ok().says("deepseek/paid").says("glm/plan");
    home.run("account show glm/plan").ok().says("glm/plan").says("…0001");

    home.run("combo set coding glm/glm-4.7 ds/deepseek-chat").ok().says("Combo `coding` is made");
    home.run("combo set coding ds/deepseek-chat glm/glm-4.7")
        .ok()
        .says("Combo `coding` is changed");
    home.run("combo set coding glm/glm-4.7 ds/deepseek-chat").ok();
    home.run("combo show coding").ok().says("1.  glm/glm-4.7").says("2.  ds/deepseek-chat");
    let combos = home.run("combo list --json").ok().json();
    assert_eq!(combos["data"][0]["name"], "coding", "{combos:#}");
    home.run("alias set fast glm/glm-4.7").ok().says("stands for glm/glm-4.7");
    home.run("alias list").ok().says("fast");

    home.run("route coding").ok().says("`coding` would be served by glm/glm-4.7, account plan.");
    let route = home.run("route coding --explain --json").ok().json();
    assert_eq!(route["would_serve"], "glm/glm-4.7", "{route:#}");
    assert_eq!(route["order"].as_array().unwrap().len(), 2, "{route:#}");

    home.run("account disable glm/plan").ok().says("glm/plan: ");
    home.run("route coding").ok().says("served by ds/deepseek-chat");
    home.run("route coding --explain").ok().says("-  glm/glm-4.7");
    home.run("route glm/glm-4.7").ended(1).says("Nothing can serve");
    home.run("account enable glm/plan").ok();

    let made =
        home.run("key create laptop --expires 90d --models glm/*,ds/* --rpm 60 --usd-month 5").ok();
    let text = made.out.trim();
    assert!(text.starts_with("sk-nr1-") && made.out.lines().count() == 1, "{}", made.out);
    let quiet = home.run("key create ci -q").ok();
    assert!(quiet.err.is_empty() && quiet.out.lines().count() == 1, "{quiet:?}");
    home.run("key list")
        .ok()
        .says("laptop")
        .says("60 requests/min, $5.00/month")
        .says("models glm/*");
    let twice = home.run("key create laptop --json").ended(2).json();
    assert_eq!(twice["error"]["code"], "validation_failed", "{twice:#}");
    home.run("key rotate ci --grace 1h").ok().warns("stays valid for 1 h");
    home.run("key revoke ci").ok().says("is revoked");
    home.run("key list").ok().says("revoked");

    home.run("model list --provider glm -s 4.7").ok().says("glm/glm-4.7");
    home.run("provider list -s deepseek").ok().says("key");
    home.run("provider show cc").ok().says("restricted by the vendor").says("account add claude");
}

#[test]
fn everything_is_set_up_before_the_first_start() {
    let mut world = world();
    set_up(&world);
    // What was set up is what the router then serves.
    let address = world.home.serve();
    let body = br#"{"model":"coding","messages":[{"role":"user","content":"hello"}]}"#;
    let mut conn = Conn::open(address);
    conn.send(&request("POST", "/v1/chat/completions", &[], body));
    let reply = conn.reply(false).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.brief());
    assert_eq!(reply.header("x-ninerouter-model"), Some("glm/glm-4.7"));
    nothing_secret(&world.home, &[KEY_ONE, KEY_TWO]);
}

#[test]
fn everything_is_set_up_through_the_running_router() {
    let mut world = world();
    world.home.serve();
    set_up(&world);
    let home = &world.home;
    home.run("status").ok().says("2 ready").says("127.0.0.1:");
    let status = home.run("status --json").ok().json();
    assert_eq!(status["accounts"]["ready"], 2, "{status:#}");

    let said = home.run_with(&["chat", "coding", "hello there"], "").ok();
    assert!(said.out.contains("simulated"), "{said:?}");
    said.warns("served by glm/glm-4.7").warns("tokens in");
    let said = home.run_with(&["chat", "fast", "-", "--json"], "from standard input").ok().json();
    assert_eq!(said["target"], "glm/glm-4.7", "{said:#}");
    home.run("chat no-such-model hello").ended(1).warns("no-such-model");
    assert_eq!((world.glm.requests() > 0, world.deepseek.requests()), (true, 0));
    home.run("usage").ok().says("glm").says("REQUESTS");
    let usage = home.run("usage --by provider --json").ok().json();
    assert!(usage["summary"]["requests"].as_i64().unwrap() >= 2, "{usage:#}");
    nothing_secret(home, &[KEY_ONE, KEY_TWO]);
}

#[test]
fn accounts_are_found_by_name_and_by_id_and_nothing_is_guessed() {
    let world = world();
    world.add_keys();
    let home = &world.home;
    let accounts = home.run("account list --json").ok().json();
    let id = accounts["data"][0]["id"].as_str().unwrap().to_owned();
    home.run(&format!("account show {id}")).ok();
    home.run("account show zai/plan").ok().says("glm/plan");
    home.run("account show plan").ok().says("glm/plan");
    home.run("account show glm/plam").ended(2).warns("did you mean `glm/plan`?");
    home.run("account show ../../x").ended(2).warns("there is no account");
    home.run("account add gml --key-stdin").ended(2).warns("`gml`; did you mean `glm`?");
    let refused = home.run("account show nobody --json").ended(2).json();
    assert_eq!(refused["error"]["code"], "usage", "{refused:#}");
    home.run("account remove glm/plan").ok().says("is removed");
    home.run("account show glm/plan").ended(2);
}

#[test]
fn a_key_that_the_provider_refuses_is_not_stored() {
    let world = world();
    let home = &world.home;
    home.run_with(&["account", "add", "glm", "--key-stdin"], "")
        .ended(2)
        .warns("nothing was given");
    home.run_with(&["account", "add", "glm"], KEY_ONE).ended(2).warns("--key-stdin");
    home.run("account add claude --key-stdin --import").ended(2);
    home.run("account add deepseek --import").ended(2).warns("account add deepseek --key-stdin");
    home.run("account add qwen").ended(2).warns("closed");
}

#[test]
fn settings_and_the_config_file_are_changed_from_the_terminal() {
    let mut world = world();
    for running in [false, true] {
        if running {
            world.home.serve();
        }
        let home = &world.home;
        home.run("config set quota.poll_minutes 30").ok().says("is now 30");
        home.run("config get quota.poll_minutes").ok().says("30");
        home.run("config show").ok().says("quota.poll_minutes");
        home.run("config set quota.poll_minutes 1").ended(2).warns("expected");
        home.run("config set quota.pol_minutes 30")
            .ended(2)
            .warns("did you mean `quota.poll_minutes`?");
        home.run("config unset quota.poll_minutes").ok();
        let shown = home.run("config show").ok();
        assert!(!shown.out.contains("poll_minutes"), "{shown:?}");

        let file = home.home().join("new.toml");
        let combo = format!("[[combos]]\nname = \"c{running}\"\nentries = [\"glm/glm-4.7\"]\n");
        std::fs::write(&file, combo).unwrap();
        home.run("config validate new.toml").ok().says("ok");
        home.run("config diff new.toml").ok().says("would change").says("add");
        home.run("config apply new.toml --dry-run").ok().says("would change");
        home.run("config apply new.toml").ok().says("1 change");
        home.run("config apply new.toml").ok().says("no changes");
        home.run("config export").ok().says("[[combos]]").says(&format!("c{running}"));
        std::fs::write(&file, "[[combos]]\nname = 5\n").unwrap();
        home.run("config apply new.toml").ended(78).warns("new.toml:2");
        let wrong = home.run("config apply new.toml --json").ended(78).json();
        assert!(wrong["error"]["errors"][0]["line"].is_number(), "{wrong:#}");
    }
}

#[test]
fn doctor_finds_what_is_wrong_and_changes_nothing() {
    let mut world = world();
    let checks = |done: Done| -> Vec<(String, String)> {
        let text = |check: &Value, at: &str| check[at].as_str().unwrap().to_owned();
        let all = done.json();
        all["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| (text(c, "id"), text(c, "level")))
            .collect()
    };
    let has = |list: &[(String, String)], id: &str, level: &str| {
        assert!(list.iter().any(|(i, l)| i == id && l == level), "{id} {level} in {list:?}");
    };
    let fresh = checks(world.home.run("doctor --json -p 0").ok());
    has(&fresh, "data_dir", "ok");
    assert!(!world.home.data_dir().exists(), "looking makes no data folder");
    world.add_keys();
    world.home.serve();
    let home = &world.home;
    let well = checks(home.run("doctor --json --full -p 0").ok());
    for id in ["data_dir", "modes", "master_key", "database", "router", "accounts", "tls", "clock"]
    {
        has(&well, id, "ok");
    }
    // From the network the first sign-in would need a code, unless a password is stored.
    let open_to_all = "doctor --host 0.0.0.0 -p 0";
    home.run(open_to_all).ok().says("[B2]");
    home.run_with(&["admin", "reset-password", "--password-stdin"], "correct horse battery").ok();
    let done = home.run(open_to_all).ok();
    assert!(!done.out.contains("[B2]"), "{}", done.out);
    let env = home.data_dir().join(".env");
    std::fs::write(&env, "# nothing\n").unwrap();
    let key = home.data_dir().join("master.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = home.run("doctor --json -p 0").ended(70);
    has(&checks(open), "modes", "fail");
    home.run("doctor -p 0").ended(70).says("chmod go= ");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    home.run(&format!("doctor -p {port} -H 127.0.0.1")).ended(70).says("held by");
}

#[test]
fn without_a_router_commands_that_need_one_say_so() {
    let home = Installation::new();
    home.run("status").ended(74).warns("no router is running").warns("Start it with `ninerouter`");
    home.run("chat x hello").ended(74).warns("no router is running");
    let status = home.run("status --json").ended(74).json();
    assert_eq!(status["error"]["code"], "not_running");
    assert!(!home.data_dir().join("ninerouter.sqlite").exists());
}

#[test]
fn beside_a_router_without_its_socket_nothing_is_written() {
    let mut home = Installation::new().env("NINEROUTER_ADMIN_SOCKET", "");
    home.serve();
    home.run("account list").ok().says("There are no accounts yet");
    home.run("key create x").ended(75).warns("its admin socket is switched off");
    home.run("status").ended(74);
    home.stop();
    home.run("key create x").ok();
}

/// What a person pastes, having signed in at the simulated vendor: the address the browser ends at, or the code that
/// the vendor's page shows (where the port of the address was taken by another test).
pub(crate) fn sign_in_at(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut conn = Conn::open(host.parse().unwrap());
    conn.send(&request("GET", &format!("/{path}"), &[], b""));
    let reply = conn.reply(false).unwrap();
    if let Some(address) = reply.header("location") {
        return address.to_owned();
    }
    let page = reply.text();
    let code = page.split_once("<code>").and_then(|(_, rest)| rest.split_once("</code>"));
    code.unwrap_or_else(|| panic!("{}", reply.brief())).0.to_owned()
}

fn vendor(me: &str) -> (Authority, Installation) {
    let vendor = Authority::start(&Clock::System).unwrap();
    vendor.sign_in_as(&Person::new(me));
    let home = Installation::new().envs(vendor.environment());
    (vendor, home)
}

#[test]
fn signing_in_by_paste_works_with_a_router_and_without() {
    let (vendor, mut home) = vendor("anna");
    for (label, running) in [("one", false), ("two", true)] {
        if running {
            home.serve();
        }
        vendor.sign_in_as(&Person::new(label));
        let mut talk = home.start_command(&["account", "add", "claude", "--label", label]);
        talk.wait_for("Please note: ");
        let url = format!("http{}", talk.wait_for("   http"));
        talk.wait_for("Waiting until");
        talk.type_line(&url);
        talk.wait_for("Try again");
        talk.type_line(&sign_in_at(&url));
        let done = talk.end().ok();
        assert!(done.out.contains(&format!("Account claude/{label}: ")), "{done:?}");
        home.run("account list").ok().says(&format!("claude/{label}"));
    }
    assert_eq!(vendor.counts().exchanges, 2);
    let secrets = vendor.secrets();
    nothing_secret(&home, &secrets.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn signing_in_by_code_shows_it_and_waits() {
    let (vendor, mut home) = vendor("dora");
    home.serve();
    let mut talk = home.start_command(&["account", "add", "xai", "--device", "--label", "grok"]);
    talk.wait_for("Enter this code there");
    let code = format!("SIMA-{}", talk.wait_for("SIMA-"));
    talk.wait_for("Waiting until");
    assert!(vendor.enter_code(&Person::new("dora"), code.trim()), "{code}");
    let done = talk.end().ok();
    assert!(done.out.contains("Signed in as dora@example.com"), "{done:?}");
    assert!(done.out.contains("Account xai/grok: "), "{done:?}");
    let mut declined = home.start_command(&["account", "add", "xai", "--device"]);
    declined.wait_for("Enter this code there");
    let code = format!("SIMA-{}", declined.wait_for("SIMA-"));
    assert!(vendor.decline_code(code.trim()), "{code}");
    declined.end().ended(1).warns("you declined");
    let secrets = vendor.secrets();
    nothing_secret(&home, &secrets.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_browser_may_come_back_by_itself() {
    let (_vendor, mut home) = vendor("berta");
    home.serve();
    let mut talk = home.start_command(&["account", "add", "claude", "--label", "here"]);
    let url = format!("http{}", talk.wait_for("   http"));
    talk.wait_for("Waiting until");
    let back = sign_in_at(&url);
    // In a container the vendor's page shows a code: no browser reaches a container's loopback.
    let Some(rest) = back.strip_prefix("http://localhost:") else {
        eprintln!("skipped: a container");
        return;
    };
    let (port, path) = rest.split_once('/').unwrap();
    let mut conn = Conn::open((std::net::Ipv4Addr::LOCALHOST, port.parse().unwrap()).into());
    conn.send(&request("GET", &format!("/{path}"), &[("host", &format!("localhost:{port}"))], b""));
    let page = conn.reply(false).unwrap();
    assert_eq!(page.status, 200, "{}", page.brief());
    let done = talk.end().ok();
    assert!(done.out.contains("Account claude/here: "), "{done:?}");
}

#[test]
fn ctrl_c_cancels_a_sign_in() {
    let (vendor, mut home) = vendor("clara");
    home.serve();
    let mut talk = home.start_command(&["account", "add", "claude"]);
    let url = format!("http{}", talk.wait_for("   http"));
    talk.wait_for("Waiting until");
    talk.interrupt();
    talk.end().ended(130).warns("cancelled");
    // What the vendor sends back later is refused.
    let mut late = home.start_command(&["account", "add", "claude"]);
    late.wait_for("Waiting until");
    late.type_line(&sign_in_at(&url));
    late.wait_for("Try again");
    late.interrupt();
    late.end().ended(130);
    assert_eq!(vendor.counts().exchanges, 0);
    home.run("account list").ok().says("There are no accounts yet");
}

#[test]
fn the_official_file_is_imported_with_an_owner() {
    let (vendor, home) = vendor("dora");
    let issued = vendor.issue(&Person::new("dora"));
    let folder = home.home().join(".claude");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".credentials.json"), vendor.credentials_file(&issued)).unwrap();
    home.run("account add claude --scan").ok().says(".credentials.json");
    home.run("account list").ok().says("There are no accounts yet");
    home.run("account add claude --import").ok().says("Imported.").says("reads its file");
    let accounts = home.run("account list --json").ok().json();
    assert_eq!(accounts["data"][0]["ownership"], "follow", "{accounts:#}");
    let secrets = vendor.secrets();
    nothing_secret(&home, &secrets.iter().map(String::as_str).collect::<Vec<_>>());
}

/// No secret was typed, and none was printed.
#[track_caller]
fn nothing_secret(home: &Installation, secrets: &[&str]) {
    let printed = home.printed();
    let typed = home.typed();
    assert!(!secrets.is_empty());
    for secret in secrets {
        assert!(!typed.iter().any(|arg| arg.contains(secret)), "an argument holds a secret");
        let at =
            printed.find(secret).map(|at| printed[..at].lines().last().unwrap_or("").to_owned());
        assert_eq!(at, None, "a secret was printed");
    }
}
