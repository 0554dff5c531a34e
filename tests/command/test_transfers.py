"""Commands that move models: pull, push, update, create."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.command.conftest import Run
from tests.support.published import PublishedModel
from tests.support.registry import FakeRegistry, listening

REGISTRY = FakeRegistry()
MODEL = PublishedModel((("model", TEXT_MODEL), ("license", b"MIT")))
NEWER = PublishedModel((("model", TEXT_MODEL), ("license", b"a newer one")))


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    REGISTRY.publish("library/tale", "latest", MODEL)
    with listening(REGISTRY) as host:
        yield host


def test_a_pull_prints_its_steps_on_stderr_and_the_model_is_there(run: Run, registry: str) -> None:
    name = f"{registry}/library/tale"

    answer = run("pull", name, "--insecure")

    assert (answer.exit_code, answer.stdout) == (0, "")
    lines = answer.stderr.splitlines()
    assert lines[0] == "pulling manifest"
    assert lines[-1] == "success"
    assert sum(line.startswith("pulling ") for line in lines) == len(MODEL.blobs) + 1
    assert run("show", name, "--license").stdout == "MIT\n"


def test_run_pulls_a_model_that_is_missing(run: Run, registry: str) -> None:
    REGISTRY.publish("library/fresh", "latest", MODEL)
    name = f"{registry}/library/fresh"

    answer = run("run", "--insecure", name, "hello")

    assert answer.exit_code == 0
    assert answer.stdout.rstrip() == "hello"
    assert "pulling manifest" in answer.stderr


def test_an_update_tells_what_is_outdated_and_pulls_it(run: Run, registry: str) -> None:
    name = f"{registry}/library/tale"
    run("pull", name, "--insecure")
    current = run("update", "--check", "--insecure", name, "base")
    REGISTRY.publish("library/tale", "latest", NEWER)
    outdated = json.loads(run("update", "--check", "--insecure", "--json", name).stdout)
    updated = run("update", "--insecure", name)
    again = run("update", "--check", "--insecure", name)

    rows = [row.split()[:2] for row in current.stdout.splitlines()]
    assert rows == [["NAME", "STATUS"], [name, "current"], ["base", "unknown"]]
    size = sum(map(len, NEWER.blobs.values())) - len(TEXT_MODEL) - len(NEWER.config)
    assert outdated == {"models": [{"model": name, "status": "outdated", "download": size}]}
    assert updated.exit_code == 0
    assert run("show", name, "--license").stdout == "a newer one\n"
    assert "current" in again.stdout


def test_a_model_that_no_registry_has_is_left_by_an_update(run: Run) -> None:
    answer = run("update", "base")

    assert answer.exit_code == 1
    assert "Warning: base is left as it is: " in answer.stderr
    assert answer.stderr.splitlines()[-1] == "Error: not updated: base"
    assert run("show", "base").exit_code == 0


def test_a_push_says_where_the_model_is(run: Run, registry: str) -> None:
    name = f"{registry}/me/mine"
    run("cp", "base", name)

    answer = run("push", name, "--insecure")

    assert answer.exit_code == 0
    assert answer.stdout == f"\nYou can find your model at:\n\n\t{name}\n"
    assert ("me/mine", "latest") in REGISTRY.manifests


def test_a_model_is_created_from_a_modelfile_and_the_file_beside_it(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "weights.gguf").write_bytes(TEXT_MODEL)
    file = tmp_path / "Modelfile"
    file.write_text(
        "FROM ./weights.gguf\nPARAMETER temperature 0.5\nPARAMETER stop A\nPARAMETER stop B\n"
        'SYSTEM """Be\nbrief."""\nLICENSE MIT\nMESSAGE user hi\nMESSAGE assistant hello\n'
        "REQUIRES 0.14.0\n"
    )

    answer = run("create", "made", "-f", str(file))

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert answer.stderr.splitlines()[-1] == "success"
    shown = json.loads(run("show", "made", "--json").stdout)
    assert (shown["system"], shown["license"]) == ("Be\nbrief.", "MIT")
    assert [m["content"] for m in shown["messages"]] == ["hi", "hello"]
    assert 'stop                           "B"' in shown["parameters"]
    assert shown["requires"] == "0.14.0"
    run("rm", "made")


def test_a_file_that_the_server_has_is_not_uploaded_again(run: Run, tmp_path: Path) -> None:
    """So a create that was interrupted goes on after the files that arrived."""
    (tmp_path / "new.gguf").write_bytes(TEXT_MODEL + b"\0" * 32)
    (tmp_path / "Modelfile").write_text("FROM ./new.gguf\n")

    first = run("create", "one", "-f", str(tmp_path / "Modelfile"))
    second = run("create", "two", "-f", str(tmp_path / "Modelfile"))

    assert "uploading new.gguf" in first.stderr
    assert second.exit_code == 0
    assert "uploading" not in second.stderr
    run("rm", "one", "two")


@pytest.mark.parametrize(
    ("modelfile", "line", "reason"),
    [
        ("FROM base\nBANANA 1\n", 2, "command must be one of "),
        ("FROM base\n\n# note\nPARAMETER temperature hot\n", 4, "invalid float value"),
        ("FROM base\nPARAMETER nonsense 1\n", 2, "unknown parameter"),
        ("FROM ./absent.gguf\n", 1, "FROM ./absent.gguf: there is no such file"),
        ("FROM base\nADAPTER ./absent.gguf\n", 2, "ADAPTER ./absent.gguf: there is no such file"),
        (
            'FROM base\nSYSTEM """never closed\n',
            2,
            "unexpected EOF: the value begins with quotes",
        ),
        ("FROM\n", 1, "FROM must be followed by a value"),
        ("FROM base\nMESSAGE robot hi\n", 2, "message role must be one of"),
    ],
)
def test_a_mistake_in_a_modelfile_is_told_with_its_line(
    run: Run, tmp_path: Path, modelfile: str, line: int, reason: str
) -> None:
    file = tmp_path / "M"
    file.write_text(modelfile)

    answer = run("create", "made", "-f", str(file))

    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"Error: {file}, line {line}: {reason}")


def test_a_modelfile_has_to_be_there_or_a_model_in_the_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    named = run("create", "made", "-f", "nowhere")
    none = run("create", "made")
    (tmp_path / "weights.gguf").write_bytes(TEXT_MODEL)
    found = run("create", "made")

    assert named.stderr == "Error: nowhere: specified Modelfile wasn't found\n"
    assert none.stderr == (
        "Error: there is no Modelfile in this folder, and no GGUF or safetensors file\n"
    )
    assert found.exit_code == 0
    run("rm", "made")
