"""Decoding in the test's own process, for files that do no harm."""

from server.media.decoder import MediaDecoder
from server.media.jobs import answer


class InlineJobs:
    """Answers jobs as a media worker does, without a process of its own."""

    def prestart(self) -> None:
        pass

    async def call(self, job: bytes) -> bytes:
        return answer(job)


def inline_decoder() -> MediaDecoder:
    return MediaDecoder(InlineJobs())
