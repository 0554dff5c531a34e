"""Errors of runners and the scheduler.

    RunnerError
    ├── RunnerDied       the process exited during a request
    ├── CannotStart      the system starts no further process
    ├── RequestFailed    the runner refused or aborted one request; others go on
    ├── LoadFailed       the model cannot be loaded
    ├── QuantizeFailed   the model cannot be quantized
    ├── ModelUnusable    a converted model does not load
    ├── LoadTimeout      a load made no progress
    ├── QueueFull        too many requests wait for a model to be loaded
    ├── NoRoom           the pinned models leave no room
    └── ShuttingDown     the server is shutting down

Every text may be sent to a client: none contains a path or a stack trace.
"""

import errno

from runners.protocol.messages import FailureCode

_MANY_FILES = "too many files are open; close idle connections or raise the limit"
_EXHAUSTED = {
    errno.EMFILE: _MANY_FILES,
    errno.ENFILE: _MANY_FILES,
    errno.EAGAIN: "too many processes are running; end some or raise the limit",
    errno.ENOMEM: "there is not enough memory for another process",
}


class RunnerError(Exception):
    """Base of all errors of this package.

    `can_retry`: the runner was killed from outside or did not respond, so the request did not
    cause the error and may succeed with another runner. `is_machine_lost`: its machine does not
    answer, so the next one is likely to be on another.
    """

    can_retry = False
    is_machine_lost = False


class RunnerDied(RunnerError):
    """A runner process exited during a request; `detail` says how, in one sentence."""

    def __init__(
        self,
        detail: str,
        *,
        out_of_memory: bool = False,
        can_retry: bool = False,
        is_machine_lost: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.out_of_memory = out_of_memory
        self.can_retry = can_retry
        self.is_machine_lost = is_machine_lost

    def copy(self) -> "RunnerDied":
        """Return an error object of its own for a request: a traceback is attached to it."""
        return RunnerDied(
            self.detail,
            out_of_memory=self.out_of_memory,
            can_retry=self.can_retry,
            is_machine_lost=self.is_machine_lost,
        )


class CannotStart(RunnerError):
    """A runner process cannot be started, because the system has no resources for it."""

    def __init__(self, error: OSError) -> None:
        reason = _EXHAUSTED.get(error.errno or 0, "the server's log says why")
        super().__init__(f"a model runner cannot be started: {reason}")


class RequestFailed(RunnerError):
    """One request failed; `FailureCode` says for which codes `n_tokens` and `n_ctx` are set."""

    def __init__(
        self, code: FailureCode, message: str = "", n_tokens: int = 0, n_ctx: int = 0
    ) -> None:
        super().__init__(message or code.value)
        self.code = code
        self.message = message
        self.n_tokens = n_tokens
        self.n_ctx = n_ctx


class LoadFailed(RunnerError):
    """A model could not be loaded."""

    def __init__(
        self,
        message: str,
        *,
        out_of_memory: bool = False,
        cache_type_refused: bool = False,
        can_retry: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.out_of_memory = out_of_memory
        self.cache_type_refused = cache_type_refused
        self.can_retry = can_retry

    @classmethod
    def by_death(cls, died: RunnerDied) -> "LoadFailed":
        """Return the failure of a load whose runner died."""
        failure = cls(died.detail, out_of_memory=died.out_of_memory, can_retry=died.can_retry)
        failure.is_machine_lost = died.is_machine_lost
        return failure


class QuantizeFailed(RunnerError):
    """A model could not be quantized; the text says why."""


class ModelUnusable(RunnerError):
    """A converted model does not load; the text says why."""


class LoadTimeout(RunnerError):
    """A load made no progress for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"timed out loading the model: no progress for {seconds:g} seconds")
        self.seconds = seconds


class QueueFull(RunnerError):
    """The queue already holds its maximum of `limit` pending requests."""

    def __init__(self, limit: int) -> None:
        super().__init__("server busy, please try again.  maximum pending requests exceeded")
        self.limit = limit


class NoRoom(RunnerError):
    """The model cannot be loaded beside the pinned ones."""

    def __init__(self) -> None:
        super().__init__(
            "there is no room for the model beside those that the server's configuration pins"
        )


class ShuttingDown(RunnerError):
    """The server is shutting down and accepts no more requests."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")
