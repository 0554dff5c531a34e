"""/api/blobs/<digest>: files on their way to a model."""

import hashlib
from collections.abc import AsyncIterator

import httpx
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
    assert answer.headers["allow"] == "HEAD, POST, PATCH"


async def test_a_large_upload_is_not_held_to_the_limit_of_other_bodies(server: Server) -> None:
    server.app.state.max_body = 100

    refused = await server.post("/api/show", model="x" * 200)
    stored = await server.http.post(f"/api/blobs/{DIGEST}", content=CONTENT)

    assert (refused.status_code, stored.status_code) == (413, 201)


async def _append(
    server: Server, content: bytes, offset: int | str, complete: bool = False
) -> httpx.Response:
    headers = {"upload-offset": str(offset), "upload-complete": "?1" if complete else "?0"}
    return await server.http.patch(f"/api/blobs/{DIGEST}", content=content, headers=headers)


async def test_a_blob_may_be_sent_in_several_requests(server: Server) -> None:
    """A proxy may limit the size of bodies."""
    before = await server.http.head(f"/api/blobs/{DIGEST}")
    part = await _append(server, CONTENT[:1000], 0)
    between = await server.http.head(f"/api/blobs/{DIGEST}")
    stored = await _append(server, CONTENT[1000:], 1000, complete=True)
    again = await _append(server, CONTENT[1000:], 1000, complete=True)

    assert (before.status_code, before.headers["upload-offset"]) == (404, "0")
    assert before.headers["accept-patch"] == "application/partial-upload"
    assert (part.status_code, part.headers["upload-offset"]) == (204, "1000")
    assert (between.status_code, between.headers["upload-offset"]) == (404, "1000")
    assert (stored.status_code, again.status_code) == (201, 200)
    assert server.blob(CONTENT).read_bytes() == CONTENT
    assert list(server.blob(CONTENT).parent.glob("*-upload")) == []


async def test_an_upload_may_break_off_after_its_last_byte(server: Server) -> None:
    await _append(server, CONTENT, 0)

    stored = await _append(server, b"", len(CONTENT), complete=True)

    assert stored.status_code == 201
    assert server.blob(CONTENT).read_bytes() == CONTENT


async def test_a_rest_that_does_not_follow_is_refused_with_what_has_arrived(
    server: Server,
) -> None:
    await _append(server, CONTENT[:1000], 0)

    refused = await _append(server, CONTENT, 0, complete=True)

    assert (refused.status_code, refused.headers["upload-offset"]) == (409, "1000")
    assert refused.json() == {
        "error": "1000 bytes of this blob have arrived; send the rest from there"
    }


async def test_resumed_content_with_another_digest_is_refused_and_dropped(server: Server) -> None:
    await _append(server, b"wrong", 0)

    refused = await _append(server, CONTENT[5:], 5, complete=True)
    after = await server.http.head(f"/api/blobs/{DIGEST}")

    assert refused.status_code == 400
    assert "digest mismatch" in refused.json()["error"]
    assert (after.status_code, after.headers["upload-offset"]) == (404, "0")


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "x", "٣", "9" * 30])
async def test_an_offset_has_to_be_a_number_of_bytes(shared: Server, offset: str) -> None:
    headers = {"upload-offset": offset.encode()}

    answer = await shared.http.patch(f"/api/blobs/{OTHER}", content=b"", headers=headers)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Upload-Offset has to be")
