"""Request record: the facts of one request for its log line, gathered where they are known.

The record of the running request is a context variable, so tasks and threads that work for the
request see it. Setting a field is an attribute assignment; the line is written once, at the end.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter_ns

from server.caller import ANYBODY, Caller

_MAX_TEXT = 1000


Charge = Callable[[str, int, int], None]
"""Takes the model of an answer, and the tokens of its prompt and of itself."""


class Phase(StrEnum):
    """What a request to a model waits for."""

    QUEUED = "queued"
    """A place in memory or in the batch."""
    LOADING = "loading"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(slots=True)
class RequestRecord:
    """The facts of one request; durations in nanoseconds, zero or empty where unknown.

    `n_computed` and `n_cached` are the tokens of the prompt that were computed and taken from the
    KV cache; `n_accepted` of the `n_drafted` tokens of speculative decoding were sampled.
    `model` is the name as the client wrote it, `pending_model` the installed one that it waits for,
    `served_model` the one that a runner served. `format_reason` says why the renderer and the
    parser were chosen. `queue_ns` is the wait for a place, in memory and in the batch, `load_ns`
    that for the model to be loaded.
    `lenient_calls` names the tool calls that were not in the syntax of the model's family. `phase`
    is None until the request needs a model. `cancel` ends its work, see `interrupt`. One that
    `is_background` is computed only while no others are. `caller` is who sent it, `reply_headers`
    are sent with its reply, `charge` is called with the tokens of each answer. `peer` is the server
    that it was handed to.
    """

    id: str = ""
    method: str = ""
    path: str = ""
    client: str = ""
    started_ns: int = field(default_factory=perf_counter_ns)
    status: int = 0
    model: str = ""
    renderer: str = ""
    parser: str = ""
    format_reason: str = ""
    pending_model: str = ""
    served_model: str = ""
    peer: str = ""
    n_computed: int = 0
    n_cached: int = 0
    n_generated: int = 0
    n_drafted: int = 0
    n_accepted: int = 0
    end: str = ""
    queue_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    decode_ns: int = 0
    runner_pid: int = 0
    error: str = ""
    lenient_calls: str = ""
    is_background: bool = False
    caller: Caller = ANYBODY
    reply_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    phase: Phase | None = None
    cancel: Callable[[], object] | None = None
    is_cancelled: bool = False
    charge: Charge | None = None

    @property
    def elapsed_ns(self) -> int:
        """Time since the request came."""
        return perf_counter_ns() - self.started_ns

    def set_format(self, renderer: str, parser: str, reason: str) -> None:
        """Set the chat format of the request."""
        self.renderer, self.parser, self.format_reason = renderer, parser, reason

    def interrupt(self) -> bool:
        """Cancel the work for the request, once; return False where it cannot be cancelled.

        Its client gets an error, unlike when the client itself has gone.
        """
        if self.cancel is None:
            return False
        if not self.is_cancelled:
            self.is_cancelled = True
            self.cancel()
        return True

    def begin_wait(self, model: str) -> None:
        """Note that the request waits for a runner of the installed model `model`."""
        self.pending_model, self.phase = model, Phase.QUEUED

    def set_lease(
        self, model: str, runner_pid: int, queue_seconds: float, load_seconds: float
    ) -> None:
        """Set the installed model and the runner that serve the request, and the waits for it."""
        self.served_model, self.runner_pid, self.phase = model, runner_pid, Phase.PREFILL
        self.queue_ns += int(queue_seconds * 1e9)
        self.load_ns += int(load_seconds * 1e9)

    def add_lenient_call(self, call: str) -> None:
        """Add a tool call that was read leniently, with its syntax."""
        self.lenient_calls += f"{', ' if self.lenient_calls else ''}{call}"

    def add_answer(
        self,
        *,
        n_prompt: int,
        queue_ns: int = 0,
        n_cached: int = 0,
        n_generated: int = 0,
        prompt_ns: int = 0,
        decode_ns: int = 0,
        n_drafted: int = 0,
        n_accepted: int = 0,
        end: str = "",
    ) -> None:
        """Add the counters of one answer; a request may have several."""
        self.queue_ns += queue_ns
        if self.charge is not None:
            self.charge(self.served_model, n_prompt, n_generated)
        self.n_computed += n_prompt - n_cached
        self.n_cached += n_cached
        self.n_generated += n_generated
        self.prompt_ns += prompt_ns
        self.decode_ns += decode_ns
        self.n_drafted += n_drafted
        self.n_accepted += n_accepted
        self.end = end

    def fields(self) -> dict[str, str | int | float]:
        """Return what is known, for the log line; texts are cut to a bounded length."""
        known: dict[str, str | int | float] = {
            "request_id": self.id,
            "route": f"{self.method} {self.path}".strip(),
            "client": self.client,
            "key": self.caller.name,
            "status": self.status,
            "ms": _milliseconds(self.elapsed_ns),
            "model": self.model,
            "renderer": self.renderer,
            "parser": self.parser,
            "format_reason": self.format_reason,
            "peer": self.peer,
            "prompt_tokens_computed": self.n_computed,
            "prompt_tokens_cached": self.n_cached,
            "generated_tokens": self.n_generated,
            "drafted_tokens": self.n_drafted,
            "accepted_tokens": self.n_accepted,
            "end": self.end,
            "queue_ms": _milliseconds(self.queue_ns),
            "load_ms": _milliseconds(self.load_ns),
            "prompt_ms": _milliseconds(self.prompt_ns),
            "decode_ms": _milliseconds(self.decode_ns),
            "runner_pid": self.runner_pid,
            "lenient_calls": self.lenient_calls,
            "error": self.error,
        }
        return {
            name: value[:_MAX_TEXT] if isinstance(value, str) else value
            for name, value in known.items()
            if value
        }


_current: ContextVar[RequestRecord] = ContextVar("request_record")


def current() -> RequestRecord:
    """Return the record of the running request; outside of one, a record that nobody reads."""
    return _current.get(None) or RequestRecord()


def begin(record: RequestRecord) -> None:
    """Make `record` that of the running request."""
    _current.set(record)


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 2)
