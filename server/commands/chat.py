"""`paddock chat`: a conversation that can be continued later, also line by line in a pipe."""

import sys
from typing import Annotated

import typer

from server.client import conversations
from server.client.answer_view import AnswerStyle
from server.client.chat_loop import chat as hold
from server.client.completion import complete_model
from server.client.connection import connected
from server.client.exit import fail
from server.client.line_editor import LineEditor, LineReader, PipedLines
from server.client.models import ensure_model
from server.client.session import Session
from server.client.start import ensure_server


def chat(
    model: Annotated[
        str,
        typer.Argument(
            help="The model; that of the last conversation with --continue.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ] = "",
    *,
    system: Annotated[str, typer.Option(help="System message.", show_default=False)] = "",
    resume: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the last conversation.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show timings for response.")] = False,
) -> None:
    """Hold a conversation; each line of a pipe is a message.

    With a pipe the exit status is 1 when a message was not answered.
    """
    session = Session(model=model, system=system, verbose=verbose, style=AnswerStyle())
    last = conversations.load() if resume else None
    if resume and last is None:
        fail("there is no conversation to continue")
    if not model and last is None:
        fail("name a model, such as: paddock chat paddock")
    session.model = model or (last.model if last else "")
    with connected() as client:
        ensure_server(client)
        session.use(session.model, ensure_model(client, session.model))
        if last is not None:
            session.system, session.messages = system or last.system, last.messages
        reader: LineReader = LineEditor() if sys.stdin.isatty() else PipedLines()
        if reader.is_typed:
            session.load(client)
        try:
            is_answered = hold(client, session, reader)
        finally:
            conversations.save(session)
        if not (is_answered or reader.is_typed):
            raise typer.Exit(1)
