//! Unknown fields that mean something beyond their own dialect (translation §2.13).

use crate::Dialect;
use crate::ir::{Ext, ExtField};
use crate::profile::ReasoningStyle;
use crate::translate::Target;

/// What OpenRouter knows in all of its dialects.
const OPEN_ROUTER: [&str; 5] = ["provider", "transforms", "models", "plugins", "route"];
/// How tokens are drawn, at vendors of chat.
const CHAT_VENDORS: [&str; 3] = ["repetition_penalty", "min_p", "top_a"];

/// Fields of other dialects that the target may get at its top level. Everything else stays home.
pub fn foreign_fields<'a>(
    ext: &'a Ext,
    target: &'a Target,
) -> impl Iterator<Item = &'a ExtField> + use<'a> {
    let is_open_router = target.profile.reasoning_style == Some(ReasoningStyle::Openrouter);
    ext.iter().filter(move |field| {
        field.dialect != target.dialect
            && (is_open_router && OPEN_ROUTER.contains(&&*field.key)
                || target.dialect == Dialect::Chat && CHAT_VENDORS.contains(&&*field.key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::RawJson;

    #[test]
    fn only_listed_fields_leave_home() {
        let mut ext = Ext::default();
        for key in ["provider", "min_p", "client_metadata"] {
            ext.push(Dialect::Resp, key, RawJson::parse("1").unwrap());
        }
        let keys = |target: &Target| -> Vec<String> {
            foreign_fields(&ext, target).map(|field| field.key.to_string()).collect()
        };
        let mut chat = Target::new(Dialect::Chat, "m");
        assert_eq!(keys(&chat), ["min_p"]);
        chat.profile.reasoning_style = Some(ReasoningStyle::Openrouter);
        assert_eq!(keys(&chat), ["provider", "min_p"]);
        let mut resp = Target::new(Dialect::Resp, "m");
        resp.profile.reasoning_style = Some(ReasoningStyle::Openrouter);
        assert!(keys(&resp).is_empty(), "its own fields are written anyway");
        assert!(keys(&Target::new(Dialect::Anth, "m")).is_empty());
    }
}
