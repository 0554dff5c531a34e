"""The image, built once for all tests of this folder, and the containers that are left removed."""

from collections.abc import Iterator

import pytest

from tests.image.building import build
from tests.image.commands import Storage, podman


@pytest.fixture(scope="session", autouse=True)
def certificates() -> None:
    """Let programs that download packages find the certificates of the system."""


@pytest.fixture(scope="session")
def storage() -> Iterator[Storage]:
    """The storage that has the image."""
    storage = build()
    try:
        yield storage
    finally:
        podman(storage, "rm", "--all", "--force", "--time=0", "--volumes", check=False)
