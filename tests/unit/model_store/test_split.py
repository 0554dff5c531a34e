"""A model that was split over several GGUF files becomes one file again."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter

from model_store.errors import CreateError
from model_store.gguf import merge_shards, read_header
from tests.support import gguf_bytes
from tests.support.gguf_bytes import U32, key, tensor
from tests.unit.model_store.conftest import Create, Upload

NEEDED = [
    *(key(f"llama.{name}", U32, value) for name, value in gguf_bytes.NEEDED_NUMBERS.items()),
    key("tokenizer.ggml.model", gguf_bytes.STRING, "llama"),
    gguf_bytes.array("tokenizer.ggml.tokens", gguf_bytes.STRING, ["a", "b"]),
]
SHAPES = [(4, 3), (5,), (2, 2, 2), (7, 32), (1,)]


def write(path: Path, **split: int | bool) -> list[Path]:
    """Write a model; return the files, in order."""
    writer = GGUFWriter(path, "llama", **split)  # type: ignore[arg-type]
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["a", "b"])
    writer.add_string("some.text", "é" * 50)
    writer.add_array("some.list", ["a", "bc", ""])
    for number, shape in enumerate(SHAPES):
        data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + number
        writer.add_tensor(f"tensor.{number}", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(f"{path.stem}*.gguf"))


@pytest.mark.parametrize("first_is_empty", [False, True])
def test_merged_file_says_what_the_whole_one_does(tmp_path: Path, first_is_empty: bool) -> None:
    (whole,) = write(tmp_path / "whole.gguf")
    shards = write(tmp_path / "part.gguf", split_max_tensors=2, small_first_shard=first_is_empty)
    assert len(shards) > 2

    steps = list(merge_shards(shards, tmp_path / "merged.gguf"))

    assert steps[-1][0] == steps[-1][1] == sum(t.size for t in read_header(whole).tensors)
    header = read_header(tmp_path / "merged.gguf", with_arrays=True)
    assert header.metadata == read_header(whole, with_arrays=True).metadata
    wanted = {t.name: t.data.tolist() for t in GGUFReader(whole).tensors}
    assert {t.name: t.data.tolist() for t in GGUFReader(tmp_path / "merged.gguf").tensors} == wanted


def test_uploaded_parts_become_one_layer(create: Create, upload: Upload, tmp_path: Path) -> None:
    shards = write(tmp_path / "part.gguf", split_max_tensors=2)
    files = {path.name: upload(path.read_bytes()) for path in shards}

    steps = create("whole", files=files)

    assert steps.count("parsing GGUF") == len(shards)
    assert "gathering split GGUF" in steps
    assert sum(step.startswith("creating new layer") for step in steps) == 1


def part(number: int, count: int, *names: str, no: bool = True) -> bytes:
    """Return a part of a split model; its tensors have one number each."""
    keys = [
        key("general.architecture", gguf_bytes.STRING, "llama"),
        *NEEDED,
        key("split.count", U32, count),
        *([key("split.no", U32, number)] if no else []),
    ]
    tensors = [tensor(name, [1], offset=32 * place) for place, name in enumerate(names)]
    return gguf_bytes.gguf(keys, tensors, data=bytes(32 * len(names)))


FIRST, SECOND = part(0, 2, "a"), part(1, 2, "b")
REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "name": ({"m.gguf": FIRST}, 'split GGUF "m.gguf" must use llama.cpp split filename pattern'),
    "count": (
        {"m-00001-of-00003.gguf": FIRST},
        'split GGUF "m-00001-of-00003.gguf" filename count 3 does not match metadata count 2',
    ),
    "number": (
        {"m-00002-of-00002.gguf": FIRST},
        'split GGUF "m-00002-of-00002.gguf" filename index 1 does not match metadata index 0',
    ),
    "no number": (
        {"m-00001-of-00002.gguf": part(0, 2, "a", no=False)},
        'split GGUF "m-00001-of-00002.gguf" is missing split.no metadata',
    ),
    "no second": (
        {"m-00001-of-00002.gguf": FIRST},
        'split GGUF "m-00001-of-00002.gguf" has 1 shards, expected 2',
    ),
    "no first": ({"m-00002-of-00002.gguf": SECOND}, "split GGUF is missing first shard"),
    "same tensor": (
        {"m-00001-of-00002.gguf": FIRST, "m-00002-of-00002.gguf": part(1, 2, "a")},
        "two parts of the split GGUF have a tensor of the same name",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parts_that_do_not_fit_are_refused(create: Create, upload: Upload, case: str) -> None:
    files, sentence = REFUSED[case]

    with pytest.raises(CreateError) as caught:
        create("m", files={name: upload(data) for name, data in files.items()})

    assert str(caught.value) == sentence


def test_parts_of_two_models_are_kept_apart(create: Create, upload: Upload) -> None:
    files = {
        "a-00001-of-00002.gguf": FIRST, "a-00002-of-00002.gguf": SECOND,
        "p.gguf": gguf_bytes.projector(),
    }  # fmt: skip
    steps = create("m", files={name: upload(data) for name, data in files.items()})

    assert sum(step.startswith("creating new layer") for step in steps) == 2
