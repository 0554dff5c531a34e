"""POST /api/copy and DELETE /api/delete: second names, and no names."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server

pytestmark = pytest.mark.anyio


async def delete(server: Server, **body: Any) -> httpx.Response:
    return await server.http.request("DELETE", "/api/delete", json=body)


async def copy(server: Server, source: str, destination: str) -> httpx.Response:
    return await server.post("/api/copy", source=source, destination=destination)


def assert_done(answer: httpx.Response) -> None:
    """Both say that they have succeeded by their status alone."""
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("destination", "listed"),
    [
        ("second", "second:latest"),
        ("ns/b:c", "ns/b:c"),
        ("base:q4", "base:q4"),
        ("second:cloud", "second:cloud"),
        ("second:local", "second:local"),
    ],
)
async def test_a_copy_is_the_same_model_under_a_second_name(
    server: Server, destination: str, listed: str
) -> None:
    assert_done(await copy(server, "BASE", destination))

    models = (await server.http.get("/api/tags")).json()["models"]
    assert {model["name"] for model in models} == {"base:latest", listed}
    assert len({model["digest"] for model in models}) == 1


async def test_a_copy_replaces_what_had_its_name_whatever_the_case(server: Server) -> None:
    await server.create("other", "base", system="Be brief.")

    assert_done(await copy(server, "base", "OTHER"))

    assert {*await server.installed()} == {"base:latest", "other:latest"}
    assert "system" not in (await server.post("/api/show", model="other")).json()


@pytest.mark.parametrize("name", ["base", "no-such-model"])
async def test_a_model_copied_onto_itself_is_left_as_it_is(server: Server, name: str) -> None:
    assert_done(await copy(server, name, name))

    assert await server.installed() == ["base:latest"]


@pytest.mark.parametrize(
    ("source", "destination", "status", "error"),
    [
        ("", "a", 400, 'source "" is invalid'),
        (" base", "a", 400, 'source " base" is invalid'),
        ("a@b", "?", 400, 'source "a@b" is invalid'),
        ("base", "", 400, 'destination "" is invalid'),
        ("base", "a b", 400, 'destination "a b" is invalid'),
        ("no-such-model", "-", 400, 'destination "-" is invalid'),
        ("base", 'a"\n', 400, r'destination "a\"\n" is invalid'),
        ("Nope", "a", 404, 'model "Nope" not found'),
    ],
)
async def test_a_copy_that_cannot_be_made_is_refused_with_the_name_that_was_sent(
    shared: Server, source: str, destination: str, status: int, error: str
) -> None:
    answer = await copy(shared, source, destination)

    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize("name", ["base", "BASE:Latest", " base ", "base:local", "library/base"])
async def test_a_deleted_model_is_gone_and_so_are_its_blobs(server: Server, name: str) -> None:
    assert_done(await delete(server, model=name))

    assert await server.installed() == []
    assert list((server.store / "blobs").iterdir()) == []
    again = await delete(server, model=name)
    assert (again.status_code, again.json()) == (404, {"error": f"model '{name}' not found"})


async def test_what_another_model_needs_survives_a_delete(server: Server) -> None:
    await server.create("child", "base", system="Be brief.")

    assert_done(await delete(server, model="base"))

    answer = await server.post("/api/generate", model="child", prompt="a", stream=False)
    assert answer.json()["response"] == "a "
    assert server.blob(TEXT_MODEL).exists()


async def test_a_damaged_model_can_be_deleted(server: Server) -> None:
    """The reference leaves it to be removed by hand."""
    server.manifest("base").write_text("{")

    assert_done(await delete(server, model="base"))

    assert not server.manifest("base").exists()


@pytest.mark.parametrize(("name", "stored"), [("m:cloud", "m:cloud"), ("m:7b:cloud", "m:7b-cloud")])
async def test_what_is_left_of_a_remote_model_can_be_deleted(
    server: Server, name: str, stored: str
) -> None:
    await copy(server, "base", stored)

    assert_done(await delete(server, model=name))

    assert await server.installed() == ["base:latest"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "model is required"),
        ({"model": ""}, 400, "model is required"),
        ({"model": "  "}, 400, "model is required"),
        ({"model": "a@b"}, 400, 'name "a@b" is invalid'),
        ({"model": "a b"}, 400, 'name "a b" is invalid'),
        ({"model": "Nope"}, 404, "model 'Nope' not found"),
        (
            {"model": "x:cloud:local"},
            400,
            'use either :local or :cloud, not both: "x:cloud:local"',
        ),
    ],
)
async def test_a_name_that_cannot_be_deleted_is_told_as_it_was_sent(
    shared: Server, body: dict[str, Any], status: int, error: str
) -> None:
    answer = await delete(shared, **body)

    assert (answer.status_code, answer.json()) == (status, {"error": error})


async def test_a_delete_needs_a_body(shared: Server) -> None:
    answer = await shared.http.delete("/api/delete")

    assert (answer.status_code, answer.json()) == (400, {"error": "missing request body"})
