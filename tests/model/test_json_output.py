"""Constrained answers: what is streamed is JSON of the shape asked for, and ends by itself."""

import json

import msgspec
import pytest

from runners.protocol.constraints import (
    Choice,
    Concatenation,
    JSONSchema,
    Lark,
    Literal,
    Regex,
    Until,
    Voluntary,
)
from runners.protocol.messages import FailureCode, Sampling, StopReason
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import GREEDY, Answer, SteppedEngine
from tests.support.tiny_models import llama_pieces

PROMPT = prompt_of(20)
PET = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 20},
        "kind": {"enum": ["cat", "dog"]},
    },
    "required": ["name", "age", "kind"],
}
SAMPLINGS = {
    "greedy": GREEDY,
    "random": Sampling(temperature=1.5, seed=4, top_k=0, top_p=1.0),
    "narrow": Sampling(temperature=1.0, seed=4, top_k=2, top_p=0.5),
    "penalised": Sampling(temperature=0.0, repeat_penalty=2.0, presence_penalty=3.0),
}


def constrained(schema: object) -> JSONSchema:
    return JSONSchema(json.dumps(schema))


def is_pet(value: object) -> bool:
    match value:
        case {"name": str(name), "age": int(age), "kind": "cat" | "dog", **others}:
            return not others and len(name) <= 8 and 0 <= age <= 20
    return False


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_answer_satisfies_the_schema_however_it_is_drawn(
    engine: SteppedEngine, sampling: Sampling
) -> None:
    answer = engine.answer(PROMPT, sampling, constraint=constrained(PET), logprobs=0)

    assert is_pet(json.loads(answer.text))
    assert answer.done.reason is StopReason.STOP
    assert len(answer.chunks) == answer.done.n_eval == len(answer.tokens)
    assert b"".join(answer.tokens).decode() == answer.text


@pytest.mark.parametrize("schema", ["{}", "true"])
def test_any_object_is_wanted_when_the_schema_says_nothing(
    engine: SteppedEngine, schema: str
) -> None:
    constraint = JSONSchema(schema)
    answers = [
        engine.ask(PROMPT, Sampling(seed=seed), constraint=constraint, n_predict=200)
        for seed in range(16)
    ]
    engine.run()

    whole = [a for a in answers if a.done.reason is StopReason.STOP]
    assert whole
    assert all(isinstance(json.loads(answer.text), dict) for answer in whole)
    assert all(answer.text.startswith("{") for answer in answers)


def test_constrained_and_free_requests_share_their_steps(engine: SteppedEngine) -> None:
    free = engine.answer(PROMPT, n_predict=30).text
    schemas = [PET, {"const": [1, 2]}, {"type": "boolean"}, {"enum": ["cat", "dog"]}]
    alone = [engine.answer(PROMPT, constraint=constrained(schema)).text for schema in schemas]

    answers = [engine.ask(PROMPT, constraint=constrained(schema)) for schema in schemas]
    others = [engine.ask(PROMPT, n_predict=30) for _ in range(3)]
    engine.run()

    assert [answer.text for answer in answers] == alone
    assert [other.text for other in others] == [free] * 3


def test_limit_ends_an_answer_in_the_middle_and_says_so(engine: SteppedEngine) -> None:
    whole = engine.answer(PROMPT, constraint=constrained(PET))

    cut = engine.answer(PROMPT, constraint=constrained(PET), n_predict=5)

    assert cut.done.reason is StopReason.LENGTH
    assert whole.text.startswith(cut.text)
    assert cut.text != whole.text


def test_stop_string_ends_constrained_output_too(engine: SteppedEngine) -> None:
    answer = engine.answer(PROMPT, constraint=constrained(PET), stop=('"age"',))

    assert answer.done.reason is StopReason.STOP
    assert answer.text.startswith('{"name":')
    assert '"age"' not in answer.text


def test_constrained_output_longer_than_the_context_is_valid_too(engine: SteppedEngine) -> None:
    items = {"type": "array", "items": {"enum": [True, False]}, "minItems": 99, "maxItems": 99}

    answer = engine.answer(PROMPT, constraint=constrained(items))

    assert answer.done.n_eval > engine.engine.ready.n_ctx
    assert len(json.loads(answer.text)) == 99


def test_seed_decides_constrained_output_too(engine: SteppedEngine) -> None:
    def draw(seed: int) -> Answer:
        sampling = Sampling(temperature=1.0, seed=seed)
        return engine.answer(PROMPT, sampling, constraint=constrained(PET))

    assert draw(1).text == draw(1).text
    assert len({draw(seed).text for seed in range(5)}) > 1


@pytest.mark.parametrize("seed", range(8))
def test_penalties_do_not_count_what_the_schema_refused(engine: SteppedEngine, seed: int) -> None:
    """A word that was not used is passed over only for one that the model likes better."""
    prompt, n_vocab = prompt_of(20, seed=seed), engine.engine.ready.n_vocab
    sampling = Sampling(temperature=0.0, presence_penalty=100.0, repeat_last_n=-1)
    string = constrained({"type": "string"})
    answer = engine.answer(prompt, sampling, constraint=string, n_predict=60, logprobs=n_vocab)

    used = {f" {word}".encode() for word in prompt.split()}
    opening, *others = answer.logprobs
    assert opening.chosen.text.startswith(b'"')
    for entry in others:
        better = [token.text for token in entry.top if token.logprob > entry.chosen.logprob]
        words = {text for text in better if len(text) > 1 and text.strip().isalpha()}
        assert words <= used
        used.add(entry.chosen.text)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("{", "the schema is not valid JSON"),
        ("[]", "the schema must be a JSON object"),
        ('{"type": "dog"}', 'the schema has an unknown "type": "dog"'),
        ('{"type": "string", "pattern": "("}', "regular expression"),
        ('{"type": "integer", "minimum": 2, "maximum": 1}', "no JSON value satisfies the schema"),
    ],
)
def test_schema_that_cannot_be_used_is_refused_in_a_sentence(
    engine: SteppedEngine, schema: str, reason: str
) -> None:
    other = engine.ask(PROMPT, n_predict=5)

    refused = engine.ask(PROMPT, constraint=JSONSchema(schema)).failed

    assert refused.code is FailureCode.BAD_CONSTRAINT
    assert reason in refused.message
    engine.run()
    assert other.done.n_eval == 5


@pytest.mark.parametrize("must_hold", [True, False])
def test_a_constraint_that_fails_midway_ends_only_what_insists_on_it(
    engine: SteppedEngine, *, must_hold: bool
) -> None:
    """The form of calls is a help that a model does without where it gets too complex."""
    ambiguous = Regex("((?s:.){1,40}){1,4000}")
    answer = engine.answer(PROMPT, constraint=ambiguous, must_hold=must_hold, n_predict=200)

    if must_hold:
        assert answer.failed.code is FailureCode.BAD_CONSTRAINT
    else:
        assert answer.done.n_eval == 200
        assert answer.done.constraint_error


def test_an_ambiguous_grammar_ends_only_its_own_answer(engine: SteppedEngine) -> None:
    other = engine.ask(PROMPT, n_predict=300)

    ambiguous = Lark("start: s\ns: s s | /(?s:.)/\n")
    failed = engine.answer(PROMPT, constraint=ambiguous, n_predict=300).failed

    assert failed.code is FailureCode.BAD_CONSTRAINT
    assert "takes too long to match" in failed.message
    engine.run()
    assert other.done.n_eval == 300


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize(("first", "is_thought"), [("Hello", False), ("<", True)])
def test_a_thought_begins_only_where_the_model_samples_it(
    engine: SteppedEngine, sampling: Sampling, first: str, *, is_thought: bool
) -> None:
    """Whatever the penalties, which count tokens of the chain of samplers."""
    ids = {piece: token for token, (piece, _, _) in enumerate(llama_pieces())}
    bias = {ids[first]: 200.0, ids["<"]: 100.0, ids[">"]: 50.0}
    thought = Concatenation((Literal("<"), Until(">")))
    constraint = Concatenation(
        (Choice((Voluntary(thought, Literal("<>")), Literal(""))), JSONSchema('{"const": 1}'))
    )

    answer = engine.answer(
        PROMPT, msgspec.structs.replace(sampling, logit_bias=bias), constraint=constraint
    )

    assert answer.text.startswith("<") == is_thought
    assert answer.text.endswith("1") or is_thought
