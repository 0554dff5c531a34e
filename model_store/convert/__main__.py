"""Conversion process, `python -m model_store.convert`: JSON lines on stdin and stdout.

The job is one line of JSON on the standard input. The answer is lines of JSON on the standard
output: {"done": bytes, "total": bytes} now and then, {"note": text} for what people should know,
and in the end one of {"parameters": object}, {"refused": text}, {"needed": bytes, "free": bytes}
and {"storage": text}. The process ends at once when its input closes: the server is gone, or does
not want it any more.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from model_store.convert.adapter import convert_adapter
from model_store.convert.folder import Folder
from model_store.convert.model import convert_model
from model_store.convert.report import Report
from model_store.errors import CreateError, GGUFError, NoSpace

_INTERVAL = 0.2
_MOST_MEMORY = 6 * 2**30
"""Bytes that the process may have besides mapped files: enough for any real tokenizer."""


def main() -> None:
    """Do the job that the standard input names."""
    # A service manager signals all processes of a service; the server decides when they end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch, name="watch", daemon=True).start()
    _limit_memory()
    try:
        answer = _answer(job)
    except NoSpace as e:
        answer = {"needed": e.needed, "free": e.free}
    except (CreateError, GGUFError) as e:
        answer = {"refused": str(e)}
    except MemoryError:
        answer = {"refused": "the files take more memory to read than those of any real model"}
    except OSError as e:
        traceback.print_exc()
        answer = {"storage": (e.strerror or type(e).__name__).lower()}
    _say(answer)


def _answer(job: Mapping[str, object]) -> Mapping[str, object]:
    files, base, target = job["files"], job["base"], Path(str(job["target"]))
    assert isinstance(files, Mapping)
    folder = Folder({name: Path(path) for name, path in files.items()})
    if base is None:
        projector = None if job["projector"] is None else Path(str(job["projector"]))
        return {"parameters": convert_model(folder, target, _report(), projector)}
    convert_adapter(folder, Path(str(base)), target, _report())
    return {"parameters": {}}


def _say(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _report() -> Report:
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _INTERVAL:
            last = now
            _say({"done": done, "total": total})

    return Report(progress, lambda text: _say({"note": text}))


def _watch() -> None:
    while sys.stdin.read(1):
        continue
    os._exit(1)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not on every system

        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))


main()
