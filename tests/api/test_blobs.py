"""HEAD and POST /api/blobs/<digest>: files on their way to a model."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

CONTENT = b"content" * 1000
HEX = hashlib.sha256(CONTENT).hexdigest()
DIGEST = f"sha256:{HEX}"
OTHER = f"sha256:{'0' * 64}"


async def test_a_blob_is_there_once_it_was_uploaded(server: Server) -> None:
    before = await server.http.head(f"/api/blobs/{DIGEST}")
    stored = await server.http.post(f"/api/blobs/{DIGEST}", content=CONTENT)
    after = await server.http.head(f"/api/blobs/{DIGEST}")

    assert (before.status_code, stored.status_code, after.status_code) == (404, 201, 200)
    assert (stored.content, after.content) == (b"", b"")
    assert server.blob(CONTENT).read_bytes() == CONTENT


async def test_an_upload_may_come_in_pieces_of_unknown_number(server: Server) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT), 999):
            yield CONTENT[start : start + 999]

    answer = await server.http.post(f"/api/blobs/{DIGEST}", content=pieces())

    assert answer.status_code == 201
    assert server.blob(CONTENT).read_bytes() == CONTENT


async def test_what_is_there_already_is_not_read_again(server: Server) -> None:
    await server.upload(CONTENT)

    answer = await server.http.post(f"/api/blobs/{DIGEST}", content=b"something else")

    assert (answer.status_code, answer.content) == (200, b"")
    assert server.blob(CONTENT).read_bytes() == CONTENT


async def test_content_with_another_digest_is_refused_and_kept_under_its_own(
    server: Server,
) -> None:
    answer = await server.http.post(f"/api/blobs/{OTHER}", content=CONTENT)

    assert answer.status_code == 400
    assert answer.json() == {"error": f'digest mismatch, expected "{OTHER}", got "{DIGEST}"'}
    assert (await server.http.head(f"/api/blobs/{OTHER}")).status_code == 404
    assert (await server.http.head(f"/api/blobs/{DIGEST}")).status_code == 200


async def test_a_digest_may_be_written_as_the_files_are_named(server: Server) -> None:
    stored = await server.http.post(f"/api/blobs/sha256-{HEX}", content=CONTENT)

    assert stored.status_code == 201
    assert (await server.http.head(f"/api/blobs/sha256-{HEX}")).status_code == 200


@pytest.mark.parametrize("digest", ["sha256", "sha256:12", f"md5:{HEX}", f"{DIGEST}0", "sha256:.."])
async def test_a_malformed_digest_is_refused(shared: Server, digest: str) -> None:
    asked = await shared.http.head(f"/api/blobs/{digest}")
    stored = await shared.http.post(f"/api/blobs/{digest}", content=CONTENT)

    assert (asked.status_code, stored.status_code) == (400, 400)
    assert stored.json() == {"error": "invalid digest format"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_blob_cannot_be_read_or_removed(shared: Server, method: str) -> None:
    answer = await shared.http.request(method, f"/api/blobs/{DIGEST}")

    assert (answer.status_code, answer.text) == (405, "405 method not allowed")
    assert answer.headers["allow"] == "HEAD, POST"


async def test_a_large_upload_is_not_held_to_the_limit_of_other_bodies(server: Server) -> None:
    server.app.state.max_body = 100

    refused = await server.post("/api/show", model="x" * 200)
    stored = await server.http.post(f"/api/blobs/{DIGEST}", content=CONTENT)

    assert (refused.status_code, stored.status_code) == (413, 201)
