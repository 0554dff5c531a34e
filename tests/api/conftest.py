"""A server whose models tests may only use, shared by the tests of a file; and one to change."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.application import Server, serving
from tests.support.gguf_bytes import U32, key, model

TEXT_MODEL = model("llama", key("llama.context_length", U32, 4096))
EMBEDDER = model(
    "bert", key("bert.context_length", U32, 512), key("bert.pooling_type", U32, 1), file_type=7
)
TURNS = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}\n{{ end }}<assistant>"
"""A template that shows every message and who said it."""
THOUGHTS = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "{{ .Content }}{{ end }}"
)
"""A template by which a model is known to think."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the tests of a file, so that they can share a server."""
    return "asyncio"


@pytest.fixture(scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Server]:
    """A server for tests that leave its models as they are.

    `base` says its prompt, `teller` has a template, a system text, a history and options,
    `thinker` can think, `filler` can fill gaps, `embedder` can only embed.
    """
    async with serving(tmp_path_factory.mktemp("shared")) as server:
        await server.create("base", TEXT_MODEL)
        await server.create("embedder", EMBEDDER)
        await server.create(
            "teller",
            "base",
            template=TURNS,
            system="Be brief.",
            messages=[
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ],
            parameters={"num_predict": 2, "stop": ["END"]},
        )
        await server.create("thinker", "base", template=THOUGHTS)
        await server.create("filler", "base", template="{{ .Prompt }}|{{ .Suffix }}|")
        yield server


@pytest.fixture
async def server(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Server]:
    """A server of the test's own, with the model `base`, which says its prompt."""
    async with serving(tmp_path) as made:
        await made.create("base", TEXT_MODEL)
        yield made
