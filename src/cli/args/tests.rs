//! Command lines as people type them, and the help of every command.

use clap::CommandFactory;

use super::*;

fn read(line: &str) -> Result<(GlobalArgs, Command), clap::Error> {
    Cli::read(line.split_whitespace())
}

fn serve(line: &str) -> ServeArgs {
    match read(line).unwrap().1 {
        Command::Serve(args) => args,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_declaration_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn no_command_serves() {
    assert_eq!(serve("ninerouter"), ServeArgs::default());
    for line in ["ninerouter -p 3000", "ninerouter serve -p 3000", "ninerouter -p 3000 serve"] {
        assert_eq!(serve(line).address.port, Some(3000), "{line}");
    }
    let args = serve("ninerouter -H ::1 --host unix:/run/x serve --require-api-key");
    assert_eq!(args.address.hosts, ["::1", "unix:/run/x"]);
    assert!(args.require_api_key);
    let (global, _) = read("ninerouter serve --data-dir /d --env-file a --env-file b -q").unwrap();
    assert_eq!(global.env_files, [PathBuf::from("a"), PathBuf::from("b")]);
    assert!(global.quiet);
}

#[test]
fn a_mistake_ends_with_2_and_a_neighbour() {
    for (line, part) in [
        ("ninerouter --prot 3000", "--port"),
        ("ninerouter serve --require-api-kye", "--require-api-key"),
        ("ninerouter sevre", "serve"),
        ("ninerouter -p 70000", "70000"),
        ("ninerouter -p 3000 healthcheck", "before another command"),
        ("ninerouter config aply x.toml", "apply"),
        ("ninerouter acount list", "account"),
        ("ninerouter account ad claude", "add"),
        ("ninerouter key create x --expire 90d", "--expires"),
        ("ninerouter key create x --usd-day cheap", "US dollars"),
        ("ninerouter budget set all --window month", "--usd"),
        ("ninerouter serve --json", "no data"),
    ] {
        let error = read(line).map(|_| ()).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(part), "{line}: {error}");
    }
}

#[test]
fn version_names_sqlite() {
    let error = read("ninerouter -V").map(|_| ()).unwrap_err();
    assert_eq!(error.exit_code(), 0);
    let text = error.to_string();
    assert!(text.starts_with("ninerouter 0.1.0 (commit ") && text.contains("SQLite 3."), "{text}");
}

/// The options of every command stand in the first page only; elsewhere they would hide what is special.
#[test]
fn c01_help_of_each_command() {
    const COMMON: &str = "\nOptions of every command:\n";
    let mut text = String::new();
    let mut pages = vec![("ninerouter".to_owned(), Cli::command().bin_name("ninerouter"))];
    while let Some((name, mut command)) = pages.pop() {
        command.build();
        let help = command.render_long_help().to_string();
        let own = match help.split_once(COMMON) {
            Some((own, common)) if name.contains(' ') => {
                // Examples stand behind the options.
                let after = common.find("\nExample").and_then(|at| common.get(at..));
                format!("{own}{}", after.unwrap_or_default())
            }
            _ => help,
        };
        let lines: Vec<&str> = own.lines().map(str::trim_end).collect();
        text.push_str(&format!("===== {name}\n{}\n", lines.join("\n")));
        let mut below: Vec<_> = command
            .get_subcommands()
            .filter(|c| c.get_name() != "help")
            .map(|c| (format!("{name} {}", c.get_name()), c.clone()))
            .collect();
        below.reverse();
        pages.append(&mut below);
    }
    insta::assert_snapshot!(text);
}

/// Nothing that is secret can be given where the process list shows it (security P5, cli-and-deploy §1).
#[test]
fn no_argument_takes_a_secret() {
    let mut open = vec![Cli::command()];
    let mut seen = 0;
    while let Some(command) = open.pop() {
        for argument in command.get_arguments() {
            let words: Vec<String> = argument
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(|name| name.to_lowercase())
                .chain(argument.get_long().map(str::to_owned))
                .collect();
            let takes_value = argument.get_action().takes_values();
            for word in words.iter().filter(|_| takes_value) {
                for bad in ["secret", "password", "token-text", "api-key", "credential"] {
                    assert!(!word.contains(bad), "{} {word}", command.get_name());
                }
            }
            seen += 1;
        }
        open.extend(command.get_subcommands().cloned());
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_command_of_the_specification_is_read() {
    for line in [
        "ninerouter account add claude --label work",
        "ninerouter account add glm --key-stdin --param region=eu --max-concurrent 20 --proxy direct",
        "ninerouter account add claude --import",
        "ninerouter account add claude --import /x/.credentials.json --ownership follow",
        "ninerouter account add claude --import - --ownership own",
        "ninerouter account add claude --scan --json",
        "ninerouter --json account list --provider claude",
        "ninerouter account test claude/work glm/plan",
        "ninerouter account remove claude/work --force --yes",
        "ninerouter account clear-locks claude/work --scope model:x",
        "ninerouter account try-again claude/work",
        "ninerouter combo set a b/c d/e --strategy weighted --weights 3,1",
        "ninerouter alias set fast glm/glm-4.7",
        "ninerouter model list --available --provider glm --q turbo",
        "ninerouter provider set claude --refresh-lead 10m --unset tier",
        "ninerouter route coding --dialect anthropic --explain",
        "ninerouter chat coding hello",
        "ninerouter usage --days 30 --by key",
        "ninerouter budget set key:guest --window total --tokens 5000",
        "ninerouter proxy add office --no-proxy localhost,10.0.0.0/8",
        "ninerouter doctor --net --accounts --full --strict -p 3000",
        "ninerouter config set quota.poll_minutes 30",
        "ninerouter config set count_tokens -1",
        "ninerouter config diff x.toml --prune",
        "ninerouter status -q",
        "ninerouter key rotate laptop --grace 12h",
        "ninerouter key revoke laptop --now -y",
    ] {
        read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}
