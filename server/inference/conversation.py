"""What the endpoints ask of a model and are told, in no API's own words.

Each API translates its requests to a `Conversation` or a `Completion`, and the events of the
answer to its own objects: nothing below knows which API was spoken.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runners.protocol.constraints import Constraint
from runners.protocol.messages import TokenLogprob
from server.prompt.messages import Message, Think, Tool


class ToolChoice(StrEnum):
    """Whether the model may, must or must not call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The model must call this tool and no other."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParams:
    """What every request may say of how to answer.

    `options` are those of the native API (`num_predict`, `temperature`, …); they win over the
    model's own. `think_if_able` drops a wish to think that the model cannot fulfil instead of
    refusing it. `keep_alive` is in seconds, `logprobs` the number of alternatives, None for none.
    `n` answers share the computed prompt.
    """

    model: str
    options: Mapping[str, object] = field(default_factory=dict)
    think: Think | None = None
    think_if_able: bool = False
    constraint: Constraint | None = None
    keep_alive: float | None = None
    truncate: bool = True
    shift: bool = True
    logprobs: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    n: int = 1
    debug_render_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(GenerationParams):
    """Messages to go on from; without any, the model is loaded, or unloaded (`keep_alive` 0)."""

    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | NamedTool = ToolChoice.AUTO
    parallel_tool_calls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(GenerationParams):
    """A prompt to go on from; an empty one loads or unloads like a conversation without messages.

    `prompt` may be token ids, which are used as they are, like a `raw` text. `context` are the
    tokens of an earlier answer that go before, None when there was none.
    """

    prompt: str | tuple[int, ...]
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: tuple[int, ...] | None = None
    raw: bool = False
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletedCall:
    """A complete call; `index` counts the calls of one answer, `arguments` are decoded JSON."""

    id: str
    index: int
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of answer number `choice`; several parts may be set, none may be too."""

    content: str = ""
    thinking: str = ""
    calls: tuple[CompletedCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    choice: int = 0


class Ending(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The end of answer number `choice`, with its counters; durations in nanoseconds.

    `n_prompt` counts the tokens of the prompt, of which `n_cached` were not computed again and to
    which `n_dropped` do not belong, because they did not fit. `stop` is the stop string, of the
    request or of the model's own, that ended the answer, "" when there was none. `written` is the
    text as the model wrote it. `context` holds the tokens of a completion's prompt and answer.
    """

    choice: int = 0
    ending: Ending = Ending.STOP
    stop: str = ""
    called: bool = False
    n_prompt: int = 0
    n_cached: int = 0
    n_dropped: int = 0
    n_generated: int = 0
    total_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    generation_ns: int = 0
    written: str = ""
    context: tuple[int, ...] = ()


class LoadOutcome(StrEnum):
    """What was done instead of answering: an empty request only loads or unloads the model."""

    LOADED = "load"
    UNLOADED = "unload"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What `debug_render_only` asks for: the prompt that would have been used."""

    prompt: str
    n_images: int = 0


Event = Delta | Finish | LoadOutcome | Rendered
"""`LoadOutcome` and `Rendered` are the only event of their answer; else each of the `n` answers is
any number of `Delta`, then one `Finish`."""

Events = AsyncGenerator[Event, None]
