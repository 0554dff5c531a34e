"""What the documents promise is what the program does."""

import re
from pathlib import Path

import pytest
import typer.main

from runners.engine.batching import prefix_file
from server import cli
from server.access import key_file, usage
from server.app import create_app
from server.client import conversations
from server.config.settings import VARIABLES, Settings
from server.config.variables import Variable
from server.openai.batches import folder
from server.openai.responses import database

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md"])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


OTHERS = {
    "OLLAMA_API_KEY", "OLLAMA_BASE_URL", "OLLAMA_EDITOR", "OLLAMA_NOHISTORY", "PADDOCK_CPU_VARIANT",
    "PADDOCK_SOURCE", "PADDOCK_URL", "PADDOCK_WHEELS",
}  # fmt: skip
"""Variables in the documents that the client commands, the engine and other programs read."""


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_setting_is_documented_as_in_the_help(variable: Variable) -> None:
    row = f"| `{variable.name}` | {variable.shown_default} | {variable.help} |"

    assert row in (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_no_setting_that_does_not_exist(document: Path) -> None:
    promised = set(re.findall(r"\b(?:OLLAMA|PADDOCK)_[A-Z_]+\b", document.read_text()))
    # The changelog may tell of names that are no longer used.
    known = {variable.name for variable in VARIABLES} | OTHERS
    assert document.name == "CHANGELOG.md" or promised <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_table_is_in_one_piece(document: Path) -> None:
    """Rows after an empty line are shown as text with bars in it."""
    text = document.read_text()
    starts = [line for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
              for line in block.splitlines()[1:2] or [block]]  # fmt: skip

    assert [line for line in starts if not re.fullmatch(r"\|[ :|-]+\|", line)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    for target, heading in LINK.findall(document.read_text()):
        file = document.parent / target if target else document

        assert file.exists(), target
        assert not heading or heading in _anchors(file.read_text()), f"{target}#{heading}"


def _anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("paddock-api-keys.json", key_file._VERSION),
        ("paddock-usage.db", usage._VERSION),
        ("paddock-responses.db", database._VERSION),
        ("paddock-files/", folder._VERSION),
        ("paddock-prefixes/", int(prefix_file._MAGIC.split()[-1])),
        ("conversation.json", conversations._VERSION),
    ],
)
def test_the_version_of_each_file_is_documented(file: str, version: int) -> None:
    lines = (ROOT / "docs" / "operations.md").read_text().splitlines()
    [row] = (line for line in lines if line.startswith(f"| `{file}`") and "now" in line)

    assert re.search(r"now (?:`paddock prefix )?(\d+)", row)[1] == str(version)  # type: ignore[index]


def test_every_route_is_documented() -> None:
    paths = create_app(Settings(models=Path("unused"))).openapi()["paths"]
    documented = API + README

    assert [path for path in sorted(paths) if _last_words(path) not in documented] == []


def _last_words(path: str) -> str:
    """Return the part of a path that stands in a document whatever parameters are called there."""
    return max(re.split(r"\{[^}]*\}", path), key=len).rstrip("/")


def test_every_command_is_documented() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]

    documented = {name for name in commands if re.search(rf"paddock[^\n]*`?{name}\b", README)}
    assert {name for name, command in commands.items() if not command.hidden} <= documented
