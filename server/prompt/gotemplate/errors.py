"""What goes wrong inside a template, before the place is known."""


class Fault(Exception):
    """A value cannot be used as the template wants; the evaluator adds where."""
