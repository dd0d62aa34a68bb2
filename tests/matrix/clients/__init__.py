"""One official SDK per client dialect: asks, and tells what it understood."""

from . import anthropic_messages, google_genai, openai_chat, openai_responses

CLIENTS = {"chat": openai_chat, "resp": openai_responses, "anth": anthropic_messages, "gem": google_genai}
