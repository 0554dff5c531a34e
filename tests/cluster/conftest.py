"""A model that takes long enough to be interrupted."""

from pathlib import Path

import pytest

from tests.support.tiny_models import write_llama


@pytest.fixture(scope="session")
def slow_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes about a millisecond per token."""
    directory = tmp_path_factory.mktemp("slow")
    return write_llama(directory / "slow.gguf", n_ctx=2048, n_layers=8, n_embd=256)
