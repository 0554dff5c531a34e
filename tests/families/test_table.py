"""The table in docs/models.md says what the families do here: `make test-families UPDATE=1`."""

import os
from collections.abc import Iterator
from pathlib import Path

from model_store.gguf import read_fill_in_tokens
from tests.families.conftest import Measurements
from tests.support import gguf_bytes
from tests.support.families.chat_templates import CALL, CALLED, Chat, jinja_chat
from tests.support.families.hyperparameters import HYPERPARAMETERS
from tests.support.families.models import FAMILIES, Family

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- families -->\n", "<!-- end of families -->\n"
HEADER = (
    "| models | architecture | use | shares prefixes | drafts | goes on when full | tools "
    "| thinking | images | audio | fill-in |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


def table(measurements: Measurements, directory: Path) -> str:
    rows = (row(family, measurements, directory) for family in FAMILIES)
    return HEADER + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(family: Family, measurements: Measurements, directory: Path) -> Iterator[str]:
    facts = measurements.of(family.architecture)
    chat = jinja_chat(family.template) if family.template else None
    yield family.models
    yield f"`{family.architecture}`"
    yield "embeddings" if facts.embeds else "text"
    abilities = (
        facts.shares,
        facts.drafts,
        facts.goes_on,
        chat is not None and calls_tools(chat),
        chat is not None and chat.format.thinking,
        measurements.sees(family.vision),
        measurements.hears(family.audio),
        fills_in(family, directory),
    )
    yield from ("yes" if able else "" for able in abilities)


def calls_tools(chat: Chat) -> bool:
    """Tell whether a call is read as the family's template prints it."""
    return chat.written(CALLED).calls == [(CALL.name, CALL.arguments)]


def fills_in(family: Family, directory: Path) -> bool:
    """Tell whether a file with the tokens of the family fills in without a template."""
    path = directory / "vocabulary.gguf"
    tokens = gguf_bytes.array("tokenizer.ggml.tokens", gguf_bytes.STRING, ("a", *family.fill_in))
    path.write_bytes(gguf_bytes.model(family.architecture, tokens))
    return read_fill_in_tokens(path) is not None


def test_the_table_is_what_was_measured(measurements: Measurements, tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    found, _, after = rest.partition(END)
    measured = table(measurements, tmp_path)
    if os.environ.get("PADDOCK_UPDATE_TABLE"):
        DOCUMENT.write_text(before + BEGIN + measured + END + after)
    else:
        assert found == measured, "run make test-families UPDATE=1 and look at what changed"


def test_every_architecture_has_a_row() -> None:
    assert {family.architecture for family in FAMILIES} == set(HYPERPARAMETERS)
