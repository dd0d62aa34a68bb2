//! What a request to Kiro is made of, as it goes out (translation §5.3).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::ir::RawJson;

/// A request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    pub(super) conversation_state: ConversationState<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile_arn: Option<&'a str>,
    pub(super) inference_config: InferenceConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) additional_model_request_fields: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationState<'a> {
    pub(super) chat_trigger_type: &'static str,
    pub(super) conversation_id: Cow<'a, str>,
    pub(super) agent_task_type: &'static str,
    pub(super) current_message: Message<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) history: Vec<Message<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InferenceConfig {
    pub(super) max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f64>,
}

/// One turn.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Message<'a> {
    UserInputMessage(UserMessage<'a>),
    AssistantResponseMessage(AssistantMessage<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserMessage<'a> {
    pub(super) content: String,
    pub(super) model_id: &'a str,
    pub(super) origin: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) images: Vec<Image<'a>>,
    #[serde(skip_serializing_if = "Context::is_empty")]
    pub(super) user_input_message_context: Context<'a>,
}

/// What comes with the words of the user.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_results: Vec<ToolResult<'a>>,
}

impl Context<'_> {
    fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.tool_results.is_empty()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Image<'a> {
    pub(super) format: &'static str,
    pub(super) source: Bytes<'a>,
}

/// Bytes, base64.
#[derive(Debug, Serialize)]
pub(super) struct Bytes<'a> {
    pub(super) bytes: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tool<'a> {
    pub(super) tool_specification: ToolSpecification<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolSpecification<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) input_schema: Schema<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct Schema<'a> {
    pub(super) json: Cow<'a, RawJson>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolResult<'a> {
    pub(super) tool_use_id: &'a str,
    pub(super) status: &'static str,
    pub(super) content: [Text; 1],
}

#[derive(Debug, Serialize)]
pub(super) struct Text {
    pub(super) text: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssistantMessage<'a> {
    pub(super) content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_uses: Vec<ToolUse<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    pub(super) tool_use_id: &'a str,
    pub(super) name: &'a str,
    pub(super) input: Cow<'a, RawJson>,
}
