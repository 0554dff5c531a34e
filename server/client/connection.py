"""A client of the server that OLLAMA_HOST names, and its errors as one line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pydantic

from server.client.address import is_local, server_url
from server.client.api import ApiClient, ForeignServer, is_page
from server.client.exit import fail
from server.client.library import ollama

_NO_ENDPOINT = "404 page not found"


def make_client() -> ApiClient:
    """Return a client of the server of OLLAMA_HOST, which may not answer."""
    url, socket = server_url()
    return ApiClient(url, socket=socket)


@contextmanager
def connected() -> Iterator[ApiClient]:
    """Yield a client; exits with the reason where the server refuses or does not answer."""
    with make_client() as client:
        try:
            yield client
        except BrokenPipeError:
            raise  # `| head` has read enough: it is a ConnectionError too, but not to the server
        except ollama.ResponseError as e:
            fail(_reason(e, client))
        except (httpx.TransportError, ConnectionError) as e:
            fail(broken_connection(e, client))
        except (ForeignServer, json.JSONDecodeError, pydantic.ValidationError):
            fail(_foreign(client))


def broken_connection(error: Exception, client: ApiClient) -> str:
    """Return the sentence that there is no server, or that it went away while it answered."""
    if isinstance(error, httpx.ConnectError | ConnectionError):
        return f"could not connect to a server at {client.address}; {_hint(client)}"
    return f"the connection to {client.address} broke: {str(error) or type(error).__name__}"


def _hint(client: ApiClient) -> str:
    if is_local(client.url):
        return "run 'paddock serve' to start one"
    return "OLLAMA_HOST says where it is"


def _reason(error: ollama.ResponseError, client: ApiClient) -> str:
    """Return the sentence of an error of the API; other web servers answer with a page."""
    text = str(error.error).strip()
    if is_page(text):
        return _foreign(client)
    if text == _NO_ENDPOINT:
        return f"{client.address} does not know this command; it is another server, or an older one"
    return text or f"the server answered with status {error.status_code}"


def _foreign(client: ApiClient) -> str:
    return (
        f"what answers at {client.address} is not a server for models; "
        "set OLLAMA_HOST to the address of one"
    )
