"""Convert the items of a response, of the request or of earlier responses, to messages."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from server.openai.responses.item_content import ContentReader
from server.openai.responses.item_steps import Call, Result, Step, Text, Thought, said, steps_of
from server.openai.responses.items import ASSISTANT, Item
from server.prompt.messages import Message, ToolCall
from server.text.quoting import quoted

_log = logging.getLogger(__name__)
_MAX_SHOWN = 100


@dataclass(slots=True)
class _Turn:
    """A message of the assistant, to which several items may belong."""

    texts: list[str] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def message(self) -> Message:
        return Message(
            ASSISTANT,
            "\n".join(filter(None, self.texts)),
            thinking="\n".join(filter(None, self.thoughts)),
            images=tuple(self.images),
            tool_calls=tuple(self.calls),
        )


class ItemReader:
    """Converts items to messages, in order; `fetched` maps URLs of remote images to their bytes.

    `left_out` tells of the first item that meant nothing, "" when there is none.
    """

    def __init__(self, fetched: Mapping[str, bytes]) -> None:
        self._content = ContentReader(fetched)
        self._turns: list[_Turn | Message] = []
        self._thoughts: list[str] = []
        self._names: dict[str, str] = {}
        self._texts: set[str] = set()
        self.left_out = ""

    def messages(self) -> tuple[Message, ...]:
        """Return the messages of all items read so far."""
        self._end_thinking()
        return tuple(turn if isinstance(turn, Message) else turn.message() for turn in self._turns)

    def read(self, items: Iterable[Item]) -> None:
        """Read more items; those that mean nothing to a model are left out.

        Raises:
            BadRequest: the content or a name of an item is invalid.
        """
        for index, item in enumerate(items):
            where = f"input[{index}]"
            steps = list(steps_of(item, where, self._content))
            for step in steps:
                self._add(step)
            if not steps:
                kind = quoted(item["type"][:_MAX_SHOWN])
                _log.debug("%s: an item of type %s is left out", where, kind)
                self.left_out = self.left_out or f"{where}: unknown input item type: {kind}"

    def _add(self, step: Step) -> None:
        match step:
            case Text():
                self._add_text(step)
            case Thought(text):
                self._thoughts.append(text)
            case Call():
                self._add_call(step)
            case Result():
                self._add_result(step)

    def _add_text(self, text: Text) -> None:
        content = text.content
        if text.role != ASSISTANT:
            self._end_thinking()
            self._turns.append(Message(text.role, content.text, images=content.images))
            return
        # Text between a call and its result belongs to the message of the call.
        last = self._answer()
        turn = last if last is not None and last.calls else self._begin_answer()
        turn.texts.append(content.text)
        turn.images += content.images
        self._attach_thinking(turn)

    def _add_call(self, call: Call) -> None:
        self._names[call.id] = call.name
        if isinstance(call.arguments, str):
            # Cut off by a limit: no template can show it as a call.
            self._texts.add(call.id)
            self._add_text(said(f"{call.name}: {call.arguments}"))
            return
        turn = self._answer() or self._begin_answer()
        turn.calls.append(ToolCall(call.id, len(turn.calls), call.name, call.arguments))
        self._attach_thinking(turn)

    def _add_result(self, result: Result) -> None:
        self._end_thinking()
        name = self._names.get(result.call_id) or result.name
        text, images = result.content.text, result.content.images
        if result.call_id in self._texts:
            self._turns.append(Message("user", f"Result of {name}: {text}", images=images))
            return
        self._turns.append(
            Message(
                role="tool",
                content=text,
                images=images,
                tool_name=name,
                tool_call_id=result.call_id,
            )
        )

    def _answer(self) -> _Turn | None:
        """Return the last message if it is the assistant's."""
        last = self._turns[-1] if self._turns else None
        return last if isinstance(last, _Turn) else None

    def _begin_answer(self) -> _Turn:
        turn = _Turn()
        self._turns.append(turn)
        return turn

    def _attach_thinking(self, turn: _Turn) -> None:
        """Add the reasoning read so far to `turn`."""
        turn.thoughts.append("".join(self._thoughts))
        self._thoughts = []

    def _end_thinking(self) -> None:
        """Put reasoning without an answer in a message of its own."""
        if any(self._thoughts):
            self._attach_thinking(self._begin_answer())
