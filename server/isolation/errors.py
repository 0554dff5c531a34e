"""How a job of a worker process can fail."""


class WorkerError(Exception):
    """A job got no answer."""


class Overrun(WorkerError):
    """The job took more memory or CPU time than allowed; it would do so again."""


class Crashed(WorkerError):
    """The job ended two processes in a row, for instance in native code."""


class Unavailable(WorkerError):
    """No worker could answer: none starts, or the machine is too busy to run one."""
