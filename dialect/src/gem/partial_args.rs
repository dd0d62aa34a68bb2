//! Arguments of a call that come in fragments (`partialArgs`, Gemini 3 on Vertex; translation §4.2).

use std::collections::HashMap;

use super::wire::string;
use crate::json;

/// Deeper paths are left out: nothing that takes the arguments would read them.
const MAX_DEPTH: usize = 64;

/// Arguments put together from values and the paths where they belong.
#[derive(Debug, Default)]
pub(super) struct PartialArgs {
    root: Members,
}

#[derive(Debug)]
enum Node {
    /// Not a value yet: a gap in an array.
    Gap,
    Object(Members),
    Array(Vec<Node>),
    Text(String),
    /// A number, a boolean or null, as written.
    Scalar(Box<str>),
}

/// Members in the order in which they came.
#[derive(Debug, Default)]
struct Members {
    nodes: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl PartialArgs {
    /// Starts from arguments that came whole.
    pub(super) fn add_object(&mut self, raw: &str) {
        json::visit(raw, |key, raw| *self.root.slot(key) = Node::Scalar(raw.into()));
    }

    /// Takes one array of fragments.
    pub(super) fn add(&mut self, fragments: &str) {
        json::visit_elements(fragments, |fragment| self.add_one(fragment));
    }

    fn add_one(&mut self, fragment: &str) {
        let mut path = None;
        let mut value = None;
        json::visit(fragment, |key, raw| match key {
            "jsonPath" | "json_path" => path = string(raw),
            "stringValue" | "string_value" => {
                value = string(raw).map(|text| Node::Text(text.into_owned()));
            }
            "nullValue" | "null_value" => value = Some(Node::Scalar("null".into())),
            "numberValue" | "number_value" | "boolValue" | "bool_value" => {
                value = Some(Node::Scalar(raw.into()));
            }
            _ => {}
        });
        let (Some(path), Some(value)) = (path, value) else { return };
        let Some(steps) = steps(&path) else { return };
        let Some((Step::Key(first), rest)) = steps.split_first() else { return };
        let mut node = self.root.slot(first);
        for step in rest {
            node = node.descend(step);
        }
        match (node, value) {
            // A string goes on where it left off.
            (Node::Text(text), Node::Text(more)) => text.push_str(&more),
            (node, value) => *node = value,
        }
    }

    /// The arguments as JSON; empty when there are none.
    pub(super) fn into_json(self) -> String {
        let mut out = String::new();
        if !self.root.nodes.is_empty() {
            Node::Object(self.root).write(&mut out);
        }
        out
    }
}

impl Members {
    fn slot(&mut self, key: &str) -> &mut Node {
        let at = self.places.get(key).copied().unwrap_or(self.nodes.len());
        if at == self.nodes.len() {
            self.places.insert(key.to_owned(), at);
            self.nodes.push((key.to_owned(), Node::Gap));
        }
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made on the lines above")]
        &mut self.nodes[at].1
    }
}

impl Node {
    fn descend(&mut self, step: &Step) -> &mut Self {
        match step {
            Step::Key(key) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::Object(Members::default());
                }
                let Self::Object(members) = self else { return self };
                members.slot(key)
            }
            Step::Index(index) => {
                if !matches!(self, Self::Array(_)) {
                    *self = Self::Array(Vec::new());
                }
                let Self::Array(items) = self else { return self };
                // Elements come in order; a wild index must not make a wild array.
                let at = (*index).min(items.len());
                if at == items.len() {
                    items.push(Self::Gap);
                }
                #[expect(clippy::indexing_slicing, reason = "`at` was made on the lines above")]
                &mut items[at]
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Gap => out.push_str("null"),
            Self::Text(text) => out.push_str(&json::quote(text)),
            Self::Scalar(raw) => out.push_str(raw),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, node)) in members.nodes.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&json::quote(key));
                    out.push(':');
                    node.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// The steps of a path like `$.a.b[0]['c d']`; `None` for any other text.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == MAX_DEPTH {
            return None;
        }
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (key, after) = tail.split_at_checked(end)?;
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else if let Some(tail) = rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
            let quote = if rest.starts_with("['") { "']" } else { "\"]" };
            let (key, after) = tail.split_once(quote)?;
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(fragments: &[&str]) -> String {
        let mut args = PartialArgs::default();
        for fragment in fragments {
            args.add(&format!("[{fragment}]"));
        }
        args.into_json()
    }

    #[test]
    fn t151_fragments_become_one_object() {
        for (fragments, want) in [
            (
                &[
                    r#"{"jsonPath":"$.location","stringValue":"Bos","willContinue":true}"#,
                    r#"{"jsonPath":"$.location","stringValue":"ton"}"#,
                ][..],
                r#"{"location":"Boston"}"#,
            ),
            (
                &[
                    r#"{"jsonPath":"$.r.items[0].n","numberValue":12345678901234567890}"#,
                    r#"{"jsonPath":"$.r.items[0].ok","boolValue":true}"#,
                    r#"{"jsonPath":"$.r.items[1]","nullValue":"NULL_VALUE"}"#,
                    r#"{"jsonPath":"$['a.b']","stringValue":"é"}"#,
                ],
                r#"{"r":{"items":[{"n":12345678901234567890,"ok":true},null]},"a.b":"é"}"#,
            ),
            // What makes no sense is left out, and grows nothing.
            (
                &[
                    r#"{"jsonPath":"$.a[99999999999]","stringValue":"x"}"#,
                    r#"{"jsonPath":"location","stringValue":"x"}"#,
                    r#"{"jsonPath":"$[0]","stringValue":"x"}"#,
                    r#"{"jsonPath":"$.a[x]","stringValue":"x"}"#,
                    r#"{"stringValue":"x"}"#,
                    "7",
                ],
                r#"{"a":["x"]}"#,
            ),
            (&[], ""),
        ] {
            assert_eq!(assembled(fragments), want);
        }
        let deep = format!(r#"{{"jsonPath":"${}","stringValue":"x"}}"#, "[0]".repeat(100_000));
        assert_eq!(assembled(&[&deep]), "");
    }
}
