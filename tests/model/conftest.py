"""Engines that compute with tiny models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import tiny_hearing, tiny_vision
from tests.support.seeing import Files, seeing
from tests.support.stepped_engine import StartEngine, SteppedEngine, stepped_engines
from tests.support.tiny_models import write_llama


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generative model that never ends by itself."""
    return write_llama(tmp_path_factory.mktemp("llama") / "tiny.gguf", n_ctx=1024, ends=False)


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    """Starts engines: takes the model file and what differs from the usual `LoadSpec`."""
    with stepped_engines() as start:
        yield start


@pytest.fixture
def engine(start_engine: StartEngine, weights: Path) -> SteppedEngine:
    return start_engine(weights)


@pytest.fixture(scope="session")
def vision_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A text model and a projector of each kind."""
    directory = tmp_path_factory.mktemp("vision")
    llama = write_llama(directory / "llama.gguf", n_ctx=8192, ends=False)
    qwen = tiny_vision.write_qwen2vl(directory / "qwen.gguf")
    return {
        "llava": (llama, tiny_vision.write_llava(directory / "llava.gguf")),
        "gemma3": (llama, tiny_vision.write_gemma3(directory / "gemma3.gguf")),
        "qwen2vl": (qwen, tiny_vision.write_qwen2vl_projector(directory / "merger.gguf")),
    }


@pytest.fixture(scope="session")
def hearing_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A text model and a projector of each kind that hears."""
    directory = tmp_path_factory.mktemp("hearing")
    llama = write_llama(directory / "llama.gguf", n_ctx=8192, ends=False)
    qwen = tiny_vision.write_qwen2vl(directory / "qwen.gguf")
    frames = tiny_hearing.write_frames(directory / "frames.gguf")
    return {
        "frames": (llama, frames),
        "whisper": (llama, tiny_hearing.write_whisper(directory / "whisper.gguf")),
        "sections": (qwen, frames),
    }


@pytest.fixture
def llava(start_engine: StartEngine, vision_files: Files) -> SteppedEngine:
    return seeing(start_engine, vision_files["llava"])
