"""Pull and push models, with progress in the words of the API."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec

from model_store.errors import InvalidName, ModelNotFound, StoreError
from model_store.names import ModelName
from model_store.registry.config import RegistryConfig
from model_store.registry.errors import ModelUnsupported, RegistryError
from model_store.registry.http.auth.key_pair import ensure_key
from model_store.registry.transfers import TransferProgress
from model_store.store import Store
from server.errors import BadRequest, TemplateError
from server.model_names import changeable_name
from server.prompt.template import parse_go_template

if TYPE_CHECKING:
    from model_store.registry.client import RegistryClient

_log = logging.getLogger(__name__)


class Progress(msgspec.Struct, omit_defaults=True):
    """A step, or the state of one layer, in bytes."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


class Estimate(msgspec.Struct):
    """The last object of a dry run, in bytes; `completed` are here, `free` are left on the disk.

    `fits` is whether what is missing fits on the disk.
    """

    status: str
    total: int
    completed: int
    missing: int
    free: int
    fits: bool


class RegistryService:
    """Pulls and pushes models; the HTTP client is imported with the first one.

    A request that `is_untrusted` comes from a web page, and all do when the server `is_exposed` to
    other machines: such requests connect to public addresses and allowed registries only.
    """

    def __init__(self, store: Store, config: RegistryConfig, *, is_exposed: bool = False) -> None:
        self._store, self._config, self._is_exposed = store, config, is_exposed
        self._client: RegistryClient | None = None
        self._opening = asyncio.Lock()

    def prepare(self) -> None:
        """Generate the key pair that clients look for, and warn of invalid settings."""
        for problem in self._config.unusable.values():
            _log.warning("models can neither be pulled nor pushed: %s", problem)
        try:
            ensure_key(self._config.keys)
        except StoreError:
            _log.warning("the key pair for registries cannot be written")

    async def close(self) -> None:
        """Close all connections."""
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
                self._client = await asyncio.to_thread(
                    self._store.registries, self._config, _check_template
                )
            return self._client

    async def pull(
        self, name: ModelName, *, insecure: bool = False, is_untrusted: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Pull a model, yielding each step; closing the iterator stops it and keeps what arrived.

        Raises:
            RegistryError, StorageFailed: it cannot be downloaded or stored.
        """
        client = await self._registries()
        work = client.pull(name, insecure=insecure, public_only=is_untrusted or self._is_exposed)
        async with contextlib.aclosing(work) as steps:
            async for step in steps:
                yield _progress(step)

    async def push(
        self, name: str, *, insecure: bool = False, is_untrusted: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Push a model, yielding each step; closing the iterator stops it.

        Raises:
            BadRequest: `name` is not a model name.
            StoreError: the model is not here, or the registry does not accept it.
        """
        try:
            parsed = changeable_name(name)
        except InvalidName:
            yield Progress("retrieving manifest")
            yield Progress("couldn't retrieve manifest")
            raise BadRequest(f"unqualified name: {name}") from None
        client = await self._registries()
        work = client.push(parsed, insecure=insecure, public_only=is_untrusted or self._is_exposed)
        async with contextlib.aclosing(work) as steps:
            async for step in steps:
                yield _progress(step)

    async def pull_if_missing(
        self, name: ModelName, *, is_untrusted: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Pull a model that is not installed; yields nothing for one that is. Raises as `pull`."""
        try:
            await asyncio.to_thread(self._store.resolve, name)
        except ModelNotFound:
            work = self.pull(name, is_untrusted=is_untrusted)
            async with contextlib.aclosing(work) as steps:
                async for step in steps:
                    yield step

    async def estimate(
        self, name: ModelName, *, insecure: bool = False, is_untrusted: bool = False
    ) -> AsyncGenerator[Progress | Estimate, None]:
        """Yield what a pull would download, and download nothing. Raises as `pull`."""
        yield Progress("pulling manifest")
        client = await self._registries()
        estimate = await client.estimate(
            name, insecure=insecure, public_only=is_untrusted or self._is_exposed
        )
        yield Estimate(
            status="success",
            total=estimate.total,
            completed=estimate.completed,
            missing=estimate.missing,
            free=estimate.free,
            fits=estimate.missing <= estimate.free,
        )


def _check_template(source: str) -> None:
    """Raise ModelUnsupported for a Go template that cannot be parsed."""
    try:
        parse_go_template(source)
    except TemplateError as e:
        raise ModelUnsupported(f"the template of the model cannot be used: {e}") from None


def _progress(step: TransferProgress) -> Progress:
    return Progress(step.status, step.digest, step.total, step.completed)
