"""No JSON body, on any route, makes other clients wait or fills the memory."""

import httpx
import pytest

from tests.support.hostile.bodies import VALID, attacks, routes
from tests.support.hostile.measurement import Scene

_MAX_PER_ROUTE = 6
_MAX_SIZE = 16 << 20


@pytest.mark.parametrize("path", VALID)
def test_a_hostile_body_harms_nobody(hostile_scene: Scene, path: str) -> None:
    """A sample of the attacks; `python -m benchmarks.hostile` runs all of them."""
    openapi = httpx.get(f"{hostile_scene.server.url}/openapi.json", timeout=60).json()
    [route] = [route for route in routes(openapi) if route.path == path]
    every = [attack for attack in attacks(route) if attack.size <= _MAX_SIZE]
    step = max(1, len(every) // _MAX_PER_ROUTE)

    assert hostile_scene.faults(every[len(path) % step :: step]) == []


def test_every_route_with_a_body_is_attacked(hostile_scene: Scene) -> None:
    openapi = httpx.get(f"{hostile_scene.server.url}/openapi.json", timeout=60).json()

    assert {route.path for route in routes(openapi)} == set(VALID)
