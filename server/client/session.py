"""A conversation with a model: what has been said, how it is asked, and each turn of it."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from server.client.answer_view import AnswerStyle, AnswerView, print_timings
from server.client.api import ApiClient
from server.client.keyboard import without_echo
from server.client.library import ollama

Message = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Session:
    """What a conversation is held with; `parent` is the model that a saved one is made from."""

    model: str
    parent: str = ""
    capabilities: Sequence[str] = ()
    system: str = ""
    messages: list[Message] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    format: Any = None
    think: bool | str | None = None
    think_is_set: bool = False
    keep_alive: str | None = None
    verbose: bool = False
    style: AnswerStyle = field(default_factory=AnswerStyle)

    def use(self, model: str, shown: dict[str, Any]) -> None:
        """Talk to a model from now on, of which /api/show tells `shown`; it knows nothing yet."""
        self.model = model
        self.parent = (shown.get("details") or {}).get("parent_model", "")
        self.capabilities = shown.get("capabilities") or ()
        self.messages = []
        if not self.think_is_set:
            self.think = True if "thinking" in self.capabilities else None

    @property
    def takes_files(self) -> bool:
        """Whether the model takes images or audio."""
        return not {"vision", "audio"}.isdisjoint(self.capabilities)

    def last_thinking(self) -> str:
        """Return what the model thought before its latest answer."""
        answers = (m for m in reversed(self.messages) if m["role"] == "assistant")
        return str(next(answers, {}).get("thinking", ""))

    def load(self, client: ApiClient) -> None:
        """Have the model loaded, so that the first answer need not wait."""
        client.generate(self.model, keep_alive=self.keep_alive, think=self.think)

    def ask(self, client: ApiClient, text: str, files: Sequence[bytes] = ()) -> None:
        """Say something, and show the answer. Ctrl-C stops the answer, which is kept as it is."""
        message: Message = {"role": "user", "content": text}
        if files:
            message["images"] = list(files)
        self.messages.append(message)
        answer: Message = {"role": "assistant", "content": "", "thinking": ""}
        view = AnswerView(self.style, has_format=self.format is not None)
        last: ollama.ChatResponse | None = None
        try:
            with without_echo(), closing(self._stream(client)) as parts:
                for part in parts:
                    last = part
                    _show(part, view, answer)
        except KeyboardInterrupt:
            view.finish()
        except BaseException:
            view.abandon()
            self.messages.pop()
            raise
        else:
            view.finish()
        if answer["content"] or answer["thinking"]:
            self.messages.append({k: v for k, v in answer.items() if v or k != "thinking"})
        if self.verbose and last is not None and last.done:
            print_timings(last)

    def _stream(self, client: ApiClient) -> Any:
        return client.chat(
            self.model,
            self._messages(),
            stream=True,
            format=self.format,
            options=self.options,
            think=self.think,
            keep_alive=self.keep_alive,
        )

    def _messages(self) -> list[Message]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *self.messages]


def _show(part: ollama.ChatResponse, view: AnswerView, answer: Message) -> None:
    if part.message.thinking:
        answer["thinking"] += part.message.thinking
        view.think(part.message.thinking)
    if part.message.content:
        answer["content"] += part.message.content
        view.content(part.message.content)
    if part.message.tool_calls:
        view.tool_calls(part.message.tool_calls)
