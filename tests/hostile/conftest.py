"""A real server under attack, beside a client that wants nothing but its version."""

from collections.abc import Iterator

import pytest
from gguf import PoolingType

from tests.support.hostile.bodies import EMBEDDER, MODEL
from tests.support.hostile.connections import MAX_CONNECTIONS
from tests.support.hostile.measurement import Scene, scene
from tests.support.live_server import live_server
from tests.support.tiny_models import write_llama


@pytest.fixture(scope="session")
def hostile_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server with a generative and an embedding model, both tiny."""
    directory = tmp_path_factory.mktemp("hostile")
    with live_server(directory, PADDOCK_MAX_CONNECTIONS=str(MAX_CONNECTIONS)) as server:
        server.create(MODEL, write_llama(directory / "model.gguf"))
        pooling = PoolingType.MEAN
        server.create(EMBEDDER, write_llama(directory / "embedder.gguf", pooling=pooling))
        server.load(MODEL)
        server.load(EMBEDDER, "/api/embed")
        with scene(server) as under_attack:
            yield under_attack
