"""Content negotiation: browsers told from other clients, and compression that a client accepts."""

from collections.abc import Iterator

_HTML, _TEXT, _ANY_TEXT, _ANY = "text/html", "text/plain", "text/*", "*/*"
_GZIP = "gzip"


def is_browser_navigation(accept: str, user_agent: str) -> bool:
    """Return whether a person's browser opens a page, rather than a program sending a request.

    `Accept` alone does not tell: some HTTP libraries prefer HTML by default.
    """
    return user_agent.startswith("Mozilla/") and _prefers_html(accept)


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header names gzip."""
    return dict(_qualities(accept_encoding)).get(_GZIP, 0.0) > 0.0


def _prefers_html(accept: str) -> bool:
    qualities = dict(_qualities(accept))
    others = [qualities[kind] for kind in (_TEXT, _ANY_TEXT, _ANY) if kind in qualities]
    return qualities.get(_HTML, 0.0) > (others[0] if others else 0.0)


def _qualities(header: str) -> Iterator[tuple[str, float]]:
    """Yield what an Accept header names, in lower case, with its q value from 0 to 1."""
    for entry in header.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = _quality(value)
        yield name, quality


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
