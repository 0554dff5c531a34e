"""Engines that compute with tiny models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
