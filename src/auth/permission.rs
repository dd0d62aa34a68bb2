//! Whether a key may use a resolved target: model, provider, combo (SEC-AK-5).

use super::glob::Glob;
use super::key::KeyRecord;
use super::refusal::Refusal;

impl KeyRecord {
    /// True when the key may use this target. `model_key` is the resolved `prefix/model` in
    /// catalog spelling, without any suffix: aliases and variants are decided on what they mean,
    /// so none of them is a way around. `combo_name` is the combo the caller asked for.
    #[must_use]
    pub fn may_use(&self, provider_id: &str, model_key: &str, combo_name: Option<&str>) -> bool {
        self.may_use_combo(combo_name)
            && self.may_use_provider(provider_id, model_key)
            && self.may_use_model(model_key)
    }

    /// As [`KeyRecord::may_use`], with the refusal.
    ///
    /// # Errors
    /// [`Refusal::ModelNotAllowed`], naming what the caller asked for and nothing else.
    pub fn check_use(
        &self,
        requested: &str,
        provider_id: &str,
        model_key: &str,
        combo_name: Option<&str>,
    ) -> Result<(), Refusal> {
        if self.may_use(provider_id, model_key, combo_name) {
            Ok(())
        } else {
            Err(Refusal::ModelNotAllowed(requested.to_owned()))
        }
    }

    /// True when the key may ask for this combo, or for a target directly.
    #[must_use]
    pub fn may_use_combo(&self, combo_name: Option<&str>) -> bool {
        match (&self.allowed_combos, combo_name) {
            (Some(allowed), Some(name)) => allowed.iter().any(|a| a.eq_ignore_ascii_case(name)),
            (None, _) | (_, None) => true,
        }
    }

    fn may_use_provider(&self, provider_id: &str, model_key: &str) -> bool {
        let prefix = model_key.split_once('/').map(|(prefix, _model)| prefix);
        self.allowed_providers.as_ref().is_none_or(|allowed| {
            allowed.iter().any(|name| {
                name.eq_ignore_ascii_case(provider_id)
                    || prefix.is_some_and(|prefix| name.eq_ignore_ascii_case(prefix))
            })
        })
    }

    fn may_use_model(&self, model_key: &str) -> bool {
        let bare = model_key.split_once('/').map_or(model_key, |(_prefix, model)| model);
        // A pattern without `/` means the model wherever it is served.
        let fits =
            |glob: &Glob| glob.matches(model_key) || (!glob.has_slash() && glob.matches(bare));
        self.allowed_models.as_ref().is_none_or(|globs| globs.iter().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::KeyId;

    fn key() -> KeyRecord {
        KeyRecord::unlimited(KeyId::new(), "k".into(), [0; 32])
    }

    #[test]
    fn a_key_without_restrictions_may_use_everything() {
        assert!(key().may_use("glm", "glm/glm-4.7", Some("fast")));
    }

    #[test]
    fn t_ak_05_model_patterns_apply_to_the_resolved_id() {
        let mut key = key();
        key.allowed_models = Some(vec![Glob::new("GLM/*"), Glob::new("gpt-4o")]);
        for (provider, model, want) in [
            ("zai", "glm/glm-4.7", true),
            ("zai", "GLM/GLM-4.7", true),
            ("openai", "openai/gpt-4o", true),
            ("openrouter", "or/openai/gpt-4o", false),
            ("openai", "openai/gpt-4o-mini", false),
            ("claude", "cc/claude-opus-4", false),
            ("claude", "cc/glm/x", false),
        ] {
            assert_eq!(key.may_use(provider, model, None), want, "{model}");
            assert_eq!(key.may_use(provider, model, Some("any-combo")), want, "{model}");
        }
    }

    #[test]
    fn providers_go_by_id_or_prefix_and_combos_by_name() {
        let mut key = key();
        key.allowed_providers = Some(vec!["Claude".into(), "gc".into()]);
        assert!(key.may_use("claude", "cc/x", None));
        assert!(key.may_use("gemini-cli", "gc/x", None));
        assert!(!key.may_use("openai", "openai/x", None));
        key.allowed_providers = None;
        key.allowed_combos = Some(vec!["fast".into()]);
        assert!(key.may_use("openai", "openai/x", Some("Fast")));
        assert!(!key.may_use("openai", "openai/x", Some("slow")));
        assert!(key.may_use("openai", "openai/x", None));
        key.allowed_combos = Some(Vec::new());
        assert!(!key.may_use("openai", "openai/x", Some("fast")), "an empty list allows none");
    }

    #[test]
    fn the_refusal_names_what_was_asked_for() {
        let mut key = key();
        key.allowed_models = Some(Vec::new());
        let refusal = key.check_use("my-alias", "glm", "glm/secret-model", None).unwrap_err();
        assert_eq!(refusal.to_string(), "this API key may not use `my-alias`");
        assert_eq!((refusal.status(), refusal.code()), (403, "model_not_allowed"));
    }
}
