"""What requests to all registries share: transport, threads and authentication."""

from model_store.registry.config import Endpoint, RegistryConfig
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.http.addresses import IsPublic, Resolve, is_public, resolve
from model_store.registry.http.auth.authenticator import Authenticator
from model_store.registry.http.repository import Repository
from model_store.registry.http.transport import STALL_SECONDS, Transport


class Registries:
    """One transport, one thread pool and one authenticator."""

    def __init__(
        self,
        config: RegistryConfig,
        *,
        public: IsPublic = is_public,
        resolve: Resolve = resolve,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.config = config
        self.threads = DiskThreads()
        self.transport = Transport(
            config, public=public, resolve=resolve, stall_seconds=stall_seconds
        )
        self._authenticator = Authenticator(self.transport, self.threads, config)

    def repository(self, endpoint: Endpoint, path: str, *, public_only: bool) -> Repository:
        """Return the repository `path` (`namespace/model`) of a registry."""
        return Repository(
            self.transport, self._authenticator, endpoint, path, public_only=public_only
        )

    async def close(self) -> None:
        """Close all connections and end the threads."""
        await self.transport.close()
        self.threads.close()
