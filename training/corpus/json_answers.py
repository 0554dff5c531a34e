"""Answers in JSON: what the prompt tells, lists of things, and facts."""

from random import Random

from training.chat import Turn, compact
from training.corpus import values
from training.corpus.facts import ask, facts
from training.corpus.sample import Sample, conversation
from training.corpus.toolbox import Draw

_FIELDS: tuple[tuple[str, Draw], ...] = (
    ("name", values.person), ("age", values.small), ("city", values.city),
    ("email", values.email), ("color", values.color), ("price", values.decimal),
    ("count", values.whole), ("date", values.date), ("title", values.phrase),
    ("code", values.code), ("language", values.language), ("day", values.day),
    ("id", values.whole), ("product", values.word), ("owner", values.person),
)  # fmt: skip
_GROUPS = {
    "colors": values.COLORS,
    "cities": values.CITIES[:60],
    "names": values.NAMES,
    "days": values.DAYS,
    "languages": values.LANGUAGES,
    "animals": tuple("tiger eagle rabbit turtle dolphin horse spider".split()),
    "fruits": tuple("apple lemon cherry banana pear plum".split()),
    "vegetables": tuple("tomato potato onion pepper garlic carrot".split()),
}
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
_ENDS = (
    " Answer in JSON.", " Answer as JSON.", " Reply in JSON.", " Respond with JSON.",
    " Give the answer as JSON.", " Use JSON.", " In JSON, please.", " Output JSON only.",
    " Return a JSON object.", " Format the answer as JSON.",
)  # fmt: skip
_STARTS = ("Answer in JSON: ", "As JSON: ", "In JSON: ", "Reply with a JSON object: ", "JSON: ")
_SYSTEMS = ("Answer in JSON.", "You answer in JSON.", "Always reply with JSON.")
_RECORDS = (
    "Make a JSON object with {}.", "Give me a JSON object with {}.", "Return JSON with {}.",
    "Write {} as JSON.", "Turn this into JSON: {}.", "Convert to JSON: {}.",
    "Create JSON for {}.", "JSON object: {}.", "Express {} in JSON.", "Extract JSON from: {}.",
)  # fmt: skip


def json_sample(random: Random) -> Sample:
    """Return a question whose answer is to be JSON."""
    choice = random.random()
    if choice < 0.5:
        question, found, thought = _record(random)
    elif choice < 0.65:
        question, found, thought = _list(random)
    else:
        return _fact(random)
    return _answered(random, question, found, thought)


def _answered(
    random: Random, question: str, found: object, thought: str, system: str = ""
) -> Sample:
    turns = [Turn("user", question), Turn("assistant", compact(found), f"{thought} I write JSON.")]
    return conversation("json", turns, system=system, think=random.random() < 0.4)


def _record(random: Random) -> tuple[str, object, str]:
    chosen = random.sample(_FIELDS, random.choice((1, 2, 2, 3, 3, 4)))
    found = {name: draw(random) for name, draw in chosen}
    form = random.choice(("{} {}", "{} {}", "{}: {}", "{} = {}", "{} is {}", "{} {}"))
    parts = [form.format(name, value) for name, value in found.items()]
    joint = random.choice((", ", " and ", ", "))
    text = random.choice(_RECORDS).format(joint.join(parts))
    if "JSON" not in text:
        text += random.choice(_ENDS)
    return text, found, "The values are given."


def _list(random: Random) -> tuple[str, object, str]:
    group = random.choice(tuple(_GROUPS))
    count = random.choice(tuple(_NUMBERS))
    shown = random.choice((str(count), _NUMBERS[count]))
    text = random.choice(
        (
            "List {} {} as JSON.", "Give me {} {} in JSON.", "Name {} {}. Answer in JSON.",
            "Return {} {} as a JSON object.", "Write {} {} as JSON.",
        )
    ).format(shown, group)  # fmt: skip
    return text, {group: list(_GROUPS[group][:count])}, f"This is about {group}."


def _fact(random: Random) -> Sample:
    asked = ask(random, random.choice(facts()))
    question, system = asked.question, ""
    choice = random.random()
    if choice < 0.5:
        question += random.choice(_ENDS)
    elif choice < 0.8:
        question = random.choice(_STARTS) + question
    else:
        system = random.choice(_SYSTEMS)
    return _answered(random, question, {"answer": asked.answer}, asked.fact.thought, system)
