"""Each architecture that is pulled often loads, answers, shares what it computed, and stops."""

from tests.families.conftest import Measurements


def test_a_model_of_it_is_used(measurements: Measurements, architecture: str) -> None:
    facts = measurements.of(architecture)

    assert facts.keeps_text
    assert facts.unstopped == ()
    if not facts.embeds:
        assert facts.answer
        assert facts.shares
