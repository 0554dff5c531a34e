"""Commands that need no server: models in one file, and a store that is looked over."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model_store.digests import Digest
from model_store.names import ModelName
from model_store.registry.config import Endpoint
from model_store.store import Store
from server.cli import app
from server.config.derived import registry_config
from server.config.settings import Settings
from server.library.registry import RegistryService
from tests.support import gguf_bytes
from tests.support.installed import store_with
from tests.support.published import PublishedModel
from tests.support.registry import FakeRegistry, listening


def run(root: Path, *arguments: object, registry: str = "") -> Result:
    environment = {"OLLAMA_MODELS": str(root), "PADDOCK_REGISTRY": registry}
    return CliRunner().invoke(app, list(map(str, arguments)), env=environment)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A models directory with one model, `tale`."""
    store_with(tmp_path / "models", "tale", gguf_bytes.model("llama"))
    return tmp_path / "models"


def test_a_model_travels_in_one_file(root: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "tale.tar", tmp_path / "other"
    assert run(root, "export", "tale", file).stdout == f"wrote tale:latest to {file}\n"
    assert run(other, "import", file).stdout == "installed tale:latest\n"
    assert run(other, "import", file, "--name", "story").stdout == "installed story:latest\n"
    assert {model.name.short for model in Store(other).models()} == {"tale:latest", "story:latest"}
    assert run(other, "verify").stdout == "all blobs match their digests\n"


def test_an_export_never_replaces_a_file(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    answer = run(root, "export", "tale", file)

    assert (answer.exit_code, file.read_text()) == (1, "mine")
    assert answer.stderr.splitlines() == [f"Error: {file}: file exists"]
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("export", "absent", "x.tar"), "model 'absent:latest' not found"),
        (("export", "a b", "x.tar"), "invalid model name"),
        (("export", "tale", "/nowhere/x.tar"), "/nowhere/x.tar: there is no such folder"),
        (("export", "tale", "/"), "/: is a directory"),
        (("import", "/nowhere/x.tar"), "/nowhere/x.tar: no such file or directory"),
        (("verify", "absent"), "model 'absent:latest' not found"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    root: Path, arguments: tuple[str, ...], reason: str
) -> None:
    answer = run(root, *arguments)

    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[-1] == f"Error: {reason}"


def test_a_damaged_blob_is_told_with_the_models_that_need_it(root: Path) -> None:
    weights = Store(root).resolve(ModelName.parse("tale")).weights
    assert weights is not None
    weights.write_bytes(b"x")
    answer = run(root, "verify")

    assert answer.exit_code == 1
    digest = weights.name.replace("-", ":")
    assert answer.stdout.splitlines() == [f"tale:latest: {digest} is damaged"]
    assert answer.stderr.splitlines()[-1].startswith(
        "Error: pull or create the damaged models again"
    )


def test_what_is_damaged_is_pulled_again(tmp_path: Path) -> None:
    registry, root = FakeRegistry(), tmp_path / "models"
    registry.publish("library/tale", "latest", PublishedModel((("model", gguf_bytes.model()),)))
    with listening(registry) as host:
        settings = Settings(models=root, registry=Endpoint.parse(f"http://{host}"))
        asyncio.run(pull(settings))
        weights = Store(root).resolve(ModelName.parse("tale")).weights
        assert weights is not None
        weights.write_bytes(b"x")
        answer = run(root, "verify", "--repair", registry=f"http://{host}")

    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[1:] == [
        "tale:latest: repaired",
        "all blobs match their digests",
    ]
    assert weights.read_bytes() == gguf_bytes.model()


async def pull(settings: Settings) -> None:
    store = Store(settings.models)
    store.prepare()
    registry = RegistryService(store, registry_config(settings, "test"))
    async for _ in registry.pull(ModelName.parse("tale")):
        pass
    await registry.close()


def test_a_model_that_shares_what_was_repaired_is_repaired_too(tmp_path: Path) -> None:
    """A copy has a name that no registry knows."""
    registry, root = FakeRegistry(), tmp_path / "models"
    registry.publish("library/tale", "latest", PublishedModel((("model", gguf_bytes.model()),)))
    with listening(registry) as host:
        settings = Settings(models=root, registry=Endpoint.parse(f"http://{host}"))
        asyncio.run(pull(settings))
        Store(root).copy(ModelName.parse("tale"), ModelName.parse("a-copy"))
        weights = Store(root).resolve(ModelName.parse("tale")).weights
        assert weights is not None
        weights.write_bytes(bytes(weights.stat().st_size))
        answer = run(root, "verify", "--repair", registry=f"http://{host}")

    assert answer.exit_code == 0
    assert sorted(answer.stdout.splitlines()[2:]) == [
        "a-copy:latest: repaired",
        "all blobs match their digests",
        "tale:latest: repaired",
    ]
    assert weights.read_bytes() == gguf_bytes.model()


@pytest.mark.parametrize("registry", ["down", "does not know it", "has something else"])
def test_a_repair_that_fails_leaves_the_only_copy(root: Path, registry: str) -> None:
    """With one wrong bit, a model still answers; without its weights, it is lost."""
    weights = Store(root).resolve(ModelName.parse("tale")).weights
    assert weights is not None
    damaged = weights.read_bytes()[:-1] + b"\xff"
    weights.write_bytes(damaged)
    fake = FakeRegistry()
    if registry == "has something else":
        content = gguf_bytes.model()
        fake.publish("library/tale", "latest", PublishedModel((("model", content),)))
        fake.blobs["library/tale"][str(Digest.of(content))] = bytes(len(content))
    with listening(fake) as host:
        url = "http://127.0.0.1:9" if registry == "down" else f"http://{host}"
        answer = run(root, "verify", "--repair", registry=url)

    assert answer.exit_code == 1
    assert "tale:latest: cannot be repaired: " in answer.stdout
    assert weights.read_bytes() == damaged
    assert Store(root).resolve(ModelName.parse("tale")).weights == weights


def test_what_cannot_be_pulled_is_told(root: Path) -> None:
    weights = Store(root).resolve(ModelName.parse("tale")).weights
    assert weights is not None
    weights.unlink()
    answer = run(root, "verify", "--repair", registry="http://127.0.0.1:9")

    assert answer.exit_code == 1
    assert answer.stdout.splitlines()[-1].startswith("tale:latest: cannot be repaired: ")
    assert answer.stderr.splitlines()[-1] == "Error: not every model could be repaired"
