"""The requests that have not been answered yet, and which of them nobody waits for any more."""

import threading


class OpenRequests:
    """Remembers ids from arrival to the terminal event; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled: dict[int, bool] = {}

    def add(self, request_id: int) -> None:
        """Note that a request arrived."""
        with self._lock:
            self._cancelled[request_id] = False

    def cancel(self, request_id: int) -> bool:
        """Note that nobody waits for the answer; False when it was sent or never asked for."""
        with self._lock:
            known = request_id in self._cancelled
            if known:
                self._cancelled[request_id] = True
            return known

    def is_cancelled(self, request_id: int) -> bool:
        """Tell whether an open request was cancelled."""
        with self._lock:
            return self._cancelled.get(request_id, False)

    def close(self, request_id: int) -> None:
        """Note that the terminal event is being sent."""
        with self._lock:
            self._cancelled.pop(request_id, None)
