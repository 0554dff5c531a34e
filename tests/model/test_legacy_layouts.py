"""Files in legacy layouts compute exactly what the same weights do in llama.cpp's form."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from model_store.gguf import read_header
from model_store.gguf.validate import check_model
from runners.engine.native.llama import LoadError
from runners.protocol.media import Medium
from runners.protocol.placement import Projector
from server.inference.model_files import ModelFiles, model_files
from tests.support.bare_llama import BareLlama, Logits
from tests.support.legacy.layouts import LAYOUTS, Layout
from tests.support.legacy.projectors import llava
from tests.support.seeing import ASKED
from tests.support.stepped_engine import StartEngine, SteppedEngine
from tests.support.tiny_hearing import melody
from tests.support.tiny_models import write_llama
from tests.support.tiny_vision import picture

WITH_IMAGES = (
    "deepseekocr",
    "gemma3",
    "gemma4",
    "glmocr",
    "llama4",
    "mistral3",
    "nemotron_h_omni",
    "qwen25vl",
    "qwen35",
    "qwen3vl",
    "qwen3vlmoe",
)
WITH_AUDIO = ("gemma4", "nemotron_h_omni")
PROMPT = list(range(5, 45))
TEXT = "Once upon a time 東京 <0x41></s> there was"
SIZES = {"n_ctx": 4096, "n_cells": 8192, "n_batch": 512}


class Files:
    """The files of one layout."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        (folder / "blobs").mkdir()
        self.old = layout.file.write(folder / "blobs" / "sha256-old")
        self.new = layout.text.write(folder / "new.gguf")
        encoder = layout.projector
        self.projector = encoder.write(folder / "projector.gguf") if encoder else None

    @property
    def read(self) -> ModelFiles:
        return model_files(self.old, None)


@pytest.fixture(params=LAYOUTS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(tmp_path, LAYOUTS[request.param]())


@pytest.fixture(params=WITH_IMAGES)
def image_files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(tmp_path, LAYOUTS[request.param]())


@pytest.fixture(params=WITH_AUDIO)
def audio_files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(tmp_path, LAYOUTS[request.param]())


@contextmanager
def bare(weights: Path, **changes: object) -> Iterator[BareLlama]:
    model = BareLlama(weights, 256, **changes)  # type: ignore[arg-type]
    try:
        yield model
    finally:
        model.close()


def computed(weights: Path, **changes: object) -> tuple[Logits, list[int]]:
    """Return what a model makes of a prompt, and its tokens of a text."""
    embeds = read_header(weights).architecture == "gemma-embedding" or _is_encoder(weights)
    with bare(weights, embeds=embeds, **changes) as model:
        result = model.embed(PROMPT) if embeds else model.start(PROMPT)
        return result, model.tokenize(TEXT)


def _is_encoder(weights: Path) -> bool:
    header = read_header(weights)
    return header.has(f"{header.architecture}.pooling_type")


def test_a_legacy_file_has_the_logits_and_the_tokens_of_the_same_weights(files: Files) -> None:
    expected, expected_tokens = computed(files.new)

    found, tokens = computed(files.old, view=files.read.view)

    assert files.read.view is not None
    np.testing.assert_array_equal(found, expected)
    assert tokens == expected_tokens


def test_a_file_of_llama_cpp_is_read_as_it_is(files: Files) -> None:
    """The converters of llama.cpp write the same architectures; their files can be mapped."""
    read = model_files(files.new, files.projector)

    assert (read.view, read.projector, read.projector_view) == (None, files.projector, None)


def test_a_legacy_file_may_be_made_into_a_model(files: Files) -> None:
    check_model(read_header(files.old))


def test_no_second_copy_of_the_weights_is_written(files: Files) -> None:
    before = sorted(files.old.parent.parent.rglob("*"))

    computed(files.old, view=files.read.view)

    assert sorted(files.old.parent.parent.rglob("*")) == before


def test_memory_is_planned_as_for_the_same_weights(files: Files) -> None:
    """Tensors of images take no layer's memory, and the cache has the size of the real heads."""
    assert files.read.facts.kv_heads == model_files(files.new, None).facts.kv_heads
    assert files.read.facts.total_bytes == model_files(files.new, None).facts.total_bytes


def test_a_file_that_is_cut_off_while_it_is_read_ends_the_load_with_an_error(
    tmp_path: Path, start_engine: StartEngine
) -> None:
    layout = Files(tmp_path, LAYOUTS["mistral3"]())
    read = layout.read
    assert read.projector is not None
    projector = Projector(str(read.projector), view=read.projector_view)
    os.truncate(layout.old, layout.old.stat().st_size // 2)

    with pytest.raises(LoadError, match="cannot be loaded"):
        start_engine(layout.old, view=read.view)
    with pytest.raises(LoadError, match="projector"):
        start_engine(layout.new, projector=projector, **SIZES)
    layout.old.unlink()
    with pytest.raises(LoadError, match="cannot be read"):
        start_engine(layout.old, view=read.view)


def asked_about(engine: SteppedEngine, medium: Medium) -> list[float]:
    answer = engine.answer(ASKED, media=(medium,), n_predict=6, logprobs=3)
    return [entry.logprob for step in answer.logprobs for entry in step.top]


def looked(engine: SteppedEngine) -> list[float]:
    return asked_about(engine, picture(width=96, height=64))


def test_images_mean_the_same_to_the_projector_taken_out_of_the_file(
    image_files: Files, start_engine: StartEngine
) -> None:
    read = image_files.read
    expected = start_engine(
        image_files.new, projector=Projector(str(image_files.projector)), **SIZES
    )

    projector = Projector(str(read.projector), view=read.projector_view)
    found = start_engine(image_files.old, view=read.view, projector=projector, **SIZES)

    assert looked(found) == looked(expected)


def test_audio_means_the_same_to_the_projector_taken_out_of_the_file(
    audio_files: Files, start_engine: StartEngine
) -> None:
    read = audio_files.read
    expected = start_engine(
        audio_files.new, projector=Projector(str(audio_files.projector)), **SIZES
    )

    projector = Projector(str(read.projector), view=read.projector_view)
    found = start_engine(audio_files.old, view=read.view, projector=projector, **SIZES)

    first, second = asked_about(found, melody(0, 1)), asked_about(found, melody(2, 3))
    assert first != second
    assert first == asked_about(expected, melody(0, 1))
    assert second == asked_about(expected, melody(2, 3))


def test_the_projector_is_written_once_and_again_when_it_is_missing_or_cut_off(
    tmp_path: Path, start_engine: StartEngine
) -> None:
    read = Files(tmp_path, LAYOUTS["gemma3"]()).read
    assert read.projector is not None
    projector = Projector(str(read.projector), view=read.projector_view)

    def load() -> int:
        start_engine(read.weights, view=read.view, projector=projector, **SIZES)
        assert read.projector is not None
        return read.projector.stat().st_ino

    first = load()
    assert load() == first
    read.projector.write_bytes(read.projector.read_bytes()[:1000])
    load()
    assert read.projector.stat().st_size == read.facts.projector_bytes
    read.projector.unlink()
    load()
    assert [path.name for path in read.projector.parent.iterdir()] == [read.projector.name]


def test_images_are_understood_in_a_store_that_may_only_be_read(
    tmp_path: Path, start_engine: StartEngine
) -> None:
    """The projector is in memory while it is loaded; a file where its folder would be stays."""
    layout = Files(tmp_path, LAYOUTS["gemma3"]())
    read = layout.read
    assert read.projector is not None
    read.projector.parent.write_bytes(b"no folder")
    projector = Projector(str(read.projector), view=read.projector_view)

    found = start_engine(read.weights, view=read.view, projector=projector, **SIZES)

    expected = start_engine(layout.new, projector=Projector(str(layout.projector)), **SIZES)
    assert looked(found) == looked(expected)
    assert read.projector.parent.read_bytes() == b"no folder"


def test_a_llava_projector_that_does_not_name_its_type_is_that_of_two_layers(
    tmp_path: Path, start_engine: StartEngine
) -> None:
    (tmp_path / "blobs").mkdir()
    weights = write_llama(tmp_path / "blobs" / "llama", n_ctx=4096, ends=False)
    named = llava().write(tmp_path / "named.gguf")
    unnamed = llava()
    del unnamed.keys["clip.projector_type"]

    read = model_files(weights, unnamed.write(tmp_path / "blobs" / "sha256-clip"))

    expected = start_engine(weights, projector=Projector(str(named)), **SIZES)
    projector = Projector(str(read.projector), view=read.projector_view)
    assert looked(start_engine(weights, projector=projector, **SIZES)) == looked(expected)
