"""Access to the services and the metrics from a request, and whether a web page sent it."""

from hashlib import blake2b

from fastapi import Request

from server.metrics.exposition import Metrics
from server.request_record import current
from server.services import Services


def services_of(request: Request) -> Services:
    """Return the services of the running server."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def metrics_of(request: Request) -> Metrics:
    """Return the metrics of the running server."""
    metrics = request.app.state.metrics
    assert isinstance(metrics, Metrics)
    return metrics


def owner_of(request: Request) -> str:
    """Return whose the responses and files are that a request stores: its API key's id.

    Without keys, a hash of the one that the client sent all the same, "" without one: it keeps
    apart what several clients of one server have stored. A request of a batch is the batch's
    owner's.
    """
    if key_id := current().caller.id:
        return key_id
    if owner := getattr(request.state, "owner", ""):
        return str(owner)
    key = request.headers.get("authorization") or request.headers.get("x-api-key") or ""
    return blake2b(key.encode(), digest_size=16).hexdigest() if key else ""


def is_from_web_page(request: Request) -> bool:
    """Return whether a web page sent the request, rather than a program of the user's own."""
    return "origin" in request.headers
