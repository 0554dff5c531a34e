"""Arguments of commands that name models."""

from typing import Any

import typer

from server.client.completion import complete_model
from server.client.exit import fail


def without_empty(names: Any) -> Any:
    """Return one name, several or none; exits where one is empty, as an unset variable is."""
    for name in [names] if isinstance(names, str) else names or []:
        if not name.strip():
            fail("the name of a model is empty")
    return names


MODEL: Any = typer.Argument(autocompletion=complete_model, callback=without_empty)
"""An installed model, or several."""

NEW_MODEL: Any = typer.Argument(callback=without_empty)
"""A model that need not be installed, so none is completed."""
