"""Limit the arenas of glibc's malloc, of which every thread has one of its own by default."""

import ctypes

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def limit_arenas() -> None:
    """Let all threads that start from now on allocate from one arena.

    What a thread frees stays with its arena: each of the server's threads kept 3 MB of what
    requests had needed. Threads rarely wait for each other here, since most allocations are
    made while Python's lock is held. With another C library this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
