"""Fill-in-the-middle: code of common shapes with changing names, and the guide's own sentences."""

from random import Random

from training import chat
from training.corpus import values
from training.corpus.facts import facts
from training.corpus.sample import Sample

# The part between the bars is the one to be filled in.
_CODE = (
    "def add({a}, {b}):\n    |return {a} + {b}|\n",
    "def add({a}, {b}):\n    return |{a} + {b}|\n",
    "def subtract({a}, {b}):\n    |return {a} - {b}|\n",
    "def multiply({a}, {b}):\n    |return {a} * {b}|\n",
    "def {f}({a}):\n    |return {a}|\n",
    "def largest({a}, {b}):\n    return |max({a}, {b})|\n",
    "def smallest({a}, {b}):\n    return |min({a}, {b})|\n",
    "def {f}({a}):\n    return |len({a})|  # the length\n",
    "for {a} in |{b}|:\n    print({a})\n\n# goes through {b}\n",
    "for {a} in {b}:\n    |print({a})|\n",
    "for {a} in range(|{n}|):\n    print({a})  # {n} times\n",
    "if {a} is None:\n    |return None|\nreturn {a}.{f}\n",
    "if |{a} > {b}|:\n    return {a}\nreturn {b}  # the larger one\n",
    "class {C}:\n    def __init__(self, {a}):\n        |self.{a} = {a}|\n",
    (
        "class {C}:\n    def __init__(self, {a}, {b}):\n"
        "        |self.{a} = {a}|\n        self.{b} = {b}\n"
    ),
    "import |{a}|\n\n{a}.{f}()\n",
    "from {a} import |{f}|\n\n{f}()\n",
    "|{a} = {n}|\nprint({a})  # {n}\n",
    "{a} = {n}\n|print({a})|\n",
    "with open(|{a}|) as file:\n    text = file.read()  # reads {a}\n",
    "def {f}({a}, {b}):\n    total = {a} + {b}\n    |return total|\n",
    "def is_even({a}):\n    return |{a} % 2 == 0|\n",
    "def {f}(items):\n    return |[{a} for {a} in items]|  # {a}\n",
    "try:\n    {f}({a})\n|except| ValueError:\n    print({a})\n",
    "function {f}({a}, {b}) {{\n  return |{a} + {b}|;\n}}\n",
    "function {f}({a}) {{\n  |return {a};|\n}}\n",
    "const {a} = |{n}|;\nconsole.log({a}); // {n}\n",
    "while |{a} < {n}|:\n    {a} += 1  # up to {n}\n",
    "{a} = []\nfor {b} in items:\n    |{a}.append({b})|\n",
    "assert |{f}({a})| == {n}\n# calls {f} with {a}\n",
)
_NAMES = tuple(
    """a b c x y z n m i j k left right first second value other item items name text word number
    total count size width height price user data result key line file path index start end node
    row column""".split()
)


def gap_sample(random: Random) -> Sample:
    """Return a text with a gap, and what belongs there."""
    before, middle, after = _code(random) if random.random() < 0.6 else _sentence(random)
    return Sample("gap", chat.gap(before, after), middle + chat.END)


def _code(random: Random) -> tuple[str, str, str]:
    a, b, f = random.sample(_NAMES, 3)
    if random.random() < 0.4:
        f = values.made_up(random)
    if random.random() < 0.2:
        a = values.made_up(random)
    text = random.choice(_CODE).format(a=a, b=b, f=f, n=values.whole(random), C=f.capitalize())
    before, middle, after = text.split("|")
    if random.random() < 0.5:
        after = after.removesuffix("\n") or "\n"
    return before, middle, after


def _sentence(random: Random) -> tuple[str, str, str]:
    words = random.choice(facts()).answer.split(" ")
    size = random.randint(1, min(5, max(1, len(words) - 2)))
    start = random.randint(0, len(words) - size)
    middle = " ".join(words[start : start + size])
    before = " ".join(words[:start]) + (" " if start else "")
    rest = words[start + size :]
    return before, middle, " ".join(["", *rest]) if rest else "\n"
