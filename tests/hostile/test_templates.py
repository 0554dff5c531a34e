"""A template of a model or a request that never ends takes a worker process and nobody's time."""

from pathlib import Path

from tests.support.hostile import templates
from tests.support.hostile.measurement import Scene


def test_no_template_makes_others_wait(hostile_scene: Scene, tmp_path: Path) -> None:
    templates.models(hostile_scene.server, tmp_path)
    before = len(hostile_scene.measurements)

    assert not hostile_scene.faults(templates.attacks(hostile_scene.server, tmp_path))

    outcomes = {m.name: m.outcome for m in hostile_scene.measurements[before:]}
    for name in templates.JINJA:
        assert outcomes[f"jinja {name}: chat"] == "400", name
        assert outcomes[f"jinja {name}: count_tokens"] == "400", name
        assert outcomes[f"jinja {name}: show"] == "200", name
        assert outcomes[f"jinja {name}: create"] == "200", name
    assert outcomes["go loops: generate"] == outcomes["go memory: generate"] == "400"
