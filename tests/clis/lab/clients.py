"""The coding tools: how each is told where its model is, and how it is run without a terminal.

Each function writes the tool's configuration into a home directory of its own and gives the command line and the
variables that matter. Sources: the tools' own documentation of their configuration files.
"""

import dataclasses
import json
import pathlib


@dataclasses.dataclass
class Target:
    """Where the tool finds its model: `base` without a path, the key, the model id, the folder to work in."""

    base: str
    key: str
    model: str
    home: pathlib.Path
    work: pathlib.Path

    def write(self, name, text):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))


def claude(to: Target, prompt):
    env = {
        "ANTHROPIC_BASE_URL": to.base, "ANTHROPIC_AUTH_TOKEN": to.key, "ANTHROPIC_MODEL": to.model,
        "ANTHROPIC_DEFAULT_OPUS_MODEL": to.model, "ANTHROPIC_DEFAULT_SONNET_MODEL": to.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": to.model, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
    }  # fmt: skip
    to.write(".claude/settings.json", {"env": env})
    return ["claude", "-p", prompt, "--permission-mode", "acceptEdits", "--allowedTools", "Write Bash"], {}


def codex(to: Target, prompt):
    to.write(
        ".codex/config.toml",
        f'model = "{to.model}"\nmodel_provider = "lab"\ncheck_for_update_on_startup = false\n'
        '[analytics]\nenabled = false\n[model_providers.lab]\nname = "Lab"\n'
        f'base_url = "{to.base}/v1"\nwire_api = "responses"\nexperimental_bearer_token = "{to.key}"\n',
    )
    return ["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt], {}


def gemini(to: Target, prompt):
    to.write(
        ".gemini/settings.json",
        {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False},
            "telemetry": {"enabled": False},
        },
    )
    env = {"GEMINI_API_KEY": to.key, "GOOGLE_GEMINI_BASE_URL": to.base, "GEMINI_MODEL": to.model}
    return ["gemini", "-m", to.model, "-y", "--skip-trust", "-p", prompt], env


# npm package of OpenCode's provider, and what follows the base URL.
OPENCODE = {
    "opencode": ("@ai-sdk/openai-compatible", "/v1"),
    "opencode-resp": ("@ai-sdk/openai", "/v1"),
    "opencode-anth": ("@ai-sdk/anthropic", "/v1"),
    "opencode-gem": ("@ai-sdk/google", "/v1beta"),
}


def opencode(to: Target, prompt, flavour="opencode"):
    package, path = OPENCODE[flavour]
    model = {"name": to.model, "tool_call": True, "limit": {"context": 200000, "output": 32000}}
    provider = {
        "npm": package,
        "name": "Lab",
        "options": {"baseURL": to.base + path, "apiKey": to.key},
        "models": {to.model: model},
    }
    to.write(
        ".config/opencode/opencode.json",
        {
            "$schema": "https://opencode.ai/config.json",
            "model": f"lab/{to.model}",
            "small_model": f"lab/{to.model}",
            "autoupdate": False,
            "share": "disabled",
            "provider": {"lab": provider},
        },
    )
    return ["opencode", "run", prompt], {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}


def qwen(to: Target, prompt):
    to.write(
        ".qwen/settings.json",
        {"security": {"auth": {"selectedType": "openai"}}, "privacy": {"usageStatisticsEnabled": False}},
    )
    env = {"OPENAI_API_KEY": to.key, "OPENAI_BASE_URL": to.base + "/v1", "OPENAI_MODEL": to.model}
    return ["qwen", "-y", "-p", prompt], env


def copilot(to: Target, prompt, kind="openai", wire="completions"):
    env = {
        "COPILOT_PROVIDER_BASE_URL": to.base + ("" if kind == "anthropic" else "/v1"),
        "COPILOT_PROVIDER_API_KEY": to.key,
        "COPILOT_MODEL": to.model,
        "COPILOT_PROVIDER_TYPE": kind,
        "COPILOT_AUTO_UPDATE": "false",
    }
    if kind == "openai":
        env["COPILOT_PROVIDER_WIRE_API"] = wire
    return ["copilot", "-p", prompt, "--allow-all-tools", "--allow-all-paths"], env


# Name -> (dialect it speaks, its function). OpenCode and Copilot speak several.
CLIENTS = {
    "claude": ("anth", claude),
    "codex": ("resp", codex),
    "gemini": ("gem", gemini),
    "opencode": ("chat", opencode),
    "qwen": ("chat", qwen),
    "copilot": ("chat", copilot),
    "opencode-anth": ("anth", lambda to, prompt: opencode(to, prompt, "opencode-anth")),
    "opencode-gem": ("gem", lambda to, prompt: opencode(to, prompt, "opencode-gem")),
    "opencode-resp": ("resp", lambda to, prompt: opencode(to, prompt, "opencode-resp")),
    "copilot-anth": ("anth", lambda to, prompt: copilot(to, prompt, kind="anthropic")),
    "copilot-resp": ("resp", lambda to, prompt: copilot(to, prompt, wire="responses")),
}
