"""Threads of the server share one heap, so that its memory does not grow with their number."""

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import ctypes, threading
from server.concurrency.malloc_arenas import limit_arenas

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
