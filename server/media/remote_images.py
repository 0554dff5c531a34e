"""Images that a request gives as URLs, downloaded where the operator allows it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from server.concurrency.threads import in_thread
from server.errors import BadRequest

_SWITCHED_OFF = "image URLs are not currently supported, please use base64 encoded data instead"
_MAX_IMAGES = 16

Fetch = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]
"""Returns the contents of images by URL; raises BadRequest."""


class RemoteImages:
    """Downloads images; refuses all of them unless `is_allowed`."""

    def __init__(self, *, is_allowed: bool, fetch: Fetch | None = None) -> None:
        self.is_allowed = is_allowed
        self._fetch = fetch

    async def fetch(self, urls: Sequence[str]) -> Mapping[str, bytes]:
        """Return the contents of the images by URL.

        Raises:
            BadRequest: an image is refused or cannot be downloaded; the text says which, and why.
        """
        if not urls:
            return {}
        if not self.is_allowed:
            raise BadRequest(_SWITCHED_OFF)
        if len(urls) > _MAX_IMAGES:
            raise BadRequest(f"at most {_MAX_IMAGES} images can be fetched for one request")
        if self._fetch is None:
            self._fetch = await in_thread(_downloads)
        return await self._fetch(urls)


def _downloads() -> Fetch:
    # Imported with the first image: most servers never download one.
    from server.media.image_downloads import ImageDownloads  # noqa: PLC0415

    return ImageDownloads().fetch
