"""Settings of other programs that make them use this server, and where each keeps them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MARK = "paddock"


@dataclass(frozen=True, slots=True)
class Connection:
    """What a program has to know: the server's URL, a model, its context, a key."""

    url: str
    model: str
    context: int = 0
    key: str = ""

    @property
    def token(self) -> str:
        """The key, or a text for programs that insist on one."""
        return self.key or "unused"


@dataclass(frozen=True, slots=True)
class Integration:
    """A program: its settings as a text, where they belong, and how it is started.

    `file` is relative to the home directory, "" where the settings are environment variables.
    `merge` returns the new content of the file from the present one.
    """

    title: str
    command: tuple[str, ...]
    file: str
    environment: Callable[[Connection], dict[str, str]]
    merge: Callable[[str, Connection], str]


class UnreadableSettings(Exception):
    """The present settings cannot be read, and are left as they are."""


def _no_variables(_: Connection) -> dict[str, str]:
    return {}


def _no_file(text: str, _: Connection) -> str:
    return text


def _claude(connection: Connection) -> dict[str, str]:
    variables = {
        "ANTHROPIC_BASE_URL": connection.url,
        "ANTHROPIC_AUTH_TOKEN": connection.token,
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_MODEL": connection.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": connection.model,
        "ANTHROPIC_DEFAULT_SONNET_MODEL": connection.model,
        "ANTHROPIC_DEFAULT_OPUS_MODEL": connection.model,
        # A line before the system prompt that differs between conversations: none of them would
        # find its prompt in the cache.
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    if connection.context:
        # Else it takes a model that it does not know for one of a million tokens.
        variables["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(connection.context)
    return variables


def _codex(text: str, connection: Connection) -> str:
    """Put a provider and its model into a profile in TOML, without touching what else is there."""
    section = re.compile(rf"^\[model_providers\.{_MARK}\]\n(?:(?!\[).*\n?)*", re.MULTILINE)
    keys = re.compile(r"^(?:model|model_provider|model_context_window)[ \t]*=.*\n?", re.MULTILINE)
    rest = section.sub("", text)
    tables = re.search(r"^\[", rest, re.MULTILINE)
    start = tables.start() if tables else len(rest)
    ours = [f'model_provider = "{_MARK}"', f"model = {json.dumps(connection.model)}"]
    if connection.context:
        ours.append(f"model_context_window = {connection.context}")
    provider = (
        f"[model_providers.{_MARK}]\n"
        f'name = "paddock"\nbase_url = {json.dumps(connection.url + "/v1")}\n'
        'wire_api = "responses"\n'
    )
    if connection.key:
        provider += 'env_key = "OLLAMA_API_KEY"\n'
    parts = ("\n".join(ours), keys.sub("", rest[:start]).strip(), rest[start:].strip(), provider)
    return "\n\n".join(part for part in parts if part)


def _opencode(text: str, connection: Connection) -> str:
    settings = _object(text)
    settings.setdefault("$schema", "https://opencode.ai/config.json")
    model: dict[str, Any] = {"name": connection.model}
    if connection.context:
        model["limit"] = {"context": connection.context, "output": connection.context // 4}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "paddock",
        "options": {"baseURL": f"{connection.url}/v1", "apiKey": connection.token},
        "models": {connection.model: model},
    }
    settings.setdefault("provider", {})[_MARK] = provider
    settings["model"] = f"{_MARK}/{connection.model}"
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _object(text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text or "{}")
    except ValueError as e:
        raise UnreadableSettings(f"not valid JSON: {e}") from None
    if isinstance(settings, dict):
        return settings
    raise UnreadableSettings("not a JSON object")


def _continue(text: str, connection: Connection) -> str:
    """Put a model into a list of models in YAML, between marks so that it is found again."""
    ours = re.compile(
        rf"^  # {_MARK}:.*\n(?:    .*\n|  - .*\n)*?  # end of {_MARK}\n", re.MULTILINE
    )
    entry = (
        f"  # {_MARK}: written by paddock launch\n"
        f"  - name: {json.dumps(f'{connection.model} (paddock)')}\n"
        f"    provider: ollama\n    model: {json.dumps(connection.model)}\n"
        f"    apiBase: {connection.url}\n"
        + (f"    apiKey: {json.dumps(connection.key)}\n" if connection.key else "")
        + "    roles: [chat, edit, apply, autocomplete]\n"
        + f"  # end of {_MARK}\n"
    )
    text = ours.sub("", text)
    if re.search(r"^models:[ \t]*$", text, re.MULTILINE):
        return re.sub(
            r"^models:[ \t]*\n", lambda m: m[0] + entry, text, count=1, flags=re.MULTILINE
        )
    if re.search(r"^models:", text, re.MULTILINE):
        raise UnreadableSettings(
            "its list of models is not in the usual form; add the entry by hand"
        )
    head = text.rstrip() or "name: local\nversion: 1.0.0\nschema: v1"
    return f"{head}\nmodels:\n{entry}"


def _webui(connection: Connection) -> dict[str, str]:
    return {"OLLAMA_BASE_URL": connection.url} | (
        {"OLLAMA_API_CONFIGS": json.dumps({"0": {"key": connection.key}})} if connection.key else {}
    )


INTEGRATIONS = {
    "claude": Integration("Claude Code", ("claude",), "", _claude, _no_file),
    "codex": Integration(
        "Codex",
        ("codex", "--profile", _MARK),
        f".codex/{_MARK}.config.toml",
        _no_variables,
        _codex,
    ),
    "opencode": Integration(
        "opencode", ("opencode",), ".config/opencode/opencode.json", _no_variables, _opencode
    ),
    "continue": Integration("Continue", (), ".continue/config.yaml", _no_variables, _continue),
    "webui": Integration("Open WebUI", ("open-webui", "serve"), "", _webui, _no_file),
}
ALIASES = {"claude-code": "claude", "open-webui": "webui", "openwebui": "webui"}


def write_settings(file: Path, integration: Integration, connection: Connection) -> Path | None:
    """Write the settings; return where the ones before are kept, None where there were none.

    Raises:
        UnreadableSettings: the present ones cannot be read, and stay.
        OSError: the file cannot be written.
    """
    present = file.read_text(encoding="utf-8") if file.exists() else ""
    content = integration.merge(present, connection)
    if content == present:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    backup = None
    if present:
        backup = file.with_name(f"{file.name}.before-paddock")
        backup.write_text(present, encoding="utf-8")
    file.write_text(content, encoding="utf-8")
    return backup
