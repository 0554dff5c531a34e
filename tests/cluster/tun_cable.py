"""A cable between two network namespaces that delays and loses packets, each direction by itself.

Each end is a TUN device, and a thread carries the packets, so that no module of the kernel for
traffic control is needed.
"""

import fcntl
import heapq
import itertools
import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU_BYTES = 65_535
_WAKE_SECONDS = 0.2
PERFECT = (0.0, 0.0)


def open_tun(name: str) -> int:
    """Create a TUN device in this thread's namespace; raises OSError where that is not allowed."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        request = struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@dataclass
class TunCable:
    """Carries packets between two TUN devices, which are its `ends`.

    `delay` is in seconds, `loss` the share of packets that are lost, 1.0: all; both of the packets
    that leave the first end, and of those that leave the second. The share is counted, not drawn:
    of 0.05, every twentieth is lost, so that few packets are enough to lose one.
    """

    ends: tuple[int, int]
    delay: tuple[float, float] = PERFECT
    loss: tuple[float, float] = PERFECT
    n_lost: int = 0
    _owed: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _is_over: bool = False

    @contextmanager
    def carried(self) -> Iterator["TunCable"]:
        """Carry packets until the block ends."""
        thread = threading.Thread(target=self._carry, name="cable", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._is_over = True
            thread.join(10)

    def _loses(self, number: int) -> bool:
        """Whether the next packet that leaves this end is lost."""
        owed = self._owed[number] + self.loss[number]
        is_lost = owed >= 1.0
        self._owed[number] = owed - is_lost
        self.n_lost += is_lost
        return is_lost

    def _carry(self) -> None:
        order = itertools.count()
        on_the_way: list[tuple[float, int, int, bytes]] = []
        while not self._is_over:
            wait = on_the_way[0][0] - time.monotonic() if on_the_way else _WAKE_SECONDS
            readable, _, _ = select.select(self.ends, (), (), max(0.0, min(wait, _WAKE_SECONDS)))
            for end in readable:
                number = self.ends.index(end)
                with suppress(BlockingIOError):
                    packet = os.read(end, _MTU_BYTES)
                    if self._loses(number):
                        continue
                    due = time.monotonic() + self.delay[number]
                    heapq.heappush(on_the_way, (due, next(order), self.ends[1 - number], packet))
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                with suppress(OSError):  # its queue is full, which is a loss too
                    os.write(on_the_way[0][2], on_the_way[0][3])
                heapq.heappop(on_the_way)
