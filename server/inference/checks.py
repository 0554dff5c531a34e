"""What a model must be able to do before it is loaded for a request."""

from collections.abc import Sequence

from model_store.model import Model
from server.errors import Unsupported
from server.prompt.messages import Think


def effective_think(
    think: Think | None, able: Sequence[str], asked_as: str, *, if_able: bool = False
) -> Think | None:
    """Return the request's `think`; a model that can think does so unless told otherwise.

    Raises:
        Unsupported: thinking is asked of a model that cannot, and not only `if_able`.
    """
    if "thinking" in able:
        return True if think is None else think
    if think and if_able:
        return None
    if think:
        raise Unsupported(f'"{asked_as}" does not support thinking')
    return think


def require(
    able: Sequence[str],
    model: Model,
    asked_as: str,
    action: str,
    *,
    tools: bool = False,
    insert: bool = False,
) -> None:
    """Raise Unsupported unless the model can do what the request needs."""
    if "completion" not in able:
        raise Unsupported(f'"{asked_as}" does not support {action}')
    missing = [
        name
        for name, wanted in (("tools", tools), ("insert", insert))
        if wanted and name not in able
    ]
    if missing:
        raise Unsupported(f"{model.name.full} does not support " + "\n".join(missing))
