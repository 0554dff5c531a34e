"""`paddock imatrix`: measure an importance matrix of a model from a text, for quantizing."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from runners.host.environment import child_environment
from runners.host.native_errors import describe_failure
from server.client.exit import fail
from server.commands.console import errors_as_exit
from server.commands.environment import open_store, read_settings
from server.commands.progress import progress_bar
from server.inference.model_files import model_files
from server.model_names import stored_name

_MODULE = "runners.engine.process.imatrix"


def imatrix(
    name: Annotated[str, typer.Argument(help="The model, best as F16, BF16 or F32.")],
    text: Annotated[Path, typer.Argument(help="A text of what the model will be used for.")],
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist yet.")],
) -> None:
    """Measure which columns of a model's weights matter for a text.

    The file is for `create` with `quantize`; keep `imatrix` in its name. Some hundred kilobytes of
    text are enough, and each chunk of 512 tokens takes as long as computing such a prompt.
    """
    store = open_store(read_settings())
    with errors_as_exit():
        model = store.resolve(stored_name(name))
        model.header()
        weights = model.weights
        assert weights is not None
        size = text.stat().st_size
        if model_files(weights, None).view is not None:
            fail("a model in a file layout of Ollama's former engine cannot be measured")
        if file.exists():
            fail(f"{file}: file exists")
    part = file.with_name(f".{file.name}.part")
    try:
        _measure([str(weights), str(text), str(part), text.name], size)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"wrote {file}")


def _measure(arguments: list[str], size: int) -> None:
    """Run the measurement in a process of its own; exits with its error."""
    with (
        progress_bar("computing", size) as progress,
        subprocess.Popen(
            [sys.executable, "-m", _MODULE, *arguments],
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        shown = 0
        for line in process.stdout:
            done, total = map(int, line.split())
            progress(size * done // total - shown)
            shown = size * done // total
        error = process.stderr.read().strip().rpartition("\n")[2]
    if process.returncode != 0:
        fail(error if error.startswith("the text") else describe_failure("it failed", error))
