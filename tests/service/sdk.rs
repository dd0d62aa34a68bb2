//! The official SDKs understand through the router exactly what they understand without it.
//!
//! `NINEROUTER_SDK_PYTHON` names an interpreter that has `openai`, `anthropic` and `google-genai`.

use std::process::Command;

use ninerouter::demo::{Behavior, SimConfig, Simulator};
use serde_json::Value;

use crate::support::{Dialect, Setup};

/// The interpreter; `None` when the suite is skipped.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment")]
fn python() -> Option<String> {
    let found = std::env::var("NINEROUTER_SDK_PYTHON").ok();
    if found.is_none() {
        let required = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!required, "NINEROUTER_SDK_PYTHON names no interpreter with the SDKs");
        eprintln!("skipped: NINEROUTER_SDK_PYTHON names no interpreter with the SDKs");
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "tests run the official SDKs")]
fn drive(python: &str, sdk: &str, base: &str, model: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/drive.py");
    let output = Command::new(python)
        .args([script, sdk, base, model, "sk-any-key-at-all"])
        .env_remove("HTTP_PROXY")
        .env_remove("HTTPS_PROXY")
        .env_remove("ALL_PROXY")
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .env_remove("all_proxy")
        .output()
        .expect("the interpreter starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sdk} at {base}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const SDKS: [(&str, Dialect); 4] = [
    ("openai-chat", Dialect::Chat),
    ("openai-responses", Dialect::Resp),
    ("anthropic", Dialect::Anth),
    ("google", Dialect::Gem),
];

fn simulator() -> (Simulator, String) {
    let sim = Simulator::start(SimConfig::new("sim-free", Behavior::Free)).unwrap();
    let url = format!("http://{}", sim.address());
    (sim, url)
}

#[test]
fn official_sdks_understand_the_simulated_provider() {
    let Some(python) = python() else { return };
    let (_sim, direct) = simulator();
    for (sdk, _) in SDKS {
        let seen = drive(&python, sdk, &direct, "sim-1");
        let seen = seen.as_array().unwrap();
        assert_eq!(seen.len(), 4, "{sdk}");
        for one in seen {
            let text = one["text"].as_str().unwrap().to_lowercase();
            assert!(text.contains("simulated"), "{sdk}: {one}");
            assert!(one["in"].as_u64() > Some(0) && one["out"].as_u64() > Some(0), "{sdk}: {one}");
        }
        for tooled in &seen[2..] {
            let call = serde_json::json!([["get_weather", {"city": "Oslo"}]]);
            assert_eq!(tooled["calls"], call, "{sdk}");
        }
    }
}

#[test]
fn official_sdks_see_the_same_through_the_router() {
    let Some(python) = python() else { return };
    let (sim, direct) = simulator();
    let mut setup = Setup::new();
    for dialect in Dialect::ALL {
        let base = format!("http://{}{}", sim.address(), dialect.base());
        setup = setup.upstream(dialect, dialect.name(), &base);
    }
    let router = setup.start();
    let through = format!("http://localhost:{}", router.address.port());
    for (sdk, dialect) in SDKS {
        let want = drive(&python, sdk, &direct, "sim-1");
        let got = drive(&python, sdk, &through, &format!("{}/sim-1", dialect.name()));
        assert_eq!(got, want, "{sdk}");
    }
    // Each request has its row, with the numbers the SDK saw.
    let rows = router.wait_rows(18, &["estimated", "status"], "requests");
    assert!(rows.iter().all(|r| r["estimated"] == 0 && r["status"] == "ok"), "{rows:?}");
}
