"""Structured output holds for every schema on the hardest model there is: one of random weights."""

import json
from random import Random

import jsonschema
import pytest

from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import Sampling, StopReason
from tests.support.json_schemas import Schema, random_schema
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import SteppedEngine

N_SCHEMAS = 200
SEEDS = (1, 2, 3)
BATCH = 25


def schemas() -> list[Schema]:
    return [random_schema(Random(number)) for number in range(N_SCHEMAS)]


@pytest.mark.parametrize("first", range(0, N_SCHEMAS, BATCH))
def test_every_answer_parses_and_validates(engine: SteppedEngine, first: int) -> None:
    """At temperature 1 and three seeds each, unless the limit of tokens cut the answer."""
    asked = [
        (
            schema,
            engine.ask(
                prompt_of(8),
                Sampling(temperature=1.0, seed=seed, top_k=0, top_p=1.0),
                constraint=JSONSchema(json.dumps(schema)),
                n_predict=300,
            ),
        )
        for schema in schemas()[first : first + BATCH]
        for seed in SEEDS
    ]
    engine.run()

    whole = [(schema, a.text) for schema, a in asked if a.done.reason is StopReason.STOP]
    for schema, text in whole:
        jsonschema.validate(json.loads(text), _wrapped(schema), cls=jsonschema.Draft202012Validator)
    assert len(whole) >= len(asked) * 0.8


def _wrapped(schema: Schema) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
