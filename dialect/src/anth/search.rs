//! Web searches that another provider ran, for clients that declared Anthropic's search tool (translation §3.5).

use serde_json::{Value, json};

use crate::ir::{RawJson, ServerTool};
use crate::translate::ids;

/// A search and what it found.
pub(super) struct Search {
    id: String,
    query: String,
    /// Address and title.
    pages: Vec<(String, String)>,
}

impl Search {
    /// The search in a call of Responses (`web_search_call`) or Gemini; `None` for other tools.
    pub(super) fn of(call: &ServerTool) -> Option<Self> {
        if !matches!(
            &*call.name,
            "web_search" | "web_search_call" | "google_search" | "googleSearch"
        ) {
            return None;
        }
        let input = call.input.to_value().ok()?;
        let action = input.get("action").unwrap_or(&input);
        let query = match (action.get("query"), action.pointer("/queries/0")) {
            (Some(Value::String(query)), _) | (_, Some(Value::String(query))) => query.clone(),
            _ => String::new(),
        };
        let result = call.result.as_ref().and_then(|raw| raw.to_value().ok()).unwrap_or_default();
        let mut pages = Vec::new();
        for value in [action, &result] {
            for key in ["sources", "results"] {
                pages.extend(value.get(key).and_then(Value::as_array).into_iter().flatten());
            }
            pages.extend(value.as_array().into_iter().flatten());
        }
        let text = |page: &Value, keys: [&str; 2]| {
            let found = keys.iter().find_map(|key| page.get(key)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let mut found: Vec<(String, String)> = Vec::new();
        for page in pages {
            let url = text(page, ["url", "uri"]);
            if !url.is_empty() && found.iter().all(|(known, _)| *known != url) {
                found.push((url, text(page, ["title", "name"])));
            }
        }
        let id = format!("srvtoolu_{}", ids::digest(&[call.id.as_bytes()], 24));
        Some(Self { id, query, pages: found })
    }

    /// The call and its result as Anthropic writes them. What only Anthropic can seal is left empty.
    pub(super) fn blocks(&self) -> [RawJson; 2] {
        let pages: Vec<Value> = self
            .pages
            .iter()
            .map(|(url, title)| {
                json!({
                    "type": "web_search_result",
                    "url": url,
                    "title": title,
                    "encrypted_content": "",
                    "page_age": null,
                })
            })
            .collect();
        let call = json!({
            "type": "server_tool_use",
            "id": self.id,
            "name": "web_search",
            "input": { "query": self.query },
        });
        let result = json!({
            "type": "web_search_tool_result",
            "tool_use_id": self.id,
            "content": pages,
        });
        [call.into(), result.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use crate::ir::Ext;

    #[test]
    fn a_search_of_responses_is_told_with_its_pages() {
        let call = ServerTool {
            id: "ws_1".into(),
            name: "web_search_call".into(),
            input: RawJson::parse(
                r#"{"type":"search","query":"q","sources":[{"type":"url","url":"https://a"},{"url":"https://a"}]}"#,
            )
            .unwrap(),
            result: None,
            origin: Dialect::Resp,
            ext: Ext::default(),
        };
        let [used, result] = Search::of(&call).unwrap().blocks().map(|raw| raw.to_value().unwrap());
        assert_eq!(used["input"], json!({"query": "q"}));
        assert_eq!(result["tool_use_id"], used["id"]);
        assert_eq!(result["content"].as_array().unwrap().len(), 1);
        assert_eq!(result["content"][0]["url"], "https://a");
        assert!(Search::of(&ServerTool { name: "code".into(), ..call }).is_none());
    }
}
