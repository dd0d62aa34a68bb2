//! What encoders write: blocks of content, as they stand in requests and in whole answers.

use std::borrow::Cow;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::Dialect;
use crate::ir::{CacheMark, CacheTtl, Ext, RawJson};

/// Unknown fields that came in this dialect, to be flattened into their object.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a>(pub(super) &'a Ext);

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in self.0.of(Dialect::Anth) {
            map.serialize_entry(&*field.key, &field.value)?;
        }
        map.end()
    }
}

/// A caching mark: as written, or one of the router's own.
#[derive(Clone, Copy)]
pub(super) struct Mark<'a>(&'a CacheMark);

impl<'a> Mark<'a> {
    pub(super) fn of(cache: Option<&'a CacheMark>) -> Option<Self> {
        cache.map(Self)
    }
}

impl Serialize for Mark<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Ephemeral {
            #[serde(rename = "type")]
            kind: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            ttl: Option<&'static str>,
        }
        if let Some(raw) = &self.0.raw {
            return raw.serialize(serializer);
        }
        let ttl = match self.0.ttl {
            CacheTtl::Minutes5 => None,
            CacheTtl::Hour1 => Some("1h"),
        };
        Ephemeral { kind: "ephemeral", ttl }.serialize(serializer)
    }
}

/// A block of content.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Block<'a> {
    Text(Text<'a>),
    Image(Image<'a>),
    Document(Document<'a>),
    ToolUse(ToolUse<'a>),
    ServerToolUse(ServerToolUse<'a>),
    ToolResult(ToolResult<'a>),
    Thinking(Thinking<'a>),
    Redacted(Redacted<'a>),
    /// As it came.
    Same(Cow<'a, RawJson>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "text")]
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) citations: Vec<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<Mark<'a>>,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "image")]
pub(super) struct Image<'a> {
    pub(super) source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<Mark<'a>>,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "document")]
pub(super) struct Document<'a> {
    /// Absent when the unknown fields hold a source of a kind that only this dialect has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) citations: Option<Enabled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<Mark<'a>>,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
pub(super) struct Enabled {
    pub(super) enabled: bool,
}

/// Where the bytes of a medium are.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    File { file_id: &'a str },
    Text { media_type: &'static str, data: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "tool_use")]
pub(super) struct ToolUse<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: &'a str,
    pub(super) input: Cow<'a, RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<Mark<'a>>,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "server_tool_use")]
pub(super) struct ServerToolUse<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) input: &'a RawJson,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "tool_result")]
pub(super) struct ToolResult<'a> {
    pub(super) tool_use_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<Mark<'a>>,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "thinking")]
pub(super) struct Thinking<'a> {
    pub(super) thinking: &'a str,
    pub(super) signature: &'a str,
    #[serde(flatten)]
    pub(super) rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "redacted_thinking")]
pub(super) struct Redacted<'a> {
    pub(super) data: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_marks_and_unknown_fields_are_written() {
        let mut ext = Ext::default();
        ext.push(Dialect::Anth, "x", RawJson::parse("1.0").unwrap());
        ext.push(Dialect::Chat, "y", RawJson::parse("2").unwrap());
        let mark = CacheMark { ttl: CacheTtl::Hour1, raw: None };
        let block = Block::Text(Text {
            text: "a".into(),
            citations: Vec::new(),
            cache_control: Mark::of(Some(&mark)),
            rest: Rest(&ext),
        });
        assert_eq!(
            serde_json::to_string(&block).unwrap(),
            r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"},"x":1.0}"#
        );
    }
}
