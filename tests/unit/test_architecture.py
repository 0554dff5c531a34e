"""Rules about the shape of the project that no other tool checks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.versions import PADDOCK

ROOT = Path(__file__).parents[2]
PACKAGES = ("model_store", "runners", "server")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOCK_FILES = sorted(
    path for path in (ROOT / "requirements").glob("*.txt") if "excludes" not in path.name
)
MAX_LINES = 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_the_server_process_never_loads_the_engine() -> None:
    """Native code that crashes must not be in the process that holds all connections."""
    probe = "import server.commands.serve, server.app, sys; print('llama_cpp' in sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "False"


def test_a_server_starts_without_what_pulls_embeddings_and_images_need() -> None:
    """These imports would cost more than a third of the time that a start takes."""
    late = {
        "PIL", "cryptography", "httpx2", "huggingface_hub", "numpy", "ray", "rich",
        "server.cluster", "soundfile",
    }  # fmt: skip
    probe = f"import server.commands.serve, server.app, sys; print(*{late} & {{*sys.modules}})"

    loaded = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == ""


def test_the_help_of_the_command_is_printed_without_importing_the_server() -> None:
    """`paddock --help` and shell completion wait for nothing that they do not need."""
    probe = "import sys; from server.cli import main\ntry: main()\nfinally: print(*sys.modules)"

    answer = subprocess.run(
        [sys.executable, "-c", probe, "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    names = answer.stdout.splitlines()[-1].split()
    assert "Commands:" in answer.stdout
    assert {name for name in names if name.split(".")[0] in PACKAGES} == {"server", "server.cli"}
    assert {"asyncio", "httpx", "ollama", "pydantic", "rich"}.isdisjoint(names)


def test_every_release_has_a_dated_entry_and_the_newest_is_this_version() -> None:
    entries = re.findall(r"^## \[(\d.*)\](.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert entries[0][0] == PADDOCK
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in entries)


@pytest.mark.parametrize("path", LOCK_FILES, ids=lambda path: path.name)
def test_a_lock_file_pins_every_requirement_by_hash_and_names_no_host(path: Path) -> None:
    text = path.read_text()
    pins = re.findall(r"^[\w.-]+==\S+.*", text, re.MULTILINE)

    assert pins
    assert all(pin.endswith("\\") for pin in pins)
    assert "://" not in text
