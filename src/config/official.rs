//! Where the official clients of providers keep their sign-ins on this machine, as the environment says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::environment::Environment;
use crate::provider::oauth::connect::SignIn;
use crate::secret::Secret;

/// The home folder, and the variables that official clients read.
#[derive(Clone, Debug, Default)]
pub struct Homes {
    /// `None` = the process has none.
    pub home: Option<PathBuf>,
    variables: BTreeMap<&'static str, Secret>,
}

impl Homes {
    /// As the environment says now.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let clients = SignIn::all().iter().filter_map(|sign_in| sign_in.cli);
        let names = clients.flat_map(|cli| [cli.folder_variable, cli.token_variable]);
        let variables = names.filter_map(|name| Some((name, environment.secret(name)?))).collect();
        let home = environment.secret("HOME").map(|home| PathBuf::from(home.expose()));
        Self { home: home.filter(|home| home.is_absolute()), variables }
    }

    /// A variable of an official client.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Secret> {
        self.variables.get(name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_the_variables_of_known_clients_are_kept() {
        let vars = [("HOME", "/home/ada"), ("CLAUDE_CONFIG_DIR", "/srv/claude"), ("OTHER", "x")];
        let vars = vars.map(|(name, value)| (name.into(), value.into()));
        let homes = Homes::of(&Environment::of_process(vars, Path::new("/")));
        assert_eq!(homes.home.as_deref(), Some(Path::new("/home/ada")));
        assert_eq!(homes.variable("CLAUDE_CONFIG_DIR").unwrap().expose(), "/srv/claude");
        assert!(homes.variable("OTHER").is_none());
        assert!(homes.variable("CLAUDE_CODE_OAUTH_TOKEN").is_none());
    }
}
