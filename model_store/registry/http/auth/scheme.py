"""The interface of an authentication scheme, such as Basic or Bearer."""

from dataclasses import dataclass
from typing import Protocol

from model_store.registry.config import Endpoint, RegistryConfig
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.http.auth.challenge import Challenge
from model_store.registry.http.auth.docker_config import Credentials, credentials_for
from model_store.registry.http.transport import Transport


@dataclass(frozen=True, slots=True)
class AuthContext:
    """What schemes work with."""

    transport: Transport
    threads: DiskThreads
    config: RegistryConfig

    async def credentials(self, host: str) -> Credentials | None:
        """Return what `docker login` stored for `host` (with its port, if it has one)."""
        return await self.threads.run(credentials_for, self.config.docker_config, host)


class AuthScheme(Protocol):
    """One way to authenticate, chosen by the name that a WWW-Authenticate header gives."""

    async def authorization(
        self, context: AuthContext, endpoint: Endpoint, challenge: Challenge, *, public_only: bool
    ) -> str:
        """Return the value of the Authorization header that `endpoint` asks for.

        With `public_only`, no inner address may be connected to.

        Raises:
            AccessDenied: there are no credentials for this registry.
            RegistryError: a token was refused.
        """
