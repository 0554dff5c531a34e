"""Check the capabilities of a model before it is loaded for a request."""

from collections.abc import Sequence

from model_store.model import Model
from model_store.options import Options
from runners.protocol.constraints import Constraint
from server.errors import BadRequest, Unsupported
from server.prompt.messages import Think


def effective_think(
    think: Think | None, supported: Sequence[str], name: str, *, if_supported: bool = False
) -> Think | None:
    """Return whether to think: as requested, by default if the model supports it.

    `name` is the model's name as the client sent it.

    Raises:
        Unsupported: thinking is requested, the model does not support it, and `if_supported` is
            not set.
    """
    if "thinking" in supported:
        return True if think is None else think
    if think and if_supported:
        return None
    if think:
        raise Unsupported(f'"{name}" does not support thinking')
    return think


def require(
    supported: Sequence[str],
    model: Model,
    name: str,
    action: str,
    *,
    tools: bool = False,
    insert: bool = False,
) -> None:
    """Raise Unsupported unless the model has the capabilities that the request needs."""
    if "completion" not in supported:
        raise Unsupported(f'"{name}" does not support {action}')
    required = {"tools": tools, "insert": insert}
    missing = [capability for capability, needed in required.items() if needed]
    missing = [capability for capability in missing if capability not in supported]
    if missing:
        raise Unsupported(f"{model.name.full} does not support " + "\n".join(missing))


def require_reachable(options: Options, constraint: Constraint | None) -> None:
    """Raise BadRequest for an answer that cannot be as long as the options say.

    `constraint` is the output format of the request.
    """
    if constraint is not None:
        for name in ("ignore_eos", "min_tokens"):
            if getattr(options, name):
                raise BadRequest(
                    f'option "{name}" cannot be used with an output format, which decides where '
                    "the answer ends"
                )
    least, most = options.min_tokens or 0, options.num_predict or 0
    if 0 < most < least:
        raise BadRequest(
            f'option "min_tokens" ({least}) must not be larger than the limit of the answer, {most}'
        )
