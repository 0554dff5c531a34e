"""A model file from a stranger is read quickly, within little memory, or refused with a reason."""

import os
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_store.errors import GGUFError
from model_store.gguf import Array, GGUFHeader, read_header
from tests.support import tiny_models
from tests.support.gguf_bytes import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    U32,
    U64,
    array,
    gguf,
    key,
    model,
    number,
    tensor,
    text,
)


def read(path: Path, data: bytes, *, with_arrays: bool = False) -> GGUFHeader:
    file = path / "x.gguf"
    file.write_bytes(data)
    return read_header(file, with_arrays=with_arrays)


def metadata(tmp_path: Path, *keys: bytes, with_arrays: bool = False) -> GGUFHeader:
    return read(tmp_path, gguf(keys), with_arrays=with_arrays)


def test_a_real_model_file_is_described(tmp_path: Path) -> None:
    header = read_header(tiny_models.write_llama(tmp_path / "m.gguf", n_ctx=128, n_layers=2))

    assert header.architecture == "llama"
    assert header.integer("llama.context_length") == 128
    assert header.integer("llama.block_count") == 2
    assert header.parameter_count == sum(t.n_elements for t in header.tensors) > 0
    assert {"token_embd.weight", "blk.1.attn_q.weight"} <= {t.name for t in header.tensors}
    vocabulary = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(vocabulary, Array)
    assert vocabulary.values is None


def test_a_vocabulary_is_read_on_demand(tmp_path: Path) -> None:
    path = tiny_models.write_llama(tmp_path / "m.gguf")
    vocabulary = read_header(path, with_arrays=True).metadata["tokenizer.ggml.tokens"]

    assert isinstance(vocabulary, Array)
    assert vocabulary.values is not None
    assert len(vocabulary.values) == vocabulary.length > 256


def test_tensors_are_placed_by_type_and_shape(tmp_path: Path) -> None:
    header = read(
        tmp_path,
        gguf(
            [key("general.file_type", U32, 7)],
            [tensor("a", [64, 2], kind=8), tensor("b", [4], offset=160)],
            data=bytes(176),
        ),
    )

    assert [(t.name, t.type, t.shape, t.offset, t.size) for t in header.tensors] == [
        ("a", "Q8_0", (64, 2), 0, 136),
        ("b", "F32", (4,), 160, 16),
    ]
    assert header.file_type == "Q8_0"
    assert header.parameter_count == 132


def test_look_ups_give_nothing_for_values_of_another_kind(tmp_path: Path) -> None:
    header = metadata(
        tmp_path, key("a", STRING, "x"), key("b", U64, 5), key("c", BOOL, value=True),
        array("d", I32, [4, 0, 4]),
    )  # fmt: skip

    assert (header.text("a"), header.text("b"), header.text("nosuch")) == ("x", None, None)
    assert (header.integer("b"), header.integer("a"), header.integer("c")) == (5, None, None)
    assert (header.flag("c"), header.flag("b")) == (True, None)
    assert header.integers("d") == (4, 0, 4)
    assert header.integers("b") == (5,)
    assert header.integers("a") == ()
    assert header.has("a")
    assert not header.has("nosuch")


@pytest.mark.parametrize("value", [1e-5, 1e-12, 10000.0, 0.1, -0.0, 3.4028235e38, 1.1754944e-38])
def test_single_precision_shows_the_digits_that_were_meant(tmp_path: Path, value: float) -> None:
    """1e-05 must not be listed as 9.999999747378752e-06."""
    assert metadata(tmp_path, key("x", F32, value)).metadata["x"] == value


@pytest.mark.parametrize(("version", "order", "magic"), [
    (1, "<", b"GGUF"), (2, "<", b"GGUF"), (3, "<", b"GGUF"), (3, ">", b"GGUF"), (3, ">", b"FUGG"),
])  # fmt: skip
def test_every_version_and_byte_order_is_read(
    tmp_path: Path, version: int, order: str, magic: bytes
) -> None:
    keys = [key("general.architecture", STRING, "llama", version=version, order=order)]
    data = gguf(keys, version=version, order=order, magic=magic)

    assert read(tmp_path, data).architecture == "llama"


HUGE = 2**63
HOSTILE = {
    "empty": (b"", "invalid file magic"),
    "short": (b"GGU", "invalid file magic"),
    "magic only": (b"GGUF", "EOF"),
    "other format": (b"PK\3\4" + bytes(60), "invalid file magic"),
    "half a version": (b"GGUF\3\0", "unexpected EOF"),
    "version 9": (gguf(version=9), "GGUF version 9 is not supported"),
    "counts cut off": (gguf()[:12], "unexpected EOF"),
    "2^63 keys": (gguf(n_keys=HUGE), "GGUF key count 9223372036854775808 exceeds maximum 65536"),
    "2^63 tensors": (gguf(n_tensors=HUGE), "tensor count 9223372036854775808 exceeds"),
    "keys missing": (gguf(n_keys=1), "EOF"),
    "key length 2^63": (
        gguf([text("x", length=HUGE)]),
        "GGUF string length 9223372036854775808 exceeds maximum 16777216",
    ),
    "key length past the end": (gguf([text("x", length=1000)]), "unexpected EOF"),
    "string length 2^63": (
        gguf([text("k") + number(STRING, "I") + number(HUGE)]), "GGUF string length",
    ),
    "type 99": (gguf([text("k") + number(99, "I")]), "invalid type: 99"),
    "array of arrays": (
        gguf([text("k") + number(ARRAY, "I") + number(ARRAY, "I") + number(1)]),
        "invalid array type: 9",
    ),
    "array length 2^63": (
        gguf([array("k", I32, [], length=HUGE)]),
        "GGUF array size 9223372036854775808 exceeds maximum 67108864",
    ),
    "array past the end": (gguf([array("k", I32, [1], length=5000)]), "unexpected EOF"),
    "strings past the end": (gguf([array("k", STRING, ["a"], length=60_000_000)]), "EOF"),
    "array string 2^63": (
        gguf([array("k", STRING, [], length=1) + number(HUGE)]), "GGUF string length",
    ),
    "array string past the end": (
        gguf([array("k", STRING, [], length=1) + text("x", length=9)]), "unexpected EOF",
    ),
    "key twice": (gguf([key("k", U32, 1), key("k", U32, 2)]), 'GGUF key "k" occurs twice'),
    "alignment 0": (gguf([key("general.alignment", U32, 0)]), "invalid GGUF alignment: 0"),
    "alignment 3": (gguf([key("general.alignment", U32, 3)]), "invalid GGUF alignment: 3"),
    "alignment text": (gguf([key("general.alignment", STRING, "x")]), "invalid GGUF alignment"),
    "n_dims 5": (
        gguf([], [tensor("t", [1], n_dimensions=5)]), 'tensor "t" dimensions 5 exceeds maximum 4',
    ),
    "n_dims 2^32": (gguf([], [tensor("t", [], n_dimensions=2**32 - 1)]), "exceeds maximum 4"),
    "tensor missing": (gguf(n_tensors=1), "failed to read tensor name: EOF"),
    "tensor shape cut": (gguf([], [tensor("t", [1])[:-16]]), "failed to read tensor"),
    "tensor offset cut": (
        gguf([], [tensor("t", [1])[:-1]]), "failed to read tensor offset: unexpected EOF",
    ),
    "elements overflow": (
        gguf([], [tensor("t", [2**62, 2**62])], data=b"x"), 'tensor "t" elements overflow',
    ),
    "parameter count overflow": (
        gguf([], [tensor("t", [2**63]), tensor("u", [2**63])], data=b"x"),
        "parameter count overflow",
    ),
    "unknown tensor type": (
        gguf([], [tensor("t", [4], kind=77)], data=b"x"), 'tensor "t" size overflow',
    ),
    "part of a block": (
        gguf([], [tensor("t", [33], kind=8)], data=b"x"), 'tensor "t" size overflow',
    ),
    "tensor too long": (
        gguf([], [tensor("t", [64])], data=bytes(64)),
        'tensor "t" offset+size (320) exceeds file size (128)',
    ),
    "offset past the end": (
        gguf([], [tensor("t", [1], offset=2**40)], data=bytes(64)), "exceeds file size",
    ),
    "offset overflow": (
        gguf([], [tensor("t", [1], offset=2**64 - 1)], data=bytes(64)),
        "GGUF tensor offset overflow",
    ),
    "offset+size overflow": (
        gguf([], [tensor("t", [2**62], offset=2**60)], data=bytes(64)),
        'tensor "t" offset+size overflows',
    ),
    "offset not aligned": (
        gguf([], [tensor("t", [1], offset=4)], data=bytes(64)), "offset 4 is not a multiple of 32",
    ),
    "tensors overlap": (
        gguf([], [tensor("t", [16]), tensor("u", [8], offset=32)], data=bytes(64)),
        'tensor "u" overlaps another tensor',
    ),
    "tensors of one name": (
        gguf([], [tensor("t", [8]), tensor("t", [8], offset=32)], data=bytes(64)),
        "two tensors have the same name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    data, reason = HOSTILE[case]

    with pytest.raises(GGUFError) as caught:
        read(tmp_path, data)

    assert reason in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("length", range(0, len(model()) - 256, 7))
def test_a_file_cut_off_in_its_header_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(GGUFError):
        read(tmp_path, model()[:length])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), max_size=4)
)
def test_a_changed_file_is_read_or_refused_but_never_breaks_the_reader(
    tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(model("llama", array("a", I32, [1, 2]), array("s", STRING, ["x", "y"])))
    for at, replacement in changes:
        data[at : at + len(replacement)] = replacement
    file = tmp_path / "changed.gguf"
    file.write_bytes(data)
    for with_arrays in (False, True):
        try:
            header = read_header(file, with_arrays=with_arrays)
        except GGUFError:
            continue
        assert all(t.offset + t.size <= len(data) for t in header.tensors)


def test_a_hostile_header_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Gigabytes of text in a sparse file are refused after a small part of it was kept."""
    file = tmp_path / "large.gguf"
    keys = [text(f"k{i}") + number(STRING, "I") + number(8 * 2**20) for i in range(8)]
    with file.open("wb") as out:
        out.write(gguf(n_keys=len(keys)))
        for one in keys:
            out.write(one)
            out.seek(8 * 2**20, 1)
        out.truncate()

    tracemalloc.start()
    with pytest.raises(GGUFError, match="too large"):
        read_header(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 50 * 2**20


def test_a_large_vocabulary_is_passed_over_without_being_kept(tmp_path: Path) -> None:
    words = [f"token{i}" for i in range(150_000)]
    file = tmp_path / "vocabulary.gguf"
    file.write_bytes(model("llama", array("tokenizer.ggml.tokens", STRING, words)))
    tracemalloc.start()

    header = read_header(file)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert header.metadata["tokenizer.ggml.tokens"] == Array(150_000, None)
    assert peak < 8 * 2**20
    assert header.architecture == "llama"


def test_a_long_string_across_windows_is_read_whole(tmp_path: Path) -> None:
    template = "x" * 3_000_000
    header = metadata(
        tmp_path, key("tokenizer.chat_template", STRING, template), key("after", U32, 5)
    )

    assert header.chat_template == template
    assert header.integer("after") == 5


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever for a writer."""
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()

    with pytest.raises(OSError, match="regular"):
        read_header(tmp_path / "pipe")

    assert time.monotonic() - started < 60
