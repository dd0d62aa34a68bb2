//! `ninerouter completions` and `ninerouter man`: what shells and `man` know of the command line, from its declaration.

use std::io::{self, Write};

use clap::{Command, CommandFactory};

use crate::cli::args::{Cli, CompletionsArgs, ManArgs};
use crate::cli::run::complain;
use crate::config::error::exit;

const NAME: &str = "ninerouter";

/// Prints the completions of a shell; gives the exit code.
#[must_use]
pub fn completions(args: &CompletionsArgs) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut text);
    print(&text)
}

/// Prints a manual page; gives the exit code.
#[must_use]
pub fn man(args: &ManArgs) -> u8 {
    let mut command = Cli::command();
    command.build();
    let Some((command, name)) = find(&command, &args.command) else {
        complain(&format!(
            "there is no command `{}`; `{NAME} --help` lists them",
            args.command.join(" ")
        ));
        return exit::USAGE;
    };
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone()).title(name.replace(' ', "-"));
    match page.render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => {
            complain(&error.to_string());
            exit::INTERNAL
        }
    }
}

/// The command that the words name, and its whole name.
fn find<'a>(root: &'a Command, words: &[String]) -> Option<(&'a Command, String)> {
    let mut found = (root, NAME.to_owned());
    for word in words {
        let below = found.0.find_subcommand(word)?;
        found = (below, format!("{} {}", found.1, below.get_name()));
    }
    Some(found)
}

fn print(text: &[u8]) -> u8 {
    // A closed pipe is the reader's wish.
    drop(io::stdout().lock().write_all(text));
    0
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_the_commands() {
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), NAME, &mut text);
            let text = String::from_utf8(text).unwrap();
            for word in ["clear-locks", "doctor", "ninerouter"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn pages_are_found_by_their_words() {
        let root = Cli::command();
        let name = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            find(&root, &words).map(|(_, name)| name)
        };
        assert_eq!(name(&[]).as_deref(), Some("ninerouter"));
        assert_eq!(name(&["account", "add"]).as_deref(), Some("ninerouter account add"));
        assert_eq!(name(&["account", "nothing"]), None);
    }
}
