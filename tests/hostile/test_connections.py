"""No use of connections makes other clients wait, or locks them out."""

import pytest

from tests.support.hostile.connections import attacks
from tests.support.hostile.measurement import Attack, Scene


@pytest.mark.parametrize("attack", list(attacks()), ids=lambda attack: attack.name)
def test_a_hostile_connection_harms_nobody(hostile_scene: Scene, attack: Attack) -> None:
    assert not hostile_scene.faults([attack])
