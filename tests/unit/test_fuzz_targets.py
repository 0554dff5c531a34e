"""The fuzz targets accept what they begin with, so that fuzzing starts from valid inputs."""

import random

import pytest

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_target_survives_its_corpus_and_mutations_of_it(name: str) -> None:
    target = TARGETS[name]
    for data in target.corpus():
        target.run(data)
        draw = random.Random(0)
        for _ in range(200):
            mutated = bytearray(data[:4096])
            for _ in range(draw.randint(1, 8)):
                mutated[draw.randrange(len(mutated))] = draw.randrange(256)
            target.run(bytes(mutated))
