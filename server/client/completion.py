"""Shell completion of model names."""

import json
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from server.client.address import server_url

_SECONDS = 1.0


def complete_model(incomplete: str) -> list[str]:
    """Return the installed models whose name begins like this; none where no server answers.

    Only the standard library is used: a person waits for the Tab key.
    """
    url, _ = server_url()
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return []
    connection = HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/api/tags")
        models = json.load(connection.getresponse())["models"]
    except (OSError, HTTPException, ValueError, KeyError):
        return []
    finally:
        connection.close()
    return [m["name"] for m in models if m["name"].startswith(incomplete)]
