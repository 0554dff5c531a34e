"""Domain types of chat and completion: the request, and the events of its answers.

Each API converts its requests to a `Conversation` or a `Completion`, and the events to objects of
its own; the services know no API.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runners.protocol.constraints import Constraint
from runners.protocol.logprobs import TokenLogprob
from server.inference.adapters import AdapterChoice
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
    """Parameters of every generation.

    `options` are model options (`num_predict`, `temperature`, …), which override those of the
    model. With `think_if_supported`, `think` is ignored by a model that does not support it
    instead of refused. `keep_alive` is in seconds, `logprobs` the number of alternatives per token,
    None for no log probabilities. `n` answers share the computed prompt. With `prefill_only`
    they are empty: the prompt is computed and nothing is sampled. With `prompt_logprobs` the tokens
    of the prompt have log probabilities too. `prediction` is a text that the answer will mostly be.
    """

    model: str
    options: Mapping[str, object] = field(default_factory=dict)
    think: Think | None = None
    think_if_supported: bool = False
    constraint: Constraint | None = None
    keep_alive: float | None = None
    truncate: bool = True
    shift: bool = True
    is_agent: bool = False
    """Whether the client handles a refusal of its prompt better than one that was cut."""
    logprobs: int | None = None
    prompt_logprobs: bool = False
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    n: int = 1
    adapters: tuple[AdapterChoice, ...] | None = None
    """LoRA adapters instead of the model's own."""
    prediction: str = ""
    prefill_only: bool = False
    debug_render_only: bool = False
    least_context: int = 0
    """Tokens that an automatic context has grown to for this prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(GenerationParams):
    """A chat request; without messages it loads the model, or unloads it (`keep_alive` 0)."""

    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | NamedTool = ToolChoice.AUTO
    parallel_tool_calls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(GenerationParams):
    """A completion request; an empty prompt loads or unloads the model, as `Conversation`.

    `prompt` may be token ids, which are used as they are, like a `raw` text. `context` holds the
    tokens of an earlier prompt and answer, None for a new conversation.
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
    """A tool call; `index` counts the calls of one answer, `arguments` are decoded JSON."""

    id: str
    index: int
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of answer number `choice`; any number of fields may be set.

    `prompt_logprobs` come first; the first of them is NaN.
    """

    content: str = ""
    thinking: str = ""
    calls: tuple[CompletedCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    choice: int = 0


class Ending(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    REPEAT = "repeat"
    """The answer repeated itself without end; to APIs that know no such reason it is `LENGTH`."""

    @property
    def is_cut(self) -> bool:
        """Whether the answer is incomplete."""
        return self is not Ending.STOP

    @property
    def common(self) -> "Ending":
        """The reason in the terms that all APIs know."""
        return Ending.LENGTH if self.is_cut else Ending.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The end of answer number `choice`, with its counters; durations in nanoseconds.

    `n_prompt` counts the tokens of the prompt, `n_cached` those of them taken from the KV cache,
    `n_dropped` further ones that truncation removed. `n_accepted` of the `n_generated` tokens were
    among the `n_drafted` ones that were computed ahead. `stop` is the stop string that ended the
    answer, "" for none. `called` says whether the answer has tool calls. `raw_text` is the text as
    generated. `context` holds the tokens of a completion's prompt and answer.
    """

    choice: int = 0
    ending: Ending = Ending.STOP
    stop: str = ""
    called: bool = False
    n_prompt: int = 0
    n_cached: int = 0
    n_dropped: int = 0
    n_generated: int = 0
    n_drafted: int = 0
    n_accepted: int = 0
    total_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    generation_ns: int = 0
    raw_text: str = ""
    context: tuple[int, ...] = ()


class LoadOutcome(StrEnum):
    """The result of an empty request, which only loads or unloads the model."""

    LOADED = "load"
    UNLOADED = "unload"


@dataclass(frozen=True, slots=True)
class Rendered:
    """The rendered prompt, the only event of a request with `debug_render_only`."""

    prompt: str
    n_images: int = 0


Event = Delta | Finish | LoadOutcome | Rendered
"""Each of the `n` answers has any number of `Delta`, then one `Finish`. A `LoadOutcome` or a
`Rendered` is the only event of its request."""

Events = AsyncGenerator[Event, None]
