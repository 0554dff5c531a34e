"""What the batching loop has done so far, in numbers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What `StatsReport` tells about the work done so far."""

    steps: int = 0
    step_ns: int = 0
    decode_ns: int = 0
    sample_ns: int = 0
    n_prompt_computed: int = 0
    n_prompt_reused: int = 0
    n_generated: int = 0
    n_preempted: int = 0
