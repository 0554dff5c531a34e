"""The last bytes of a runner's stdout and stderr, for the log and to find out why it exited."""

TAIL_BYTES = 8192


class OutputTail:
    """A buffer of the last `limit` bytes."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        """Append `data` and drop the oldest bytes over the limit."""
        self._bytes += data
        del self._bytes[: -self._limit]

    @property
    def text(self) -> str:
        """The buffer as text, undecodable bytes replaced."""
        return self._bytes.decode(errors="replace")
