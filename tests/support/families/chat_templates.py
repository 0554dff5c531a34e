"""Chat templates of families, and conversations that go through them and back through a parser.

The templates are rewritten: they have the structure, conditions and marks of the published ones,
without their prose. A template prints earlier calls and thoughts as the model writes new ones, so
what it prints of an assistant's turn is what the model would have written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.parsing.format_detection import detect_format
from server.parsing.output_format import GenerationStart, OutputFormat
from server.prompt.messages import Message, Think, Tool, ToolCall
from tests.support.parsing import Output, output
from tests.support.rendering import go_renderer, jinja_renderer

_DIRECTORY: Final = Path(__file__).parent
JINJA: Final[Mapping[str, str]] = {
    path.stem: path.read_text() for path in sorted((_DIRECTORY / "jinja").glob("*.jinja"))
}
GO: Final[Mapping[str, str]] = {
    path.stem: path.read_text() for path in sorted((_DIRECTORY / "go").glob("*.gotmpl"))
}
WEATHER: Final = Tool(
    "function",
    "get_weather",
    "Weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
SYSTEM: Final = Message("system", "Be brief.")
QUESTION: Final = Message("user", "What about Paris?")
CALL: Final = ToolCall("call_1", 0, "get_weather", {"city": "Le Mans", "days": 3})
OTHER_CALL: Final = ToolCall("call_2", 1, "get_weather", {"city": "Brest"})
CALLED: Final = Message("assistant", tool_calls=(CALL,))
RESULT: Final = Message("tool", "12 degrees", tool_name="get_weather", tool_call_id="call_1")
OTHER_RESULT: Final = Message("tool", "9 degrees", tool_name="get_weather", tool_call_id="call_2")

Render = Callable[[Sequence[Message], Sequence[Tool], Think | None], str]
_BLOCK_STARTS: Final = ("<think>", "</think>", "<seed:think>", "<|channel>", "<|START_THINKING|>")


@dataclass(frozen=True, slots=True)
class Chat:
    """A template with the output format that is chosen for it."""

    render: Render
    format: OutputFormat

    def parsed(self, prompt: str, text: str, think: Think | None = None) -> Output:
        """Return what is made of a text that the model writes after `prompt`."""
        generation = GenerationStart(tools=(WEATHER,), prompt=prompt, think=think, last=QUESTION)
        return output(self.format.create_parser(generation), [text])

    def written(self, turn: Message, think: Think | None = None) -> Output:
        """Return what is parsed of what the template prints of an assistant's turn with a call."""
        start = [SYSTEM, QUESTION]
        prompt = self.render(start, (WEATHER,), think)
        whole = self.render([*start, turn, RESULT], (WEATHER,), think)
        before, _, turn_start = prompt.partition(QUESTION.content)
        text = whole.partition(QUESTION.content)[2]
        n_common = _n_common(turn_start, text)
        if n_common < len(turn_start):  # a block of thinking that is left out of earlier turns
            begins = [turn_start.find(block) for block in _BLOCK_STARTS]
            n_common = min([n_common, *(begin for begin in begins if begin >= 0)])
        text = text[n_common : text.index(RESULT.content)]
        prompt = before + QUESTION.content + turn_start[:n_common]
        return self.parsed(prompt, text, think)


def jinja_chat(name: str) -> Chat:
    """Return the Jinja template of a family."""
    renderer = jinja_renderer(JINJA[name], bos="<s>", eos="</s>")
    return Chat(renderer.render, detect_format(JINJA[name]))


def go_chat(name: str, format: OutputFormat) -> Chat:
    """Return the Go template of a family, whose output has `format`."""
    renderer = go_renderer(GO[name])
    return Chat(renderer.render, format)


def _n_common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
