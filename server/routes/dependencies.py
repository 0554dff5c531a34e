"""Access to the services from a request, and whether a web page sent it."""

from fastapi import Request

from server.services import Services


def services_of(request: Request) -> Services:
    """Return the services of the running server."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def is_from_web_page(request: Request) -> bool:
    """Return whether a web page sent the request, rather than a program of the user's own."""
    return "origin" in request.headers
