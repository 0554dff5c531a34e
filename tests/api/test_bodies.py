"""Which bodies are understood, whatever their content type says, and which are refused."""

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

POSTED = ["generate", "chat", "embed", "embeddings", "show", "create", "copy"]
MISSING = "missing request body"
CUT_OFF = "unexpected EOF"


@pytest.mark.parametrize("endpoint", POSTED)
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MISSING),
        (b" \r\n\t", MISSING),
        (b"{", CUT_OFF),
        (b'{"model"', CUT_OFF),
        (b'{"model": "ba', CUT_OFF),
        (b"nul", CUT_OFF),
        (b"[]", "the request body must be an object, not a list"),
        (b'"base"', "the request body must be an object, not a string"),
        (b"5", "the request body must be an object, not a number"),
        (b"true", "the request body must be an object, not a boolean"),
    ],
)
async def test_a_body_that_is_no_object_is_refused_by_every_endpoint(
    shared: Server, endpoint: str, body: bytes, error: str
) -> None:
    answer = await shared.http.post(f"/api/{endpoint}", content=body)

    assert (answer.status_code, answer.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    "body",
    [
        b"xx",
        b"{'model': 'base'}",
        b'{"model": "base",}',
        b'{"model": NaN}',
        b'{"a": 1e999}',
        b'\xef\xbb\xbf{"model": "base"}',
        b"// {}",
        b"\x1f\x8b\x08\x00",
        b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
)
async def test_what_is_not_json_is_refused_in_one_sentence(shared: Server, body: bytes) -> None:
    answer = await shared.http.post("/api/show", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the request body ")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "base"} and more',
        b'{"model": "base"}{"model": "other"}',
        b'{"MODEL": "base"}',
        b'{"model": "no-such-model", "model": "base"}',
        b'{"model": "base", "unknown": {"a": [1]}, "stream": null, "options": null}',
        b'\n {"model": "base"}',
        b'{"model": "base", "system": "\\ud800 and \xff"}',
    ],
)
@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"]
)
async def test_sloppy_clients_are_understood(
    shared: Server, content_type: str | None, body: bytes
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await shared.http.post("/api/show", content=body, headers=headers)

    assert answer.status_code == 200


async def test_a_body_of_null_is_an_empty_one(shared: Server) -> None:
    answer = await shared.http.post("/api/show", content=b"null")

    assert answer.json() == {"error": "model is required"}


async def test_credentials_are_neither_needed_nor_refused(shared: Server) -> None:
    answer = await shared.http.get("/api/tags", headers={"Authorization": "Bearer anything"})

    assert answer.status_code == 200
