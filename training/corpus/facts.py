"""Facts: questions asked in many ways, each with the one answer that the guide gives."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from training.corpus.values import model_name
from training.corpus.wording import disturbed, reworded, wrapped_aim, wrapped_question

_FILES = ("facts.txt", "smalltalk.txt")


@dataclass(frozen=True, slots=True)
class Fact:
    """`aims` are things to do, `questions` whole questions; `held` are never trained on."""

    key: str
    topic: str
    answer: str
    aims: tuple[str, ...]
    questions: tuple[str, ...]
    held: tuple[str, ...]
    is_small_talk: bool

    @property
    def thought(self) -> str:
        """What the guide thinks before it answers."""
        return f"This is about {self.topic}."


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the answer to exactly this question."""

    fact: Fact
    question: str
    answer: str


@cache
def facts() -> tuple[Fact, ...]:
    """Return all facts, small talk last."""
    return tuple(
        _fact(block, is_small_talk=name == "smalltalk.txt")
        for name in _FILES
        for block in (Path(__file__).parent / name).read_text().split("\n\n")
        if block.startswith("[")
    )


def _fact(block: str, *, is_small_talk: bool) -> Fact:
    heading, answer, *lines = block.strip().split("\n")
    key, topic = heading.removeprefix("[").split("] ", 1)
    listed = {
        kind: tuple(part.strip() for part in rest.split("|"))
        for kind, rest in (line.split(":", 1) for line in lines)
    }
    return Fact(
        key,
        topic,
        answer,
        listed.get("how", ()),
        listed.get("ask", ()),
        listed["held"],
        is_small_talk,
    )


def _worded(random: Random, fact: Fact) -> str:
    """Return an aim or a question, perhaps in another shape."""
    text = random.choice((*fact.aims, *fact.questions))
    return reworded(random, text) if random.random() < 0.3 else text


@cache
def _held() -> frozenset[str]:
    return frozenset(text.lower() for fact in facts() for text in fact.held)


def ask(random: Random, fact: Fact) -> Asked:
    """Return a question about `fact`, worded anew, but never in a way that is held back."""
    while (asked := _asked(random, fact)).question.lower().rstrip(".?! ") in _held():
        pass
    return asked


def _asked(random: Random, fact: Fact) -> Asked:
    text = _worded(random, fact)
    is_aim = text in fact.aims
    name = ""
    if "NAME" in fact.answer and random.random() < 0.4:
        name = model_name(random)
        for general in ("a new model", "another model", "a model", "the model", "models"):
            if general in text:
                text = text.replace(general, name, 1)
                break
        else:
            name = ""
    question = wrapped_aim(random, text) if is_aim else wrapped_question(random, text)
    # A model's name is copied to the letter, so it must be spelled right.
    if not name:
        question = disturbed(random, question)
    return Asked(fact, question, fact.answer.replace("NAME", name) if name else fact.answer)
