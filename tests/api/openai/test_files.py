"""/v1/files: upload, list in pages, read and delete; whose they are, and how large together."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.batches import create, lines, request, upload

pytestmark = pytest.mark.anyio

MONTH = 30 * 86_400


def folder(server: Server) -> Path:
    return server.store.parent / "paddock-files"


async def test_a_file_is_uploaded_described_read_and_deleted(server: Server) -> None:
    content = os.urandom(300_000)
    file = await upload(server, content, purpose="user_data")

    assert file == {
        "id": file["id"],
        "object": "file",
        "bytes": 300_000,
        "created_at": file["created_at"],
        "filename": "input.jsonl",
        "purpose": "user_data",
        "expires_at": None,
        "status": "processed",
        "status_details": None,
    }
    assert (await server.http.get(f"/v1/files/{file['id']}")).json() == file
    read = await server.http.get(f"/v1/files/{file['id']}/content")
    assert read.content == content
    deleted = await server.http.delete(f"/v1/files/{file['id']}")
    assert deleted.json() == {"id": file["id"], "object": "file", "deleted": True}
    gone = await server.http.get(f"/v1/files/{file['id']}/content")
    assert gone.status_code == 404
    assert gone.json() == {
        "error": {
            "message": f"No such File object: {file['id']}",
            "type": "invalid_request_error",
            "param": "id",
            "code": None,
        }
    }
    assert list((folder(server) / "files").iterdir()) == []


async def test_files_are_listed_in_pages(server: Server) -> None:
    ids = [(await upload(server, b"x"))["id"] for _ in range(3)]
    other = await upload(server, b"x", purpose="user_data")

    async def page(query: str) -> Any:
        return (await server.http.get(f"/v1/files?{query}")).json()

    everything = await page("")
    assert [file["id"] for file in everything["data"]] == [other["id"], *reversed(ids)]
    assert (everything["object"], everything["has_more"]) == ("list", False)
    first = await page("limit=2&order=asc&purpose=batch")
    assert [file["id"] for file in first["data"]] == ids[:2]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (ids[0], ids[1], True)
    second = await page(f"limit=2&order=asc&purpose=batch&after={ids[1]}")
    assert ([file["id"] for file in second["data"]], second["has_more"]) == (ids[2:], False)


@pytest.mark.parametrize(
    ("query", "param"), [("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order"),
                         ("limit=10001", "limit"), ("after=file-none", "id")],
)  # fmt: skip
async def test_a_wrong_page_is_refused(server: Server, query: str, param: str) -> None:
    reply = await server.http.get(f"/v1/files?{query}")

    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["param"] == param


async def test_a_file_belongs_to_the_key_that_uploaded_it(server: Server) -> None:
    file = await upload(server, b"x", key="mine")
    mine, other = ({"authorization": f"Bearer {key}"} for key in ("mine", "other"))

    async def status(method: str, path: str, headers: dict[str, str]) -> int:
        return (await server.http.request(method, path, headers=headers)).status_code

    path = f"/v1/files/{file['id']}"
    for method, place in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        assert await status(method, place, other) == 404
    assert (await server.http.get("/v1/files", headers=other)).json()["data"] == []
    assert await status("DELETE", path, mine) == 200


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"purpose": "batch"}, MONTH),
        ({"purpose": "user_data"}, None),
        (
            {
                "purpose": "batch",
                "expires_after[anchor]": "created_at",
                "expires_after[seconds]": "3600",
            },
            3600,
        ),
    ],
)
async def test_a_file_expires_when_it_was_said_to(
    server: Server, fields: dict[str, str], seconds: int | None
) -> None:
    file = await upload(server, b"x", **fields)

    assert file["expires_at"] == (None if seconds is None else file["created_at"] + seconds)


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("application/json", b"{}", "content type must be multipart/form-data"),
        ("multipart/form-data; boundary=x", b"--x\r\nno", "the form is damaged"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "file is required"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 5000 + b"\r\n--x--",
            "a field is too long",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ny\r\n' * 30 + b"--x--",
            "it has too many fields",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nX: " + b"y" * 5000 + b"\r\n\r\ny\r\n--x--",
            "the form is damaged",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\n" + b"X: y\r\n" * 30 + b"\r\ny\r\n--x--",
            "the form is damaged",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="b"; filename="c"\r\n\r\ny\r\n--x--',
            "it must have one file, named file",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="c"\r\n\r\ny\r\n--x--',
            "purpose must be one of",
        ),
    ],
)
async def test_what_is_no_upload_is_refused_and_leaves_nothing(
    server: Server, content_type: str, body: bytes, text: str
) -> None:
    headers = {"content-type": content_type}
    reply = await server.http.post("/v1/files", content=body, headers=headers)

    assert reply.status_code == 400
    assert text in reply.json()["error"]["message"]
    assert list(folder(server).glob("files/*")) == []


async def test_files_are_bounded_together(tmp_path: Path) -> None:
    async with serving(tmp_path, keep_files=1000) as server:
        first = await upload(server, bytes(600))
        reply = await server.http.post(
            "/v1/files", files={"file": ("a", bytes(600))}, data={"purpose": "batch"}
        )

        assert reply.status_code == 413
        assert "PADDOCK_KEEP_FILES" in reply.json()["error"]["message"]
        assert len(list(folder(server).glob("files/*"))) == 1
        await server.http.delete(f"/v1/files/{first['id']}")
        await upload(server, bytes(600))


async def test_only_the_user_of_the_server_may_read_the_files(server: Server) -> None:
    await upload(server, b"x")

    for path in (folder(server), *folder(server).rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_nothing_is_stored_before_the_first_upload(server: Server) -> None:
    await server.post("/v1/completions", model="base", prompt="x")

    assert not folder(server).exists()


async def test_the_input_of_a_batch_is_not_deleted_under_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await server.create("base", TEXT_MODEL)
        batch = await create(server, lines([request("a", prompt="forever", max_tokens=10**6)]))
        reply = await server.http.delete(f"/v1/files/{batch['input_file_id']}")

        assert reply.status_code == 409
