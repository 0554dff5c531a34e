"""Access to the services from a request, and whether a web page sent it."""

from hashlib import blake2b

from fastapi import Request

from server.services import Services


def services_of(request: Request) -> Services:
    """Return the services of the running server."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def api_key_hash(request: Request) -> str:
    """Return a hash of the API key that the client sent, "" without one.

    Keys are not checked; they keep apart what several clients of one server have stored.
    """
    key = request.headers.get("authorization") or request.headers.get("x-api-key") or ""
    return blake2b(key.encode(), digest_size=16).hexdigest() if key else ""


def is_from_web_page(request: Request) -> bool:
    """Return whether a web page sent the request, rather than a program of the user's own."""
    return "origin" in request.headers
