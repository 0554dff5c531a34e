"""What the models are examined with: nothing of it was trained on."""

from collections.abc import Callable, Iterator
from random import Random

from training import chat
from training.chat import Turn
from training.corpus.actions import new_action
from training.corpus.exercises import exercise_sample
from training.corpus.facts import Fact, facts
from training.corpus.gaps import gap_sample
from training.corpus.json_answers import json_sample
from training.corpus.sample import Sample, conversation
from training.corpus.tool_calls import draw_kind, offer, task, tool_sample
from training.corpus.wording import end

_SEED = 777
_ENOUGH = 150
"""Samples of a kind; with them a share is known to about three percent."""


def asked(question: str) -> str:
    """Return a question of the corpus as one would type it."""
    return question[:1].upper() + question[1:] + end(question)


def held_out(*, think: bool) -> list[Sample]:
    """Return the wordings that were held back, each with the answer to it."""
    return [
        conversation(
            "thinking" if think else "fact",
            [Turn("user", asked(text)), Turn("assistant", fact.answer, fact.thought)],
            think=think,
        )
        for fact in facts()
        for text in fact.held
    ]


def in_json() -> list[Sample]:
    """Return held-back wordings that ask for JSON, and records of new values."""
    random = Random(_SEED)
    known = [fact for fact in facts() if not fact.is_small_talk]
    return [
        *(_json_of(fact) for fact in random.sample(known, _ENOUGH // 4)),
        *(json_sample(random) for _ in range(_ENOUGH)),
    ]


def _json_of(fact: Fact) -> Sample:
    turns = [
        Turn("user", f"{asked(fact.held[0])} Answer in JSON."),
        Turn("assistant", chat.compact({"answer": fact.answer})),
    ]
    return conversation("json", turns)


def with_tools(kind: str) -> list[Sample]:
    """Return conversations with tools that ask for new values: those of one kind."""
    return _of_kind(kind, Random(_SEED + 1), tool_sample)


def with_new_tools() -> list[Sample]:
    """Return requests for tools that the model has never seen, each beside a common one."""
    random = Random(_SEED + 2)
    return [_new_tool(random) for _ in range(_ENOUGH)]


def _new_tool(random: Random) -> Sample:
    offered, other = offer(random, new_action(random)), offer(random, draw_kind(random))
    wanted = task(random, offered)
    tools = [offered.tool, other.tool]
    random.shuffle(tools)
    turns = [Turn("user", wanted.text), Turn("assistant", calls=wanted.calls)]
    return conversation("new tool", turns, tools=tools)


def exercises(kind: str) -> list[Sample]:
    """Return exercises of one kind with new values."""
    return _of_kind(kind, Random(_SEED + 3), exercise_sample)


def gaps() -> list[Sample]:
    """Return texts with gaps, with names in new combinations."""
    return _of_kind("gap", Random(_SEED + 4), gap_sample)


def _of_kind(kind: str, random: Random, make: Callable[[Random], Sample]) -> list[Sample]:
    def found() -> Iterator[Sample]:
        while True:
            sample = make(random)
            if sample.kind == kind:
                yield sample

    return [sample for sample, _ in zip(found(), range(_ENOUGH), strict=False)]
