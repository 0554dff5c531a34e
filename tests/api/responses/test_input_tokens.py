"""POST /v1/responses/input_tokens: how long the prompt of a request is."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import TURNS
from tests.support.application import Server

pytestmark = pytest.mark.anyio

PATH = "/v1/responses/input_tokens"


async def count(server: Server, **fields: Any) -> httpx.Response:
    return await server.post(PATH, **{"model": "echo", "input": "One", **fields})


@pytest.fixture
async def echo(server: Server) -> Server:
    await server.create("echo", "base", template=TURNS)
    return server


async def test_the_tokens_of_the_whole_prompt_are_counted(echo: Server) -> None:
    """The scripted runner has a token for each byte."""
    short = await count(echo)
    long = await count(echo, instructions="Sing.")

    assert short.json() == {
        "object": "response.input_tokens",
        "input_tokens": len("<user>One\n<assistant>"),
    }
    assert long.json()["input_tokens"] == len("<system>Sing.\n<user>One\n<assistant>")


async def test_the_conversation_before_it_counts_too(echo: Server) -> None:
    first = (await echo.post("/v1/responses", model="echo", input="One")).json()
    said = first["output"][0]["content"][0]["text"]

    counted = await count(echo, previous_response_id=first["id"], input="Two")

    prompt = f"<user>One\n<assistant>{said}\n<user>Two\n<assistant>"
    assert counted.json()["input_tokens"] == len(prompt)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"input": None}, 400, "input is required: there is nothing to count"),
        ({"model": "nosuch"}, 404, "model 'nosuch' not found"),
        ({"previous_response_id": "x"}, 400, "Previous response with id 'x' not found."),
        ({"model": ""}, 400, "model is required"),
    ],
)
async def test_a_refusal_has_the_envelope_of_this_api(
    echo: Server, fields: dict[str, Any], status: int, text: str
) -> None:
    answer = await count(echo, **fields)

    assert (answer.status_code, answer.json()["error"]["message"]) == (status, text)
