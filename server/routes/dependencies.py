"""Access to the services from a request."""

from fastapi import Request

from server.services import Services


def services_of(request: Request) -> Services:
    """Return the services of the running server."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services
