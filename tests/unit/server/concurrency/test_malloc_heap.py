"""The server's heap grows neither with its threads nor with the bursts of requests behind it."""

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import ctypes, threading
from server.concurrency.malloc_heap import limit_arenas

limit_arenas()
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
addresses = []
threads = [threading.Thread(target=lambda: addresses.append(malloc(1000))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open("/proc/self/maps") as maps:
    (heap,) = [line.split()[0] for line in maps if line.rstrip().endswith("[heap]")]
start, end = (int(edge, 16) for edge in heap.split("-"))
print(sum(start <= address < end for address in addresses))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_all_threads_allocate_from_one_arena() -> None:
    command = [sys.executable, "-c", _SCRIPT]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout
    assert output.split() == ["4"]


_BURST = """
import asyncio, ctypes, os
from server.concurrency.malloc_heap import return_free_pages
from server.concurrency.periodic import repeating

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def main():
    blocks = [libc.malloc(100_000) for _ in range(500)]
    for block in blocks:
        ctypes.memset(block, 1, 100_000)
    for block in blocks[:-1]:  # the last stays: without it, the heap would shrink by itself
        libc.free(block)
    before = resident()
    async with repeating(return_free_pages, 0.01):
        for _ in range(500):
            await asyncio.sleep(0.02)
            if before - resident() > 30 << 20:
                break
    print((before - resident()) >> 20)

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_what_a_burst_has_needed_goes_back_to_the_system() -> None:
    command = [sys.executable, "-c", _BURST]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout
    assert int(output) > 30
