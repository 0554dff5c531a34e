"""Models of Hugging Face: the files that a tag means, made into a model with what lies beside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store.names import ModelName
from model_store.registry.config import Endpoint
from model_store.registry.errors import AccessDenied, ManifestUnavailable, NotInRegistry
from tests.support import gguf_bytes
from tests.support.pulling import pulling
from tests.support.registry import FakeHub, Reply, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama", file_type=15)
TOKEN = "hf_secret"


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub(
        files={
            "README.md": b"# hello",
            "m-Q4_K_M.gguf": WEIGHTS,
            "m-Q8_0.gguf": gguf_bytes.model("llama", file_type=7),
            "mmproj-m-F16.gguf": gguf_bytes.projector(),
            "template": b"{{ .Prompt }} from the hub",
            "system": b"Be brief.",
            "params": b'{"stop": ["END"], "temperature": 0.5}',
        }
    )


@pytest.fixture
def endpoint(hub: FakeHub) -> Iterator[Endpoint]:
    with listening(hub) as host:
        yield Endpoint("http", host)


async def test_a_model_comes_with_projector_template_and_parameters(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    async with pulling(tmp_path, hub=endpoint) as puller:
        told = await puller.pull_safely("hf.co/me/repo:q4_k_m")
        model = puller.store.resolve(ModelName.parse("hf.co/me/repo:q4_k_m"))

    assert [step.status for step in told][-3:] == [
        "verifying sha256 digest", "writing manifest", "success"
    ]  # fmt: skip
    assert model.weights is not None
    assert model.weights.read_bytes() == WEIGHTS
    assert len(model.projectors) == 1
    assert (model.template, model.system) == ("{{ .Prompt }} from the hub", "Be brief.")
    assert model.parameters == {"stop": ["END"], "temperature": 0.5}
    assert model.config.file_type == "Q4_K_M"


async def test_a_private_repository_takes_a_token_that_nobody_else_sees(
    hub: FakeHub, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The hub sends us to where its files lie."""
    elsewhere = FakeHub(files=hub.files)
    hub.authorization = f"Bearer {TOKEN}"
    with listening(elsewhere) as host:
        port = host.rpartition(":")[2]
        hub.intercept = lambda request, reply: (
            Reply(302, headers={"location": f"http://localhost:{port}{request.path}"})
            if reply.status != 401 and request.path.endswith(".gguf")
            else reply
        )
        async with pulling(tmp_path / "a", hub=endpoint, hub_token=TOKEN) as puller:
            assert (await puller.pull_safely("hf.co/me/repo"))[-1].status == "success"
        assert elsewhere.requests
        assert not any("authorization" in request.headers for request in elsewhere.requests)

        async with pulling(tmp_path / "b", hub=endpoint, hub_token="hf_wrong") as puller:
            with pytest.raises(ManifestUnavailable) as caught:
                await puller.pull_safely("huggingface.co/me/repo")

    assert isinstance(caught.value.cause, AccessDenied | NotInRegistry)
    assert TOKEN not in str(caught.value)


async def test_a_repository_that_is_not_there(endpoint: Endpoint, tmp_path: Path) -> None:
    async with pulling(tmp_path, hub=endpoint) as puller:
        with pytest.raises(ManifestUnavailable, match="file does not exist"):
            await puller.pull_safely("hf.co/me/nothing")


async def test_a_type_that_is_not_there_is_told_with_those_that_are(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    async with pulling(tmp_path, hub=endpoint) as puller:
        with pytest.raises(ManifestUnavailable, match="it has Q4_K_M, Q8_0"):
            await puller.pull_safely("hf.co/me/repo:q2_k")


async def test_parameters_that_are_none_are_refused_before_anything_is_loaded(
    hub: FakeHub, endpoint: Endpoint, tmp_path: Path
) -> None:
    hub.files["params"] = b"[1]"

    async with pulling(tmp_path, hub=endpoint) as puller:
        with pytest.raises(ManifestUnavailable, match="not a JSON object"):
            await puller.pull_safely("hf.co/me/repo")
        assert puller.blobs() == {}
