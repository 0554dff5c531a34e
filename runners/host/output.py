"""What a runner wrote before it ended, and the sentence for the user that can be made of it."""

import re

TAIL_BYTES = 8192
MAX_REASON = 300

_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.+@~-]+){2,}[\\/]?")
_SOURCE_LINE = re.compile(r"^.*?\.(?:c|cc|cpp|cu|cuh|h|hpp|m|metal):\d+:\s*")
_ASSERTION = re.compile(r"GGML_ASSERT\((?P<what>.*)\) failed")
_C_ASSERTION = re.compile(r"Assertion [`'](?P<what>.*)' failed")
_CPP_EXCEPTION = re.compile(r"^\s*what\(\):\s*(?P<what>.+)$")
_ERROR = re.compile(r"(?P<what>(?:\w+ )?\berror: .+)$", re.IGNORECASE)

_OUT_OF_MEMORY = (
    "out of memory",
    "out of device memory",
    "cudamalloc failed",
    "hipmalloc failed",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "insufficient memory",
    "outofdevicememory",
    "out_of_device_memory",
    "bad_alloc",
    "memoryerror",
)


class OutputTail:
    """The last bytes of a process's output; never more than `limit` of them are kept."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        """Append `data`, dropping the oldest bytes that are now too many."""
        self._bytes += data
        del self._bytes[: -self._limit]

    @property
    def text(self) -> str:
        """What is kept, with undecodable bytes replaced."""
        return self._bytes.decode(errors="replace")


def describe_exit(returncode: int | None, output: str) -> str:
    """Return one sentence that says how a runner ended; `returncode` is negative for a signal."""
    sentence = f"the model runner stopped unexpectedly ({_status(returncode)})"
    reason = _reason(output)
    return f"{sentence}: {reason}" if reason else sentence


def without_paths(text: str) -> str:
    """Return `text` with every path in it replaced: where files lie is no client's business."""
    return _PATH.sub("…", text)


def tells_of_memory(output: str) -> bool:
    """Whether the output says that memory ran out."""
    lowered = output.lower()
    # llama.cpp prints this one when it goes on with a smaller plan of its own.
    lines = [line for line in lowered.splitlines() if "retrying without pipeline" not in line]
    return any(phrase in line for line in lines for phrase in _OUT_OF_MEMORY)


def _status(returncode: int | None) -> str:
    if returncode is None:
        return "its connection closed"
    if returncode >= 0:
        return f"exit status {returncode}"
    return f"signal {-returncode}"


def _reason(output: str) -> str:
    """Return the last line that tells a cause, in plain words and without paths; "" if none."""
    for line in reversed(output.splitlines()):
        found = _cause(_SOURCE_LINE.sub("", line.strip()))
        if found:
            return without_paths(found)[:MAX_REASON]
    return ""


def _cause(line: str) -> str:
    for pattern in (_ASSERTION, _C_ASSERTION):
        if match := pattern.search(line):
            return f"an internal check failed: {match['what']}"
    for pattern in (_CPP_EXCEPTION, _ERROR):
        if match := pattern.search(line):
            return match["what"].strip()
    return ""
