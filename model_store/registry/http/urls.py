"""URLs that a registry returns: validation and comparison by origin."""

import httpx2

from model_store.registry.errors import InvalidResponse

Origin = tuple[str, str, int]

_PORTS = {"http": 80, "https": 443}


def parse_url(text: str, *, base: httpx2.URL | None = None) -> httpx2.URL:
    """Return the HTTP URL `text`, resolved against `base`; raises InvalidResponse."""
    try:
        url = base.join(text) if base else httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise InvalidResponse("the registry returned an invalid URL") from None
    if not text or url.scheme not in _PORTS or not url.host:
        raise InvalidResponse("the registry returned an invalid URL")
    # What stands before an @ would be sent as a credential.
    return url.copy_with(username=None, password=None, fragment=None)


def origin_of(url: httpx2.URL) -> Origin:
    """Return scheme, host and port of `url`."""
    return url.scheme, url.host.lower(), url.port or _PORTS[url.scheme]
