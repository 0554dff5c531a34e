"""`python -m runners.engine.process.imatrix WEIGHTS TEXT TARGET NAME`: measure a matrix.

The importance matrix of a model is for quantizing.

Standard output has a line `DONE TOTAL` for each chunk of the text. An error is a line on standard
error, with the exit status 1.
"""

import sys
from pathlib import Path

from runners.engine.native.importance import CHUNK, measure, write_imatrix
from runners.engine.native.llama import LoadError, NativeError
from runners.protocol.load_spec import LoadSpec


def main(weights: str, text: str, target: str, name: str) -> None:
    """Measure, and write the result."""
    spec = LoadSpec(weights=weights, n_ctx=CHUNK, n_cells=CHUNK, n_seq=1, n_batch=CHUNK)
    n_chunks = 0

    def report(done: int, total: int) -> None:
        nonlocal n_chunks
        n_chunks = total
        sys.stdout.write(f"{done} {total}\n")
        sys.stdout.flush()

    try:
        content = Path(text).read_text(encoding="utf-8", errors="replace")
        measured = measure(spec, content, report)
    except LoadError as e:
        sys.exit(f"{e}: {e.native}" if e.native else str(e))
    except NativeError as e:
        sys.exit(str(e))
    write_imatrix(Path(target), measured, dataset=name, n_chunks=n_chunks)


if __name__ == "__main__":
    main(*sys.argv[1:])
