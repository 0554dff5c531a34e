"""The table in docs/models.md says what the families do here: `make test-families UPDATE=1`."""

import os
from collections.abc import Iterator
from pathlib import Path

from model_store.gguf import read_fill_in_tokens
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.format_detection import detect_format
from tests.families.conftest import Measurements
from tests.support import gguf_bytes
from tests.support.families.hyperparameters import HYPERPARAMETERS
from tests.support.families.models import FAMILIES, Family
from tests.support.templates import TEMPLATES

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- families -->\n", "<!-- end of families -->\n"
HEADER = (
    "| models | architecture | use | shares prefixes | goes on when full | tools | thinking "
    "| fill-in |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


def table(measurements: Measurements, directory: Path) -> str:
    rows = (row(family, measurements, directory) for family in FAMILIES)
    return HEADER + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(family: Family, measurements: Measurements, directory: Path) -> Iterator[str]:
    facts = measurements.of(family.architecture)
    format = detect_format(TEMPLATES[family.template]) if family.template else PASSTHROUGH
    yield family.models
    yield f"`{family.architecture}`"
    yield "embeddings" if facts.embeds else "text"
    abilities = (
        facts.shares,
        facts.goes_on,
        format.tools,
        format.thinking,
        fills_in(family, directory),
    )
    yield from ("yes" if able else "" for able in abilities)


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
