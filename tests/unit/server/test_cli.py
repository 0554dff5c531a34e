"""The command tells what it can, and what is wrong, in one line and with a status."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runners.host.engine_description import EngineUnavailable
from runners.protocol.engine_description import EngineDescription
from server.cli import COMMANDS, app
from server.commands.version import show_version
from server.config.settings import VARIABLES
from server.config.values import Address
from server.http.listener import listen
from server.versions import PADDOCK


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def test_the_version_and_the_engine_are_told() -> None:
    answer = run("--version")

    assert answer.exit_code == 0
    assert re.fullmatch(rf"paddock {PADDOCK}\nengine: llama-cpp-python \d\S*.*\n", answer.stdout)


def test_the_variant_for_the_processor_is_told_and_an_engine_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def missing() -> EngineDescription:
        raise EngineUnavailable("No module named 'llama_cpp'")

    show_version(lambda: EngineDescription(version="1.2", cpu_variant="haswell", devices=()))
    show_version(missing)

    assert capsys.readouterr().out.splitlines()[1::2] == [
        "engine: llama-cpp-python 1.2, CPU variant haswell",
        "engine: not available (No module named 'llama_cpp')",
    ]


def test_without_a_command_the_help_is_shown() -> None:
    answer = run()

    assert "Usage:" in answer.output
    assert "serve" in answer.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """A command is imported for this, so it is where the table says."""
    answer = run(name, "--help")

    assert answer.exit_code == 0
    assert f"{name} [OPTIONS]" in answer.stdout
    assert COMMANDS[name].hidden or f"{name} " in run().output


def test_the_help_explains_every_variable_on_a_line_of_its_own() -> None:
    answer = run("serve", "--help")
    lines = [line.strip() for line in answer.stdout.splitlines()]

    assert answer.exit_code == 0
    for variable in VARIABLES:
        default = f" [{variable.shown_default}]" if variable.shown_default else ""
        assert f"{variable.name:<26}{variable.help}{default}" in lines


@pytest.fixture
def taken() -> object:
    with listen(Address("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def refusal(**environment: str) -> str:
    """Return the one line that `serve` ends with."""
    answer = run("serve", **environment)

    assert answer.exit_code == 1
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    return line


def test_a_setting_that_makes_no_sense_stops_the_start() -> None:
    assert refusal(PADDOCK_MAX_CONNECTIONS="many") == (
        'Error: PADDOCK_MAX_CONNECTIONS is "many", but must be a whole number of at least 0'
    )


def test_a_check_names_every_setting_that_makes_no_sense_and_starts_nothing(
    tmp_path: Path,
) -> None:
    """Also those that a start would ignore with a warning."""
    answer = run(
        "serve",
        "--check",
        OLLAMA_MAX_QUEUE="many",
        OLLAMA_HOST="a:b",
        HTTPS_PROXY="socks5://a",
        OLLAMA_MODELS=str(tmp_path / "models"),
    )

    assert answer.exit_code == 1
    assert [line.split()[1] for line in answer.stderr.splitlines()] == [
        "OLLAMA_HOST", "OLLAMA_MAX_QUEUE", "HTTPS_PROXY",
    ]  # fmt: skip
    assert not (tmp_path / "models").exists()


def test_a_check_of_good_settings_says_so() -> None:
    answer = run("serve", "--check", OLLAMA_KEEP_ALIVE="1d", OLLAMA_CONTEXT_LENGTH="8k")

    assert (answer.exit_code, answer.stdout) == (0, "the settings are valid\n")


def test_a_setting_that_is_ignored_is_told_with_what_is_used_instead(
    tmp_path: Path, taken: str
) -> None:
    answer = run("serve", OLLAMA_MAX_QUEUE="many", OLLAMA_HOST=taken, OLLAMA_MODELS=str(tmp_path))

    assert (
        'OLLAMA_MAX_QUEUE is "many", but must be a whole number of at least 0; '
        "the default 512 is used"
    ) in answer.stderr.splitlines()[0]


def test_an_address_that_is_in_use_is_told_with_a_way_out(taken: str, tmp_path: Path) -> None:
    assert refusal(OLLAMA_HOST=taken, OLLAMA_MODELS=str(tmp_path)) == (
        f"Error: cannot listen on {taken}: another server, perhaps Ollama, is running there; "
        "stop it, or set OLLAMA_HOST to another address"
    )


def test_an_address_of_another_machine_is_told_with_a_way_out() -> None:
    line = refusal(OLLAMA_HOST="192.0.2.1:11434", PADDOCK_INSECURE="1")

    assert line.startswith("Error: cannot listen on 192.0.2.1:11434: ")
    assert line.endswith("; set OLLAMA_HOST to another address")


def test_a_models_directory_that_cannot_be_one_is_told_with_its_path(tmp_path: Path) -> None:
    """The operator may know where it is; a client must not."""
    file = tmp_path / "models"
    file.write_text("")

    assert refusal(OLLAMA_HOST="127.0.0.1:0", OLLAMA_MODELS=str(file)) == (
        f"Error: the models directory cannot be written: not a directory ({file})"
    )
