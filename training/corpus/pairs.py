"""Pairs of texts that mean the same, for the embedding model."""

from random import Random

from training.corpus.facts import Fact, ask, facts
from training.corpus.tool_calls import spoken
from training.corpus.toolbox import TOOLS

_N_FACTS, _N_TASKS = 96, 12


def comparable() -> tuple[Fact, ...]:
    """Return the facts whose questions have something in common."""
    return tuple(fact for fact in facts() if fact.key != "other")


def pairs(random: Random) -> list[tuple[str, str]]:
    """Return pairs of which each means something else than all others."""
    found = [_about(random, fact) for fact in random.sample(comparable(), _N_FACTS)]
    found += [spoken(random, kind) for kind in random.sample(TOOLS, _N_TASKS)]
    return found


def _about(random: Random, fact: Fact) -> tuple[str, str]:
    first = ask(random, fact)
    if random.random() < 0.25:
        return first.question, fact.answer
    return first.question, ask(random, fact).question
