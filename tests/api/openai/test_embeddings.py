"""POST /v1/embeddings: vectors as numbers and as bytes, of texts and of tokens."""

import base64

import numpy as np
import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

PATH = "/v1/embeddings"


async def test_each_text_has_its_vector_in_the_order_of_the_texts(shared: Server) -> None:
    answer = await shared.post(PATH, model="Embedder", input=["a", "bcd"])

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5] * 4},
            {"object": "embedding", "index": 1, "embedding": [0.5] * 4},
        ],
        "model": "Embedder",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


@pytest.mark.parametrize("encoding", ["base64", "BASE64"])
async def test_base64_holds_the_same_numbers(shared: Server, encoding: str) -> None:
    answer = await shared.post(PATH, model="embedder", input="a", encoding_format=encoding)

    [vector] = answer.json()["data"]
    found = np.frombuffer(base64.b64decode(vector["embedding"]), "<f4")
    assert found.tolist() == [0.5] * 4


async def test_a_vector_may_be_cut(shared: Server) -> None:
    answer = await shared.post(PATH, model="embedder", input="a", dimensions=1)

    assert answer.json()["data"][0]["embedding"] == [1.0]


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2, 3]], ""])
async def test_tokens_and_empty_texts_have_vectors_too(shared: Server, given: object) -> None:
    answer = await shared.post(PATH, model="embedder", input=given)

    assert len(answer.json()["data"]) == 1


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        ({}, 400, "invalid input"),
        ({"input": None}, 400, "invalid input"),
        ({"input": []}, 400, "invalid input"),
        ({"input": 5}, 400, "invalid input type"),
        ({"input": ["a", 1]}, 400, "invalid input type"),
        ({"input": [-1]}, 400, "invalid input type"),
        (
            {"input": "a", "encoding_format": "int8"},
            400,
            "Invalid value for 'encoding_format' = int8. Supported values: ['float', 'base64'].",
        ),
        ({"input": "a", "model": ""}, 404, "model '' not found"),
        (
            {"input": "a", "model": "nosuch"},
            404,
            'model "nosuch" not found, try pulling it first',
        ),
    ],
)
async def test_what_cannot_be_embedded_is_told(
    shared: Server, sent: dict[str, object], status: int, text: str
) -> None:
    answer = await shared.post(PATH, **{"model": "embedder", **sent})

    assert (answer.status_code, answer.json()["error"]["message"]) == (status, text)
