"""The loop of a chat: read a message or a command, show the answer, until the user leaves."""

import httpx
import typer

from server.client.api import ApiClient
from server.client.attachments import AttachmentError, attachments_of, note_unsent
from server.client.connection import broken_connection
from server.client.library import ollama
from server.client.line_editor import LineReader
from server.client.session import Session
from server.client.slash_commands import EndChat, SlashCommands


def chat(client: ApiClient, session: Session, reader: LineReader) -> bool:
    """Hold a conversation; return whether every message was answered.

    An error of the server ends one answer, not the chat, which goes on after a restart of the
    server too.

    Raises:
        httpx.TransportError, ConnectionError: the server has gone, and messages come from a pipe.
    """
    commands = SlashCommands(client, session, reader)
    has_failed = False
    while True:
        try:
            text = reader.read()
        except EOFError:
            typer.echo()
            return not has_failed
        except KeyboardInterrupt:
            typer.echo("\nUse Ctrl + d or /bye to exit.")
            continue
        if not text.strip():
            continue
        try:
            if not commands.execute(text):
                _say(client, session, text)
        except EndChat:
            return not has_failed
        except (ollama.ResponseError, AttachmentError) as e:
            has_failed = True
            typer.echo(f"error: {e.error if isinstance(e, ollama.ResponseError) else e}", err=True)
        except (httpx.TransportError, ConnectionError) as e:
            if not reader.is_typed:
                raise
            has_failed = True
            typer.echo(f"error: {broken_connection(e, client)}", err=True)


def _say(client: ApiClient, session: Session, text: str) -> None:
    files: tuple[bytes, ...] = ()
    if session.takes_files:
        message = attachments_of(text)
        text, files = message.text, message.files
        for name in message.names:
            typer.echo(f"Added file '{name}'", err=True)
    else:
        note_unsent(text, session.model)
    if text.startswith("/") and not files:
        typer.echo(f"Unknown command '{text.split()[0]}'. Type /? for help")
        return
    session.ask(client, text, files)
