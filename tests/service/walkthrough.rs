//! The README's walk-through is what happens: its commands are run, and what it shows is what they print.

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Person};
use ninerouter::demo::{Behavior, SimConfig, Simulator};

use crate::cli::sign_in_at;
use crate::support::terminal::{Done, Installation};

const README: &str = include_str!("../../README.md");
const BEGIN: &str = "<!-- walk-through: tests/service/walkthrough.rs runs it -->";
const END: &str = "<!-- end of walk-through -->";

/// A command of the walk-through, and the lines shown below it.
struct Step {
    line: String,
    shown: Vec<String>,
}

fn steps() -> Vec<Step> {
    let (_, rest) = README.split_once(BEGIN).expect("the mark is in the README");
    let (text, _) = rest.split_once(END).expect("the end mark is in the README");
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the block ends");
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(line) => steps.push(Step { line: line.to_owned(), shown: Vec::new() }),
                None => {
                    let step = steps.last_mut().expect("a command stands first");
                    step.shown.push(line.to_owned());
                }
            }
        }
    }
    assert!(steps.len() >= 8, "{} commands found", steps.len());
    steps
}

/// Words as a shell takes them: blanks part, single quotes keep.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, piece) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn the_readme_walks_through_what_really_happens() {
    let sim = |name: &str| Simulator::start(SimConfig::new(name, Behavior::Free)).unwrap();
    let (glm, deepseek) = (sim("glm"), sim("deepseek"));
    let vendor = Authority::start(&Clock::System).unwrap();
    let mut me = Person::new("me");
    me.email = "me@example.org".to_owned();
    vendor.sign_in_as(&me);
    let mut home = Installation::new()
        .env("NINEROUTER_ENDPOINT_GLM_API", &format!("http://{}", glm.address()))
        .env("NINEROUTER_ENDPOINT_DEEPSEEK_API", &format!("http://{}", deepseek.address()))
        .envs(vendor.environment());
    let mut transcript = String::new();
    for step in steps() {
        let mut args = words(&step.line);
        assert_eq!(args.remove(0), "ninerouter", "{}", step.line);
        let file = args.iter().position(|word| word == "<");
        if let Some(at) = file {
            args.truncate(at);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        if args.as_slice() == ["serve"] || args.is_empty() {
            home.serve();
            continue;
        }
        let done = if args.starts_with(&["account", "add", "claude"]) {
            sign_in(&home, &args)
        } else {
            home.run_with(&args, if file.is_some() { "sk-simulated-0123456789" } else { "" })
        };
        transcript += &format!("$ {}\n{}{}", step.line, done.err, done.out);
        assert_eq!(done.code, 0, "{transcript}");
        let printed = format!("{}{}", done.err, done.out);
        // Where another test has the sign-in's port, the vendor's page shows a code instead.
        let has_code = printed.contains("Copy the code that the page shows");
        let varies = |line: &&String| {
            line.contains('…') || (has_code && (line.starts_with("2.") || line.starts_with("   ")))
        };
        for shown in step.shown.iter().filter(|line| !varies(line)) {
            assert!(printed.contains(shown.as_str()), "{shown:?} is not printed:\n{printed}");
        }
    }
    let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("walkthrough.txt");
    std::fs::write(kept, transcript).unwrap();
}

fn sign_in(home: &Installation, args: &[&str]) -> Done {
    let mut talk = home.start_command(args);
    let url = format!("http{}", talk.wait_for("   http"));
    talk.wait_for("Waiting until");
    talk.type_line(&sign_in_at(&url));
    talk.end()
}
