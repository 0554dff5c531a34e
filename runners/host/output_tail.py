"""The end of what a runner wrote, for the log and for finding out why it ended."""

TAIL_BYTES = 8192


class OutputTail:
    """The last bytes of a process's output; never more than `limit` of them are kept."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        """Append `data`, dropping the oldest bytes that are now too many."""
        self._bytes += data
        del self._bytes[: -self._limit]

    @property
    def text(self) -> str:
        """What is kept, with undecodable bytes replaced."""
        return self._bytes.decode(errors="replace")
