"""Details are those that the model was made with, and metadata is fit for every client."""

from dataclasses import replace
from pathlib import Path

import pytest

from model_store.gguf import read_header
from server.http.json_encoding import encode
from server.library.details import details_of, metadata_of
from tests.support import gguf_bytes
from tests.support.gguf_bytes import F32, STRING, U32, array, key
from tests.unit.server.library.conftest import Installed

Q8_0 = 7


def test_details_tell_format_family_and_size(installed: Installed) -> None:
    """Clients fail without the object, so no text in it is left out."""
    model = installed.create("m", gguf_bytes.model("llama", file_type=Q8_0))

    assert encode(details_of(model)) == (
        b'{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
        b'"parameter_size":"64","quantization_level":"Q8_0"}'
    )


@pytest.mark.parametrize("told", ["", "unknown"])
def test_a_quantisation_that_nobody_told_is_read_from_the_file(
    told: str, installed: Installed
) -> None:
    model = installed.create("m", gguf_bytes.model(file_type=Q8_0))
    untold = replace(model, config=replace(model.config, file_type=told))

    assert details_of(untold).quantization_level == "Q8_0"


def test_a_quantisation_that_nobody_knows_is_unknown(installed: Installed) -> None:
    assert details_of(installed.create("m")).quantization_level == "unknown"


def test_details_of_a_damaged_model_are_what_its_manifest_says(installed: Installed) -> None:
    installed.damage(installed.create("m"))

    assert details_of(installed.model("m")).quantization_level == "unknown"


def header_of(path: Path, *keys: bytes) -> dict[str, object]:
    path.write_bytes(gguf_bytes.model("llama", *keys))
    return metadata_of(read_header(path), with_arrays=False)


def test_metadata_is_sorted_and_counts_the_parameters(tmp_path: Path) -> None:
    told = header_of(tmp_path / "m.gguf", key("z.last", U32, 1), key("a.first", F32, 0.1))

    assert list(told) == sorted(told)
    assert told["general.parameter_count"] == 64
    assert (told["a.first"], told["llama.block_count"]) == (0.1, 1)


def test_what_has_a_place_of_its_own_is_no_metadata(tmp_path: Path) -> None:
    told = header_of(
        tmp_path / "m.gguf",
        key("general.name", STRING, "My model"),
        key("tokenizer.chat_template", STRING, "{{ messages }}"),
    )

    assert {"general.name", "tokenizer.chat_template"}.isdisjoint(told)


def test_a_list_is_null_until_it_is_asked_for_whatever_its_length(tmp_path: Path) -> None:
    """A vocabulary would make the answer megabytes large."""
    path = tmp_path / "m.gguf"
    lists = [array("a.short", U32, [1, 2]), array("a.words", STRING, ["x", "y"])]
    path.write_bytes(gguf_bytes.model("llama", *lists))

    brief = metadata_of(read_header(path), with_arrays=False)
    full = metadata_of(read_header(path, with_arrays=True), with_arrays=True)

    assert (brief["a.short"], brief["a.words"]) == (None, None)
    assert (full["a.short"], full["a.words"]) == ((1, 2), ("x", "y"))
