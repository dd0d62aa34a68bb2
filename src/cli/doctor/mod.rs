//! `ninerouter doctor`: read-only checks of an installation, each with what to do about it.

mod folder;
mod outside;
mod router;

use serde_json::{Value, json};

use crate::cli::args::{DoctorArgs, GlobalArgs};
use crate::cli::client::Failed;
use crate::cli::output::{Output, Tone, print};
use crate::clock::Clock;
use crate::config::error::exit;
use crate::config::options::{Inputs, Options};

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Check {
    level: Level,
    /// Stable name, for programs.
    id: &'static str,
    text: String,
    remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(id: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, id, text: text.into(), remedy: None }
    }

    pub(super) fn warn(
        id: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warn, id, text: text.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(
        id: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, id, text: text.into(), remedy: Some(remedy.into()) }
    }

    fn to_json(&self) -> Value {
        json!({"id": self.id, "level": self.level.as_str(), "text": self.text, "remedy": self.remedy})
    }

    fn line(&self, colour: bool) -> String {
        let word = self.level.tone().paint(&format!("{:<4}", self.level.as_str()), colour);
        let remedy = self.remedy.as_ref().filter(|remedy| !remedy.is_empty());
        let remedy =
            remedy.map(|remedy| format!("\n        → {}", remedy.replace('\n', "\n          ")));
        format!("{word}  {}{}\n", self.text.replace('\n', "\n      "), remedy.unwrap_or_default())
    }
}

/// What the checks look at.
#[derive(Debug)]
pub(super) struct Patient<'a> {
    pub(super) options: &'a Options,
    pub(super) inputs: &'a Inputs,
    pub(super) args: &'a DoctorArgs,
    pub(super) clock: &'a Clock,
}

/// Runs every check and gives the exit code.
#[must_use]
pub fn run(global: &GlobalArgs, args: &DoctorArgs) -> u8 {
    let inputs = Inputs::of_process(global.flags(&args.address, false));
    let options = match Options::resolve(inputs.clone()) {
        Ok(options) => options,
        Err(error) => {
            let out = Output::new(global, None);
            let remedy = "`ninerouter --help` and README.md tell what each may hold";
            let code = error.exit_code();
            tell(out, &[Check::fail("configuration", error.to_string(), remedy)]);
            return code;
        }
    };
    let out = Output::new(global, Some(&options));
    let patient = Patient { options: &options, inputs: &inputs, args, clock: &Clock::System };
    let mut checks = outside::configuration(&patient);
    checks.extend(folder::checks(&patient));
    checks.extend(router::checks(&patient));
    checks.extend(outside::checks(&patient));
    tell(out, &checks);
    verdict(&checks, args.strict)
}

fn verdict(checks: &[Check], strict: bool) -> u8 {
    match checks.iter().map(|check| check.level).max() {
        Some(Level::Fail) => exit::INTERNAL,
        Some(Level::Warn) if strict => crate::cli::client::NO,
        _ => 0,
    }
}

fn tell(out: Output, checks: &[Check]) {
    if out.is_json() {
        let is_well = checks.iter().all(|check| check.level == Level::Ok);
        let list: Vec<Value> = checks.iter().map(Check::to_json).collect();
        out.json(&json!({"ok": is_well, "checks": list}));
        return;
    }
    let shown = checks.iter().filter(|check| !out.is_quiet() || check.level != Level::Ok);
    let lines: String = shown.map(|check| check.line(out.has_colour())).collect();
    print(&lines);
    if !out.is_quiet() {
        let count = |level| checks.iter().filter(|check| check.level == level).count();
        let (warnings, failures) = (count(Level::Warn), count(Level::Fail));
        print(&format!("\n{} ok, {warnings} to look at, {failures} wrong\n", count(Level::Ok)));
    }
}

/// What a failed call says, for a check.
pub(super) fn words(failed: &Failed) -> String {
    failed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let ok = Check::ok("a", "fine");
        let warn = Check::warn("b", "odd", "do this");
        let fail = Check::fail("c", "bad", "do that");
        assert_eq!(verdict(std::slice::from_ref(&ok), true), 0);
        assert_eq!(verdict(&[ok.clone(), warn.clone()], false), 0);
        assert_eq!(verdict(&[warn.clone(), ok.clone()], true), 1);
        assert_eq!(verdict(&[fail, warn.clone(), ok], false), 70);
        assert_eq!(warn.line(false), "warn  odd\n        → do this\n");
    }
}
