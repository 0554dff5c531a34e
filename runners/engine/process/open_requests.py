"""Set of requests that have no terminal event yet, and which of them are cancelled."""

import threading


class OpenRequests:
    """Ids from the arrival of a request to its terminal event; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled: dict[int, bool] = {}

    def __len__(self) -> int:
        """Return how many requests are open."""
        with self._lock:
            return len(self._cancelled)

    def add(self, request_id: int) -> None:
        """Add a request that arrived."""
        with self._lock:
            self._cancelled[request_id] = False

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
