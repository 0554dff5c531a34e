"""Whether images and audio reach the answers of a family, by its projector."""

from pathlib import Path
from typing import Final

import pytest

from runners.protocol.media import Medium
from runners.protocol.placement import Projector
from tests.families.facts import ENDLESS
from tests.support.legacy.layouts import LAYOUTS
from tests.support.legacy.projectors import llava
from tests.support.seeing import ASKED
from tests.support.stepped_engine import Answer, stepped_engines
from tests.support.tiny_hearing import melody, write_frames, write_whisper
from tests.support.tiny_models import write_llama
from tests.support.tiny_vision import picture

_WRITERS: Final = {"gemma4ua": write_frames, "ultravox": write_whisper}


def sees(directory: Path, encoder: str) -> bool:
    """Tell whether an answer depends on the image that is asked about.

    `encoder` is that of LLaVA, or of a layout in `tests.support.legacy`, whose text model is used.
    """
    weights, projector = directory / "text.gguf", directory / "projector.gguf"
    if encoder == "llava":
        write_llama(weights, n_ctx=4096, ends=False)
        llava().write(projector)
    else:
        _write_layout(encoder, weights, projector)
    images = (picture(width=96, height=64), picture(width=96, height=64, seed=1))
    return _differ(weights, projector, *images)


def hears(directory: Path, encoder: str) -> bool:
    """Tell whether an answer depends on the sound that is asked about.

    `encoder` is the type of a projector, or a layout in `tests.support.legacy`.
    """
    weights, projector = directory / "text.gguf", directory / "projector.gguf"
    if encoder in _WRITERS:
        write_llama(weights, n_ctx=4096, ends=False)
        _WRITERS[encoder](projector)
    else:
        _write_layout(encoder, weights, projector)
    return _differ(weights, projector, melody(0, 1), melody(2, 3))


def _write_layout(name: str, weights: Path, projector: Path) -> None:
    layout = LAYOUTS[name]()
    assert layout.projector is not None
    layout.text.write(weights)
    layout.projector.write(projector)


def _differ(weights: Path, projector: Path, *media: Medium) -> bool:
    with stepped_engines() as start:
        engine = start(
            weights, projector=Projector(str(projector)), n_ctx=4096, n_cells=8192, n_batch=512
        )
        first, second, again = (
            _logprobs(engine.answer(ASKED, ENDLESS, media=(medium,), n_predict=1, logprobs=20))
            for medium in (media[0], media[1], media[0])
        )
    assert first == pytest.approx(again, abs=1e-4)
    return first != pytest.approx(second, abs=1e-3)


def _logprobs(answer: Answer) -> dict[bytes, float]:
    """Return the log probabilities of the tokens that may come first."""
    return {entry.text: entry.logprob for entry in answer.logprobs[0].top}
