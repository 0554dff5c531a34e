"""/v1/batches: results, faults of the input, cancelling, expiry, and who comes first."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from server.access.key import KeyRequest
from server.access.key_changes import create_key
from server.openai.batches.wire import ENDED
from tests.api.conftest import EMBEDDER, TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.batches import create, ended, get, lines, request, results, until, upload

pytestmark = pytest.mark.anyio

ENDLESS = request("endless", prompt="forever", max_tokens=10**6)


async def test_a_batch_answers_all_its_requests(server: Server) -> None:
    batch = await create(
        server,
        lines(request(str(n), prompt=f"This is {n}") for n in range(50)),
        metadata={"for": "a test"},
    )

    assert batch == {
        "id": batch["id"],
        "object": "batch",
        "endpoint": "/v1/completions",
        "model": None,
        "errors": None,
        "input_file_id": batch["input_file_id"],
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": batch["created_at"],
        "in_progress_at": None,
        "expires_at": batch["created_at"] + 86_400,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": {"for": "a test"},
    }
    done = await ended(server, batch["id"])
    assert (done["status"], done["model"]) == ("completed", "base")
    assert done["request_counts"] == {"total": 50, "completed": 50, "failed": 0}
    assert (done["usage"]["output_tokens"], done["error_file_id"]) == (150, None)
    found = await results(server, done["output_file_id"])
    assert set(found) == {str(n) for n in range(50)}
    for n, result in ((id, found[id]) for id in found):
        assert result["error"] is None
        assert result["response"]["status_code"] == 200
        assert result["response"]["request_id"].startswith("req_")
        assert result["response"]["body"]["choices"][0]["text"] == f"This is {n} "
    file = (await server.http.get(f"/v1/files/{done['output_file_id']}")).json()
    assert (file["purpose"], file["filename"]) == ("batch_output", f"{batch['id']}_output.jsonl")
    assert file["expires_at"] == file["created_at"] + 30 * 86_400


@pytest.mark.parametrize(
    ("url", "body", "read"),
    [
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi there"}]},
            lambda reply: reply["choices"][0]["message"]["content"],
        ),
        ("/v1/completions", {"prompt": "Hi there"}, lambda reply: reply["choices"][0]["text"]),
        (
            "/v1/responses",
            {"input": "Hi there"},
            lambda reply: reply["output"][0]["content"][0]["text"],
        ),
    ],
)
async def test_each_endpoint_answers_as_it_does_outside_of_batches(
    server: Server, url: str, body: dict[str, Any], read: Any
) -> None:
    batch = await create(server, lines([request("a", url, **body)]), url)

    done = await ended(server, batch["id"])

    reply = (await results(server, done["output_file_id"]))["a"]["response"]["body"]
    direct = (await server.post(url, model="base", **body)).json()
    assert read(reply) == read(direct) == "Hi there "
    assert reply.keys() == direct.keys()


async def test_texts_are_embedded(server: Server) -> None:
    await server.create("embedder", EMBEDDER)
    url = "/v1/embeddings"
    rows = [request(str(n), url, input=["one", "two"]) for n in range(3)]
    for row in rows:
        row["body"]["model"] = "embedder"
    batch = await create(server, lines(rows), url)

    done = await ended(server, batch["id"])

    found = await results(server, done["output_file_id"])
    assert [len(found[str(n)]["response"]["body"]["data"]) for n in range(3)] == [2, 2, 2]


async def test_what_a_batch_made_can_be_gone_on_from_by_its_owner(server: Server) -> None:
    url = "/v1/responses"
    batch = await create(server, lines([request("a", url, input="Hi")]), url)
    done = await ended(server, batch["id"])
    found = await results(server, done["output_file_id"])

    first = found["a"]["response"]["body"]["id"]
    reply = await server.post(url, model="base", input="More", previous_response_id=first)
    assert reply.status_code == 200


async def test_requests_that_fail_are_in_the_error_file(server: Server) -> None:
    rows = [
        request("right", prompt="x"),
        request("wrong type", prompt={}),
        request("wrong value", prompt="x", temperature="hot"),
        request("refused", prompt="refuse"),
        {**request("unknown"), "body": {"model": "nosuch", "prompt": "x"}},
    ]
    batch = await create(server, lines(rows))

    done = await ended(server, batch["id"])

    assert done["status"] == "completed"
    assert done["model"] is None
    assert done["request_counts"] == {"total": 5, "completed": 1, "failed": 4}
    assert set(await results(server, done["output_file_id"])) == {"right"}
    found = await results(server, done["error_file_id"])
    statuses = {id: result["response"]["status_code"] for id, result in found.items()}
    assert statuses == {"wrong type": 400, "wrong value": 400, "refused": 400, "unknown": 404}
    body = found["unknown"]["response"]["body"]
    assert "nosuch" in body["error"]["message"]


async def test_a_runner_that_dies_under_a_request_fails_no_other(server: Server) -> None:
    rows = [request(f"{n}", prompt="one two three") for n in range(20)]
    batch = await create(server, lines([*rows, request("bad", prompt="die at once")]))

    done = await ended(server, batch["id"])

    assert done["request_counts"] == {"total": 21, "completed": 20, "failed": 1}
    [(id, result)] = (await results(server, done["error_file_id"])).items()
    assert (id, result["response"]["status_code"]) == ("bad", 500)


LINE = request("a", prompt="x")


@pytest.mark.parametrize(
    ("content", "code", "line", "param"),
    [
        (b"", "empty_file", None, None),
        (b"\n \r\n\n", "empty_file", None, None),
        (b"nonsense\n", "invalid_json_line", 1, None),
        (b"\xff\xfe\n", "invalid_json_line", 1, None),
        (b"[]\n", "invalid_line", 1, None),
        (lines([{**LINE, "custom_id": 7}]), "invalid_line", 1, None),
        (lines([{**LINE, "custom_id": ""}]), "missing_required_parameter", 1, "custom_id"),
        (lines([{**LINE, "custom_id": "x" * 513}]), "invalid_custom_id", 1, "custom_id"),
        (lines([LINE]) + b"\n" + lines([LINE]), "duplicate_custom_id", 3, "custom_id"),
        (lines([{**LINE, "method": "GET"}]), "invalid_method", 1, "method"),
        (lines([{**LINE, "url": "/v1/chat/completions"}]), "mismatched_url", 1, "url"),
        (lines([{**LINE, "url": "/api/delete"}]), "mismatched_url", 1, "url"),
        (lines([{**LINE, "body": None}]), "missing_required_parameter", 1, "body"),
        (lines([{**LINE, "body": {}}]), "missing_required_parameter", 1, "body.model"),
        (lines([{**LINE, "body": {"model": 1}}]), "invalid_request", 1, None),
        (lines([{**LINE, "body": {"model": "a", "stream": True}}]), "invalid_request", 1,
         "body.stream"),
    ],
)  # fmt: skip
async def test_a_fault_of_the_input_fails_the_batch_before_anything_is_computed(
    shared: Server, content: bytes, code: str, line: int | None, param: str | None
) -> None:
    batch = await create(shared, content)

    done = await ended(shared, batch["id"])

    assert (done["status"], done["failed_at"]) == ("failed", done["failed_at"])
    [error] = done["errors"]["data"]
    assert (error["code"], error["line"], error["param"]) == (code, line, param)
    assert done["errors"]["object"] == "list"
    assert (done["output_file_id"], done["error_file_id"]) == (None, None)


async def test_of_many_faults_the_first_hundred_are_told(shared: Server) -> None:
    batch = await create(shared, b"x\n" * 5000)

    done = await ended(shared, batch["id"])

    assert [error["line"] for error in done["errors"]["data"]] == list(range(1, 101))


async def test_a_byte_order_mark_line_ends_of_windows_and_no_last_one_are_read(
    shared: Server,
) -> None:
    rows = [json.dumps(request(str(n), prompt="x")).encode() for n in range(3)]
    batch = await create(shared, b"\xef\xbb\xbf" + b"\r\n".join(rows))

    assert (await ended(shared, batch["id"]))["request_counts"]["completed"] == 3


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"input_file_id": "file-none"}, "input_file_id", "No such File object: file-none"),
        ({"input_file_id": ""}, None, "Missing required parameter: 'input_file_id'."),
        ({"endpoint": "/api/chat"}, None, "Supported values are: '/v1/responses'"),
        ({"completion_window": "1s"}, None, "must be a duration from 1h to 30d"),
        ({"completion_window": "soon"}, None, "must be a duration from 1h to 30d"),
        ({"metadata": {"a": 1}}, None, '"metadata" must have'),
        ({"output_expires_after": {"anchor": "x", "seconds": 3600}}, None, "the anchor created_at"),
    ],
)
async def test_a_batch_that_cannot_be_created_is_refused(
    shared: Server, fields: dict[str, Any], param: str | None, text: str
) -> None:
    file = await upload(shared, lines([LINE]))
    body = {"input_file_id": file["id"], "endpoint": "/v1/completions", **fields}

    reply = await shared.post("/v1/batches", **body)

    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert text in error["message"]


async def test_a_file_for_something_else_is_no_input(shared: Server) -> None:
    file = await upload(shared, lines([LINE]), purpose="user_data")

    reply = await shared.post("/v1/batches", input_file_id=file["id"], endpoint="/v1/completions")

    assert reply.status_code == 400
    assert "must be batch, not user_data" in reply.json()["error"]["message"]


async def test_batches_are_listed_in_pages_and_belong_to_their_keys(shared: Server) -> None:
    headers = {"authorization": "Bearer lists"}
    file = await upload(shared, lines([LINE]), key="lists")
    body = {"input_file_id": file["id"], "endpoint": "/v1/completions"}
    ids = []
    for _ in range(3):
        created = await shared.http.post("/v1/batches", json=body, headers=headers)
        ids.append(created.json()["id"])

    first = (await shared.http.get("/v1/batches?limit=2", headers=headers)).json()
    assert ([batch["id"] for batch in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    second = (
        await shared.http.get(f"/v1/batches?after={first['last_id']}", headers=headers)
    ).json()
    assert ([batch["id"] for batch in second["data"]], second["has_more"]) == (ids[:1], False)
    for reply in (
        await shared.http.get(f"/v1/batches/{ids[0]}"),
        await shared.http.post(f"/v1/batches/{ids[0]}/cancel"),
        await shared.http.get(f"/v1/batches?after={ids[0]}"),
    ):
        assert reply.status_code == 404
        assert reply.json()["error"] == {
            "message": f"No batch found with id '{ids[0]}'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


async def test_a_batch_is_cancelled_and_what_it_has_answered_stays(server: Server) -> None:
    rows = [request(str(n), prompt="x") for n in range(20)]
    batch = await create(server, lines([*rows, ENDLESS]))

    async def are_answered() -> bool:
        return (await get(server, batch["id"]))["request_counts"]["completed"] == 20

    await until(are_answered)

    cancelling = (await server.http.post(f"/v1/batches/{batch['id']}/cancel")).json()

    assert (cancelling["status"], cancelling["cancelling_at"] is None) == ("cancelling", False)
    done = await ended(server, batch["id"])
    assert (done["status"], done["cancelled_at"] is None) == ("cancelled", False)
    assert done["request_counts"] == {"total": 21, "completed": 20, "failed": 0}
    assert len(await results(server, done["output_file_id"])) == 20
    again = await server.http.post(f"/v1/batches/{batch['id']}/cancel")
    assert again.status_code == 409
    assert again.json()["error"]["message"] == "Cannot cancel a batch with status 'cancelled'."


async def test_interactive_requests_come_first(server: Server) -> None:
    """An endless request of a batch stands still while somebody is answered, and goes on then."""
    batch = await create(server, lines([ENDLESS]))

    async def n_generated() -> int:
        return sum([(await runner.client.stats()).n_generated for runner in server.runners])

    await until(n_generated)
    other = asyncio.create_task(server.post("/v1/completions", model="base", prompt="deaf"))

    async def both_run() -> bool:
        return server.runners[0].connection.n_pending == 2

    await until(both_run)
    before = await n_generated()
    await asyncio.sleep(0.05)
    assert await n_generated() <= before + 1
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)

    async def goes_on() -> bool:
        return await n_generated() > before + 1

    await until(goes_on)
    await server.http.post(f"/v1/batches/{batch['id']}/cancel")


async def test_the_model_of_a_batch_makes_room_for_others(tmp_path: Path) -> None:
    async with serving(tmp_path, max_loaded=1) as server:
        await server.create("base", TEXT_MODEL)
        await server.create("other", TEXT_MODEL + bytes(32))
        await create(server, lines([ENDLESS]))

        async def is_loaded() -> bool:
            return await server.loaded() == ["base:latest"]

        await until(is_loaded)
        reply = await server.post("/v1/completions", model="other", prompt="x")

        assert reply.status_code == 200
        assert await server.loaded() == ["other:latest"]


async def test_a_batch_of_a_key_is_answered_and_seen_by_it_alone(tmp_path: Path) -> None:
    """Its requests are answered as those of the key, and nobody else sees it."""
    keys = tmp_path / "keys.json"
    async with serving(tmp_path) as server:
        await server.create("base", TEXT_MODEL)
    tokens = [create_key(keys, KeyRequest(name=name), time.time())[1] for name in ("mine", "other")]
    async with serving(tmp_path, api_keys=keys) as server:
        headers = [{"authorization": f"Bearer {token}"} for token in tokens]
        file = await upload(server, lines([request("a", prompt="x")]), key=tokens[0])
        body = {"input_file_id": file["id"], "endpoint": "/v1/completions"}

        async def status(id: str) -> Any:
            return (await server.http.get(f"/v1/batches/{id}", headers=headers[0])).json()

        async def run() -> Any:
            reply = await server.http.post("/v1/batches", json=body, headers=headers[0])
            id = reply.json()["id"]

            async def has_ended() -> bool:
                return (await status(id))["status"] in ENDED

            await until(has_ended)
            return await status(id)

        done = await run()
        assert done["request_counts"]["completed"] == 1
        hidden = await server.http.get(f"/v1/batches/{done['id']}", headers=headers[1])
        assert hidden.status_code == 404
