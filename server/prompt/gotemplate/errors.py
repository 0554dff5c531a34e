"""The error of a template value or function, before its source position is known."""


class Fault(Exception):
    """A template uses a value wrongly; the evaluator adds the source position."""
