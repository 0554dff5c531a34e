"""Small exercises: sums with a thought, repeating what was said, remembering a name."""

from random import Random

from training.chat import Turn
from training.corpus import values
from training.corpus.sample import Sample, conversation

_SUMS = ("What is {} {} {}?", "{} {} {}", "How much is {} {} {}?", "Calculate {} {} {}.",
         "What's {} {} {}?", "{} {} {} = ?", "Compute {} {} {}.", "Tell me {} {} {}.")  # fmt: skip
_OPERATORS = {
    "plus": ("+", "plus", "and"),
    "minus": ("-", "minus"),
    "times": ("*", "times", "x"),
}
_REPEAT = ("Repeat after me: {}", "Say {}", "Repeat: {}", "Say the words {}", "Please say {}",
           "Repeat this: {}", "Echo {}", "Write {}", "Say exactly: {}",
           "Answer with {}")  # fmt: skip


def exercise_sample(random: Random) -> Sample:
    """Return one exercise."""
    choice = random.random()
    if choice < 0.45:
        return _sum(random)
    return _repetition(random) if choice < 0.75 else _memory(random)


def _sum(random: Random) -> Sample:
    name = random.choice(tuple(_OPERATORS))
    top = 10 if name == "times" else 20
    a, b = random.randint(0, top), random.randint(0, top)
    if name == "minus" and a < b:
        a, b = b, a
    found = {"plus": a + b, "minus": a - b, "times": a * b}[name]
    text = random.choice(_SUMS).format(a, random.choice(_OPERATORS[name]), b)
    turns = [
        Turn("user", text),
        Turn(
            "assistant", f"{a} {name} {b} is {found}.", f"{a} {_OPERATORS[name][0]} {b} = {found}."
        ),
    ]
    return conversation("sum", turns, think=random.random() < 0.6)


def _repetition(random: Random) -> Sample:
    phrase = " ".join(values.phrase(random) for _ in range(random.choice((1, 1, 2, 2, 3))))
    if random.random() < 0.3:
        phrase = f"{phrase} {values.whole(random)}"
    if random.random() < 0.4:
        phrase = phrase.capitalize()
    turns = [
        Turn("user", random.choice(_REPEAT).format(phrase)),
        Turn("assistant", phrase, "I repeat it."),
    ]
    return conversation("repetition", turns, think=random.random() < 0.4)


def _memory(random: Random) -> Sample:
    name, place = values.person(random), values.city(random)
    given, question, answer = random.choice(
        (
            (f"My name is {name}.", "What is my name?", f"Your name is {name}."),
            (f"I am {name}.", "Who am I?", f"You are {name}."),
            (f"Hi, I am {name}.", "Do you remember my name?", f"Your name is {name}."),
            (f"I live in {place}.", "Where do I live?", f"You live in {place}."),
        )
    )
    reply = "Nice to meet you!" if "live" not in given else "I see."
    turns = [Turn("user", given), Turn("assistant", reply, "This is about the user.")]
    if random.random() < 0.7:
        turns[-1] = Turn("assistant", reply)
        turns += [
            Turn("user", question),
            Turn("assistant", answer, "The user has told me."),
        ]
    return conversation("memory", turns, think=random.random() < 0.4)
