"""No path, query, unexpected body or form, on any operation, makes other clients wait."""

import httpx

from tests.support.hostile import bodies, paths
from tests.support.hostile.measurement import Scene

_STEP = 4


def test_no_path_or_form_harms_others(hostile_scene: Scene) -> None:
    """A sample of the attacks; `python -m benchmarks.hostile` runs all of them."""
    every = list(paths.attacks(_openapi(hostile_scene)))
    forms = [attack for attack in every if ": form" in attack.name]

    assert hostile_scene.faults([*every[::_STEP], *forms]) == []


def test_every_operation_is_attacked_with_every_kind_that_applies(hostile_scene: Scene) -> None:
    """Both lists are made from the document, so that a new route is not forgotten."""
    openapi = _openapi(hostile_scene)
    names = [attack.name for attack in paths.attacks(openapi)]
    for method, path in paths.operations(openapi):
        kinds = {name.rpartition(": ")[2] for name in names if name.startswith(f"{path} {method}:")}
        assert "long query" in kinds
        if "{" in path:
            assert "long parameter" in kinds
    for route in bodies.routes(openapi):
        lists = {place for place in route.places if place.type == "list"}
        attacked = {attack.name for attack in bodies.attacks(route, is_thorough=True)}
        for place in route.places:
            assert any(name.startswith(f"{route.path} {place}: ") for name in attacked), place
        assert bool(lists) == any("packed" in name for name in attacked)


def _openapi(scene: Scene) -> dict[str, object]:
    document: dict[str, object] = httpx.get(f"{scene.server.url}/openapi.json", timeout=60).json()
    return document
