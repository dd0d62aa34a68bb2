//! Icons out of the sprite, and the monogram of a provider.

use maud::{Markup, html};

use crate::assets::Assets;

/// An icon by its name in `assets/icons.svg`. Decoration: the words beside it, or the label of its button, say what it
/// means.
pub(crate) fn icon(assets: &Assets, name: &str) -> Markup {
    html! {
        svg class="ico" viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            use href={ (assets.icons) "#" (name) } {}
        }
    }
}

/// Two letters on a tint: how a provider is told from others at a glance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Monogram {
    /// One or two letters.
    pub letters: String,
    /// 1 to 8: the colour that the provider has on every page and in every chart.
    pub tint: u8,
}

impl Monogram {
    /// Of a provider's or node's id, and its name or the catalog's `badge`.
    #[must_use]
    pub fn new(id: &str, name: &str) -> Self {
        // FNV-1a: stable over versions and machines.
        let hash = id
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let tint = u8::try_from(hash % 8).unwrap_or_default() + 1;
        let mut initials =
            name.split(|c: char| !c.is_alphanumeric()).filter_map(|w| w.chars().next());
        let letters = match (initials.next(), initials.next()) {
            (Some(first), Some(second)) => format!("{first}{second}").to_uppercase(),
            _ => {
                let mut letters = name.chars().filter(|c| c.is_alphanumeric());
                let first = letters.next().map(|c| c.to_uppercase().to_string());
                format!(
                    "{}{}",
                    first.unwrap_or_default(),
                    letters.next().map(String::from).unwrap_or_default()
                )
            }
        };
        Self { letters, tint }
    }
}

pub(crate) fn monogram(mark: &Monogram) -> Markup {
    html! { span class={ "logo t" (mark.tint) } aria-hidden="true" { (mark.letters) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monogram_is_two_letters_in_a_steady_colour() {
        for (name, want) in [
            ("Claude Code", "CC"),
            ("openai", "Op"),
            ("GLM", "GL"),
            ("x", "X"),
            ("\u{202e}<", ""),
            ("深度 求索", "深求"),
        ] {
            assert_eq!(Monogram::new("claude", name).letters, want, "{name}");
        }
        let tint = Monogram::new("claude", "a").tint;
        assert_eq!(tint, Monogram::new("claude", "b").tint);
        assert!((1..=8).contains(&tint));
    }
}
