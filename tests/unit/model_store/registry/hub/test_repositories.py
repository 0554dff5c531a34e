"""Repositories of Hugging Face as people publish them: what a pull takes from each, or says."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from model_store.names import ModelName
from model_store.registry.config import Endpoint
from model_store.registry.errors import ManifestUnavailable, RegistryError
from tests.support import gguf_bytes
from tests.support.pulling import Puller, pulling
from tests.support.registry import FakeHub, FakeRegistry, Reply, Request, listening

pytestmark = pytest.mark.anyio

QUANTIZED, WHOLE = (gguf_bytes.model("llama", file_type=kind) for kind in (15, 1))
SMALL, LARGE = (gguf_bytes.projector() + bytes(32 * n) for n in (0, 1))
TOKEN = "hf_token"


@asynccontextmanager
async def repository(hub: FakeHub, directory: Path, token: str = "") -> AsyncIterator[Puller]:
    with listening(hub) as host:
        endpoint = Endpoint("http", host)
        async with pulling(directory, hub=endpoint, hub_token=token) as puller:
            yield puller


@dataclass(frozen=True)
class Choice:
    """Files of a repository, a tag, and the file whose content is pulled."""

    case: str
    tag: str
    expected: str
    others: tuple[str, ...] = ()
    projector: str = ""
    projectors: tuple[str, ...] = field(default=())


CHOICES = [
    Choice("the usual one", "latest", "m-Q4_K_M.gguf", ("m-Q8_0.gguf", "m-F16.gguf")),
    Choice("upper case", "Q8_0", "m.q8_0.gguf", ("m.q4_k_m.gguf",)),
    Choice("lower case", "q4_k_m", "M-Q4_K_M.GGUF", ("M-Q8_0.gguf",)),
    Choice("importance matrix quantization", "IQ4_XS", "m-IQ4_XS.gguf", ("m-IQ4_NL.gguf",)),
    Choice("ternary", "TQ1_0", "m-TQ1_0.gguf", ("m-Q4_0.gguf",)),
    Choice("dynamic", "UD-Q4_K_XL", "m-UD-Q4_K_XL.gguf", ("m-Q4_K_M.gguf",)),
    Choice("not the dynamic one", "Q4_K_M", "m-Q4_K_M.gguf", ("m-UD-Q4_K_M.gguf",)),
    Choice("mxfp4", "latest", "gpt-oss-mxfp4.gguf"),
    Choice("half precision by another name", "fp16", "m-fp16.gguf", ("m-q8_0.gguf",)),
    Choice("no quantization in the name", "latest", "weights.gguf"),
    Choice("by file name", "m-special.gguf", "m-special.gguf", ("m-Q4_K_M.gguf",)),
    Choice("by file name without its ending", "m-special", "m-special.gguf", ("m-Q4_K_M.gguf",)),
    Choice("quantization in the middle", "Q5_K_M", "m-Q5_K_M-v2.gguf", ("m-Q4_K_M.gguf",)),
    Choice("at the end before in the middle", "Q5_K_M", "m-long-Q5_K_M.gguf", ("m-Q5_K_M-b.gguf",)),
    Choice("in a folder", "Q8_0", "Q8_0/m-Q8_0.gguf", ("Q4_K_M/m-Q4_K_M.gguf",)),
    Choice("a folder that alone names it", "Q8_0", "Q8_0/m.gguf", ("Q4_K_M/m.gguf",)),
    Choice("a space in a name", "Q8_0", "My Model-Q8_0.gguf", ("My Model-Q4_0.gguf",)),
    Choice("no statistics for quantizing", "latest", "m-Q2_K.gguf", ("imatrix_m.gguf",)),
    Choice(
        "its projector in half precision", "latest", "m-Q4_K_M.gguf",
        projector="mmproj-m-f16.gguf", projectors=("mmproj-m-F32.gguf",),
    ),
    Choice(
        "not that of bf16 in its place", "latest", "m-Q4_K_M.gguf",
        projector="mmproj-F16.gguf", projectors=("mmproj-BF16.gguf",),
    ),
    Choice(
        "the projector beside it", "Q8_0", "large/m-Q8_0.gguf", ("small/m-Q4_0.gguf",),
        projector="large/mmproj-Q8_0.gguf", projectors=("small/mmproj-F16.gguf",),
    ),
    Choice(
        "the only projector", "latest", "Q4_0/m-Q4_0.gguf", projector="mmproj-model.gguf",
    ),
]  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.case)
async def test_a_tag_means_one_file(choice: Choice, tmp_path: Path) -> None:
    files = dict.fromkeys(choice.others, WHOLE) | {choice.expected: QUANTIZED}
    files |= dict.fromkeys(choice.projectors, LARGE)
    if choice.projector:
        files[choice.projector] = SMALL
    name = f"hf.co/me/repo:{choice.tag}"
    async with repository(FakeHub(files=files), tmp_path) as puller:
        assert (await puller.pull_safely(name))[-1].status == "success"
        model = puller.store.resolve(ModelName.parse(name))

    assert model.weights is not None
    assert model.weights.read_bytes() == QUANTIZED
    projectors = [path.read_bytes() for path in model.projectors]
    assert projectors == ([SMALL] if choice.projector else [])


MISSING = [
    ("Q2_K", {"m-Q4_K_M.gguf": QUANTIZED, "a/m-F16.gguf": WHOLE}, "it has F16, Q4_K_M"),
    ("latest", {"README.md": b"x"}, "no GGUF files"),
    ("latest", {"model.safetensors": b"x"}, "create a model FROM the folder"),
    (
        "latest",
        {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"},
        "a LoRA adapter: download it, and create a model with ADAPTER",
    ),
    ("Q8_0", {"m-Q8_0-00001-of-00002.gguf": QUANTIZED}, "lacks parts of m-Q8_0: it has only 1"),
    (
        "Q8_0",
        {f"m-Q8_0-0000{n}-of-0000{total}.gguf": QUANTIZED for n, total in ((1, 2), (2, 3))},
        "lacks parts of m-Q8_0",
    ),
]


@pytest.mark.parametrize(("tag", "files", "text"), MISSING)
async def test_what_is_not_there_is_told_before_anything_is_downloaded(
    tag: str, files: dict[str, bytes], text: str, tmp_path: Path
) -> None:
    async with repository(FakeHub(files=files), tmp_path) as puller:
        with pytest.raises(ManifestUnavailable, match=text):
            await puller.pull_safely(f"hf.co/me/repo:{tag}")
        assert puller.blobs() == {}


def refusing(status: int, code: str, *, at: str, message: str = "") -> Callable[..., Reply]:
    """Return an interceptor that answers what has `at` in its path with a refusal of the hub."""
    headers = {"x-error-code": code, "x-error-message": message}
    return lambda request, reply: Reply(status, headers=headers) if at in request.path else reply


GATED, PRIVATE = "accept its conditions on its page", "if it is private, set HF_TOKEN"


@pytest.mark.parametrize(
    ("refusal", "token", "text"),
    [
        ((401, "GatedRepo", "/api/"), "", f"{GATED}, and set HF_TOKEN to a token"),
        ((403, "GatedRepo", "/api/"), TOKEN, f"{GATED}, and use a token"),
        ((401, "GatedRepo", "/resolve/"), "", f"{GATED}, and set HF_TOKEN to a token"),
        ((403, "GatedRepo", "/resolve/"), TOKEN, f"{GATED}, and use a token"),
        ((401, "RepoNotFound", "/api/"), "", PRIVATE),
        ((404, "RepoNotFound", "/api/"), "", "there is no repository me/repo"),
        ((403, "", "/api/"), TOKEN, "unauthorized: access denied"),
    ],
)
async def test_a_refusal_says_what_to_do(
    refusal: tuple[int, str, str], token: str, text: str, tmp_path: Path
) -> None:
    hub = FakeHub(files={"m-Q4_K_M.gguf": QUANTIZED})
    status, code, place = refusal
    hub.intercept = refusing(status, code, at=place)
    async with repository(hub, tmp_path, token) as puller:
        with pytest.raises(RegistryError) as caught:
            await puller.pull_safely("hf.co/me/repo")

    assert text in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_a_moved_repository_is_pulled_under_its_old_name(tmp_path: Path) -> None:
    hub = FakeHub(files={"m-Q4_K_M.gguf": QUANTIZED}, repository="new/home")

    def moved(request: Request, reply: Reply) -> Reply:
        if "me/repo" in request.path:
            return Reply(307, headers={"location": request.path.replace("me/repo", "new/home")})
        return reply

    hub.intercept = moved
    async with repository(hub, tmp_path) as puller:
        await puller.pull_safely("hf.co/me/repo")
        assert puller.store.resolve(ModelName.parse("hf.co/me/repo")).weights is not None


async def test_files_of_the_hubs_newer_storage_come_by_a_redirect_without_the_token(
    tmp_path: Path,
) -> None:
    """Their answers name the storage and its hash, which say nothing of the content."""
    hub = FakeHub(files={"m-Q4_K_M.gguf": QUANTIZED}, authorization=f"Bearer {TOKEN}")
    storage = FakeHub(files=hub.files)
    with listening(storage) as host:
        location = f"http://localhost:{host.rpartition(':')[2]}"
        headers = {
            "x-xet-hash": "0" * 64,
            "x-linked-size": str(len(QUANTIZED)),
            "x-linked-etag": '"' + "1" * 64 + '"',
            "link": '<http://127.0.0.1:9/api/xet-read-token>; rel="xet-auth"',
        }

        def redirected(request: Request, reply: Reply) -> Reply:
            if "/resolve/" in request.path:
                place = f"{location}{request.path}?X-Amz-Signature=a%2Fb"
                return Reply(302, headers={**headers, "location": place})
            return reply

        hub.intercept = redirected
        async with repository(hub, tmp_path, TOKEN) as puller:
            assert (await puller.pull_safely("hf.co/me/repo"))[-1].status == "success"

    assert storage.requests
    assert not any("authorization" in request.headers for request in storage.requests)


async def test_what_was_pulled_from_the_hub_is_pushed_and_pulled_elsewhere(
    tmp_path: Path,
) -> None:
    files = {
        "m-Q4_K_M.gguf": QUANTIZED,
        "mmproj-F16.gguf": SMALL,
        "template": b"{{ .Prompt }}",
        "params": b'{"stop": ["END"]}',
    }
    registry = FakeRegistry()
    with listening(registry) as host:
        name = f"{host}/me/copy"
        async with repository(FakeHub(files=files), tmp_path / "a") as puller:
            await puller.pull_safely("hf.co/me/repo")
            puller.store.copy(ModelName.parse("hf.co/me/repo"), ModelName.parse(name))
            assert (await puller.push(name))[-1].status == "success"
        async with pulling(tmp_path / "b") as other:
            await other.pull(name)
            model = other.store.resolve(ModelName.parse(name))

    assert model.weights is not None
    assert model.weights.read_bytes() == QUANTIZED
    assert [path.read_bytes() for path in model.projectors] == [SMALL]
    assert (model.template, model.parameters) == ("{{ .Prompt }}", {"stop": ["END"]})
