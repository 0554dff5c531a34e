"""Root path: serve below a path that a proxy shows, whether it removes the path or not."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RootPathMiddleware:
    """Removes `root_path` from the paths of requests, and adds it to those of redirects."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root = app, root_path
        self._raw_root = root_path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "root_path": self._root}
        if (path := scope["path"]) == self._root or path.startswith(f"{self._root}/"):
            scope["path"] = path[len(self._root) :] or "/"
            scope["raw_path"] = scope["raw_path"].removeprefix(self._raw_root) or b"/"

        async def send_below(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [self._below(name, value) for name, value in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_below)

    def _below(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        is_path = name.lower() == b"location" and value.startswith(b"/")
        return name, self._raw_root + value if is_path else value
