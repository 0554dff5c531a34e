"""Conversations with tools: calls, the use of results, and questions that need no tool."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from training.chat import Call, Tool, Turn, compact
from training.corpus import values
from training.corpus.actions import action
from training.corpus.facts import Asked, ask, facts
from training.corpus.sample import Sample, conversation
from training.corpus.toolbox import TOOLS, Parameter, ToolKind

_FIELD = re.compile(r"{(\w+)}")
_TRUTHS = {"on": True, "true": True, "off": False, "false": False}
_OPENINGS = ("", "", "", "", "", "", "Please: ", "Hi, ", "Hello! ", "Hey, ", "Now: ")
NO_TOOL = "I have no tool for that."


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool as one program defines it; `names` maps a parameter's first name to its own."""

    kind: ToolKind
    name: str
    tool: Tool
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """What a user asks for, the calls that it takes, and what is told of each result."""

    text: str
    calls: tuple[Call, ...]
    results: tuple[str, ...]
    tells: tuple[str, ...]


def draw_kind(random: Random) -> ToolKind:
    return random.choice(TOOLS) if random.random() < 0.65 else action(random)


def offer(random: Random, kind: ToolKind) -> Offer:
    """Return a definition of a tool of this kind."""
    name = random.choice(kind.names)
    if random.random() < 0.06:
        name = f"{values.made_up(random)}_{name}"
    asked = [set(_FIELD.findall(text)) for text in kind.asks]
    always = set.intersection(*asked)
    names = {p.names[0]: random.choice(p.names) for p in kind.parameters}
    if len(set(names.values())) < len(names):
        names = {p.names[0]: p.names[0] for p in kind.parameters}
    properties = {names[p.names[0]]: _schema(random, p) for p in kind.parameters}
    parameters = {
        "type": "object",
        "required": [names[p.names[0]] for p in kind.parameters if p.names[0] in always],
        "properties": properties,
    }
    if not parameters["required"]:
        del parameters["required"]
    tool = {"name": name, "description": random.choice(kind.says), "parameters": parameters}
    return Offer(kind, name, tool, names)


def _schema(random: Random, parameter: Parameter) -> dict[str, object]:
    schema: dict[str, object] = {"type": parameter.type}
    if random.random() < 0.4:
        schema["description"] = parameter.says
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return schema


def task(random: Random, offered: Offer) -> Task:
    """Return something that takes one call of `offered`."""
    kind = offered.kind
    text = random.choice(kind.asks)
    drawn = {p.names[0]: p.draw(random) for p in kind.parameters}
    return _task(random, offered, text, [drawn])


def double_task(random: Random, offered: Offer) -> Task:
    """Return something that takes two calls of `offered`, asked for in one sentence."""
    kind = offered.kind
    text = min(kind.asks, key=lambda t: (len(_FIELD.findall(t)), random.random()))
    draws = [{p.names[0]: p.draw(random) for p in kind.parameters} for _ in range(2)]
    if len(_FIELD.findall(text)) > 1:
        return _task(random, offered, text, draws[:1])
    return _task(random, offered, text, draws)


def _task(random: Random, offered: Offer, text: str, draws: Sequence[Mapping[str, object]]) -> Task:
    fields = _FIELD.findall(text)
    quote = random.choice(("", "", "", '"', "'"))
    shown = {
        name: random.choice((" and ", " and in ", " and ", ", then ")).join(
            _shown(draw[name], quote) for draw in draws
        )
        if name in fields
        else ""
        for name in draws[0]
    }
    text = random.choice(_OPENINGS) + text.format(**shown)
    if random.random() < 0.15:
        text = text.rstrip("?.")
    types = {p.names[0]: p.type for p in offered.kind.parameters}
    calls, results, tells = [], [], []
    for draw in draws:
        known = {name: value for name, value in draw.items() if name in fields}
        arguments = {offered.names[n]: _argument(value, types[n]) for n, value in known.items()}
        calls.append(Call(offered.name, arguments))
        result, told = _result(random, offered.kind, known)
        results.append(result)
        tells.append(told)
    return Task(text, tuple(calls), tuple(results), tuple(tells))


def spoken(random: Random, kind: ToolKind) -> tuple[str, str]:
    """Return two ways of asking for the same."""
    drawn = {p.names[0]: p.draw(random) for p in kind.parameters}
    same = [text for text in kind.asks if len(_FIELD.findall(text)) == len(kind.parameters)]
    one, two = random.sample(same if len(same) > 1 else kind.asks, 2)
    return one.format(**drawn), two.format(**drawn)


def _shown(value: object, quote: str) -> str:
    text = str(value)
    return f"{quote}{text}{quote}" if " " in text else text


def _argument(value: object, type_name: str) -> object:
    return _TRUTHS[str(value)] if type_name == "boolean" else value


def _result(random: Random, kind: ToolKind, known: Mapping[str, object]) -> tuple[str, str]:
    """Return what a tool gives back, as JSON or as text, and the sentence about it."""
    if random.random() < 0.2:
        text = values.phrase(random)
        if random.random() < 0.3:
            text = f"{values.whole(random)} {values.word(random)}"
        if random.random() < 0.3:
            key = values.word(random)
            return compact({key: text}), f"The result is: {key} {text}."
        return text, f"The result is: {text}."
    drawn = {name: draw(random) for name, draw in kind.result}
    needs = set(_FIELD.findall(kind.tells)) - set(drawn)
    if not needs <= set(known):
        parts = ", ".join(f"{name} {value}" for name, value in drawn.items())
        return compact(drawn), f"The result is: {parts}."
    told = kind.tells.format(**{**known, **drawn})
    if random.random() < 0.3:
        drawn = {**{n: v for n, v in known.items() if random.random() < 0.5}, **drawn}
    return compact(drawn), told


def tool_sample(random: Random) -> Sample:
    """Return one turn of a conversation with tools."""
    first = offer(random, draw_kind(random))
    others = _others(random, first)
    offered = [first, *others]
    random.shuffle(offered)
    tools = [o.tool for o in offered]
    think = random.random() < 0.4
    choice = random.random()
    if choice < 0.12:
        return _needless(random, tools, think=think)
    if choice < 0.17:
        return _missing(random, first, [o.tool for o in others], think=think)
    if choice < 0.24:
        wanted = double_task(random, first)
    elif choice < 0.28 and others:
        wanted = _joined(task(random, first), task(random, others[0]))
    else:
        wanted = task(random, first)
    earlier = _earlier(ask(random, random.choice(facts()))) if random.random() < 0.05 else ()
    turns = [
        *earlier,
        Turn("user", wanted.text),
        Turn("assistant", "", _plan(wanted), wanted.calls),
    ]
    if random.random() < 0.35:
        if not think:
            turns[-1] = Turn("assistant", calls=wanted.calls)
        turns += (Turn("tool", result) for result in wanted.results)
        turns.append(Turn("assistant", " ".join(wanted.tells), "The result is there."))
        return conversation("tool result", turns, tools=tools, think=think)
    return conversation("tool call", turns, tools=tools, think=think)


def _others(random: Random, first: Offer) -> list[Offer]:
    found: list[Offer] = []
    for _ in range(random.choice((0, 0, 0, 1, 1, 1, 2))):
        other = offer(random, draw_kind(random))
        if not set(other.kind.names) & {n for o in (first, *found) for n in o.kind.names}:
            found.append(other)
    return found


def _plan(wanted: Task) -> str:
    names = [call.name for call in wanted.calls]
    if len(names) == 2 and names[0] == names[1]:
        return f"I call {names[0]} twice."
    return f"I call {' and '.join(names)}."


def _joined(one: Task, two: Task) -> Task:
    return Task(
        f"{one.text} {two.text}",
        one.calls + two.calls,
        one.results + two.results,
        one.tells + two.tells,
    )


def _needless(random: Random, tools: Sequence[Tool], *, think: bool) -> Sample:
    asked = ask(random, random.choice([f for f in facts() if f.key != "other"]))
    turns = [
        Turn("user", asked.question),
        Turn("assistant", asked.answer, f"No tool is needed. {asked.fact.thought}"),
    ]
    return conversation("tool not needed", turns, tools=tools, think=think)


def _missing(random: Random, first: Offer, tools: Sequence[Tool], *, think: bool) -> Sample:
    text = task(random, first).text
    turns = [Turn("user", text), Turn("assistant", NO_TOOL, "None of the tools can do that.")]
    if not tools:
        other = next(f for f in facts() if f.key == "other")
        turns[1] = Turn("assistant", other.answer, other.thought)
    return conversation("tool missing", turns, tools=tools, think=think)


def _earlier(asked: Asked) -> tuple[Turn, Turn]:
    return Turn("user", asked.question), Turn("assistant", asked.answer)
