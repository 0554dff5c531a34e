"""What can go wrong between a request and the runner that serves it.

    RunnerError
    ├── RunnerDied       the process ended while a request needed it
    ├── RequestFailed    the runner refused or gave up one request; others go on
    ├── LoadFailed       the model cannot be loaded
    ├── QuantizeFailed   a model cannot be quantised
    ├── ModelUnusable    files that were to become a model make none
    ├── LoadTimeout      a load showed no sign of life for too long
    ├── QueueFull        too many requests wait for models to be loaded
    └── ShuttingDown     the server is closing and takes no more work

Every text may be shown to a client: none holds a path or a stack trace.
"""

from runners.protocol.messages import FailureCode


class RunnerError(Exception):
    """Base of all errors of this package."""


class RunnerDied(RunnerError):
    """A runner process ended while it was needed; `detail` says how, in one sentence."""

    def __init__(self, detail: str, *, out_of_memory: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.out_of_memory = out_of_memory


class RequestFailed(RunnerError):
    """One request failed; `n_tokens` and `n_ctx` are set where `code` gives them a meaning."""

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

    def __init__(self, message: str, *, out_of_memory: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.out_of_memory = out_of_memory


class QuantizeFailed(RunnerError):
    """A model could not be quantised; the text says why, for the client."""


class ModelUnusable(RunnerError):
    """Files that were to become a model make none; the text says why, for the client."""


class LoadTimeout(RunnerError):
    """A load made no progress for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"timed out loading the model: no progress for {seconds:g} seconds")
        self.seconds = seconds


class QueueFull(RunnerError):
    """As many requests as the queue holds (`limit`) already wait for a model to be loaded."""

    def __init__(self, limit: int) -> None:
        super().__init__("server busy, please try again.  maximum pending requests exceeded")
        self.limit = limit


class ShuttingDown(RunnerError):
    """The server is closing."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")
