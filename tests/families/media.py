"""Whether images and audio reach the answers of a family, by its projector."""

from pathlib import Path

import pytest

from runners.protocol.media import Medium
from runners.protocol.placement import Projector
from tests.families.facts import ENDLESS
from tests.support.legacy.layouts import LAYOUTS
from tests.support.legacy.projectors import llava
from tests.support.seeing import ASKED
from tests.support.stepped_engine import Answer, stepped_engines
from tests.support.tiny_hearing import sound, write_frames, write_whisper
from tests.support.tiny_models import write_llama
from tests.support.tiny_vision import picture


def sees(directory: Path, encoder: str) -> bool:
    """Tell whether an answer depends on the image that is asked about.

    `encoder` is that of LLaVA, or of a layout in `tests.support.legacy`, whose text model is used.
    """
    weights, projector = directory / "text.gguf", directory / "projector.gguf"
    if encoder == "llava":
        write_llama(weights, n_ctx=4096, ends=False)
        llava().write(projector)
    else:
        layout = LAYOUTS[encoder]()
        assert layout.projector is not None
        layout.text.write(weights)
        layout.projector.write(projector)
    images = (picture(width=96, height=64), picture(width=96, height=64, seed=1))
    return _differ(weights, projector, *images)


def hears(directory: Path, encoder: str) -> bool:
    """Tell whether an answer depends on the sound that is asked about."""
    weights = write_llama(directory / "text.gguf", n_ctx=4096, ends=False)
    write = {"gemma4ua": write_frames, "ultravox": write_whisper}[encoder]
    projector = write(directory / "projector.gguf")
    return _differ(weights, projector, sound(0), sound(1))


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
