"""/v2/ of a server that shares its models: what registry clients rely on, and what nobody gets."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from model_store.manifests import OCI_MANIFEST_TYPE
from server.http.file_reply import requested_span
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.asgi import ask
from tests.support.published import MANIFEST_TYPE, PublishedModel, digest_of
from tests.support.registry import FakeRegistry, listening

pytestmark = pytest.mark.anyio

MODEL = PublishedModel((("model", TEXT_MODEL), ("license", b"MIT")))
WEIGHTS = digest_of(TEXT_MODEL)
REGISTRY = FakeRegistry()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A registry on loopback with `library/teller`."""
    REGISTRY.publish("library/teller", "latest", MODEL)
    with listening(REGISTRY) as found:
        yield found


@pytest.fixture(scope="module")
async def sharing(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, host: str
) -> AsyncIterator[Server]:
    """A server that shares `base`, `base:small`, `me/other` and a model of another registry."""
    async with serving(tmp_path_factory.mktemp("sharing"), share=True) as server:
        await server.create("base", TEXT_MODEL)
        await server.create("base:small", "base", system="Be brief.")
        await server.create("me/Other", "base", system="Be kind.")
        pulled = await server.post("/api/pull", model=f"{host}/library/teller", insecure=True)
        assert "error" not in pulled.text
        yield server


async def test_a_server_shares_nothing_unless_it_is_told_to(server: Server) -> None:
    for path in ("/v2/", "/v2/_catalog", "/v2/library/base/tags/list"):
        assert (await server.http.get(path)).status_code == 404


async def test_clients_recognise_a_registry(sharing: Server) -> None:
    answer = await sharing.http.get("/v2/")

    assert answer.status_code == 200
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


async def test_manifest_of_a_tag_and_of_its_digest_is_the_installed_file(sharing: Server) -> None:
    by_tag = await sharing.http.get("/v2/library/base/manifests/latest")
    digest = by_tag.headers["docker-content-digest"]
    by_digest = await sharing.http.get(f"/v2/library/base/manifests/{digest}")

    assert by_tag.content == by_digest.content == sharing.manifest("base").read_bytes()
    assert digest == digest_of(by_tag.content)
    assert by_tag.headers["content-type"] == MANIFEST_TYPE
    head = await sharing.http.head("/v2/library/base/manifests/latest")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(by_tag.content))
    assert head.headers["docker-content-digest"] == digest


async def test_client_that_lists_oci_first_gets_the_manifest_with_that_type(
    sharing: Server,
) -> None:
    """Tools for images refuse layers of models in a manifest of Docker's type."""
    path = "/v2/library/base/manifests"
    accept = f"{OCI_MANIFEST_TYPE}, {MANIFEST_TYPE};q=0.5"
    oci = await sharing.http.get(f"{path}/latest", headers={"accept": accept})
    by_digest = await sharing.http.get(f"{path}/{oci.headers['docker-content-digest']}")

    assert oci.headers["content-type"] == OCI_MANIFEST_TYPE
    assert by_digest.content == oci.content
    installed = json.loads(sharing.manifest("base").read_bytes())
    assert oci.json() == {**installed, "mediaType": OCI_MANIFEST_TYPE}


async def test_names_are_compared_without_regard_to_case(sharing: Server) -> None:
    answer = await sharing.http.get("/v2/ME/other/manifests/Latest")

    assert answer.status_code == 200


async def test_model_of_another_registry_has_its_host_in_the_repository(
    sharing: Server, host: str
) -> None:
    answer = await sharing.http.get(f"/v2/{host}/library/teller/manifests/latest")

    assert answer.content == MODEL.manifest
    # Pulled by the shorter name, it would pass for a model of the default registry.
    assert (await sharing.http.get("/v2/library/teller/manifests/latest")).status_code == 404


async def test_repositories_and_tags_are_listed_in_pages(sharing: Server, host: str) -> None:
    repositories = [f"{host}/library/teller", "library/base", "me/Other"]
    tags = {"name": "library/base", "tags": ["latest", "small"]}

    assert (await sharing.http.get("/v2/_catalog")).json() == {"repositories": repositories}
    assert (await sharing.http.get("/v2/library/base/tags/list")).json() == tags
    first = await sharing.http.get("/v2/library/base/tags/list?n=1")
    assert first.json()["tags"] == ["latest"]
    assert first.headers["link"] == '</v2/library/base/tags/list?n=1&last=latest>; rel="next"'
    second = await sharing.http.get("/v2/library/base/tags/list?n=1&last=latest")
    assert second.json()["tags"] == ["small"]
    assert "link" not in second.headers


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=5-5", 5, 6),
        ("bytes=10-", 10, None),
        ("bytes=-7", -7, None),
        ("bytes=3-99999999", 3, None),
    ],
)
async def test_part_of_a_blob(sharing: Server, header: str, start: int, end: int | None) -> None:
    answer = await sharing.http.get(f"/v2/library/base/blobs/{WEIGHTS}", headers={"range": header})

    assert answer.status_code == 206
    assert answer.content == TEXT_MODEL[start:end]
    total = len(TEXT_MODEL)
    first, last = range(total)[start:end][0], range(total)[start:end][-1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{total}"


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "bytes=9-3", "lines=1-2", "bytes=-", "x" * 99])
async def test_range_that_is_not_understood_gets_the_whole_blob(
    sharing: Server, header: str
) -> None:
    answer = await sharing.http.get(f"/v2/library/base/blobs/{WEIGHTS}", headers={"range": header})

    assert answer.status_code == 200
    assert answer.content == TEXT_MODEL


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0"])
async def test_range_beyond_the_end_is_a_416(sharing: Server, header: str) -> None:
    answer = await sharing.http.get(f"/v2/library/base/blobs/{WEIGHTS}", headers={"range": header})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(TEXT_MODEL)}"


def test_an_empty_file_has_no_part() -> None:
    assert requested_span("", 0) == (0, 0)
    assert requested_span("bytes=0-", 0) is None


async def test_blob_that_the_client_has_is_not_sent_again(sharing: Server) -> None:
    path = f"/v2/library/base/blobs/{WEIGHTS}"
    whole = await sharing.http.get(path)
    same = await sharing.http.get(path, headers={"if-none-match": whole.headers["etag"]})
    other = await sharing.http.get(path, headers={"if-range": '"x"', "range": "bytes=0-9"})
    head = await sharing.http.head(path)

    assert whole.content == TEXT_MODEL
    assert whole.headers["docker-content-digest"] == WEIGHTS
    assert (same.status_code, same.content) == (304, b"")
    assert (other.status_code, other.content) == (200, TEXT_MODEL)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(TEXT_MODEL)))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("library/nothing/manifests/latest", 404, "NAME_UNKNOWN"),
        ("library/nothing/tags/list", 404, "NAME_UNKNOWN"),
        ("library/base/manifests/huge", 404, "MANIFEST_UNKNOWN"),
        (f"library/base/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        ("library/base/manifests/sha256:12", 400, "DIGEST_INVALID"),
        (f"library/base/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        (f"library/nothing/blobs/{WEIGHTS}", 404, "NAME_UNKNOWN"),
        ("library/base/blobs/latest", 400, "DIGEST_INVALID"),
        ("library/ba$e/manifests/latest", 400, "NAME_INVALID"),
        ("a/b/c/d/e/manifests/latest", 400, "NAME_INVALID"),
        ("library/base/manifests/.hidden", 400, "NAME_INVALID"),
        ("library/base/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("library/base/tags/list?n=99999999999", 400, "PAGINATION_NUMBER_INVALID"),
    ],
)
async def test_error_is_one_of_the_specification(
    sharing: Server, path: str, status: int, code: str
) -> None:
    answer = await sharing.http.get(f"/v2/{path}")

    assert answer.status_code == status
    [error] = answer.json()["errors"]
    assert error["code"] == code
    assert error["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(sharing: Server, method: str) -> None:
    answer = await sharing.http.request(method, "/v2/library/base/manifests/latest")

    assert answer.status_code == 405
    assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"
    assert "read-only" in answer.json()["errors"][0]["message"]
    assert "base:latest" in await sharing.installed()


async def test_a_blob_that_no_model_of_the_repository_names_cannot_be_read(
    sharing: Server,
) -> None:
    uploaded = await sharing.upload(b"not part of a model")
    kind = next(digest_of(text) for text in (b"Be kind.",) if sharing.blob(text).exists())

    for digest in (uploaded, kind):
        answer = await sharing.http.get(f"/v2/library/base/blobs/{digest}")
        assert answer.status_code == 404
    assert (await sharing.http.get(f"/v2/me/other/blobs/{kind}")).content == b"Be kind."


@pytest.mark.parametrize(
    "path",
    [
        "/v2/..%2f..%2fblobs/manifests/latest",
        "/v2/library/base/manifests/..%2f..%2f..%2fsecret",
        "/v2/library/%2e%2e/manifests/latest",
        "/v2/library/base/blobs/sha256:..%2f..%2fsecret",
        "/v2/%2fetc/passwd/manifests/latest",
    ],
)
async def test_no_path_leads_out_of_the_store(sharing: Server, path: str) -> None:
    (sharing.store.parent / "secret").write_bytes(b"secret")

    answer = await ask(sharing.app, path, headers=[("host", "localhost")])

    assert answer.status in (400, 404)
    assert answer.body != b"secret"
    assert str(sharing.store).encode() not in answer.body


async def test_a_media_type_that_cannot_stand_in_a_header_is_left_out(tmp_path: Path) -> None:
    async with serving(tmp_path, share=True) as server:
        await server.create("odd", TEXT_MODEL)
        manifest = server.manifest("odd")
        text = manifest.read_text().replace(MANIFEST_TYPE, "a/b\\r\\nset-cookie: x=y")
        manifest.write_text(text)

        answer = await server.http.get("/v2/library/odd/manifests/latest")

        assert answer.headers["content-type"] == MANIFEST_TYPE
        assert "set-cookie" not in answer.headers


async def test_a_blob_that_is_gone_or_a_link_is_unknown(tmp_path: Path) -> None:
    async with serving(tmp_path, share=True) as server:
        await server.create("base", TEXT_MODEL)
        blob = server.blob(TEXT_MODEL)
        other = tmp_path / "outside"
        other.write_bytes(TEXT_MODEL)
        blob.unlink()
        blob.symlink_to(other)

        linked = await server.http.get(f"/v2/library/base/blobs/{WEIGHTS}")
        blob.unlink()
        missing = await server.http.get(f"/v2/library/base/blobs/{WEIGHTS}")

        assert [linked.status_code, missing.status_code] == [404, 404]
