"""What pulls and pushes rely on in a registry: the real one where it is installed, and the fake."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from model_store.config import ModelConfig
from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.names import ModelName
from model_store.registry.errors import ManifestUnavailable, NotInRegistry
from model_store.registry.parts import PartSizes
from tests.support import gguf_bytes
from tests.support.docker_registry import docker_registry, needs_docker_registry
from tests.support.published import MANIFEST_TYPE, PublishedModel, digest_of, publish
from tests.support.pulling import Puller, pulling
from tests.support.registry import FakeRegistry, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama") + bytes(range(256)) * 500
ARCHITECTURE = gguf_bytes.key("general.architecture", gguf_bytes.STRING, "test")
MODEL = PublishedModel((("model", WEIGHTS), ("license", b"MIT"), ("template", b"{{ .Prompt }}")))


@pytest.fixture(
    params=[
        "fake",
        pytest.param("real", marks=needs_docker_registry),
    ]
)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A registry with nothing in it."""
    serving = listening(FakeRegistry()) if request.param == "fake" else docker_registry(tmp_path)
    with serving as found:
        yield found


@pytest.fixture
async def puller(tmp_path: Path) -> AsyncIterator[Puller]:
    async with pulling(tmp_path / "one", upload_sizes=PartSizes(40_000, 40_000, 1)) as puller:
        yield puller


def _create(store: Puller, name: str, weights: bytes, **fields: object) -> None:
    digest = Digest.of(weights)
    with store.store.blob_writer(digest) as writer:
        writer.write(weights)
        writer.commit()
    spec = CreateSpec(
        name=ModelName.parse(name),
        files={"w.gguf": str(digest)},
        check_template=lambda _: None,
        **fields,  # type: ignore[arg-type]
    )
    assert [step.status for step in store.store.create(spec)][-1] == "success"


async def test_a_model_of_somebody_else_is_installed_byte_for_byte(
    host: str, puller: Puller
) -> None:
    publish(f"http://{host}", "library/teller", "latest", MODEL)
    name = f"{host}/library/teller"

    told = await puller.pull(name)

    assert [step.status for step in told][-3:] == [
        "verifying sha256 digest", "writing manifest", "success"
    ]  # fmt: skip
    assert puller.manifest(name).read_bytes() == MODEL.manifest
    assert set(puller.blobs().values()) == set(MODEL.blobs.values())
    for digest, content in MODEL.blobs.items():
        of_layer = [step for step in told if step.digest == digest]
        assert (of_layer[-1].completed, of_layer[-1].total) == (len(content), len(content))
        assert {step.status for step in of_layer} == {f"pulling {digest[7:19]}"}


async def test_what_one_server_pushes_another_pulls(
    host: str, puller: Puller, tmp_path: Path
) -> None:
    name = f"{host}/me/mine:v1"
    _create(puller, name, WEIGHTS, template="{{ .Prompt }}", licenses=["MIT", "Apache"])

    told = await puller.push(name)

    assert told[0].status == "retrieving manifest"
    assert [step.status for step in told][-2:] == ["pushing manifest", "success"]
    for step in told[1:-2]:
        last = [other for other in told if other.digest == step.digest][-1]
        assert last.completed == last.total
    async with pulling(tmp_path / "two") as other:
        await other.pull(name)
        assert other.blobs() == puller.blobs()
        written = puller.manifest(name).read_bytes()
        assert other.manifest(name).read_bytes() == written.removesuffix(b"\n")


async def test_digests_are_those_of_the_reference(host: str, puller: Puller) -> None:
    """The weights are too small a file for a model that this server would create."""
    name = f"{host}/me/vector"
    weights = gguf_bytes.gguf([ARCHITECTURE])
    config = ModelConfig(
        model_format="gguf",
        model_family="test",
        model_families=("test",),
        model_type="0",
        file_type="unknown",
    )
    puller.install(name, PublishedModel((("model", weights),), config.encode()))
    await puller.push(name)

    manifest = httpx.get(
        f"http://{host}/v2/me/vector/manifests/latest", headers={"accept": MANIFEST_TYPE}
    ).json()

    assert manifest["layers"][0]["digest"] == (
        "sha256:89a2116c3a82d6a97f59f748d86ed4417214353fd178ee54df418fde32495fad"
    )
    assert manifest["config"]["digest"] == (
        "sha256:99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c"
    )


async def test_a_second_push_sends_no_blob_again(host: str, puller: Puller) -> None:
    name = f"{host}/me/mine"
    _create(puller, name, WEIGHTS)
    await puller.push(name)

    again = await puller.push(name)

    assert again[-1].status == "success"


async def test_a_blob_is_mounted_from_the_repository_that_has_it(host: str, puller: Puller) -> None:
    parent, child = f"{host}/me/parent", f"{host}/me/child"
    _create(puller, parent, WEIGHTS)
    await puller.push(parent)
    spec = CreateSpec(
        name=ModelName.parse(child),
        parent=ModelName.parse(parent),
        system="Be brief.",
        check_template=lambda _: None,
    )
    list(puller.store.create(spec))

    await puller.push(child)

    blob = f"http://{host}/v2/me/child/blobs/{digest_of(WEIGHTS)}"
    assert httpx.get(blob).content == WEIGHTS


async def test_a_part_of_a_blob_can_be_asked_for(host: str) -> None:
    publish(f"http://{host}", "library/teller", "latest", MODEL)

    answer = httpx.get(
        f"http://{host}/v2/library/teller/blobs/{digest_of(WEIGHTS)}",
        headers={"range": "bytes=100-199"},
    )

    assert answer.status_code == 206
    assert answer.content == WEIGHTS[100:200]
    assert answer.headers["content-range"] == f"bytes 100-199/{len(WEIGHTS)}"


async def test_an_upload_that_was_broken_off_tells_how_much_has_arrived(host: str) -> None:
    with httpx.Client(base_url=f"http://{host}") as http:
        begun = http.post("/v2/me/mine/blobs/uploads/")
        sent = http.patch(begun.headers["location"], content=WEIGHTS[:1000])

        found = http.get(sent.headers["location"])

        assert found.status_code == 204
        assert found.headers["range"] == "0-999"
        rest = http.patch(found.headers["location"], content=WEIGHTS[1000:])
        url = httpx.URL(rest.headers["location"]).copy_merge_params({"digest": digest_of(WEIGHTS)})
        assert http.put(url).status_code == 201


async def test_what_is_not_there_is_told_as_such(host: str, puller: Puller) -> None:
    with pytest.raises(ManifestUnavailable) as caught:
        await puller.pull(f"{host}/library/nothing")

    assert isinstance(caught.value.cause, NotInRegistry)
    assert str(caught.value) == "pull model manifest: file does not exist"
