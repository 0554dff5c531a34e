"""An image that takes far more memory or time than its size harms nobody."""

from pathlib import Path

from tests.support.hostile import media
from tests.support.hostile.measurement import Scene


def test_no_image_makes_others_wait_or_takes_much_memory(
    hostile_scene: Scene, tmp_path: Path
) -> None:
    media.model(hostile_scene.server, tmp_path)
    media.load(hostile_scene.server)
    attacks = list(media.attacks())

    assert not hostile_scene.faults(attacks)

    outcomes = {m.name: m.outcome for m in hostile_scene.measurements[-len(attacks) :]}
    assert outcomes == {name: status for name, _, status in media.files()}
