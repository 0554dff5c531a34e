"""Placement of a model's layers, of its projector and its draft model on devices."""

from enum import StrEnum

import msgspec

from runners.protocol.virtual_file import VirtualFile


class DeviceKind(StrEnum):
    """What a compute device is."""

    CPU = "cpu"
    GPU = "gpu"
    INTEGRATED = "integrated"
    ACCELERATOR = "accelerator"


class Placement(msgspec.Struct, frozen=True):
    """Where a model's layers go.

    `devices` are indices of `Device.index`; empty means the CPU alone. `n_gpu_layers` counts
    the output layer too. `split` holds each device's share of those layers, in the order of
    `devices`; empty lets llama.cpp divide them by free memory.
    """

    n_gpu_layers: int = 0
    devices: tuple[int, ...] = ()
    split: tuple[float, ...] = ()


class Projector(msgspec.Struct, frozen=True):
    """The projector file, which encodes images and audio; `device` None means the CPU.

    With `view` the file at `path` is a copy of it, which the runner writes if it is not there.
    """

    path: str
    device: int | None = None
    view: VirtualFile | None = None


class DraftFile(msgspec.Struct, frozen=True):
    """The file of a draft model for speculative decoding, or `view` in its place."""

    path: str
    view: VirtualFile | None = None
    placement: Placement = Placement()
