//! The declared keys as help texts and as the tables of the README.

use crate::config::keys::{Key, Preset, SETTINGS, Since};
use crate::config::variables::VARIABLES;

/// Help of the flag that sets a key: its doc line, its variables, its default.
#[must_use]
pub fn help(name: &str) -> String {
    let Some(key) = SETTINGS.iter().chain(VARIABLES).find(|key| key.name == name) else {
        return String::new();
    };
    let default = match key.preset {
        Preset::Unset => String::new(),
        preset => format!(" [default: {}]", preset.label()),
    };
    format!("{} [env: {}]{default}", key.doc, names(key).join(", "))
}

/// Variables this version uses, as a Markdown table.
#[must_use]
pub fn variables() -> String {
    let settings = SETTINGS.iter().filter(|key| !key.env.is_empty());
    let row = |key: &Key| {
        let names: Vec<String> = names(key).iter().map(|name| format!("`{name}`")).collect();
        format!("| {} | {} | {} |\n", names.join(", "), default(key), key.doc)
    };
    let head = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    let keys = VARIABLES.iter().chain(settings).filter(|key| is_shown(key));
    std::iter::once(head).chain(keys.map(row)).collect()
}

/// Settings of the config file that this version uses, as a Markdown table.
#[must_use]
pub fn settings() -> String {
    let cannot_stand_in_a_file = ["port", "host", "workers"];
    let row = |key: &Key| {
        let values = key.kind.label();
        format!("| `{}` | {values} | {} | {} |\n", key.name, default(key), key.doc)
    };
    let head = "| setting | values | default | meaning |\n|---|---|---|---|\n".to_owned();
    let keys = SETTINGS.iter().filter(|key| key.since == Since::Now);
    let keys = keys.filter(|key| !cannot_stand_in_a_file.contains(&key.name));
    std::iter::once(head).chain(keys.map(row)).collect()
}

fn is_shown(key: &Key) -> bool {
    key.since == Since::Now && !key.doc.starts_with("Tests only")
}

fn names(key: &Key) -> Vec<&'static str> {
    if key.env.is_empty() { vec![key.name] } else { key.env.to_vec() }
}

fn default(key: &Key) -> String {
    match key.preset {
        Preset::Unset | Preset::Found(_) | Preset::List([]) => key.preset.label(),
        Preset::Bool(_) | Preset::Int(_) | Preset::Text(_) | Preset::List(_) => {
            format!("`{}`", key.preset.label())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");

    /// The part of the README between two marks.
    fn part(name: &str) -> &'static str {
        let begin = format!("<!-- {name}: made from src/config/, a test compares -->\n");
        let (_, rest) = README.split_once(&begin).expect("the mark is in the README");
        let end = format!("<!-- end of {name} -->");
        rest.split_once(&end).expect("the end mark is in the README").0
    }

    #[test]
    fn tables_of_the_readme_are_the_declaration() {
        for (name, table) in [("variables", variables()), ("settings", settings())] {
            assert!(part(name) == table, "replace the part `{name}` of README.md by:\n{table}");
        }
    }

    #[test]
    fn help_names_variables_and_default() {
        assert_eq!(
            help("port"),
            "Port to listen on; 0 takes any free one [env: PORT] [default: 20128]"
        );
        assert!(help("DATA_DIR").ends_with("[env: DATA_DIR] [default: ~/.9router]"));
    }
}
