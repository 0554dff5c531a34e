from collections.abc import Iterator

import pytest

from tests.support.rendering import RenderingProcesses


@pytest.fixture(scope="package")
def processes() -> Iterator[RenderingProcesses]:
    """Real worker processes, which hostile templates may hang, fill and crash."""
    with RenderingProcesses() as processes:
        yield processes
