"""Load specification: what a runner needs to load a model."""

from enum import StrEnum

import msgspec

from runners.protocol.placement import DraftFile, Placement, Projector
from runners.protocol.prefixes import PrefixStorage
from runners.protocol.virtual_file import VirtualFile


class FlashAttention(StrEnum):
    """Whether the attention kernel is fused; `AUTO` leaves the choice to llama.cpp."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class CacheType(StrEnum):
    """Element type of the KV cache."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q5_1 = "q5_1"
    Q5_0 = "q5_0"
    Q4_1 = "q4_1"
    Q4_0 = "q4_0"
    IQ4_NL = "iq4_nl"


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a runner needs to load a model; equal specs make interchangeable runners.

    `n_ctx` bounds one sequence. `n_cells` is the size of the KV cache that the `n_seq` sequences
    share, at least `n_ctx`. `n_threads` 0 means measured while running. With `vocab_only` the
    runner can tokenise and nothing else; the other numbers mean nothing. With `no_weights` it reads
    all metadata and plans all memory but reads no tensor, so it finds out whether the file can be
    loaded, whatever its size, and must not be asked to compute. Of a recurrent state, the last
    `n_rollback` are kept, so that as many tokens can be removed again. `checkpoint_bytes` bounds
    the copies of recurrent states and sliding windows, `prefix_bytes` those of idle prefixes; where
    it is 0 these stay in the KV cache. Computed prefixes are read from `prefixes`. `view` is read
    in place of the file at `weights`, of which it is made.
    """

    weights: str
    view: VirtualFile | None = None
    adapters: tuple[str, ...] = ()
    """LoRA adapters that are loaded with the model, for requests that name none."""
    projector: Projector | None = None
    draft: DraftFile | None = None
    predicts: bool = False
    """Load the layers of multi-token prediction (MTP) of the file, which draft."""
    n_ctx: int
    n_cells: int
    n_seq: int
    n_batch: int
    n_rollback: int = 0
    placement: Placement = Placement()
    use_mmap: bool = True
    n_threads: int = 0
    flash_attention: FlashAttention = FlashAttention.AUTO
    cache_type: CacheType = CacheType.F16
    vocab_only: bool = False
    no_weights: bool = False
    checkpoint_bytes: int = 1 << 28
    prefix_bytes: int = 0
    prefixes: PrefixStorage | None = None
