"""What an engine is: its version, the variant for this processor and its devices."""

import msgspec

from runners.protocol.messages import Device


class EngineDescription(msgspec.Struct, frozen=True, kw_only=True):
    """Printed by `python -m runners --describe` as JSON.

    `version` is that of llama-cpp-python. `cpu_variant` is "" where the engine was built for one
    processor only.
    """

    version: str
    cpu_variant: str
    devices: tuple[Device, ...]

    def __str__(self) -> str:
        variant = f", CPU variant {self.cpu_variant}" if self.cpu_variant else ""
        return f"llama-cpp-python {self.version}{variant}"
