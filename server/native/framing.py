"""Stream format of the native API for answers: JSON lines, with progress before the first token."""

from collections.abc import Awaitable, Callable

from server.http.json_encoding import encode
from server.http.streaming import JSONLines
from server.library.request_queue import RequestProgress
from server.native.reply import EmptyPiece
from server.native.wire import Progress
from server.request_record import Phase

_PROGRESS_SECONDS = 0.25


class AnswerLines(JSONLines):
    """The lines of one answer.

    A heartbeat is a piece without text: a blank line, or blanks alone, would end the stream of the
    reference's own client, or of those that read a piece from each packet. With `read_progress`
    heartbeats tell the progress until the first token.
    """

    def __init__(
        self,
        empty_piece: EmptyPiece,
        read_progress: Callable[[], Awaitable[RequestProgress | None]] | None = None,
    ) -> None:
        self._empty_piece, self._read_progress = empty_piece, read_progress
        self._last: Progress | None = None

    @property
    def heartbeat_seconds(self) -> float | None:
        """A short interval while progress is told, else that of the server."""
        return _PROGRESS_SECONDS if self._read_progress is not None else None

    def frame(self, event: object) -> bytes:
        """Encode one line."""
        self._read_progress = None
        return encode(event) + b"\n"

    async def heartbeat(self) -> bytes:
        """Return the line of a piece without text; of progress, one where there was some."""
        read = self._read_progress
        if read is None:
            return encode(self._empty_piece(None)) + b"\n"
        request = await read()
        if request is None or request.phase is Phase.DECODE:
            return b""
        progress = progress_of(request)
        if progress == self._last:
            return b""
        self._last = progress
        return encode(self._empty_piece(progress)) + b"\n"


def progress_of(request: RequestProgress) -> Progress:
    """Return the progress as it is sent."""
    return Progress(
        phase=request.phase.value,
        ratio=None if request.ratio is None else round(request.ratio, 4),
        prompt_tokens=request.n_prompt,
        prompt_tokens_computed=request.n_computed,
        prompt_tokens_cached=request.n_cached,
    )
