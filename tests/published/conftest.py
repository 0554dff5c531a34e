"""Tests with published models, which `make models` puts into `.models/`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import published
from benchmarks.published import Published
from tests.support.live_server import LiveServer, live_server
from tests.support.stepped_engine import StartEngine, stepped_engines


def present(model: Published) -> Path:
    """Return the path of a model; skip the test where it is not."""
    if not model.exists:
        pytest.skip(f"{model.name} is not here: run make models")
    return model.path


@pytest.fixture(params=published.GENERATIVE, ids=lambda model: model.name, scope="session")
def generative(request: pytest.FixtureRequest) -> Path:
    """Each small generative model."""
    return present(request.param)


@pytest.fixture(scope="session")
def coder() -> Path:
    """The instructed model that is best at following instructions."""
    return present(published.QWEN25_CODER_05B)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """An embedding model: a folder with safetensors."""
    return present(published.MINILM_L6)


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    with stepped_engines() as start:
        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server")) as server:
        yield server
