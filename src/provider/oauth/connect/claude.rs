//! Claude's sign-in and the files of Claude Code (accounts §1.2, §2.2).

use serde_json::Value;

use crate::provider::oauth::connect::identity::{Identity, text};
use crate::provider::oauth::connect::redirect::{Loopback, Redirect};
use crate::provider::oauth::connect::{Object, OfficialCli, Profile, SignIn, StartOption};

/// Browser with PKCE; any port of `localhost` with the path `/callback`, or a page of the vendor that shows
/// `code#state`.
pub const SIGN_IN: SignIn = SignIn {
    redirects: &[
        Redirect::Loopback(Loopback { path: "/callback", port: 54_545, any_port: true }),
        Redirect::Page("https://platform.claude.com/oauth/code/callback"),
    ],
    device: false,
    options: &[StartOption::ClientId],
    state_in_exchange: true,
    rotates: true,
    profile: Some(Profile {
        url: "https://api.anthropic.com/api/oauth/profile",
        headers: &[
            ("anthropic-beta", "oauth-2025-04-20"),
            ("anthropic-version", "2023-06-01"),
            ("accept", "application/json"),
        ],
    }),
    identity,
    token_prefix: Some("sk-ant-oat01-"),
    cli: Some(OfficialCli {
        name: "Claude Code",
        folder_variable: "CLAUDE_CONFIG_DIR",
        folder: ".claude",
        file: ".credentials.json",
        identity_file: ".claude.json",
        identity: of_cli,
        plan,
        token_variable: "CLAUDE_CODE_OAUTH_TOKEN",
    }),
};

/// The profile wins where it says something; the token reply names account and organization too.
fn identity(reply: &Object, profile: Option<&Object>) -> Identity {
    let member = |of: &str, names: &[&str]| {
        let within = |object: &Object| {
            let object = object.get(of).and_then(Value::as_object)?;
            names.iter().find_map(|name| text(object, name))
        };
        profile.and_then(within).or_else(|| within(reply))
    };
    let account = member("account", &["uuid"]);
    let organization = member("organization", &["uuid"]);
    Identity {
        key: account.map(|id| format!("{id}|{}", organization.unwrap_or_default())),
        email: member("account", &["email", "email_address"]),
        organization: member("organization", &["name"]),
        plan: profile.and_then(plan_of_profile),
    }
}

fn plan_of_profile(profile: &Object) -> Option<String> {
    let of = |name: &str| profile.get(name).and_then(Value::as_object);
    let organization = of("organization");
    let kind = organization.and_then(|o| text(o, "organization_type"));
    let kind = kind.as_deref().and_then(|kind| kind.strip_prefix("claude_")).map(str::to_owned);
    let has = |flag: &str| of("account")?.get(flag)?.as_bool()?.then_some(());
    let flagged = || {
        let max = has("has_claude_max").map(|()| "max".to_owned());
        max.or_else(|| has("has_claude_pro").map(|()| "pro".to_owned()))
    };
    let tier = organization.and_then(|o| text(o, "rate_limit_tier"));
    plan(kind.or_else(flagged).as_deref(), tier.as_deref())
}

/// `max` and `default_claude_max_5x` → `max_5x`: the size belongs to the name of the plan.
fn plan(kind: Option<&str>, tier: Option<&str>) -> Option<String> {
    let kind = kind?;
    let size = tier.and_then(|tier| tier.rsplit_once(&format!("{kind}_")));
    Some(match size {
        Some((_, size)) if !size.is_empty() => format!("{kind}_{size}"),
        _ => kind.to_owned(),
    })
}

/// `oauthAccount` of `.claude.json`.
fn of_cli(file: &Object) -> Identity {
    let Some(account) = file.get("oauthAccount").and_then(Value::as_object) else {
        return Identity::default();
    };
    let organization = text(account, "organizationUuid").unwrap_or_default();
    Identity {
        key: text(account, "accountUuid").map(|id| format!("{id}|{organization}")),
        email: text(account, "emailAddress"),
        organization: text(account, "organizationName"),
        plan: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn profile_wins_over_the_reply_and_the_reply_is_enough() {
        let reply = object(json!({"account": {"uuid": "a1", "email_address": "old@x.example"},
            "organization": {"uuid": "o1", "name": "Acme"}}));
        let alone = identity(&reply, None);
        assert_eq!(alone.key.as_deref(), Some("a1|o1"));
        assert_eq!(alone.email.as_deref(), Some("old@x.example"));
        assert_eq!((alone.organization.as_deref(), alone.plan), (Some("Acme"), None));
        let profile = object(json!({"account": {"uuid": "a1", "email": "new@x.example"},
            "organization": {"uuid": "o2", "organization_type": "claude_max",
                "rate_limit_tier": "default_claude_max_20x"}}));
        let both = identity(&reply, Some(&profile));
        assert_eq!(both.key.as_deref(), Some("a1|o2"));
        assert_eq!(both.email.as_deref(), Some("new@x.example"));
        assert_eq!(both.organization.as_deref(), Some("Acme"));
        assert_eq!(both.plan.as_deref(), Some("max_20x"));
        assert_eq!(identity(&Object::new(), None), Identity::default());
        let odd = object(json!({"account": "x", "organization": [1]}));
        assert_eq!(identity(&odd, Some(&odd)), Identity::default());
    }

    #[test]
    fn plan_is_named_from_what_there_is() {
        for (kind, tier, want) in [
            (Some("max"), Some("default_claude_max_5x"), Some("max_5x")),
            (Some("pro"), Some("default_claude_ai"), Some("pro")),
            (Some("team"), None, Some("team")),
            (Some("max"), Some("default_claude_max_"), Some("max")),
            (None, Some("default_claude_max_5x"), None),
        ] {
            assert_eq!(plan(kind, tier).as_deref(), want, "{kind:?} {tier:?}");
        }
        let flags = object(json!({"account": {"has_claude_max": false, "has_claude_pro": true}}));
        assert_eq!(plan_of_profile(&flags).as_deref(), Some("pro"));
    }

    #[test]
    fn files_of_the_official_client_name_the_account() {
        let file =
            object(json!({"oauthAccount": {"accountUuid": "a", "emailAddress": "e@x.example",
            "organizationUuid": "o", "organizationName": "Acme"}, "projects": {}}));
        let found = of_cli(&file);
        assert_eq!(found.key.as_deref(), Some("a|o"));
        assert_eq!(found.email.as_deref(), Some("e@x.example"));
        assert_eq!(of_cli(&Object::new()), Identity::default());
    }
}
