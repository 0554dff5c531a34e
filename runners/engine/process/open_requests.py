"""Set of requests without a terminal event yet: which are cancelled, which are background ones."""

import threading


class OpenRequests:
    """Ids from the arrival of a request to its terminal event; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled: dict[int, bool] = {}
        self._background: set[int] = set()
        self._is_held = False

    def __len__(self) -> int:
        """Return how many requests are open and not held."""
        with self._lock:
            return len(self._cancelled) - (len(self._background) if self._is_held else 0)

    def add(self, request_id: int, *, is_background: bool = False) -> None:
        """Add a request that arrived."""
        with self._lock:
            self._cancelled[request_id] = False
            if is_background:
                self._background.add(request_id)

    def hold(self, *, is_held: bool) -> None:
        """Count the background requests no longer, or count them again."""
        with self._lock:
            self._is_held = is_held

    def is_background(self, request_id: int) -> bool:
        """Return whether a request is open and a background one."""
        with self._lock:
            return request_id in self._background

    def cancel(self, request_id: int) -> bool:
        """Mark a request as cancelled; return False when it is not open."""
        with self._lock:
            is_open = request_id in self._cancelled
            if is_open:
                self._cancelled[request_id] = True
            return is_open

    def is_cancelled(self, request_id: int) -> bool:
        """Return whether an open request was cancelled."""
        with self._lock:
            return self._cancelled.get(request_id, False)

    def close(self, request_id: int) -> None:
        """Remove a request whose terminal event is being sent."""
        with self._lock:
            self._cancelled.pop(request_id, None)
            self._background.discard(request_id)
