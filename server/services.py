"""What the routes call, opened and closed together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from model_store.store import Store
from runners.host.scheduler import Scheduler
from server.inference.chat import ChatService
from server.inference.embed import EmbedService
from server.inference.generate import GenerateService
from server.inference.rerank import RerankService
from server.inference.tokens import TokenService
from server.library.library import Library
from server.remote_images import RemoteImages
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """One of each, for the life of the server."""

    store: Store
    scheduler: Scheduler
    library: Library
    generate: GenerateService
    chat: ChatService
    embedding: EmbedService
    rerank: RerankService
    tokens: TokenService
    remote_images: RemoteImages

    async def close(self) -> None:
        """Refuse new work, let running work end within the grace period, then end all runners."""
        await self.scheduler.shutdown()


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the store and the scheduler, wire the services, and close it all in the end.

    Raises:
        StorageFailed: the models directory cannot be used.
    """
    store = Store(settings.models, keep_unreferenced=settings.no_prune)
    await asyncio.to_thread(store.prepare)
    async with Scheduler(settings.scheduler()) as scheduler:
        yield make_services(store, scheduler, settings)


def make_services(store: Store, scheduler: Scheduler, settings: Settings) -> Services:
    """Wire the services of a server."""
    go_template = settings.go_template
    return Services(
        store=store,
        scheduler=scheduler,
        library=Library(store, scheduler, go_template=go_template),
        generate=GenerateService(store, scheduler, go_template=go_template),
        chat=ChatService(store, scheduler, go_template=go_template),
        embedding=EmbedService(store, scheduler),
        rerank=RerankService(store, scheduler),
        tokens=TokenService(store, scheduler),
        remote_images=RemoteImages(is_allowed=settings.remote_images),
    )
