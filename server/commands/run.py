"""`paddock run`: talk to a model, or have one prompt answered."""

import json
import sys
from typing import Annotated, Any

import typer

from server.client.answer_view import AnswerStyle, AnswerView, print_timings
from server.client.api import ApiClient
from server.client.arguments import MODEL
from server.client.attachments import AttachmentError, attachments_of, note_unsent
from server.client.chat_loop import chat
from server.client.connection import connected
from server.client.exit import fail
from server.client.keyboard import without_echo
from server.client.models import ensure_model
from server.client.output import is_terminal
from server.client.output_format import output_format
from server.client.session import Session
from server.client.start import ensure_server

_INTERRUPTED = 130
_THINK: dict[str, bool | str] = {
    "true": True,
    "false": False,
    "high": "high",
    "medium": "medium",
    "low": "low",
}


def run(
    model: Annotated[str, MODEL],
    prompt: Annotated[list[str] | None, typer.Argument(show_default=False)] = None,
    *,
    keepalive: Annotated[
        str, typer.Option(help="Duration to keep a model loaded (e.g. 5m).", show_default=False)
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Show timings for response.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Use an insecure registry.")] = False,
    nowordwrap: Annotated[
        bool,
        typer.Option(
            "--nowordwrap",
            help="Don't wrap words to the next line automatically, nor render Markdown.",
        ),
    ] = False,
    nomarkdown: Annotated[
        bool, typer.Option("--nomarkdown", help="Show Markdown as it is written.")
    ] = False,
    format: Annotated[
        str,
        typer.Option(
            help="Response format: json, or a file with a JSON Schema.", show_default=False
        ),
    ] = "",
    think: Annotated[
        str,
        typer.Option(
            metavar="[=true|false|high|medium|low]",
            help="Enable thinking mode, for supported models.",
            show_default=False,
        ),
    ] = "",
    hidethinking: Annotated[
        bool, typer.Option("--hidethinking", help="Hide thinking output (if provided).")
    ] = False,
    truncate: Annotated[
        bool | None,
        typer.Option(
            "--truncate/--no-truncate",
            help="For embedding models: truncate inputs exceeding context length.",
            show_default=False,
        ),
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(help="For embedding models: length of the embedding.", show_default=False),
    ] = None,
) -> None:
    """Run a model: chat on a terminal, or answer the prompt and what is piped in."""
    session = Session(
        model=model,
        verbose=verbose,
        keep_alive=keepalive or None,
        style=AnswerStyle(wrap=not nowordwrap, markdown=not nomarkdown, hide_thinking=hidethinking),
    )
    _set_think(session, think)
    _set_format(session, format)
    text, is_piped = _prompt(prompt or [])
    with connected() as client:
        ensure_server(client)
        shown = ensure_model(client, model, insecure=insecure)
        session.use(model, shown)
        if "embedding" in session.capabilities and "completion" not in session.capabilities:
            _embed(client, session, text, truncate=truncate, dimensions=dimensions)
        elif text or is_piped or not is_terminal():
            _answer(client, session, text)
        else:
            _chat(client, session, shown)


def _set_think(session: Session, value: str) -> None:
    if not value:
        return
    if value not in _THINK:
        fail(f'invalid value for --think: "{value}" (must be true, false, high, medium, or low)')
    session.think, session.think_is_set = _THINK[value], True


def _set_format(session: Session, value: str) -> None:
    try:
        session.format = output_format(value) if value else None
    except ValueError as e:
        fail(str(e))


def _prompt(words: list[str]) -> tuple[str, bool]:
    """Return what is piped in and the words of the prompt, and whether something is piped in."""
    is_piped = not sys.stdin.isatty()
    piped = sys.stdin.read() if is_piped else ""
    return " ".join([piped, *words] if piped else words), is_piped


def _embed(client: ApiClient, session: Session, text: str, **options: Any) -> None:
    if not text:
        fail(
            "embedding models require input text. Usage: "
            f'paddock run {session.model} "your text here"'
        )
    answer = client.embed(session.model, text, keep_alive=session.keep_alive, **options)
    typer.echo(json.dumps(list(answer.embeddings[0]), separators=(",", ":")))


def _answer(client: ApiClient, session: Session, text: str) -> None:
    """Show the answer to one prompt; Ctrl-C ends the command."""
    try:
        attached = attachments_of(text) if session.takes_files else None
    except AttachmentError as e:
        fail(str(e))
    if attached is None:
        note_unsent(text, session.model)
    for name in attached.names if attached else ():
        typer.echo(f"Added file '{name}'", err=True)
    view = AnswerView(session.style, has_format=session.format is not None)
    parts = client.generate(
        session.model,
        attached.text if attached else text,
        images=attached.files if attached else None,
        stream=True,
        think=session.think,
        format=session.format,
        keep_alive=session.keep_alive,
    )
    last: Any = None
    try:
        with without_echo():
            for last in parts:
                view.think(last.thinking or "")
                view.content(last.response or "")
    except KeyboardInterrupt:
        view.finish()
        raise typer.Exit(_INTERRUPTED) from None
    except BaseException:
        view.abandon()
        raise
    if text:
        view.finish()
    else:
        view.abandon()
    if session.verbose and last is not None:
        print_timings(last)


def _chat(client: ApiClient, session: Session, shown: dict[str, Any]) -> None:
    from server.client.line_editor import LineEditor  # noqa: PLC0415 - a library of its own

    session.load(client)
    for message in shown.get("messages") or ():
        _show_earlier(session, message)
    chat(client, session, LineEditor())


def _show_earlier(session: Session, message: dict[str, Any]) -> None:
    """Show a message that the model begins with."""
    if message["role"] == "user":
        typer.echo(f">>> {message['content']}")
    elif message["role"] == "assistant":
        view = AnswerView(session.style)
        view.content(message["content"])
        view.finish()
