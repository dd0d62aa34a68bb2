//! Tells the program its commit and build date, without starting another program.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by its environment"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // They are embedded, and the compiler does not see a new folder.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-env-changed=NINEROUTER_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // A debug build is not named by its commit: following it would recompile the crate after each one.
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = match env::var("NINEROUTER_COMMIT") {
        Ok(commit) if !commit.is_empty() => commit,
        _ if release => head_commit().unwrap_or_else(|| "unknown".into()),
        _ => "debug".into(),
    };
    println!("cargo::rustc-env=NINEROUTER_BUILD_COMMIT={}", commit.get(..12).unwrap_or(&commit));
    let day = if release { build_day() } else { "debug".into() };
    println!("cargo::rustc-env=NINEROUTER_BUILD_DATE={day}");
}

/// Commit `HEAD` points at, read from the files of the repository.
fn head_commit() -> Option<String> {
    let git = git_dir(Path::new(".git"))?;
    let head_file = git.join("HEAD");
    println!("cargo::rerun-if-changed={}", head_file.display());
    let head = fs::read_to_string(head_file).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned());
    };
    // A linked worktree keeps its HEAD apart and shares the refs.
    let shared = match fs::read_to_string(git.join("commondir")) {
        Ok(relative) => git.join(relative.trim()),
        Err(_) => git,
    };
    let loose = shared.join(name);
    println!("cargo::rerun-if-changed={}", loose.display());
    if let Ok(commit) = fs::read_to_string(loose) {
        return Some(commit.trim().to_owned());
    }
    let packed = fs::read_to_string(shared.join("packed-refs")).ok()?;
    let line = packed.lines().find(|line| line.ends_with(&format!(" {name}")))?;
    line.split(' ').next().map(str::to_owned)
}

fn git_dir(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let text = fs::read_to_string(path).ok()?;
    text.trim().strip_prefix("gitdir: ").map(PathBuf::from)
}

/// `SOURCE_DATE_EPOCH`, else today, as `YYYY-MM-DD`.
fn build_day() -> String {
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|s| s.parse::<u64>().ok());
    let seconds = given
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()));
    // Civil date from days since 1970 (era arithmetic of 400 years).
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
