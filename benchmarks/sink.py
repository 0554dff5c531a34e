"""A server that reads requests, does nothing with them and refuses them: the control of attacks."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.hostile.measurement import Target

_HOST = "127.0.0.1"
_LIMIT = 1 << 20
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_ROOT = Path(__file__).parents[1]


@contextmanager
def serving() -> Iterator[Target]:
    """Run the server, in a process of its own, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.sink"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Target(_HOST, int(process.stdout.readline()))
        finally:
            process.terminate()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        rest = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        while rest > 0 and (part := await reader.read(_LIMIT)):
            rest -= len(part)
        writer.write(_REFUSAL)
        await writer.drain()
    except (EOFError, OSError, ValueError, asyncio.LimitOverrunError):
        pass
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_refuse, _HOST, 0, limit=_LIMIT)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
