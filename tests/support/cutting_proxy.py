"""A TCP proxy on loopback that cuts connections in the middle of what a client sends."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE = 1 << 16
_SECONDS = 30


class CuttingProxy:
    """Forwards connections, and cuts one after each number of bytes in `cuts`, from the client.

    A client sees a break once the server has closed its end: it has then read what arrived.
    `sent` counts the bytes that reached the server. `hidden` is a header that clients do not see.
    """

    def __init__(self, target: str, listener: socket.socket) -> None:
        host, _, port = target.partition(":")
        self._target, self._listener = (host, int(port)), listener
        self.host = f"127.0.0.1:{listener.getsockname()[1]}"
        self.cuts: list[int] = []
        self.sent = 0
        self.hidden = b""

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target, _SECONDS) as server:
            client.settimeout(_SECONDS)
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            n_bytes = 0
            with contextlib.suppress(OSError):
                while data := client.recv(_PIECE):
                    if self.cuts and n_bytes + len(data) > self.cuts[0]:
                        data = data[: self.cuts.pop(0) - n_bytes]
                        server.sendall(data)
                        self.sent += len(data)
                        break
                    server.sendall(data)
                    n_bytes += len(data)
                    self.sent += len(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(_SECONDS)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_PIECE):
                if self.hidden:
                    data = data.replace(self.hidden, b"x" * len(self.hidden))
                client.sendall(data)


@contextmanager
def cutting_proxy(target: str) -> Iterator[CuttingProxy]:
    """Serve a proxy to `target` until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = CuttingProxy(target, listener)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        # On Linux closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(_SECONDS)
