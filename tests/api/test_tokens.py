"""POST /api/tokenize and /api/detokenize: tokens of a model that need not be loaded."""

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

TOKENS = list(b"one two")
"""The scripted runner's tokens are bytes."""


@pytest.mark.parametrize("field", ["content", "text", "prompt"])
async def test_a_text_has_tokens_and_the_model_stays_out_of_memory(
    server: Server, field: str
) -> None:
    answer = await server.post("/api/tokenize", model="Base", **{field: "one two"})

    assert answer.json() == {"model": "Base", "tokens": TOKENS}
    assert await server.loaded() == []


async def test_tokens_have_a_text(shared: Server) -> None:
    answer = await shared.post("/api/detokenize", model="base", tokens=TOKENS)

    assert answer.json() == {"model": "base", "content": "one two"}


async def test_a_loaded_model_is_used_as_it_is(server: Server) -> None:
    await server.post("/api/generate", model="base")
    await server.post("/api/tokenize", model="base", content="a")

    assert len(server.runners) == 1


@pytest.mark.parametrize("endpoint", ["tokenize", "detokenize"])
@pytest.mark.parametrize(
    ("model", "status", "text"),
    [("", 400, "model is required"), ("nosuch", 404, "model 'nosuch' not found")],
)
async def test_a_model_that_is_not_there_is_told(
    shared: Server, endpoint: str, model: str, status: int, text: str
) -> None:
    answer = await shared.post(f"/api/{endpoint}", model=model)

    assert (answer.status_code, answer.json()) == (status, {"error": text})


async def test_something_else_than_tokens_is_refused(shared: Server) -> None:
    answer = await shared.post("/api/detokenize", model="base", tokens=["a"])

    assert answer.status_code == 400
    assert answer.json() == {
        "error": 'each element of field "tokens" must be a whole number, not a string'
    }
