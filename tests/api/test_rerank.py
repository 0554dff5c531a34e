"""POST /api/rerank and /v1/rerank: texts in order, best first."""

from typing import Any

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

PATHS = ["/api/rerank", "/v1/rerank"]
DOCUMENTS: list[Any] = ["a", {"text": "bc"}, "def"]


@pytest.mark.parametrize("path", PATHS)
async def test_each_text_has_a_score(shared: Server, path: str) -> None:
    """The scripted runner has the same vector for all, so they stay in their order."""
    answer = await shared.post(path, model="Embedder", query="q", documents=DOCUMENTS)

    assert answer.json() == {
        "model": "Embedder",
        "results": [{"index": index, "relevance_score": pytest.approx(1)} for index in range(3)],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


async def test_the_best_are_returned_with_their_texts_if_wanted(shared: Server) -> None:
    answer = await shared.post(
        "/v1/rerank", model="embedder", query="q", documents=DOCUMENTS, top_n=2,
        return_documents=True,
    )  # fmt: skip

    assert [result["document"] for result in answer.json()["results"]] == [
        {"text": "a"},
        {"text": "bc"},
    ]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"query": None}, 'field "query" must be a text that is not empty'),
    ({"query": ""}, 'field "query" must be a text that is not empty'),
    ({"documents": None}, 'field "documents" must be a list of at least one text'),
    ({"documents": []}, 'field "documents" must be a list of at least one text'),
    ({"documents": "a"}, 'field "documents" must be a list of at least one text'),
    (
        {"documents": [5]},
        'each item of "documents" must be a text, or an object with a field "text"',
    ),
    ({"top_n": -1}, 'field "top_n" must be at least 0'),
]


@pytest.mark.parametrize(("sent", "text"), WRONG)
async def test_what_makes_no_sense_is_refused(
    shared: Server, sent: dict[str, Any], text: str
) -> None:
    body = {"model": "embedder", "query": "q", "documents": ["a"], **sent}
    native = await shared.post("/api/rerank", **body)
    openai = await shared.post("/v1/rerank", **body)

    assert (native.status_code, native.json()) == (400, {"error": text})
    assert (openai.status_code, openai.json()["error"]["message"]) == (400, text)


async def test_a_missing_model_is_told_in_the_words_of_the_api(shared: Server) -> None:
    body: dict[str, Any] = {"model": "nosuch", "query": "q", "documents": ["a"]}
    native = await shared.post("/api/rerank", **body)
    openai = await shared.post("/v1/rerank", **body)

    assert (native.status_code, native.json()) == (404, {"error": "model 'nosuch' not found"})
    assert openai.json()["error"]["type"] == "not_found_error"
