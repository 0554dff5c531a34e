"""POST /v1/messages/count_tokens: how long a prompt is, before it is sent."""

from typing import Any

import httpx
import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

HI = {"role": "user", "content": "Hi"}


async def count(server: Server, **fields: Any) -> httpx.Response:
    return await server.post("/v1/messages/count_tokens", messages=[HI], **fields)


async def test_the_prompt_is_counted_as_the_model_reads_it(shared: Server) -> None:
    """System text, history and the template's own marks count too; a byte is a token here."""
    answer = await count(shared, model="teller", system="Sing.")

    prompt = "<user>Hi\n<assistant>Hello\n<system>Sing.\n<user>Hi\n<assistant>"
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": len(prompt)})


async def test_the_beginning_that_the_tokenizer_adds_is_not_counted_twice(server: Server) -> None:
    await server.create("gemma", "base", renderer="functiongemma")

    n_special, text = 3, "user\nHi\nmodel\n"
    assert (await count(server, model="gemma")).json() == {"input_tokens": n_special + len(text)}


async def test_no_limit_is_needed(shared: Server) -> None:
    assert (await count(shared, model="base")).json() == {"input_tokens": 2}


@pytest.mark.parametrize(
    ("fields", "status", "kind", "message"),
    [
        ({}, 400, "invalid_request_error", "model is required"),
        ({"model": "nosuch"}, 404, "not_found_error", "model 'nosuch' not found"),
        ({"model": "base", "messages": []}, 400, "invalid_request_error", "messages is required"),
    ],
)
async def test_a_refusal_has_the_envelope_of_this_api(
    shared: Server, fields: dict[str, Any], status: int, kind: str, message: str
) -> None:
    answer = await shared.post("/v1/messages/count_tokens", **{"messages": [HI], **fields})

    assert answer.status_code == status
    assert answer.json()["error"] == {"type": kind, "message": message}
