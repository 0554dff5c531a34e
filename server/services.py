"""Create, open and close the services that the routes use."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from model_store.create import Tools
from model_store.errors import StorageFailed, StoreError
from model_store.names import ModelName
from model_store.serving import Serving
from model_store.store import Store
from runners.host.environment import child_environment
from runners.host.errors import ShuttingDown
from runners.host.offline_jobs import OfflineJobs
from runners.host.scheduler import Scheduler
from server.concurrency.interruption import interruptible
from server.concurrency.malloc_heap import return_free_pages
from server.concurrency.periodic import repeating
from server.config.derived import files_folder, registry_config, responses_file, scheduler_config
from server.config.settings import Settings
from server.config.variables import SettingError
from server.inference.answer_plan import Planner
from server.inference.chat import ChatService
from server.inference.chat_formats import ChatFormats
from server.inference.embed import EmbedService
from server.inference.generate import GenerateService
from server.inference.model_profile import ModelProfiles
from server.inference.model_request import model_key
from server.inference.rerank import RerankService
from server.inference.store_engine import StoreEngine
from server.inference.tokens import TokenService
from server.isolation.pool import WorkerPool
from server.library.library import Library
from server.library.registry import Progress, RegistryService
from server.library.request_queue import RequestQueue
from server.media.decoder import MediaDecoder, media_pool
from server.media.remote_images import RemoteImages
from server.openai.batches.file_store import FileStore
from server.openai.batches.files import FileService
from server.openai.batches.folder import Folder
from server.openai.batches.service import BatchService
from server.openai.responses.conversation_store import ConversationStore
from server.openai.responses.conversations import Conversations
from server.openai.responses.service import ResponsesService
from server.openai.responses.store import ResponseStore
from server.rendering.client import PromptRenderer, rendering_pool
from server.running_requests import RunningRequests
from server.versions import USER_AGENT

if TYPE_CHECKING:
    from server.cluster.cluster import Cluster
    from server.peers.directory import PeerDirectory

_T = TypeVar("_T")

_log = logging.getLogger(__name__)
_PRESTART_DELAY: Final = 1.0
_TIDY_SECONDS: Final = 600.0
_FREE_PAGES_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one server; `closing` is set when it shuts down."""

    store: Store
    scheduler: Scheduler
    library: Library
    registry: RegistryService
    generate: GenerateService
    chat: ChatService
    embedding: EmbedService
    rerank: RerankService
    tokens: TokenService
    remote_images: RemoteImages
    requests: RunningRequests
    queue: RequestQueue
    responses: ResponsesService
    conversations: Conversations
    files: FileService
    batches: BatchService
    peers: "PeerDirectory | None" = None
    cluster: "Cluster | None" = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def pull(
        self, name: ModelName, *, insecure: bool = False, is_untrusted: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Pull a model as `RegistryService.pull`, and unload the model that it replaces.

        Raises AliasReserved too.
        """
        self.store.serving.require_no_alias(name)
        try:
            work = self.registry.pull(name, insecure=insecure, is_untrusted=is_untrusted)
            async with aclosing(work) as steps:
                async for step in steps:
                    yield step
        finally:
            await self.retire_replaced(name)

    async def retire_replaced(self, name: ModelName) -> None:
        """Unload the model loaded under `name` if that now names another model or none."""
        try:
            model = await asyncio.to_thread(self.store.resolve, name)
        except StorageFailed:
            return  # unknown; the next request for the name finds out
        except StoreError:
            self.scheduler.retire(name.short)
        else:
            key = await asyncio.to_thread(model_key, model) if model.weights else None
            self.scheduler.retire(model.name.short, key)

    def until_closing(self, steps: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
        """Yield the steps of a pull, push or create; raises ShuttingDown when the server closes.

        Such work may take hours, so it gets no grace period; a pull is resumed later.
        """
        return interruptible(steps, self.closing, ShuttingDown)

    async def close(self) -> None:
        """Refuse new requests, let running ones end in the grace period, then stop all runners."""
        self.closing.set()
        await self.batches.stop()
        await self.scheduler.shutdown()
        await self.responses.close()


@asynccontextmanager
async def open_services(
    settings: Settings, requests: RunningRequests | None = None, serving: Serving | None = None
) -> AsyncIterator[Services]:
    """Open the store, the scheduler and the services, and close them at the end.

    `requests` are those of the application that uses the services; see `create_app`. `serving` is
    how the configuration names and serves models.

    Raises:
        StorageFailed: the models directory cannot be used.
        SettingError: the cluster cannot be joined.
    """
    tools = Tools(
        engine=StoreEngine(OfflineJobs(asyncio.get_running_loop())), environment=child_environment()
    )
    store = Store(settings.models, keep_unreferenced=settings.no_prune, tools=tools)
    store.serve_as(serving or Serving())
    await asyncio.to_thread(store.prepare)
    if not settings.no_builtin:
        await asyncio.to_thread(_add_bundled, store)
    async with (
        repeating(store.tidy, _TIDY_SECONDS),
        repeating(return_free_pages, _FREE_PAGES_SECONDS),
        registry_service(store, settings) as registry,
        stored_responses(settings) as stored,
        stored_files(settings) as folder,
        worker_processes() as (rendering, decoding),
        Scheduler(scheduler_config(settings)) as scheduler,
        peers_of(settings) as peers,
        machines_of(settings, scheduler) as cluster,
    ):
        yield make_services(
            store,
            scheduler,
            registry,
            stored,
            settings,
            folder=folder,
            prompts=PromptRenderer(rendering),
            decoder=MediaDecoder(decoding),
            requests=requests,
            peers=peers,
            cluster=cluster,
        )


def _add_bundled(store: Store) -> None:
    """Install the bundled models; the server starts without them if that fails."""
    try:
        store.add_bundled()
    except StorageFailed as e:
        _log.warning("the bundled models are not installed: %s", e)


@asynccontextmanager
async def registry_service(store: Store, settings: Settings) -> AsyncIterator[RegistryService]:
    """Open the service that pulls and pushes models, and close it at the end."""
    registry = RegistryService(
        store,
        registry_config(settings, USER_AGENT),
        is_exposed=not settings.is_loopback,
    )
    await asyncio.to_thread(registry.prepare)
    try:
        yield registry
    finally:
        await registry.close()


@asynccontextmanager
async def peers_of(settings: Settings) -> AsyncIterator["PeerDirectory | None"]:
    """Open the directory of peers until the block ends; None where none are configured."""
    if not settings.peers:
        yield None
        return
    from server.peers.directory import (  # noqa: PLC0415 - imports an HTTP client
        PeerConfig,
        peer_directory,
    )

    config = PeerConfig(settings.peers, settings.peer_key, settings.forward_keys)
    async with peer_directory(config) as directory:
        yield directory


@asynccontextmanager
async def machines_of(settings: Settings, scheduler: Scheduler) -> AsyncIterator["Cluster | None"]:
    """Give the scheduler the machines of a cluster until the block ends, if one is configured.

    Raises SettingError when it cannot be joined.
    """
    if not settings.cluster:
        yield None
        return
    from server.cluster.cluster import (  # noqa: PLC0415 - off by default
        ClusterConfig,
        ClusterUnavailable,
        cluster_of,
    )

    config = ClusterConfig(settings.cluster, settings.models, settings.cluster_port)
    try:
        async with cluster_of(config, scheduler.machines) as cluster:
            yield cluster
    except ClusterUnavailable as e:
        raise SettingError(f"PADDOCK_CLUSTER is {settings.cluster}, but {e}") from e


@asynccontextmanager
async def stored_responses(settings: Settings) -> AsyncIterator[ResponseStore]:
    """Open the store of responses, and close it at the end."""
    stored = ResponseStore(responses_file(settings), settings.keep_responses)
    try:
        yield stored
    finally:
        await stored.close()


@asynccontextmanager
async def stored_files(settings: Settings) -> AsyncIterator[Folder]:
    """Give the folder of files and batches, and close it at the end."""
    folder = Folder(files_folder(settings), settings.keep_files)
    try:
        yield folder
    finally:
        await folder.close()


@asynccontextmanager
async def worker_processes() -> AsyncIterator[tuple[WorkerPool, WorkerPool]]:
    """Open the workers that render templates and those that decode media; end them in the end.

    The first one starts a moment after the server, or when it is needed.
    """
    rendering, decoding = rendering_pool(), media_pool()
    starting = asyncio.get_running_loop().call_later(_PRESTART_DELAY, rendering.prestart)
    try:
        yield rendering, decoding
    finally:
        starting.cancel()
        await rendering.close()
        await decoding.close()


def make_services(
    store: Store,
    scheduler: Scheduler,
    registry: RegistryService,
    stored: ResponseStore,
    settings: Settings,
    *,
    folder: Folder,
    prompts: PromptRenderer,
    decoder: MediaDecoder,
    requests: RunningRequests | None = None,
    peers: "PeerDirectory | None" = None,
    cluster: "Cluster | None" = None,
) -> Services:
    """Create the services of a server."""
    requests = requests or RunningRequests()
    go_template = settings.go_template
    defaults = {
        "stop_repetition": settings.stop_repetition,
        "deterministic": settings.deterministic,
    }
    files = FileStore(folder)
    remote_images = RemoteImages(is_allowed=settings.remote_images)
    planner = Planner(store, defaults, ModelProfiles(go_template=go_template))
    formats = ChatFormats()
    chat = ChatService(
        planner, scheduler, prompts, decoder, formats, long_prompts=settings.long_prompts
    )
    return Services(
        store=store,
        scheduler=scheduler,
        library=Library(store, scheduler, go_template=go_template),
        registry=registry,
        generate=GenerateService(planner, scheduler, prompts, decoder, formats),
        chat=chat,
        embedding=EmbedService(store, scheduler),
        rerank=RerankService(store, scheduler),
        tokens=TokenService(store, scheduler),
        remote_images=remote_images,
        requests=requests,
        queue=RequestQueue(requests, scheduler),
        responses=ResponsesService(chat, stored, remote_images.fetch, requests),
        conversations=Conversations(ConversationStore(stored.database)),
        peers=peers,
        cluster=cluster,
        files=FileService(folder, files),
        batches=BatchService(folder, files),
    )
