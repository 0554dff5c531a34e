"""The table of limits in docs/security.md names every limit that a client can meet, with its value.

The values come from the code; a limit that is added to one of these modules has to be documented.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from model_store import names, partial_uploads, text_layers
from model_store.gguf import parser, source
from runners.engine.constraints import grammar, json_schema
from server.config.settings import VARIABLES, Settings
from server.http import decompression, forms, protocol
from server.inference import options, text_length, vectors
from server.media import audio_decoding, image_headers
from server.openai import transcriptions
from server.openai.completions import schemas as completions
from server.openai.responses import conversations
from server.rendering import jinja
from server.schemas import limits

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
LIMIT = re.compile(r"(MAX|MOST|LARGEST|LONGEST)_\w+")
MODULES = (
    limits, protocol, decompression, forms, text_length, options, vectors, text_layers, names,
    audio_decoding, image_headers, transcriptions, partial_uploads,
    conversations,
)  # fmt: skip
"""Modules whose public limits have to be in the table."""
ROWS: dict[str, tuple[int | float, ...]] = {
    "request line": (protocol.MAX_HEAD,),
    "headers": (protocol.MAX_HEAD, protocol.MAX_HEADERS),
    "pipelined requests": (protocol.MAX_PIPELINE,),
    "time to send a request's headers": (protocol.Timeouts().head,),
    "pause within a body": (protocol.Timeouts().body,),
    "reply that the client does not read": (protocol.Timeouts().reading,),
    "JSON body": (Settings().max_body,),
    "body of `show`": (limits.NAMES.size,),
    "compressed body": (decompression.MAX_BYTES,),
    "values in a JSON body": (limits.CONVERSATION.values,),
    "strings and keys": (limits.CONVERSATION.strings,),
    "escapes": (limits.MAX_ESCAPES,),
    "objects and lists": (limits.CONVERSATION.containers,),
    "levels of nesting": (limits.MAX_DEPTH,),
    "elements of a list": (limits.MAX_ELEMENTS,),
    "tokens in a list": (limits.MAX_TOKENS,),
    "string that is no text": (limits.MAX_TEXT,),
    "name of a model": (names.MAX_LENGTH,),
    "texts with characters beyond 16 bits": (limits.MAX_WIDE_TEXT,),
    "items added to a conversation": (conversations.MAX_ITEMS, conversations.MAX_BYTES),
    "multipart form": (transcriptions.MAX_BYTES, forms.MAX_FIELDS),
    "blob uploads that broke off": (partial_uploads.MOST_UPLOADS,),
    "prompts of a `/v1/completions`": (completions.MAX_PROMPTS,),
    "prompt |": (text_length.MIN_CHARACTERS,),
    "tokens of `/api/detokenize`": (text_length.MIN_TOKENS,),
    "inputs of an embeddings request": (vectors.MAX_VALUES,),
    "stop strings": (options.MAX_STRINGS, options.MAX_CHARACTERS),
    "chat template": (jinja.MAX_SOURCE,),
    "image": (image_headers.MAX_SCANS,),
    "audio": (audio_decoding.MAX_SECONDS,),
    "grammar (": (grammar.MAX_BYTES, grammar.MAX_SYMBOLS),
    "JSON Schema": (json_schema.MAX_BYTES, json_schema.MAX_DEPTH, json_schema.MAX_ALTERNATIVES),
    "texts of a model": (text_layers.LARGEST_KEPT, text_layers.LARGEST_TEXTS),
    "licences and layers": (text_layers.MOST_LICENSES, text_layers.MOST_LAYERS),
    "header of a model file": (parser.MAX_KEYS, parser.MAX_TENSORS, source.LONGEST_STRING),
}
"""How rows begin, and the values that they give."""
UNLIMITED = {"MAX_LONG_TEXT"}
"""Beyond the size of any body."""


def _forms(value: float) -> Iterator[str]:
    number = int(value)
    yield f"{number:,}" if number >= 10_000 else str(number)
    if number % 60 == 0:
        yield f"{number // 60} minutes"
    for unit, bits in (("KiB", 10), ("MiB", 20), ("GiB", 30)):
        if number % (1 << bits) == 0:
            yield f"{number >> bits} {unit}"


@pytest.mark.parametrize("beginning", ROWS)
def test_row_gives_the_values_of_the_code(beginning: str) -> None:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    found = [line for line in lines if line.removeprefix("| ").startswith(beginning)]

    assert len(found) >= 1, "there is no such row"
    for value in ROWS[beginning]:
        assert any(
            re.search(rf"(?<![\d,]){re.escape(form)}(?!\d|,\d)", line)
            for form in _forms(value)
            for line in found
        ), f"{list(_forms(value))} is not in {found}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_limit_of_the_code_is_left_out(module: ModuleType) -> None:
    documented = {value for row in ROWS.values() for value in row}
    own = {
        name: value
        for name, value in vars(module).items()
        if LIMIT.fullmatch(name) and isinstance(value, int | float) and name not in UNLIMITED
    }

    assert {name: value for name, value in own.items() if value not in documented} == {}


def test_settings_in_the_document_exist_and_those_of_limits_are_in_it() -> None:
    text = DOCUMENT.read_text()
    known = {name for each in VARIABLES for name in (each.name, *each.aliases)}

    for name in set(re.findall(r"\b(?:PADDOCK|OLLAMA)_[A-Z_]+\b", text)):
        assert name in known, name
    for name in known:
        if name.startswith("PADDOCK_MAX_") or name.endswith("_TIMEOUT"):
            assert name in text or name == "OLLAMA_LOAD_TIMEOUT", name
