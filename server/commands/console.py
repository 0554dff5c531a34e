"""Console output of commands: one-line errors with exit status 1."""

from collections.abc import Iterator
from contextlib import contextmanager

from model_store.errors import StoreError
from server.client.exit import fail
from server.errors import ServerError


@contextmanager
def errors_as_exit() -> Iterator[None]:
    """Exit with the reason of an error that is raised within."""
    try:
        yield
    except (StoreError, ServerError) as e:
        fail(str(e))
    except OSError as e:
        fail(f"{e.filename2 or e.filename}: {(e.strerror or 'failed').lower()}")
