"""How each endpoint takes the name of a model, and what it says of one that it cannot use.

Clients branch on the status and look for "not found" in the text.
"""

from typing import Any

import httpx
import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

ENDPOINTS: dict[str, dict[str, Any]] = {
    "generate": {"prompt": "a"},
    "chat": {"messages": [{"role": "user", "content": "a"}]},
    "embed": {"input": "a"},
    "embeddings": {"prompt": "a"},
    "show": {},
}
REQUIRED = (400, "model is required")
INVALID = (400, "invalid model name")


async def ask(server: Server, endpoint: str, **fields: Any) -> httpx.Response:
    return await server.post(f"/api/{endpoint}", **ENDPOINTS[endpoint], **fields)


@pytest.mark.parametrize("name", ["base", "BASE", "Base:Latest", " base ", "base:LOCAL"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_name_may_be_written_loosely(shared: Server, endpoint: str, name: str) -> None:
    answer = await ask(shared, endpoint, model=name)

    assert answer.status_code == 200


@pytest.mark.parametrize("sent", [{}, {"model": ""}, {"model": None}])
@pytest.mark.parametrize(
    ("endpoint", "status", "error"),
    [
        ("generate", 404, "model '' not found"),
        ("chat", *REQUIRED),
        ("embed", 404, "model '' not found"),
        ("embeddings", *REQUIRED),
        ("show", *REQUIRED),
    ],
)
async def test_no_name_is_told_in_each_endpoints_own_way(
    shared: Server, sent: dict[str, Any], endpoint: str, status: int, error: str
) -> None:
    answer = await ask(shared, endpoint, **sent)

    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize(
    ("endpoint", "status", "error"),
    [
        ("generate", 404, "model '  ' not found"),
        ("chat", *REQUIRED),
        ("embed", 404, "model '  ' not found"),
        ("embeddings", *REQUIRED),
        ("show", *REQUIRED),
    ],
)
async def test_a_name_of_blanks_is_none(
    shared: Server, endpoint: str, status: int, error: str
) -> None:
    answer = await ask(shared, endpoint, model="  ")

    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize(
    "name",
    [
        "a@b", "a b", "..", "-m", "m:", "/m", "h//m", "a/b/c/d", "h:5000/m", "m" * 81, "é",
        "m:t\n:u", "base\n", "base:latest\n", "a:b:c/d/e", "x/manifests", "con", "h../n/m", "base.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_what_is_no_name_is_refused(shared: Server, endpoint: str, name: str) -> None:
    answer = await ask(shared, endpoint, model=name)

    assert (answer.status_code, answer.json()) == (INVALID[0], {"error": INVALID[1]})


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        ("generate", "model ' Nope' not found"),
        ("chat", "model ' Nope' not found"),
        ("embed", 'model " Nope" not found, try pulling it first'),
        ("embeddings", 'model " Nope" not found, try pulling it first'),
        ("show", "model 'Nope:latest' not found"),
    ],
)
async def test_a_model_that_is_not_installed_is_told_in_each_endpoints_own_way(
    shared: Server, endpoint: str, error: str
) -> None:
    answer = await ask(shared, endpoint, model=" Nope")

    assert (answer.status_code, answer.json()) == (404, {"error": error})


@pytest.mark.parametrize("name", ["base:7b", "ns/base", "hf.co/library/base"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_every_part_of_a_name_counts(shared: Server, endpoint: str, name: str) -> None:
    answer = await ask(shared, endpoint, model=name)

    assert answer.status_code == 404
    assert "not found" in answer.json()["error"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_name_cannot_say_that_a_model_is_here_and_elsewhere(
    shared: Server, endpoint: str
) -> None:
    answer = await ask(shared, endpoint, model=" base:cloud:local ")

    assert answer.status_code == 400
    assert answer.json() == {"error": 'use either :local or :cloud, not both: "base:cloud:local"'}


@pytest.mark.parametrize("name", ["base:cloud", "qwen3:480b-cloud", "QWEN3:480B-CLOUD"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_model_that_only_a_remote_service_has_is_refused(
    shared: Server, endpoint: str, name: str
) -> None:
    answer = await ask(shared, endpoint, model=name)

    assert answer.status_code == 403
    assert answer.json()["error"].startswith("ollama cloud is disabled: ")


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        ("generate", "model 'Lost' not found"),
        ("chat", "model 'Lost' not found"),
        ("embed", 'model "Lost" not found, try pulling it first'),
        ("embeddings", 'model "Lost" not found, try pulling it first'),
        ("show", "model 'Lost:latest' not found"),
    ],
)
async def test_a_model_whose_file_is_gone_counts_as_not_installed(
    server: Server, endpoint: str, error: str
) -> None:
    await server.install("lost", b"content")
    server.blob(b"content").unlink()

    answer = await ask(server, endpoint, model="Lost")

    assert (answer.status_code, answer.json()) == (404, {"error": error})


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_model_whose_file_is_damaged_is_the_servers_fault(
    server: Server, endpoint: str
) -> None:
    await server.install("damaged", b"content")

    answer = await ask(server, endpoint, model="damaged")

    assert answer.status_code == 500
    assert answer.json()["error"].startswith("the file of model 'damaged:latest' is damaged: ")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_model_whose_manifest_is_damaged_is_the_servers_fault(
    server: Server, endpoint: str
) -> None:
    server.manifest("base").write_text("[]")

    answer = await ask(server, endpoint, model="base")

    assert answer.status_code == 500
    assert answer.json()["error"].startswith("the manifest of model 'base:latest' is damaged: ")
    assert str(server.store) not in answer.text


@pytest.mark.parametrize("name", ["x:y\n", "a:b:c/d/e", "x/manifests", "con", "h:99999/n/m"])
async def test_no_model_gets_a_name_that_is_none(server: Server, name: str) -> None:
    """Whatever would write a manifest says 400, and writes none."""
    copied = await server.post("/api/copy", source="base", destination=name)
    made = await server.post("/api/create", model=name, **{"from": "base"}, stream=False)
    pulled = await server.post("/api/pull", model=name, stream=False)
    pushed = await server.post("/api/push", model=name, stream=False)
    deleted = await server.http.request("DELETE", "/api/delete", json={"model": name})

    statuses = [answer.status_code for answer in (copied, made, pulled, pushed, deleted)]
    assert statuses == [400] * 5
    manifests = (server.store / "manifests").rglob("*")
    assert [path for path in manifests if path.is_file()] == [server.manifest("base")]
