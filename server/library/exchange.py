"""Models from registries and to them, as the API tells of it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec

from model_store.errors import InvalidName, ModelNotFound, StoreError
from model_store.names import ModelName
from model_store.registry.config import RegistryConfig
from model_store.registry.errors import RegistryError
from model_store.registry.http.key_pair import ensure_key
from model_store.registry.progress import TransferProgress
from model_store.store import Store
from server.errors import BadRequest

if TYPE_CHECKING:
    from model_store.registry.client import RegistryClient

_log = logging.getLogger(__name__)


class Progress(msgspec.Struct, omit_defaults=True):
    """A step, or how far a layer is, in bytes."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


class Estimate(msgspec.Struct):
    """The last object of a dry run: bytes of the model, those that are here, the disk's free ones.

    `fits` tells whether what is missing would find room.
    """

    status: str
    total: int
    completed: int
    missing: int
    free: int
    fits: bool


class Exchange:
    """Pulls and pushes models. What that takes is loaded with the first one."""

    def __init__(self, store: Store, config: RegistryConfig) -> None:
        self._store, self._config = store, config
        self._client: RegistryClient | None = None
        self._opening = asyncio.Lock()

    def prepare(self) -> None:
        """Make the key pair that clients look for, and warn of settings that cannot be used."""
        for problem in self._config.unusable.values():
            _log.warning("models can neither be pulled nor pushed: %s", problem)
        try:
            ensure_key(self._config.keys)
        except StoreError:
            _log.warning("no key pair can be written for registries that want a signature")

    async def close(self) -> None:
        """End all transfers."""
        if self._client is not None:
            await self._client.close()

    async def _registries(self) -> "RegistryClient":
        if names := ", ".join(self._config.unusable):
            raise RegistryError(
                f"no registry can be reached: the server's log says why the value of {names} "
                "cannot be used"
            )
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._store.registries, self._config)
            return self._client

    async def pull(
        self, name: ModelName, *, insecure: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Pull a model, telling each step; closing the iterator stops it and keeps what came.

        Raises:
            RegistryError, StorageFailed: it cannot be had, or not be kept.
        """
        client = await self._registries()
        async with contextlib.aclosing(client.pull(name, insecure=insecure)) as steps:
            async for step in steps:
                yield _told(step)

    async def push(self, name: str, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Push a model, telling each step; closing the iterator stops it.

        Raises:
            BadRequest: `name` is no name.
            StoreError: the model is not here, or the registry does not take it.
        """
        try:
            parsed = ModelName.parse(name)
        except InvalidName:
            yield Progress("retrieving manifest")
            yield Progress("couldn't retrieve manifest")
            raise BadRequest(f"unqualified name: {name}") from None
        client = await self._registries()
        async with contextlib.aclosing(client.push(parsed, insecure=insecure)) as steps:
            async for step in steps:
                yield _told(step)

    async def pull_if_missing(self, name: ModelName) -> AsyncGenerator[Progress, None]:
        """Pull a model that is not installed; yields nothing for one that is. Raises as `pull`."""
        try:
            await asyncio.to_thread(self._store.resolve, name)
        except ModelNotFound:
            async with contextlib.aclosing(self.pull(name)) as steps:
                async for step in steps:
                    yield step

    async def estimate(
        self, name: ModelName, *, insecure: bool = False
    ) -> AsyncGenerator[Progress | Estimate, None]:
        """Tell what a pull would load, and load nothing. Raises as `pull`."""
        yield Progress("pulling manifest")
        client = await self._registries()
        found = await client.estimate(name, insecure=insecure)
        yield Estimate(
            status="success",
            total=found.total,
            completed=found.completed,
            missing=found.missing,
            free=found.free,
            fits=found.missing <= found.free,
        )


def _told(step: TransferProgress) -> Progress:
    return Progress(step.status, step.digest, step.total, step.completed)
