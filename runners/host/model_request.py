"""Values exchanged with the scheduler: model requests, load options, settings, runner status."""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from runners.protocol.adapters import Adapters
from runners.protocol.load_spec import CacheType, FlashAttention
from runners.protocol.messages import Ready
from runners.protocol.virtual_file import VirtualFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The numbers of a model file that its memory depends on; sizes in bytes.

    `layer_bytes` has one entry per repeating layer. `embedding_bytes` is the token embedding,
    which stays on the CPU. `output_bytes` is all that follows the last layer (norm and head; for
    tied embeddings, the copy of them on a device). `kv_heads` has one entry per layer, 0 where a
    layer has no KV cache (encoders, recurrent layers), and `state_bytes` the size of one sequence's
    recurrent state, () where no layer has one. `predicts`: some layers are for multi-token
    prediction (MTP). `n_ctx_train` 0 means unknown. `projector_bytes` is
    the size of the multimodal projector file, 0 without one.
    """

    layer_bytes: tuple[int, ...]
    embedding_bytes: int
    output_bytes: int
    n_embd: int
    n_vocab: int
    n_ctx_train: int
    n_heads: int
    kv_heads: tuple[int, ...]
    head_dim_k: int
    head_dim_v: int
    state_bytes: tuple[int, ...] = ()
    predicts: bool = False
    is_embedding: bool = False
    projector_bytes: int = 0

    @property
    def n_layers(self) -> int:
        """Number of repeating layers, without the output layer."""
        return len(self.layer_bytes)

    @property
    def total_bytes(self) -> int:
        """Size of all weights."""
        return sum(self.layer_bytes) + self.embedding_bytes + self.output_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The options that decide how a model is loaded; None leaves the choice to the scheduler.

    `num_gpu` counts layers on GPUs, the output layer included: 0 is the CPU alone, more than
    there are is all layers, a negative number is automatic. `num_thread` 0 is automatic.
    """

    num_ctx: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int | None = None


class ModelKey(NamedTuple):
    """Identity of a model in memory: models with equal keys share a runner and its weights.

    Adapters are no part of it: each request brings its own.
    """

    weights: Path
    projector: Path | None = None
    draft: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A request for a loaded model.

    `keep_alive` is in seconds after the last use: None leaves the runner's as it is (the default
    for a new one), 0 unloads after this use, a negative number or infinity never unloads. `model`
    is the caller's own record of the model, returned in `RunnerStatus`. `view` is read in place of
    the file at `weights`; the file at `projector` is a copy of `projector_view`. `draft` is a
    model for speculative decoding, with `draft_view` in its place. An automatic context has at
    least `least_context` tokens where memory allows. One that
    `is_background` has what others leave: see `Scheduler`. `parallel` overrides
    `num_parallel` of the scheduler, `max_context` bounds the context; 0 does not. A pinned model is
    not evicted and does not expire. Models that share one of `groups` are not in memory together.
    Requests of each `owner` have a queue of their own, and the queues are served in turn. `prefix`
    are hashes of the blocks that the prompt begins with, each of all before it.
    """

    name: str
    digest: str
    weights: Path
    adapters: Adapters = ()
    projector: Path | None = None
    view: VirtualFile | None = None
    projector_view: VirtualFile | None = None
    draft: Path | None = None
    draft_view: VirtualFile | None = None
    draft_facts: ModelFacts | None = None
    facts: ModelFacts
    options: LoadOptions = LoadOptions()
    keep_alive: float | None = None
    parallel: int = 0
    max_context: int = 0
    is_pinned: bool = False
    groups: frozenset[str] = frozenset()
    model: object = None
    least_context: int = 0
    is_background: bool = False
    owner: str = ""
    prefix: tuple[int, ...] = ()

    @property
    def key(self) -> ModelKey:
        """Identity of the model in memory."""
        return ModelKey(self.weights, self.projector, self.draft)


@dataclass(frozen=True, slots=True)
class PrefixSettings:
    """The directory of computed prefixes, and the bytes that it may have.

    A prefix is deleted when its model's weights are no longer in `weights`.
    """

    directory: Path
    max_bytes: int
    weights: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """Settings of the scheduler; durations in seconds, sizes in bytes.

    0 means automatic for `max_loaded` (three models per GPU, at least three), `num_parallel` and
    `context_length` (by the memory of all GPUs). `load_timeout` limits the time without progress,
    not the whole load. `gpu_overhead` is left free on each GPU. `grace_period` is the time that
    running requests have to finish when the server shuts down. At most `max_replicas` machines of a
    cluster have the same model, 0: all of them. Without `prefixes`, what a runner
    has computed is lost with it.
    """

    keep_alive: float = 300.0
    load_timeout: float = 300.0
    max_loaded: int = 0
    max_queue: int = 512
    num_parallel: int = 0
    context_length: int = 0
    flash_attention: FlashAttention = FlashAttention.AUTO
    cache_type: CacheType = CacheType.F16
    sched_spread: bool = False
    gpu_overhead: int = 0
    grace_period: float = 7.0
    max_replicas: int = 0
    prefixes: PrefixSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """One of the runners of a loaded model: where it is, and how many requests use it."""

    machine: str
    devices: tuple[str, ...]
    size: int
    size_vram: int
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStatus:
    """A loaded model; `request` caused the load, sizes are measured in bytes.

    It is on the `devices` of a `machine`, where so many `users` have it. `replicas` are all runners
    of the model, where there are several machines.
    """

    request: ModelRequest
    ready: Ready
    expires_at: datetime
    size: int
    size_vram: int
    machine: str = ""
    devices: tuple[str, ...] = ()
    users: int = 0
    replicas: tuple[ReplicaStatus, ...] = ()

    @property
    def replica(self) -> ReplicaStatus:
        """Its runner, as one of its replicas."""
        return ReplicaStatus(
            machine=self.machine,
            devices=self.devices,
            size=self.size,
            size_vram=self.size_vram,
            users=self.users,
        )


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """A model that is being loaded: the share of its weights that is, and since when."""

    request: ModelRequest
    progress: float
    seconds: float


def keep_alive_seconds(value: float) -> float:
    """Return `value`, infinity for a negative number: both mean that the model never expires."""
    return math.inf if value < 0 else value
