"""A server with the models that paddock brings along, for clients that others write.

These tests run in an environment of their own (`make test-clients`): the packages that they try
depend on much, and not on the same versions as paddock.
"""

from collections.abc import Iterator

import pytest

from tests.support.live_server import LiveServer, live_server

MODEL = "paddock"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server on a fresh store."""
    with live_server(tmp_path_factory.mktemp("frameworks"), PADDOCK_NO_BUILTIN="0") as running:
        yield running


@pytest.fixture(scope="session")
def v1(server: LiveServer) -> str:
    """The base of the OpenAI endpoints."""
    return f"{server.url}/v1"
