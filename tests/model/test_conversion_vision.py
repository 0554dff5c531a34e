"""Folders of models that know images become a text model and a projector that compute the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from model_store.convert.process import Job
from model_store.errors import CreateError
from model_store.gguf import read_header
from runners.protocol.placement import Projector
from tests.support.bare_llama import BareLlama
from tests.support.converting import parameters_of
from tests.support.hf_folders import Files, safetensors, written
from tests.support.hf_images import (
    GEMMA3,
    IMAGE_FOLDERS,
    QWEN3,
    QWEN_VISION,
    frames_joined,
    gemma3,
    llama4,
    qwen3vl,
    qwen25vl,
)
from tests.support.hf_of_gguf import folder, in_16_bits, renamed, text_tensors
from tests.support.hf_tokenizers import encoded
from tests.support.legacy import projectors, text_models
from tests.support.seeing import ASKED
from tests.support.stepped_engine import StartEngine
from tests.support.tiny_vision import picture

SIZES = {"n_ctx": 4096, "n_cells": 8192, "n_batch": 512}


def converted(directory: Path, files: Files) -> tuple[Path, Path]:
    """Convert a folder; return the text model and the projector, empty when there is none."""
    text, projector = directory / "text.gguf", directory / "projector.gguf"
    projector.touch()
    parameters_of(Job(written(directory / "files", files), text, projector=projector))
    return text, projector


@pytest.mark.parametrize("name", IMAGE_FOLDERS)
def test_text_and_images_mean_the_same(
    name: str, tmp_path: Path, start_engine: StartEngine
) -> None:
    text, encoder, files = IMAGE_FOLDERS[name]()
    expected = in_16_bits(text).write(tmp_path / "expected.gguf")
    images = in_16_bits(encoder).write(tmp_path / "expected-projector.gguf")

    found, projector = converted(tmp_path, files)

    tokens = list(range(5, 45))
    wanted, logits = (BareLlama(path, 256).start(tokens) for path in (expected, found))
    np.testing.assert_array_equal(logits, wanted)
    answers = [
        [
            entry.logprob
            for answer in (engine.answer(ASKED, media=(image,), n_predict=3, logprobs=3),)
            for step in answer.logprobs
            for entry in step.top
        ]
        for weights, file in ((expected, images), (found, projector))
        for engine in (start_engine(weights, projector=Projector(str(file)), **SIZES),)
        for image in (picture(width=96, height=64), picture(width=96, height=64, seed=1))
    ]
    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]


def test_a_folder_without_images_makes_no_projector(tmp_path: Path) -> None:
    """Fine-tuned models often keep the configuration and leave the tensors out."""
    files = gemma3()[2]
    text = text_models.gemma3()
    files["model.safetensors"] = safetensors(text_tensors(text, GEMMA3))

    _, projector = converted(tmp_path, files)

    assert projector.stat().st_size == 0


def test_the_projector_says_what_it_is(tmp_path: Path) -> None:
    header = read_header(converted(tmp_path, qwen3vl(moe=False)[2])[1])

    assert header.text("clip.projector_type") == "qwen3vl_merger"
    assert header.flag("clip.has_vision_encoder")


BROKEN: dict[str, tuple[dict[str, object], str]] = {
    "no layers": ({"depth": None}, 'config.json lacks "depth"'),
    "too many layers": ({"depth": 9999}, "at most 512"),
    "layers that are missing": ({"depth": 3}, r"lacks the tensor for .v\.blk\.2"),
    "positions without a side": ({"num_position_embeddings": 17}, "a square number"),
    "deepstack behind a layer that is not there": (
        {"deepstack_visual_indexes": [7]},
        "a list of layers",
    ),
    "a merger of a layer that is not named": (
        {"deepstack_visual_indexes": []},
        "belongs to no layer",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_projector_that_cannot_be_made_is_refused(name: str, tmp_path: Path) -> None:
    changes, message = BROKEN[name]
    _, _, files = qwen3vl(moe=False)
    text, vision = text_models.qwen3vl(), {**QWEN_VISION, "num_position_embeddings": 16}
    config = {
        "head_dim": 128,
        "rope_scaling": {"mrope_section": [24, 20, 20]},
        "vision_config": {**vision, "deepstack_visual_indexes": [1], **changes},
    }
    images = frames_joined(renamed(projectors.qwen3vl(deepstack=True), QWEN3))
    files = folder("Qwen3VLForConditionalGeneration", config, text_tensors(text) | images)

    with pytest.raises(CreateError, match=message):
        converted(tmp_path, files)


def test_patches_that_make_no_squares_are_refused(tmp_path: Path) -> None:
    """llama.cpp ends its process when the rows of patches cannot be divided."""
    files = llama4()[2]
    config = json.loads(files["config.json"])
    config["vision_config"]["pixel_shuffle_ratio"] = 0.3

    with pytest.raises(CreateError, match="pixel_shuffle_ratio"):
        converted(tmp_path, {**files, "config.json": encoded(config)})


def test_a_convolution_over_other_than_two_frames_is_refused(tmp_path: Path) -> None:
    _, encoder, files = qwen25vl()
    tensors = text_tensors(text_models.qwen2vl()) | {
        "visual.patch_embed.proj.weight": encoder.tensors["v.patch_embd.weight"]
    }
    files["model.safetensors"] = safetensors(tensors)

    with pytest.raises(CreateError, match="two frames"):
        converted(tmp_path, files)
