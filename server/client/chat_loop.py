"""The loop of a chat: read a message or a command, show the answer, until the user leaves."""

import typer

from server.client.api import ApiClient
from server.client.attachments import AttachmentError, attachments_of
from server.client.library import ollama
from server.client.line_editor import LineReader
from server.client.session import Session
from server.client.slash_commands import EndChat, SlashCommands


def chat(client: ApiClient, session: Session, reader: LineReader) -> None:
    """Hold a conversation; an error of the server ends one answer, not the chat."""
    commands = SlashCommands(client, session, reader)
    while True:
        try:
            text = reader.read()
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            typer.echo("\nUse Ctrl + d or /bye to exit.")
            continue
        if not text.strip():
            continue
        try:
            if not commands.execute(text):
                _say(client, session, text)
        except EndChat:
            return
        except ollama.ResponseError as e:
            typer.echo(f"error: {e.error}", err=True)
        except AttachmentError as e:
            typer.echo(f"error: {e}", err=True)


def _say(client: ApiClient, session: Session, text: str) -> None:
    files: tuple[bytes, ...] = ()
    if session.takes_files:
        message = attachments_of(text)
        text, files = message.text, message.files
        for name in message.names:
            typer.echo(f"Added file '{name}'", err=True)
    if text.startswith("/") and not files:
        typer.echo(f"Unknown command '{text.split()[0]}'. Type /? for help")
        return
    session.ask(client, text, files)
