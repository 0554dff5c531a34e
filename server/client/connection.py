"""A client of the server that OLLAMA_HOST names, and its errors as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import ollama

from server.client.address import server_url
from server.client.api import ApiClient
from server.client.exit import fail


def make_client() -> ApiClient:
    """Return a client of the server of OLLAMA_HOST, which may not answer."""
    url, socket = server_url()
    return ApiClient(url, socket=socket)


@contextmanager
def connected() -> Iterator[ApiClient]:
    """Yield a client; exits with the reason where the server refuses or does not answer."""
    with make_client() as client, errors_as_exit(client.url):
        yield client


@contextmanager
def errors_as_exit(url: str) -> Iterator[None]:
    """Exit with the reason of an error of the API that is raised within."""
    try:
        yield
    except ollama.ResponseError as e:
        fail(str(e.error).strip() or f"the server answered with status {e.status_code}")
    except (httpx.ConnectError, ConnectionError):
        fail(f"could not connect to a server at {url}; run 'paddock serve' to start one")
    except httpx.TransportError as e:
        fail(f"the connection to {url} broke: {str(e) or type(e).__name__}")
