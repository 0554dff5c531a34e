"""Engines that see, and what they are asked about pictures."""

from pathlib import Path

from runners.protocol.media import DecodedImage
from runners.protocol.placement import Projector
from runners.protocol.tokens import AnyText
from tests.support.stepped_engine import Answer, StartEngine, SteppedEngine

ASKED = "User look: [img-0] what"
SIZES = {"n_ctx": 4096, "n_cells": 8192}
Files = dict[str, tuple[Path, Path]]
"""A text model and a projector for each kind of projector."""


def seeing(start_engine: StartEngine, files: tuple[Path, Path], **changes: object) -> SteppedEngine:
    weights, projector = files
    return start_engine(weights, projector=Projector(str(projector)), **{**SIZES, **changes})


def look(
    engine: SteppedEngine, *pictures: DecodedImage, prompt: AnyText = ASKED, n: int = 8
) -> Answer:
    """Ask about pictures; return the answer under way."""
    return engine.ask(prompt, media=pictures, n_predict=n, logprobs=2)


def look_through(engine: SteppedEngine, *pictures: DecodedImage, prompt: AnyText = ASKED) -> Answer:
    """Ask about pictures; return the whole answer."""
    answer = look(engine, *pictures, prompt=prompt)
    engine.run()
    return answer
