"""The application of `application.py` on a port of loopback, for clients that are programs."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tests.support.application import Server, serving


@dataclass(frozen=True)
class ServedApplication:
    """A served application; `host` is what OLLAMA_HOST has to say."""

    host: str
    server: Server
    loop: asyncio.AbstractEventLoop

    def do(self, work: Awaitable[Any]) -> Any:
        """Run something that `Server` can do, on its loop."""

        async def run() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(60)


@contextmanager
def served(
    directory: Path, prepare: Callable[[Server], Awaitable[None]], **settings: Any
) -> Iterator[ServedApplication]:
    """Serve an application that `prepare` gave its models, until the block ends."""
    ready: list[ServedApplication] = []
    is_ready, failure = threading.Event(), []

    async def main(listener: socket.socket) -> None:
        async with serving(directory, **settings) as server:
            await prepare(server)
            config = uvicorn.Config(
                server.app,
                lifespan="off",
                log_level="critical",
                ws="none",
                timeout_graceful_shutdown=1,
            )
            running.append(uvicorn.Server(config))
            host = f"127.0.0.1:{listener.getsockname()[1]}"
            ready.append(ServedApplication(host, server, asyncio.get_running_loop()))
            is_ready.set()
            await running[0].serve([listener])

    def work() -> None:
        try:
            asyncio.run(main(listener))
        except BaseException as e:  # noqa: BLE001 - raised again in the test's thread
            failure.append(e)
        finally:
            is_ready.set()

    running: list[uvicorn.Server] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=work)
        thread.start()
        is_ready.wait()
        if failure:
            thread.join()
            raise failure[0]
        try:
            yield ready[0]
        finally:
            running[0].should_exit = running[0].force_exit = True
            thread.join()
