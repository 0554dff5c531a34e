"""`paddock help`: the help of a command, or an answer of the bundled guide to a question."""

from typing import Annotated, Any

import typer

from server.client.answer_view import AnswerStyle
from server.client.connection import connected
from server.client.exit import fail
from server.client.session import Session
from server.client.start import ensure_server

_GUIDE = "paddock"


def help_or_guide(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(help='A command, or a question: "how do I pull a model?"'),
    ] = None,
) -> None:
    """Show the help of a command, or have the bundled guide answer a question, offline."""
    root: Any = context.find_root()
    command = root.command.get_command(root, words[0]) if words and len(words) == 1 else None
    if not words:
        typer.echo(root.get_help())
    elif command is not None:
        with command.make_context(words[0], ["--help"], parent=root):
            pass
    else:
        _ask(" ".join(words))


def _ask(question: str) -> None:
    with connected() as client:
        ensure_server(client)
        installed = {model["name"] for model in client.installed()}
        if f"{_GUIDE}:latest" not in installed:
            fail(
                f"the guide is not installed on this server: its model {_GUIDE} was deleted; the "
                "documents are in the folder docs, and 'paddock COMMAND --help' helps too"
            )
        session = Session(model=_GUIDE, think=False, style=AnswerStyle(hide_thinking=True))
        session.ask(client, question)
