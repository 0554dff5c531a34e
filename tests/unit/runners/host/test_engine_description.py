"""The engine is described by a process of its own, and a failure says why on one line."""

import sys

import pytest

from runners.host.engine_description import EngineUnavailable, describe_engine


def test_the_real_engine_tells_its_version_and_devices() -> None:
    engine = describe_engine()

    assert engine.version
    assert "CPU" in {device.name for device in engine.devices}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise ModuleNotFoundError('No module')", "ModuleNotFoundError: No module"),
        ("raise SystemExit(3)", "exit status 3"),
        ("print('{}')", "required field"),
    ],
)
def test_an_engine_that_fails_says_why(script: str, reason: str) -> None:
    with pytest.raises(EngineUnavailable, match=reason):
        describe_engine((sys.executable, "-c", script), {})
