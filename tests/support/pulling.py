"""A store that pulls in small parts and never waits, so that a fault costs a test no time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_store.blobs import put_blob
from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.layout import Layout
from model_store.manifests import write_manifest
from model_store.names import ModelName
from model_store.registry.client import RegistryClient
from model_store.registry.config import RegistryConfig
from model_store.registry.download.download import DownloadConfig
from model_store.registry.download.resume_state import ResumeState
from model_store.registry.parts import PartSizes
from model_store.registry.retries import RetryPolicy
from model_store.registry.transfers import TransferProgress
from model_store.store import Store
from tests.support.published import PublishedModel

PART = 8192


async def _no_time(delay: float) -> None:
    """Return at once."""


NO_DELAY = RetryPolicy(sleep=_no_time)


def download_config(**changes: Any) -> DownloadConfig:
    """Return a configuration with small parts: 100 kB are a dozen of them."""
    return DownloadConfig(**{
        "connections": 4,
        "part_sizes": PartSizes(smallest=PART, largest=PART, share=1),
        "write_sizes": PartSizes(smallest=PART // 4, largest=PART // 4, share=1),
        "write_seconds": 1e9,
        "slow_seconds": 1e9,
        "retries": NO_DELAY,
    } | changes)  # fmt: skip


@dataclass(frozen=True)
class Puller:
    """A store below `root` and its client."""

    root: Path
    store: Store
    client: RegistryClient

    async def pull(self, name: str) -> list[TransferProgress]:
        """Pull a model by plain HTTP; return what was told."""
        return [step async for step in self.client.pull(ModelName.parse(name), insecure=True)]

    async def pull_safely(self, name: str) -> list[TransferProgress]:
        """Pull a model as names without a scheme are pulled; return what was told."""
        return [step async for step in self.client.pull(ModelName.parse(name))]

    async def push(self, name: str) -> list[TransferProgress]:
        """Push a model by plain HTTP; return what was told."""
        return [step async for step in self.client.push(ModelName.parse(name), insecure=True)]

    def install(self, name: str, model: PublishedModel) -> None:
        """Put a model into the store as another program would: nobody looks into its files."""
        layout = Layout(self.root)
        for content in model.blobs.values():
            put_blob(layout, content)
        parsed = ModelName.parse(name)
        write_manifest(layout, parsed, model.manifest)

    def manifest(self, name: str) -> Path:
        """Return where the manifest of `name` lies."""
        return self.root.joinpath("manifests", *ModelName.parse(name).parts)

    def arrived(self, model: PublishedModel) -> int:
        """Return how many bytes of `model` are in the store, in whole blobs and in partial ones."""
        layout = Layout(self.root)
        return sum(
            len(content)
            if layout.blob(digest).exists()
            else ResumeState(layout.partial(digest)).completed(len(content))
            for content in model.blobs.values()
            if (digest := Digest.of(content))
        )

    def blobs(self) -> dict[str, bytes]:
        """Return all files among the blobs by name."""
        return {path.name: path.read_bytes() for path in (self.root / "blobs").iterdir()}


@asynccontextmanager
async def pulling(directory: Path, **options: Any) -> AsyncIterator[Puller]:
    """Open a store below `directory`; options are those of RegistryClient, or of its config."""
    root = directory / "models"
    fields = {name: options.pop(name) for name in list(options) if name in _CONFIG}
    store = Store(root)
    store.prepare()
    config = RegistryConfig(keys=directory / "keys", **fields)
    options.setdefault("download", download_config())
    layout = Layout(root)
    options.setdefault("check_template", lambda _: None)
    client = RegistryClient(layout, Catalog(layout), config, prune=True, **options)
    try:
        yield Puller(root, store, client)
    finally:
        await client.close()


_CONFIG = frozenset(RegistryConfig.__dataclass_fields__)
