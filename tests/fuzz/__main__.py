"""`python -m tests.fuzz TARGET SECONDS`: run one fuzz target with atheris.

The corpus that grows is kept in .fuzz/TARGET; an input that breaks the parser is written beside it.
"""

import sys
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz until the time is over, or exit with an error at the first broken input."""
    with atheris.instrument_imports(include=["model_store", "server"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented while imported

    name, seconds = sys.argv[1:]
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].corpus()):
        (corpus / f"seed-{number}").write_bytes(data)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={corpus.parent}/{name}-",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
