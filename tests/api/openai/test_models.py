"""GET /v1/models and /v1/models/{model}."""

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server

pytestmark = pytest.mark.anyio


async def test_the_installed_models_are_those_that_tags_lists(server: Server) -> None:
    await server.create("someone/other:small", "base")
    await server.install("damaged", b"no model")

    answer = await server.http.get("/v1/models")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["object"] == "list"
    listed = answer.json()["data"]
    assert sorted(model["id"] for model in listed) == sorted(await server.installed())
    owners = {model["id"]: model["owned_by"] for model in listed}
    assert owners == {"base:latest": "library", "someone/other:small": "someone"}
    assert all(model["object"] == "model" and model["created"] > 0 for model in listed)


async def test_no_models_are_an_empty_list(server: Server) -> None:
    await server.http.request("DELETE", "/api/delete", json={"model": "base"})

    assert (await server.http.get("/v1/models")).json()["data"] == []


@pytest.mark.parametrize("name", ["base", "Base:latest", "library/base"])
async def test_a_model_is_described_under_the_name_it_was_asked_for(
    shared: Server, name: str
) -> None:
    answer = await shared.http.get(f"/v1/models/{name}")

    told = answer.json()
    assert told.pop("created") > 0
    assert told == {"id": name, "object": "model", "owned_by": "library"}


async def test_a_model_of_someone_is_found_by_its_whole_name(server: Server) -> None:
    await server.create("someone/other:small", TEXT_MODEL)

    for path in ("someone/other:small", "someone%2Fother:small"):
        answer = await server.http.get(f"/v1/models/{path}")

        assert answer.json()["id"] == "someone/other:small"


async def test_a_missing_model_is_told_by_its_whole_name(shared: Server) -> None:
    answer = await shared.http.get("/v1/models/nosuch")

    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": "model 'nosuch:latest' not found",
        "type": "not_found_error",
        "param": None,
        "code": None,
    }


async def test_a_path_without_a_name_leads_to_the_list(shared: Server) -> None:
    answer = await shared.http.get("/v1/models/")

    assert (answer.status_code, answer.headers["location"]) == (301, "/v1/models")
