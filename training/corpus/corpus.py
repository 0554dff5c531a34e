"""The corpus as a whole: which kinds of samples there are, and how many of each."""

from collections.abc import Callable
from random import Random

from training.chat import Turn
from training.corpus.exercises import exercise_sample
from training.corpus.facts import Fact, ask, facts
from training.corpus.gaps import gap_sample
from training.corpus.json_answers import json_sample
from training.corpus.sample import Sample, conversation
from training.corpus.tool_calls import draw_kind, offer, task, tool_sample

_SYSTEMS = (
    "You are a helpful assistant.", "Be brief.", "You are paddock's guide.", "Be kind.",
    "Answer in one sentence.", "You are a friendly assistant.", "Help the user.",
)  # fmt: skip


def fact_sample(random: Random) -> Sample:
    """Return a question about paddock or some small talk, perhaps after others."""
    small_talk = [fact for fact in facts() if fact.is_small_talk]
    known = [fact for fact in facts() if not fact.is_small_talk]
    pick = random.random()
    if pick < 0.06:
        return _beyond(random)
    fact = random.choice(small_talk if pick < 0.22 else known)
    turns: list[Turn] = []
    for _ in range(random.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 2))):
        earlier = ask(random, random.choice(facts()))
        turns += [Turn("user", earlier.question), Turn("assistant", earlier.answer)]
    return _asked(random, fact, turns)


def _asked(random: Random, fact: Fact, earlier: list[Turn]) -> Sample:
    asked = ask(random, fact)
    turns = [
        *earlier,
        Turn("user", asked.question),
        Turn("assistant", asked.answer, asked.fact.thought),
    ]
    return conversation(
        "fact",
        turns,
        system=random.choice(_SYSTEMS) if random.random() < 0.15 else "",
        think=random.random() < 0.45,
    )


def _beyond(random: Random) -> Sample:
    """Return a question that needs a tool, asked where there is none."""
    fact = next(fact for fact in facts() if fact.key == "other")
    text = task(random, offer(random, draw_kind(random))).text
    turns = [Turn("user", text), Turn("assistant", fact.answer, fact.thought)]
    return conversation("beyond", turns, think=random.random() < 0.45)


_SHARES: tuple[tuple[float, Callable[[Random], Sample]], ...] = (
    (0.47, fact_sample),
    (0.28, tool_sample),
    (0.08, json_sample),
    (0.06, gap_sample),
    (0.11, exercise_sample),
)


def samples(seed: int, count: int) -> list[Sample]:
    """Return `count` samples, always the same for one seed."""
    random = Random(seed)
    shares, makers = zip(*_SHARES, strict=True)
    return [make(random) for make in random.choices(makers, shares, k=count)]
