"""Parsers of model output fed in pieces, and the tools that the models of the tests may call."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from server.parsing.parser import Call, OutputParser, ParsedOutput
from server.prompt.messages import Tool

WEATHER = Tool(
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "n": {"type": "integer"},
            "ok": {"type": "boolean"},
            "u": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "l": {"type": "array"},
        },
        "required": ["city"],
    },
)
TOOLS = (WEATHER, Tool(name="get"))


@dataclass
class Output:
    """All that a parser made of a text."""

    content: str = ""
    thinking: str = ""
    calls: list[tuple[str, object]] = field(default_factory=list)

    def add(self, parsed: ParsedOutput) -> None:
        self.content += parsed.content
        self.thinking += parsed.thinking
        self.calls += [pair(call) for call in parsed.calls]


def pair(call: Call) -> tuple[str, object]:
    """Return a call as its name and arguments."""
    return call.name, dict(call.arguments)


def output(parser: OutputParser, pieces: Iterable[str]) -> Output:
    """Return what a parser makes of a text that comes in pieces."""
    result = Output()
    for piece in pieces:
        result.add(parser.push(piece))
    result.add(parser.finish())
    return result
