"""Every message between the server (host) and a runner (engine); nothing else crosses.

Commands flow from host to engine, events from engine to host. Requests carry an `id` chosen by
the host, unique per runner process. Whatever happens, each request is answered by exactly one
terminal event: `Done`, `Failed`, `Embedded`, `Tokens`, `Text`, `SpecialTokens` or `StatsReport`. A
cancelled request is answered too (usually by `Done`); the host ignores what it does not wait for.

Lengths are in tokens, sizes in bytes and durations in nanoseconds unless a field says otherwise.
"""

from enum import StrEnum

import msgspec

from runners.protocol.adapters import Adapters
from runners.protocol.constraints import Constraint
from runners.protocol.load_spec import LoadSpec
from runners.protocol.logprobs import TokenLogprob
from runners.protocol.media import Medium
from runners.protocol.placement import DeviceKind
from runners.protocol.prefixes import PrefixesSaved, SavePrefixes
from runners.protocol.quantization import Quantize, QuantizeEvent
from runners.protocol.stats import Stats, StatsReport
from runners.protocol.tokens import (
    Detokenize,
    ListSpecialTokens,
    SegmentedText,
    SpecialTokens,
    Text,
    Tokenize,
    Tokens,
)


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn; ranges were checked by the server. `seed` None is random."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    ignore_eos: bool = False
    """Never draw a token that ends the generation."""
    min_tokens: int = 0
    """Draw no token that ends the generation, and heed no stop string, before so many tokens."""
    logit_bias: dict[int, float] = {}
    """Added to the logits of tokens by their ids; ids that the model does not have are ignored."""


# Commands: host to engine.


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load a model; answered by `Loading` events, then one `Ready` or `LoadFailed`."""

    spec: LoadSpec


class ListDevices(msgspec.Struct, frozen=True, tag="list_devices"):
    """Ask for the devices; answered by `Devices`. Initialises the drivers in this process."""


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag="generate"):
    """Continue `prompt`; answered by `Chunk` events, then one `Done` or `Failed`.

    A text is tokenised with special texts parsed and BOS added as the model wants it, in segments
    only where they say so; token ids are used as they are. `n_ctx` bounds this request where it
    wants less context than the runner has. `n_predict` is the most tokens to sample (None: ten
    times the context; 0: only the prompt is computed). A prompt that does not fit is cut in the
    middle when `truncate` and `shift` are set (the first `n_keep` tokens stay; negative keeps all),
    and is refused otherwise. `shift` also lets a sequence that fills its context drop its older
    half and go on. `logprobs` None reports none; n reports each token with n alternatives.
    `visible` are the control tokens that are sent as text, which others are not. Image or audio N
    takes the place of the first `[img-N]` in the prompt; a prompt with media is neither cut nor
    shifted.
    """

    id: int
    prompt: str | SegmentedText | tuple[int, ...]
    media: tuple[Medium, ...] = ()
    sampling: Sampling = Sampling()
    n_ctx: int | None = None
    n_predict: int | None = None
    n_keep: int = 4
    stop: tuple[str, ...] = ()
    truncate: bool = True
    shift: bool = True
    logprobs: int | None = None
    prompt_logprobs: bool = False
    """Report the tokens of the prompt too, with as many alternatives; needs `logprobs`."""
    constraint: Constraint | None = None
    must_hold: bool = True
    """Refuse the request when the constraint cannot be used, instead of going on without it."""
    visible: tuple[str, ...] = ()
    n_draft: int = 0
    """Most tokens to draft in a step; 0: no speculative decoding."""
    prediction: str = ""
    """Text that the answer will mostly be, which is drafted."""
    stop_repetition: bool = False
    """End an answer that repeats the same tokens without end."""
    adapters: Adapters | None = None
    """LoRA adapters of this request; None: those of the load."""
    return_tokens: bool = False
    """Whether `Done` carries the token ids of prompt and output."""
    system_bytes: int = 0
    """Bytes of the prompt's text up to the end of a system message that others may have too."""
    is_background: bool = False
    """Computed only while no `Hold` is in force."""
    is_deterministic: bool = False
    """Computed alone, in a context of its own, so that equal requests have equal answers."""
    owner: str = ""
    """Whose request it is: those of each owner have a queue, and the queues are served in turn."""


EmbedInput = str | tuple[int, ...]
"""A text, or token ids, which are used as they are."""


class Embed(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """Embed each text; answered by one `Embedded` or `Failed`.

    Texts longer than the context are cut at the end when `truncate` is set, else refused; `n_ctx`
    bounds it where the request wants less than the runner has. With a `query`, each text goes into
    the model as a pair with it, as models that rank texts want it; their vectors have one value,
    the score.
    """

    id: int
    texts: tuple[EmbedInput, ...]
    query: str | None = None
    n_ctx: int | None = None
    truncate: bool = True
    adapters: Adapters | None = None
    """LoRA adapters of this request; None: those of the load."""
    is_background: bool = False
    """Computed only while no `Hold` is in force."""
    owner: str = ""
    """Whose request it is: those of each owner have a queue, and the queues are served in turn."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Stop computing background requests, or go on with them.

    A request that is held loses its slot and keeps its answer so far; what was computed of it stays
    in the KV cache until there is no room.
    """

    is_held: bool


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop working on a request; unknown and finished ids are ignored."""

    id: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Ask whether the process is alive; answered by `Pong` at once, also during a step."""


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """End the process now. End of file on the socket means the same."""


Request = Generate | Embed | Tokenize | Detokenize | ListSpecialTokens | Stats
Command = Load | ListDevices | Quantize | Request | Hold | Cancel | SavePrefixes | Ping | Shutdown


# Events: engine to host.


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A compute device as llama.cpp reports it. `free` and `total` of the CPU mean nothing."""

    index: int
    name: str
    description: str
    kind: DeviceKind
    free: int
    total: int


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First event of every runner: the library is imported and no model is loaded yet."""

    pid: int
    supports_gpu: bool
    cpu_variant: str = ""
    """Variant of the CPU backend in use; "" where the engine was built for one processor."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Answer to `Ping`.

    `busy`: there are requests without a terminal event that are not held, or the engine loads,
    computes or quantizes. `steps` counts the steps of the batching loop; a long encoding of media
    counts as several.
    """

    busy: bool
    steps: int


class Devices(msgspec.Struct, frozen=True, tag="devices"):
    """Answer to `ListDevices`."""

    devices: tuple[Device, ...]


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """The load is alive; `progress` runs from 0 to 1."""

    progress: float


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that a loaded model occupies on one device, as llama.cpp reports them."""

    device: str
    is_gpu: bool
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The model is loaded. `n_ctx` is the context of one sequence."""

    n_ctx: int
    n_seq: int
    n_cells: int
    n_vocab: int
    n_embd: int
    pooled: bool
    adds_bos: bool
    has_vision: bool = False
    """Whether prompts may contain images."""
    sample_rate: int = 0
    """Samples per second of the audio that prompts may contain; 0: no audio is accepted."""
    n_layers: int
    n_gpu_layers: int
    memory: tuple[MemoryUse, ...]

    @property
    def has_audio(self) -> bool:
        """Whether prompts may contain audio."""
        return self.sample_rate > 0

    @property
    def has_media(self) -> bool:
        """Whether prompts may contain images or audio."""
        return self.has_vision or self.has_audio


class LoadFailed(msgspec.Struct, frozen=True, kw_only=True, tag="load_failed"):
    """The model could not be loaded; the process is of no further use.

    `message` is for the client; `native` is llama.cpp's own error text, which may contain paths.
    """

    message: str
    native: str = ""


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True, tag="chunk"):
    """New text of one request. Whole UTF-8; never part of a stop string.

    `prompt_logprobs` come before all text. The first has the value NaN, as nothing predicts it.
    """

    id: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()


class StopReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    LENGTH = "length"
    REPEAT = "repeat"
    CANCELLED = "cancelled"


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """A generation ended; the `Chunk`s sent before contain all of its text.

    `n_prompt` counts the tokens of the prompt that were used, `n_reused` those of them that were
    taken from the cache, `n_truncated` those that were cut away. `n_eval` counts sampled tokens,
    the end-of-generation token included; `n_accepted` of them came from the `n_drafted` tokens that
    were computed ahead. `stop` is the stop string that ended the text, "" when
    none did. `queue_ns` is the wait for a slot, `n_preempted` how often the slot was given to
    another request. `constraint_error` says why a constraint was dropped, "" if none was.
    `tokens` are the ids of prompt and output, without a BOS that the tokenizer added and without
    the end-of-generation token; None unless they were requested and spell exactly the text, which
    they do not with media, after a stop string or a context shift.
    """

    id: int
    reason: StopReason
    stop: str = ""
    queue_ns: int = 0
    n_preempted: int = 0
    constraint_error: str = ""
    n_prompt: int
    n_reused: int
    n_truncated: int
    n_eval: int
    prompt_ns: int
    eval_ns: int
    n_drafted: int = 0
    n_accepted: int = 0
    tokens: tuple[int, ...] | None = None


class FailureCode(StrEnum):
    """Why a request failed; the server turns each into a status and a sentence."""

    PROMPT_TOO_LONG = "prompt_too_long"
    """The prompt does not fit the context and must not be cut; `n_tokens` and `n_ctx` are set."""
    CONTEXT_FULL = "context_full"
    """The KV cache has no room for the next token and nothing in it can be evicted."""
    BAD_CONSTRAINT = "bad_constraint"
    """The schema cannot be turned into a grammar; `message` says why."""
    INVALID_MEDIA = "invalid_media"
    """An image or audio cannot be tokenised, or the prompt has no tag for it; see `message`."""
    BAD_ADAPTER = "bad_adapter"
    """A LoRA adapter cannot be loaded, or is one of another model."""
    BAD_TOKEN = "bad_token"
    """A token id is outside the vocabulary."""
    NAN_LOGITS = "nan_logits"
    """The model computed NaN: weights are damaged, or overflow their type."""
    NO_EMBEDDINGS = "no_embeddings"
    """This model cannot embed."""
    NOT_FINITE = "not_finite"
    """An embedding has NaN or infinite values."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device ran out of memory while computing."""
    PREEMPTED = "preempted"
    """A background request lost its place to another; it has to be sent again."""
    COMPUTE = "compute"
    """llama.cpp failed to compute a batch; `message` is its own error text."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """A request failed; others go on."""

    id: int
    code: FailureCode
    message: str = ""
    n_tokens: int = 0
    n_ctx: int = 0


class Embedded(msgspec.Struct, frozen=True, kw_only=True, tag="embedded"):
    """Pooled vectors, not normalised: float32, little endian, shape (texts, dim), row-major."""

    id: int
    dim: int
    vectors: bytes
    n_tokens: int


class Step(msgspec.Struct, frozen=True, tag="step"):
    """The events of one step of the batching loop, or of several quick ones, in one frame."""

    events: tuple[Chunk | Done | Failed, ...]


SetupEvent = Hello | Devices | Loading | Ready | LoadFailed | QuantizeEvent
ProcessEvent = SetupEvent | Pong | PrefixesSaved
"""Events about the process and not about a request: they have no id."""
Event = ProcessEvent | Step | Failed | Embedded | Tokens | Text | SpecialTokens | StatsReport
