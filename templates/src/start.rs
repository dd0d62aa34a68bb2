//! The start page: where clients point, and what they may ask for.

use maud::{Markup, html};

use crate::layout::page;

/// Values of the start page.
#[derive(Clone, Debug, Default)]
pub struct StartPage {
    /// Everything served is simulated: said on top of the page.
    pub simulated: bool,
    /// Base URL for OpenAI-type clients.
    pub openai_url: String,
    /// Base URL for Claude Code.
    pub anthropic_url: String,
    /// Base URL for Gemini clients.
    pub gemini_url: String,
    /// One line on who needs a key.
    pub access: String,
    /// Combos, aliases and models that can be asked for.
    pub models: Vec<ModelRow>,
    /// A request that works as printed.
    pub curl: String,
}

/// One name a client may ask for.
#[derive(Clone, Debug)]
pub struct ModelRow {
    /// What the client writes.
    pub id: String,
    /// `combo`, `alias` or the provider's name.
    pub owner: String,
}

/// Renders the page.
#[must_use]
pub fn start_page(view: &StartPage) -> Markup {
    let body = html! {
        h1 { "NineRouter" }
        @if view.simulated {
            p.notice role="note" { "Demo: every provider behind this router is simulated. No request leaves this computer." }
        }
        section {
            h2 { "Point a client at it" }
            dl {
                dt { "OpenAI, Codex, Cline, Cursor" } dd { code { (view.openai_url) } }
                dt { "Claude Code" } dd { code { (view.anthropic_url) } }
                dt { "Gemini" } dd { code { (view.gemini_url) } }
            }
            p { (view.access) }
            pre tabindex="0" { code { (view.curl) } }
        }
        section {
            h2 { "Models" }
            @if view.models.is_empty() {
                p { "No account is configured. Name providers, accounts and combos in a config file and start with "
                    code { "NINEROUTER_CONFIG" } " set to its path." }
            } @else {
                div.scroll tabindex="0" {
                    table {
                        thead { tr { th scope="col" { "Model" } th scope="col" { "Served by" } } }
                        tbody {
                            @for model in &view.models {
                                tr { td { code { (model.id) } } td { (model.owner) } }
                            }
                        }
                    }
                }
            }
        }
    };
    page("Start", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(models: Vec<ModelRow>) -> StartPage {
        StartPage {
            simulated: true,
            openai_url: "http://localhost:20128/v1".into(),
            anthropic_url: "http://localhost:20128".into(),
            gemini_url: "http://localhost:20128/v1beta".into(),
            access: "No API key is needed on this computer.".into(),
            models,
            curl: "curl -N http://localhost:20128/v1/chat/completions".into(),
        }
    }

    #[test]
    fn normal_page() {
        let models = vec![ModelRow { id: "demo".into(), owner: "combo".into() }];
        insta::assert_snapshot!(start_page(&view(models)).into_string());
    }

    #[test]
    fn empty_page_says_what_to_do() {
        insta::assert_snapshot!(start_page(&view(Vec::new())).into_string());
    }

    #[test]
    fn hostile_names_are_text() {
        let id = "\"><script>alert(1)</script>".to_owned();
        let html = start_page(&view(vec![ModelRow { id, owner: "<img onerror=x>".into() }]));
        let html = html.into_string();
        assert!(!html.contains("<script>") && !html.contains("<img"));
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn nothing_inline_that_the_policy_forbids() {
        let html = start_page(&view(Vec::new())).into_string();
        for forbidden in ["<script", " style=", " onclick", "javascript:", "<style"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
    }
}
