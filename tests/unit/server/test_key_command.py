"""`paddock key`, and a server that other machines reach: it does not start without keys."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.access.key import token_hash
from server.access.key_file import read_keys
from server.cli import app


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def run(models: Path, *arguments: str, **environment: str) -> Result:
    environment = {"OLLAMA_MODELS": str(models), **environment}
    return CliRunner().invoke(app, list(arguments), env=environment)


def file_of(models: Path) -> Path:
    """Where the keys are unless a setting says otherwise."""
    return models.parent / "paddock-api-keys.json"


def test_the_token_alone_is_on_standard_output(models: Path) -> None:
    """So that a script can take it: `KEY=$(paddock key create ci)`."""
    answer = run(models, "key", "create", "ci")
    (key,) = read_keys(file_of(models))

    assert answer.exit_code == 0
    assert token_hash(answer.stdout.removesuffix("\n")) == key.sha256
    assert key.scopes == ("infer", "read")


def test_keys_are_listed_with_what_they_are_for_and_without_their_hash(models: Path) -> None:
    run(models, "key", "create", "ci", "--scope", "infer", "--models", "llama*", "--expires", "30d")
    run(models, "key", "create", "old")
    run(models, "key", "revoke", "old")
    table = run(models, "key", "list").stdout.splitlines()
    first = json.loads(run(models, "key", "list", "--json").stdout.splitlines()[0])

    assert table[1].split()[:3] == ["ci", "infer", "valid"]
    assert table[1].endswith(" llama*")
    assert table[2].split()[:3] == ["old", "infer,read", "revoked"]
    assert (first["name"], first["models"]) == ("ci", ["llama*"])
    assert "sha256" not in first


def test_who_revokes_the_last_valid_key_is_told_what_that_means(models: Path) -> None:
    """The server stays closed, which nobody expects who only tried keys."""
    for name in ("one", "two"):
        run(models, "key", "create", name)

    first, last = (run(models, "key", "revoke", name) for name in ("one", "two"))

    assert (first.stdout, first.stderr) == ("revoked the key one\n", "")
    assert last.stdout == "revoked the key two\n"
    assert "no key is valid now, and requests still need one" in last.stderr
    assert str(file_of(models)) in last.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("key", "create", "a b"), 'the name "a b" of a key'),
        (("key", "create", "a", "--expires", "soon"), 'expires is "soon", but must be'),
        (("key", "revoke", "a"), 'there is no API key "a"'),
    ],
)
def test_a_mistake_is_one_sentence(models: Path, arguments: tuple[str, ...], text: str) -> None:
    answer = run(models, *arguments)

    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"Error: {text}")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_a_server_for_other_machines_does_not_start_without_keys(models: Path, host: str) -> None:
    """Who forgets them learns how to make one, instead of serving everybody."""
    answer = run(models, "serve", OLLAMA_HOST=host)

    assert answer.exit_code == 1
    assert "`paddock key create NAME`" in answer.stderr
    assert "docker run" in answer.stderr
    assert "PADDOCK_INSECURE=1" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("way", ["key", "insecure"])
def test_with_a_key_or_when_it_is_wanted_so_it_starts(models: Path, way: str) -> None:
    """The address cannot be listened on, which is what it fails with then."""
    if way == "key":
        run(models, "key", "create", "ci")
    settings = {"PADDOCK_INSECURE": "1"} if way == "insecure" else {}
    answer = run(models, "serve", OLLAMA_HOST="192.0.2.1:0", **settings)

    assert "cannot listen on 192.0.2.1:0" in answer.stderr


def test_damaged_keys_stop_the_start_with_the_path_of_the_file(models: Path) -> None:
    file_of(models).write_text("{")
    answer = run(models, "serve", OLLAMA_HOST="127.0.0.1:0")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: the file of API keys is damaged")
    assert answer.stderr.endswith(f"({file_of(models)})\n")
