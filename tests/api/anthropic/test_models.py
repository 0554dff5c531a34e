"""GET /v1/models with the header of Anthropic's clients: their form, pages and errors."""

import os
from typing import Any

import httpx
import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

HEADERS = {"anthropic-version": "2023-06-01"}


async def get(server: Server, path: str, method: str = "GET") -> httpx.Response:
    return await server.http.request(method, f"/v1/{path}", headers=HEADERS)


async def test_the_installed_models_are_listed(server: Server) -> None:
    await server.create("other", "base")
    os.utime(server.manifest("base"), (1000, 1000))

    page = (await get(server, "models")).json()

    assert [model["id"] for model in page["data"]] == await server.installed()
    assert {**page["data"][0], "created_at": ""} == {
        "type": "model",
        "id": "other:latest",
        "display_name": "other:latest",
        "created_at": "",
        "lifecycle": "active",
    }
    assert (page["first_id"], page["last_id"]) == ("other:latest", "base:latest")
    assert page["has_more"] is False


async def test_a_model_is_told_under_the_name_of_the_client(server: Server) -> None:
    model = (await get(server, "models/Base")).json()

    assert (model["id"], model["display_name"]) == ("Base", "base:latest")


@pytest.mark.parametrize(
    ("query", "names", "has_more"),
    [
        ("", "dcba", False),
        ("limit=2", "dc", True),
        ("limit=2&after_id=c:latest", "ba", False),
        ("limit=1&after_id=c:latest", "b", True),
        ("after_id=a:latest", "", False),
        ("limit=2&before_id=a:latest", "cb", True),
        ("limit=2&before_id=b:latest", "dc", False),
    ],
)
async def test_pages_of_models(server: Server, query: str, names: str, has_more: bool) -> None:
    for age, name in enumerate("dcba"):
        await server.create(name, "base")
        os.utime(server.manifest(name), (1000 - age, 1000 - age))
    await server.http.request("DELETE", "/api/delete", json={"model": "base"})

    page = (await get(server, f"models?{query}")).json()

    assert "".join(model["id"][0] for model in page["data"]) == names
    assert page["has_more"] is has_more


def error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("path", "method", "status", "expected"),
    [
        ("models/nosuch", "GET", 404, error("not_found_error", "model 'nosuch:latest' not found")),
        (
            "models?limit=0",
            "GET",
            400,
            error("invalid_request_error", "limit must be a whole number from 1 to 1000"),
        ),
        (
            "models?after_id=x",
            "GET",
            400,
            error(
                "invalid_request_error", "after_id and before_id must be ids of installed models"
            ),
        ),
        (
            "skills",
            "POST",
            404,
            error("not_found_error", '"POST /v1/skills" is not an endpoint of this server'),
        ),
        (
            "messages/batches",
            "POST",
            404,
            error(
                "not_found_error", '"POST /v1/messages/batches" is not an endpoint of this server'
            ),
        ),
    ],
)
async def test_errors_have_the_envelope_of_the_client(
    server: Server, path: str, method: str, status: int, expected: dict[str, Any]
) -> None:
    answer = await get(server, path, method)

    told = answer.json()
    assert told.pop("request_id")
    assert (answer.status_code, told) == (status, expected)
