"""All that requests to registries share, whichever registry it is."""

from model_store.registry.config import Endpoint, RegistryConfig
from model_store.registry.http.auth import Authorizer
from model_store.registry.http.connections import IsPublic, is_public
from model_store.registry.http.repository import Repository
from model_store.registry.http.transport import STALL_SECONDS, Transport
from model_store.registry.workers import Workers


class Registries:
    """One transport, one set of threads and one way to get credentials."""

    def __init__(
        self,
        config: RegistryConfig,
        *,
        public: IsPublic = is_public,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.config = config
        self.workers = Workers()
        self.transport = Transport(config, public=public, stall_seconds=stall_seconds)
        self._authorizer = Authorizer(self.transport, self.workers, config)

    def repository(self, endpoint: Endpoint, path: str) -> Repository:
        """Return the repository `path` of a registry."""
        return Repository(self.transport, self._authorizer, endpoint, path)

    async def close(self) -> None:
        """Close all connections and let the threads end."""
        await self.transport.close()
        self.workers.close()
