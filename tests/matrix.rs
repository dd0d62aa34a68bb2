//! Recorded answers of every dialect, through the router, to the official SDK of every dialect.
//!
//! `cargo test --test matrix -- --nocapture` prints the matrix. `NINEROUTER_SDK_PYTHON` names an
//! interpreter that has the SDKs, `NINEROUTER_FIXTURES` the folder of recorded traffic; without recordings
//! the golden transcripts and the stories of `tests/matrix/vendors.py` are run alone.

use std::process::Command;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "tests run the official SDKs, told by the environment"
)]
fn clients_of_each_dialect_see_what_was_recorded() {
    let Some(python) = std::env::var_os("NINEROUTER_SDK_PYTHON") else {
        let required = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!required, "NINEROUTER_SDK_PYTHON names no interpreter with the SDKs");
        eprintln!("skipped: NINEROUTER_SDK_PYTHON names no interpreter with the SDKs");
        return;
    };
    let output = Command::new(python)
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix"))
        .args(["--router", env!("CARGO_BIN_EXE_ninerouter")])
        .output()
        .expect("the interpreter starts");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "not all as recorded\n{errors}");
}
