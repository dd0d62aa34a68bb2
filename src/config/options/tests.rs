//! Flags, environment and files as one table of cases.

use std::fs;

use serde_json::json;

use super::*;
use crate::config::environment::Level;

struct Case {
    dir: tempfile::TempDir,
    flags: Flags,
    env: Vec<(OsString, OsString)>,
}

fn case(env: &[(&str, &str)]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let home = ("HOME".into(), dir.path().join("home").into_os_string());
    Case { flags: Flags::default(), env: std::iter::once(home).chain(env).collect(), dir }
}

impl Case {
    fn file(self, name: &str, text: &str) -> Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn resolve(&self) -> Result<Options, ConfigError> {
        let inputs = Inputs {
            flags: self.flags.clone(),
            env: self.env.clone(),
            cwd: self.dir.path().to_owned(),
        };
        Options::resolve(inputs)
    }
}

fn listeners(options: &Options) -> Vec<String> {
    let show = |listen: &Listen| match listen {
        Listen::Tcp { addr, .. } => addr.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    };
    options.listen.iter().map(show).collect()
}

#[test]
fn defaults_serve_loopback_from_the_home_folder() {
    let case = case(&[]);
    let options = case.resolve().unwrap();
    assert_eq!(options.data_dir, case.dir.path().join("home/.9router"));
    assert_eq!(listeners(&options), ["127.0.0.1:20128", "[::1]:20128"]);
    assert!(options.is_loopback_only());
    assert!(options.locked.is_empty(), "{:?}", options.locked);
    assert!((1..=8).contains(&options.workers));
}

#[test]
fn c04_a_machine_name_in_hostname_is_ignored_with_a_note() {
    let options = case(&[("HOSTNAME", "my-laptop")]).resolve().unwrap();
    assert!(options.is_loopback_only());
    assert!(options.notes.iter().any(|n| n.text.contains("`HOSTNAME` (environment) is not")));

    let below = case(&[("HOSTNAME", "3f0c9d1be44a")]).file(".env", "HOSTNAME=0.0.0.0\n");
    assert_eq!(listeners(&below.resolve().unwrap()), ["0.0.0.0:20128"]);

    let mixed = case(&[("HOSTNAME", "my-laptop, 192.168.1.2")]).resolve().unwrap();
    assert_eq!(listeners(&mixed), ["192.168.1.2:20128"]);

    let err = case(&[("NINEROUTER_HOST", "my-laptop")]).resolve().unwrap_err();
    assert_eq!(err.exit_code(), 78);
}

#[test]
fn precedence_is_flag_environment_named_files_cwd_file_data_file() {
    let layers = |env: &[(&str, &str)]| {
        let mut case = case(env)
            .file("one.env", "PORT=3003\nNINEROUTER_WORKERS=3\n")
            .file("two.env", "PORT=3004\nNINEROUTER_WORKERS=4\nNINEROUTER_DRAIN_SECONDS=4\n")
            .file(
                ".env",
                "PORT=3005\nNINEROUTER_DRAIN_SECONDS=5\nDATA_DIR=./data\nINSTANCE_NAME=cwd\n",
            )
            .file("data/.env", "PORT=3006\nINSTANCE_NAME=data\nNINEROUTER_LOG=debug\n");
        case.flags.env_files = vec!["one.env".into(), "two.env".into()];
        case
    };
    let case = layers(&[("PORT", "3002")]);
    let options = case.resolve().unwrap();
    assert_eq!(options.port, 3002);
    assert_eq!(options.workers, 3);
    assert_eq!(options.data_dir, case.dir.path().join("data"));
    assert_eq!(options.locked["drain_seconds"], json!(4));
    assert_eq!(options.locked["instance_name"], json!("cwd"));
    assert_eq!(options.locked["log_level"], json!("debug"));
    let names: Vec<_> =
        options.env_files.iter().map(|p| p.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["one.env", "two.env", ".env", ".env"]);

    let mut flagged = layers(&[("PORT", "3002"), ("NINEROUTER_LOG", "warn")]);
    flagged.flags.port = Some(0);
    flagged.flags.log_level = Some("trace".into());
    let options = flagged.resolve().unwrap();
    assert_eq!(options.port, 0);
    assert_eq!(options.locked["log_level"], json!("trace"));
    assert_eq!(options.sources["log_level"], Source::Flag);
    assert_eq!(layers(&[]).resolve().unwrap().port, 3003);
}

#[test]
fn the_data_folder_is_absolute() {
    for (given, want) in
        [("~/x", "home/x"), ("~", "home"), ("./y/", "y"), ("z/./w", "z/w"), ("~x", "~x")]
    {
        let case = case(&[("DATA_DIR", given)]);
        assert_eq!(case.resolve().unwrap().data_dir, case.dir.path().join(want), "{given}");
    }
    let homeless = Case { env: vec![], ..case(&[]) };
    let err = homeless.resolve().unwrap_err();
    assert_eq!(err.exit_code(), 78);
    assert!(err.to_string().contains("--data-dir"), "{err}");
    let mut named = Case { env: vec![], ..case(&[]) };
    named.flags.data_dir = Some("/srv/nr".into());
    assert_eq!(named.resolve().unwrap().data_dir, PathBuf::from("/srv/nr"));
}

/// A value that fits and one that does not, by type.
fn samples(key: &Key) -> (&'static str, Option<&'static str>) {
    use crate::config::kind::Kind;
    match key.kind {
        Kind::Bool => ("yes", Some("maybe")),
        Kind::AutoBool => ("true", Some("maybe")),
        Kind::Int { .. } => ("70", Some("many")),
        Kind::Share => ("0.5", Some("1.5")),
        Kind::Choice(words) | Kind::Choices(words) => (words[0], Some("neither-of-these")),
        Kind::Order(_) => ("free,paid,cheap,subscription", Some("free")),
        Kind::Texts | Kind::Text { .. } => ("word", Some("two\nlines")),
        Kind::ProxyUrl => ("socks5h://user:pass@proxy.example", Some("socks4://proxy.example")),
        Kind::HostRules => ("a.example,.b.example:80,10.0.0.0/8,*", Some("http://a.example")),
        Kind::Secret | Kind::Path => ("a-value-of-sixteen-bytes", Some("two\nlines")),
        Kind::Url | Kind::Origin => ("https://router.example.org", Some("router.example.org")),
        Kind::Origins => ("https://a.example", Some("a.example/x")),
        Kind::Hosts => ("router.example.org", Some("a b")),
        Kind::Addresses | Kind::Proxies => ("10.0.0.0/8", Some("10.0.0.0/33")),
        Kind::Zone => ("Europe/Berlin", Some("Nowhere/Town")),
        Kind::LogFilter => ("debug", Some("loud=very=loud")),
        Kind::ErrorRules | Kind::Json => ("[]", None),
    }
}

#[test]
fn c05_every_variable_takes_a_good_value_and_refuses_a_bad_one_with_78() {
    let settings = SETTINGS.iter().flat_map(|key| key.env.iter().map(move |name| (*name, key)));
    let variables = VARIABLES.iter().map(|key| (key.name, key));
    for (name, key) in settings.chain(variables) {
        if matches!(name, "HOSTNAME" | "NINEROUTER_HOST" | "NINEROUTER_API_KEY") {
            continue; // own tests above; the last one is not read
        }
        let (good, bad) = samples(key);
        case(&[(name, good)]).resolve().unwrap_or_else(|e| panic!("{name}={good}: {e}"));

        let by_file =
            case(&[(&format!("{name}_FILE"), "value")]).file("value", &format!("{good}\n"));
        by_file.resolve().unwrap_or_else(|e| panic!("{name}_FILE: {e}"));

        let both = case(&[(name, good), (&format!("{name}_FILE"), "value")]).file("value", good);
        assert_eq!(both.resolve().unwrap_err().exit_code(), 78, "{name} both");

        if let Some(bad) = bad {
            let err = case(&[(name, bad)]).resolve().map(|_| ()).expect_err(name);
            assert_eq!(err.exit_code(), 78, "{name}={bad}");
            let text = err.to_string();
            assert!(text.contains(name) && text.contains("expected"), "{text}");
            assert!(!text.contains(bad), "the value is printed: {text}");
        }
    }
}

#[test]
fn an_empty_variable_is_unset() {
    let options = case(&[("REQUIRE_API_KEY", ""), ("PORT", " "), ("BASE_URL", "")]).resolve();
    let options = options.unwrap();
    assert_eq!(options.port, 20_128);
    assert!(options.locked.is_empty());
}

#[test]
fn settings_of_the_environment_are_typed_and_sourced() {
    let options = case(&[
        ("REQUIRE_API_KEY", "on"),
        ("CHAT_UPSTREAM_TIMEOUT_MS", "1500"),
        ("NINEROUTER_TRUSTED_PROXIES", "10.0.0.1, loopback"),
        ("NINEROUTER_ALLOWED_HOSTS", "Router.Example.ORG:443,box"),
        ("BASE_URL", "https://router.example.org/"),
        ("TZ", "Asia/Shanghai"),
    ])
    .resolve()
    .unwrap();
    assert_eq!(options.sources["require_api_key"], Source::Process);
    let (s, errors) = Settings::resolve(&BTreeMap::new(), &options.locked, &options.found);
    assert_eq!(errors, []);
    assert_eq!(s.timeouts.head_stream.as_millis(), 1500);
    assert!(s.trusted_proxy_enabled);
    assert_eq!(s.trusted_proxies.len(), 3);
    assert_eq!(s.allowed_hosts, ["router.example.org", "box"]);
    assert_eq!(s.base_url.unwrap().as_str(), "https://router.example.org/");
    assert_eq!(s.timezone.iana_name(), Some("Asia/Shanghai"));
}

#[test]
fn t_boot_06_a_proxy_range_that_is_too_wide_ends_with_78() {
    let err = case(&[("NINEROUTER_TRUSTED_PROXIES", "0.0.0.0/0")]).resolve().unwrap_err();
    assert_eq!(err.exit_code(), 78);
    assert!(err.to_string().contains("`trusted_proxies`: range `0.0.0.0/0`"), "{err}");
}

#[test]
fn seed_examples_are_ignored_and_old_names_are_told() {
    let options = case(&[
        ("NEXT_PUBLIC_BASE_URL", "http://localhost:3000"),
        ("NEXT_PUBLIC_CLOUD_URL", "https://9router.com"),
    ])
    .resolve()
    .unwrap();
    assert!(options.locked.is_empty(), "{:?}", options.locked);
    let options = case(&[("NEXT_PUBLIC_BASE_URL", "https://nr.example.org")]).resolve().unwrap();
    assert_eq!(options.locked["base_url"], json!("https://nr.example.org"));
    assert!(options.notes.iter().any(|n| n.text.contains("is an old name; use `BASE_URL`")));
    let both =
        [("NEXT_PUBLIC_BASE_URL", "https://old.example"), ("BASE_URL", "https://new.example")];
    assert_eq!(case(&both).resolve().unwrap().locked["base_url"], json!("https://new.example"));
}

#[test]
fn c07_published_secrets_are_never_in_effect() {
    let options = case(&[
        ("JWT_SECRET", "9router-default-secret-change-me"),
        ("API_KEY_SECRET", "a-good-secret-of-my-own"),
        ("MACHINE_ID_SALT", "endpoint-proxy-salt"),
        ("API_KEY_SECRET_PREVIOUS", "short"),
    ])
    .resolve()
    .unwrap();
    let secrets = options.secrets;
    assert_eq!(secrets.published, ["JWT_SECRET", "API_KEY_SECRET_PREVIOUS", "MACHINE_ID_SALT"]);
    assert!(secrets.jwt.is_none() && secrets.machine_id_salt.is_none());
    assert_eq!(secrets.api_key.unwrap().expose(), "a-good-secret-of-my-own");
}

#[test]
fn endpoint_overrides_are_read() {
    let options = case(&[
        ("NINEROUTER_ENDPOINT_GLM_API", "http://127.0.0.1:4001/"),
        ("NINEROUTER_ENDPOINT_GEMINI_CLI_QUOTA", "http://127.0.0.1:4002/q"),
        ("NINEROUTER_ENDPOINT_GLM_APY", "http://127.0.0.1:4003/"),
    ])
    .resolve()
    .unwrap();
    assert_eq!(options.endpoints.len(), 2);
    assert!(options.endpoints[0].is_for("gemini-cli"));
    assert_eq!(options.endpoints[1].url, "http://127.0.0.1:4001/");
    let odd: Vec<_> = options.notes.iter().filter(|n| n.text.contains("GLM_APY")).collect();
    assert_eq!(odd.len(), 1, "{odd:?}");

    let err = case(&[("NINEROUTER_ENDPOINT_GLM_API", "127.0.0.1")]).resolve().unwrap_err();
    assert_eq!(err.exit_code(), 78);
    assert!(err.to_string().contains("`NINEROUTER_ENDPOINT_GLM_API` (environment)"), "{err}");
}

#[test]
fn variables_of_later_versions_are_named() {
    let vars = [("REDIS_URL", "redis://r"), ("CLOUD_URL", "https://c.example")];
    let options = case(&vars).resolve().unwrap();
    for (name, _) in vars {
        let told = options
            .notes
            .iter()
            .any(|n| n.level == Level::Warning && n.text.starts_with(&format!("`{name}`")));
        assert!(told, "{name}: {:?}", options.notes);
    }
}

#[test]
fn t_out_11_proxies_of_the_environment() {
    let read = |vars: &[(&str, &str)]| {
        let found = case(vars).resolve().unwrap().proxies;
        [&found.https, &found.http, &found.all]
            .map(|proxy| proxy.as_ref().map_or_else(String::new, ToString::to_string))
    };
    let (u, l) = ("http://upper:1", "http://lower:1");
    assert_eq!(read(&[]), ["", "", ""]);
    assert_eq!(read(&[("HTTPS_PROXY", u)]), [u, "", ""]);
    assert_eq!(read(&[("HTTPS_PROXY", u), ("https_proxy", l)]), [l, "", ""]);
    assert_eq!(read(&[("HTTPS_PROXY", u), ("https_proxy", "")]), [u, "", ""], "empty is unset");
    assert_eq!(read(&[("HTTP_PROXY", u), ("ALL_PROXY", u), ("all_proxy", l)]), ["", u, l]);
    let cgi = ("REQUEST_METHOD", "GET");
    assert_eq!(read(&[("HTTP_PROXY", u), ("HTTPS_PROXY", u), cgi]), [u, "", ""]);
    assert_eq!(read(&[("HTTP_PROXY", "client's header"), ("http_proxy", l), cgi]), ["", l, ""]);

    let no_proxy = |vars: &[(&str, &str)]| case(vars).resolve().unwrap().proxies.no_proxy;
    let both = no_proxy(&[("NO_PROXY", "upper.example"), ("no_proxy", "lower.example")]);
    assert!(both.covers("lower.example", 443) && !both.covers("upper.example", 443));
    let odd = case(&[("NO_PROXY", "ok.example http://odd.example")]).resolve().unwrap();
    assert!(odd.proxies.no_proxy.covers("ok.example", 443));
    let told = odd.notes.iter().filter(|n| n.text.contains("`http://odd.example`")).count();
    assert_eq!(told, 1, "{:?}", odd.notes);
}

#[test]
fn a_proxy_that_cannot_be_understood_ends_the_start_without_showing_its_password() {
    for name in ["HTTPS_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"] {
        let err = case(&[(name, "http://me:hunter2@host:99999")]).resolve().unwrap_err();
        assert_eq!(err.exit_code(), 78, "{name}");
        let text = err.to_string();
        assert!(text.contains(&format!("`{name}` (environment)")), "{text}");
        assert!(text.contains("scheme://") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_flag_that_does_not_fit_ends_with_2() {
    let mut bad_host = case(&[]);
    bad_host.flags.hosts = vec!["my-laptop".into()];
    assert_eq!(bad_host.resolve().unwrap_err().exit_code(), 2);
    let mut bad_format = case(&[]);
    bad_format.flags.log_format = Some("xml".into());
    let err = bad_format.resolve().unwrap_err();
    assert_eq!(err.exit_code(), 2);
    assert_eq!(
        err.to_string(),
        "--log-format: got a text of 3 characters, expected one of `auto`, `text`, `json`"
    );
    let mut missing = case(&[]);
    missing.flags.env_files = vec!["nowhere.env".into()];
    assert_eq!(missing.resolve().unwrap_err().exit_code(), 78);
}

#[cfg(unix)]
#[test]
fn bytes_that_are_not_utf8_stop_only_names_of_ours() {
    use std::os::unix::ffi::OsStringExt;
    let junk = OsString::from_vec(vec![0xff, b'x']);
    let mut case = case(&[]);
    case.env.push(("SOMEBODY_ELSES".into(), junk.clone()));
    assert!(case.resolve().is_ok());
    case.env.push(("PORT".into(), junk));
    assert_eq!(case.resolve().unwrap_err().exit_code(), 78);
}

#[test]
fn the_admin_socket_lies_in_the_data_folder_unless_told_otherwise() {
    let of = |env: &[(&str, &str)]| {
        let case = case(env);
        let options = case.resolve().unwrap();
        let folder = case.dir.path().to_owned();
        let path = options.admin_socket.map(|p| p.strip_prefix(folder).unwrap().to_owned());
        (path, options.admin_socket_named)
    };
    assert_eq!(of(&[]), (Some("home/.9router/admin.sock".into()), false));
    assert_eq!(of(&[("NINEROUTER_ADMIN_SOCKET", "run/a.sock")]), (Some("run/a.sock".into()), true));
    assert_eq!(of(&[("NINEROUTER_ADMIN_SOCKET", "")]), (None, false));
}
