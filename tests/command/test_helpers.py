"""Commands around the models: help, launch, bench, and a server that is started."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from server.client.integrations import INTEGRATIONS, Connection, UnreadableSettings, write_settings
from tests.command.conftest import Run
from tests.support.served import ServedApplication

CONNECTION = Connection("http://127.0.0.1:11434", "qwen3:8b", 40960)


def test_help_shows_what_the_flag_shows(run: Run) -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("help", "run").stdout == run("run", "--help").stdout


def test_a_question_goes_to_the_guide(run: Run, application: ServedApplication) -> None:
    missing = run("help", "how do I pull a model?")
    run("cp", "base", "paddock")
    answer = run("help", "how", "do", "I", "pull", "a", "model?")
    run("rm", "paddock")

    assert missing.exit_code == 1
    assert missing.stderr.startswith("Error: the guide is not installed on this server")
    assert answer.stdout.split() == "how do I pull a model?".split()


def test_a_measurement_is_one_table_and_json(run: Run) -> None:
    flags = ("--prompt-tokens", "8", "--tokens", "4", "--repeats", "1")
    table = run("bench", "base", *flags)
    results = json.loads(run("bench", "base", *flags, "--json").stdout)

    lines = table.stdout.splitlines()
    assert table.exit_code == 0
    assert lines[0].startswith("paddock ")
    assert lines[1].startswith("| model | prompt tokens/s | decode tokens/s | first token |")
    assert lines[3].startswith("| base:latest | ")
    assert results["results"][0]["context"] == 4096
    assert run("bench", "embedder").stderr.startswith("Error: embedder does not generate text")


def test_settings_of_each_program_are_printed_without_writing(run: Run, tmp_path: Path) -> None:
    for name in INTEGRATIONS:
        answer = run("launch", name, "--model", "base", "--print")
        assert answer.exit_code == 0
        assert "base" in answer.stdout or "OLLAMA_BASE_URL" in answer.stdout
    assert list(tmp_path.iterdir()) == []


def test_settings_are_written_beside_those_that_are_there(run: Run, tmp_path: Path) -> None:
    """Codex reads a profile from a file of its own, and refuses one in its common file."""
    common, profile = (tmp_path / ".codex" / f"{name}config.toml" for name in ("", "paddock."))
    common.parent.mkdir()
    common.write_text('model = "gpt-5"\n\n[profiles.mine]\nmodel = "x"\n')
    profile.write_text('sandbox_mode = "read-only"\nmodel = "x"\n\n[tools]\nview_image = true\n')

    first = run("launch", "codex", "--model", "base", "--config", "--yes")
    again = run("launch", "codex", "--model", "teller", "--config", "--yes")

    settings = tomllib.loads(profile.read_text())
    assert first.exit_code == again.exit_code == 0
    assert (settings["model"], settings["model_provider"]) == ("teller", "paddock")
    assert settings["model_providers"]["paddock"]["base_url"].endswith("/v1")
    assert (settings["sandbox_mode"], settings["tools"]) == ("read-only", {"view_image": True})
    assert profile.read_text().count("base_url") == 1
    assert "paddock.config.toml.before-paddock" in first.stdout
    assert common.read_text() == 'model = "gpt-5"\n\n[profiles.mine]\nmodel = "x"\n'


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_a_key_that_the_server_needs_is_handed_on(name: str) -> None:
    integration = INTEGRATIONS[name]
    connection = replace(CONNECTION, key="sk-1")

    settings = integration.merge("", connection) + str(integration.environment(connection))

    # Codex reads it from the variable that the command itself takes it from.
    assert ("OLLAMA_API_KEY" if name == "codex" else "sk-1") in settings


def test_an_agent_knows_the_context_of_the_model() -> None:
    claude = INTEGRATIONS["claude"].environment(CONNECTION)
    codex = tomllib.loads(INTEGRATIONS["codex"].merge("", CONNECTION))

    assert claude["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "40960"
    assert codex["model_context_window"] == 40960


def test_nothing_is_written_without_consent(run: Run, tmp_path: Path) -> None:
    answer = run("launch", "opencode", "--model", "base", "--config", stdin="n\n")

    assert answer.exit_code == 1
    assert not (tmp_path / ".config").exists()


def test_without_a_terminal_it_is_said_how_to_consent(run: Run, tmp_path: Path) -> None:
    answer = run("launch", "opencode", "--model", "base", "--config", stdin="")

    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[-1] == (
        "Error: nothing was written, as nobody can be asked here; --yes writes the settings, "
        "--print shows them"
    )
    assert not (tmp_path / ".config").exists()


def test_a_model_for_agents_is_chosen_or_asked_for(run: Run) -> None:
    none = run("launch", "claude", "--print")
    unknown = run("launch", "emacs")

    assert none.stderr.endswith(
        "Error: no installed model can call tools; pull one, and name it with --model\n"
    )
    assert unknown.stderr.startswith('Error: unknown program "emacs"; known are: claude, codex')
    assert "Claude Code" in run("launch").stdout


def test_the_list_of_continue_keeps_its_models(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("name: mine\nmodels:\n  - name: other\n    provider: openai\n")

    for model in ("a", "b"):
        write_settings(file, INTEGRATIONS["continue"], Connection("http://h:1", model))

    text = file.read_text()
    assert text.count("provider: ollama") == 1
    assert 'model: "b"' in text
    assert "  - name: other\n    provider: openai\n" in text
    file.write_text("models: []\n")
    with pytest.raises(UnreadableSettings):
        write_settings(file, INTEGRATIONS["continue"], CONNECTION)


def test_settings_that_cannot_be_read_are_left(tmp_path: Path) -> None:
    file = tmp_path / "opencode.json"
    file.write_text("{ // a comment\n}")

    with pytest.raises(UnreadableSettings):
        write_settings(file, INTEGRATIONS["opencode"], CONNECTION)
    assert file.read_text() == "{ // a comment\n}"


def test_opencode_gets_a_provider_with_the_context_of_the_model(tmp_path: Path) -> None:
    file = tmp_path / "opencode.json"
    file.write_text('{"theme": "dark"}')

    write_settings(file, INTEGRATIONS["opencode"], CONNECTION)

    settings = json.loads(file.read_text())
    provider = settings["provider"]["paddock"]
    assert (settings["theme"], settings["model"]) == ("dark", "paddock/qwen3:8b")
    assert provider["options"]["baseURL"] == "http://127.0.0.1:11434/v1"
    assert provider["models"]["qwen3:8b"]["limit"]["context"] == 40960
