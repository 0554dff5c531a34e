"""Decode images and audio in worker processes."""

from functools import partial
from typing import Final, Protocol

import msgspec

from runners.protocol.media import Medium
from server.errors import ServerBusy
from server.isolation.errors import Crashed, Overrun, Unavailable
from server.isolation.limits import Limits
from server.isolation.pool import WorkerPool
from server.isolation.process import WorkerProcess
from server.media.errors import MediaError
from server.media.messages import Decode, Undecodable, decode_answer, encode_job

LIMITS: Final = Limits(
    cpu_seconds=10.0, wall_seconds=60.0, memory_bytes=320 << 20, answer_bytes=128 << 20
)
"""Of a worker. Half an hour of audio takes a few seconds, the largest images one."""
MAX_WORKERS: Final = 2
_IDLE_SECONDS: Final = 600.0
_MAX_FILE: Final = LIMITS.memory_bytes // 4


class Jobs(Protocol):
    """What answers encoded jobs, as `WorkerPool` does."""

    def prestart(self) -> None:
        """Prepare for a job that will come."""

    async def call(self, job: bytes) -> bytes | memoryview:
        """Return the encoded answer; raises a WorkerError."""


def media_pool() -> WorkerPool:
    """Return the worker processes that decode; none is started before it is needed."""
    start = partial(WorkerProcess.start, "server.media", LIMITS)
    return WorkerPool(start, size=MAX_WORKERS, idle_seconds=_IDLE_SECONDS)


class MediaDecoder:
    """Turns files into pixels and samples."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def prepare(self) -> None:
        """Start a worker, as files will have to be decoded soon."""
        self._jobs.prestart()

    async def decode(self, data: bytes, sample_rate: int | None = None) -> Medium:
        """Return an image, or audio with `sample_rate` samples per second.

        Raises:
            MediaError: the file cannot be used.
            ServerBusy: there is no worker process for it.
        """
        if len(data) > _MAX_FILE:
            raise MediaError(f"is larger than {_MAX_FILE >> 20} MiB")
        try:
            answer = decode_answer(await self._jobs.call(encode_job(Decode(data, sample_rate))))
        except Overrun:
            raise MediaError("takes too much time or memory to decode") from None
        except (Crashed, msgspec.MsgspecError):
            raise MediaError("is damaged") from None
        except Unavailable:
            raise ServerBusy(
                "the server is too busy to decode images and audio, try again"
            ) from None
        if isinstance(answer, Undecodable):
            raise MediaError(answer.reason)
        return answer
