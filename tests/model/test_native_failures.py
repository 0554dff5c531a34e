"""What kills a runner from inside is told in a sentence, and the next runner is as good as new."""

from pathlib import Path

import pytest

from runners.host.errors import RunnerDied
from runners.host.process import RunnerProcess
from tests.support.runners import load_spec
from tests.support.tiny_models import write_llama

pytestmark = pytest.mark.anyio


async def test_text_that_a_broken_vocabulary_cannot_spell_ends_its_runner_alone(
    tmp_path: Path,
) -> None:
    """The library aborts the process when a character has neither a token nor its bytes."""
    model = write_llama(tmp_path / "words.gguf", vocab="words")
    struck, other = await RunnerProcess.start(), await RunnerProcess.start()
    for runner in (struck, other):
        await runner.load(load_spec(model), stall_timeout=60)
    assert await struck.client.tokenize("the dog") == await other.client.tokenize("the dog")

    with pytest.raises(RunnerDied) as died:
        await struck.client.tokenize("the 🦒")

    assert "stopped unexpectedly" in str(died.value)
    assert str(tmp_path) not in str(died.value)
    assert "\n" not in str(died.value)
    assert (await struck.died).detail == str(died.value)
    assert await other.client.tokenize("the dog")
    for runner in (struck, other):
        await runner.close()
