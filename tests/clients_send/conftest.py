"""A server for the rows of this folder; each chat template becomes a model once."""

from collections.abc import AsyncIterator

import pytest

from tests.support.application import serving

pytest.register_assert_rewrite("tests.clients_send.sending")

from tests.clients_send.sending import Sender  # noqa: E402 - after its assertions are rewritten


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the tests of a file, so that they can share a server."""
    return "asyncio"


@pytest.fixture(scope="module")
async def sender(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Sender]:
    async with serving(tmp_path_factory.mktemp("sender")) as server:
        yield Sender(server)
