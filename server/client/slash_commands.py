"""Commands of a chat that begin with a slash: /set, /show, /load, /save, /clear, /bye."""

import shlex
from collections.abc import Callable, Iterable

import typer

from model_store.errors import ModelfileError
from model_store.parameters import typed_parameters
from server.client import slash_help
from server.client.api import ApiClient
from server.client.library import ollama
from server.client.line_editor import LineReader
from server.client.model_sheet import sheet
from server.client.output_format import output_format
from server.client.session import Session

_NOT_FOUND = 404
_BAD_REQUEST = 400
_Handler = Callable[[list[str]], None]


class EndChat(Exception):
    """The user ends the chat."""


class SlashCommands:
    """Executes the commands on a session."""

    def __init__(self, client: ApiClient, session: Session, reader: LineReader) -> None:
        self._client = client
        self._session = session
        self._reader = reader
        self._handlers: dict[str, _Handler] = {
            "/set": self._set,
            "/show": self._show,
            "/load": self._load,
            "/save": self._save,
            "/clear": self._clear,
            "/list": self._list,
            "/help": self._help,
            "/?": self._help,
            "/bye": self._bye,
            "/exit": self._bye,
        }

    def execute(self, line: str) -> bool:
        """Execute a line if it is a command; return whether it is one.

        Raises:
            EndChat: the user ends the chat.
        """
        words = line.split()
        handler = self._handlers.get(words[0]) if words else None
        if handler is None:
            return False
        handler([line, *words[1:]])
        return True

    def _bye(self, arguments: list[str]) -> None:
        raise EndChat

    def _clear(self, arguments: list[str]) -> None:
        self._session.messages = []
        typer.echo("Cleared session context")

    def _list(self, arguments: list[str]) -> None:
        for model in self._client.installed():
            typer.echo(model["name"])

    def _help(self, arguments: list[str]) -> None:
        topics = {
            "set": slash_help.SET, "/set": slash_help.SET, "show": slash_help.SHOW,
            "/show": slash_help.SHOW, "shortcut": slash_help.SHORTCUTS,
            "shortcuts": slash_help.SHORTCUTS,
        }  # fmt: skip
        if len(arguments) > 1:
            _tell(topics.get(arguments[1], slash_help.COMMANDS))
            return
        _tell(slash_help.COMMANDS)
        _tell(f"{slash_help.FILES}\n" if self._session.takes_files else "")

    def _load(self, arguments: list[str]) -> None:
        if len(arguments) != 2:
            typer.echo("Usage:\n  /load <modelname>")
            return
        name = arguments[1]
        typer.echo(f"Loading model '{name}'")
        try:
            self._session.use(name, self._client.post("/api/show", model=name))
            self._session.load(self._client)
        except ollama.ResponseError as e:
            if e.status_code == _NOT_FOUND:
                typer.echo(f"Couldn't find model '{name}'")
            else:
                typer.echo(f"error: {e.error}")

    def _save(self, arguments: list[str]) -> None:
        if len(arguments) != 2:
            typer.echo("Usage:\n  /save <modelname>")
            return
        session = self._session
        fields = {
            "system": session.system,
            "parameters": session.options,
            "messages": [{k: m[k] for k in ("role", "content")} for m in session.messages],
        }
        try:
            for _ in self._client.stream(
                "/api/create",
                model=arguments[1],
                **{"from": session.parent or session.model},
                **{name: value for name, value in fields.items() if value},
            ):
                pass
        except ollama.ResponseError as e:
            typer.echo(f"error: {e.error}")
        else:
            typer.echo(f"Created new model '{arguments[1]}'")

    def _show(self, arguments: list[str]) -> None:
        if len(arguments) < 2:
            _tell(slash_help.SHOW)
            return
        part, session = arguments[1], self._session
        if part == "thinking":
            typer.echo(session.last_thinking() or "The model has not thought.")
            return
        model = self._client.post("/api/show", model=session.model)
        missing = {
            "license": "No license was specified for this model.",
            "modelfile": "",
            "template": "No prompt template was specified for this model.",
        }
        if part == "info":
            _tell("\n".join(sheet(model)))
        elif part == "parameters":
            self._show_parameters(model.get("parameters") or "")
        elif part == "system":
            system = session.system or model.get("system")
            no_system = "No system message was specified for this model."
            typer.echo(f"{system}\n" if system else no_system)
        elif part in missing:
            typer.echo(model.get(part) or missing[part])
        else:
            typer.echo(f"Unknown command '/show {part}'. Type /? for help")

    def _show_parameters(self, parameters: str) -> None:
        typer.echo("Model defined parameters:")
        none = ["No additional parameters were specified for this model."]
        for line in parameters.splitlines() or none:
            typer.echo(f"  {line}")
        typer.echo()
        if self._session.options:
            typer.echo("User defined parameters:")
            for name, value in self._session.options.items():
                values = value if isinstance(value, list) else [value]
                typer.echo(f"  {name:<30} {', '.join(map(str, values))}")
            typer.echo()

    def _set(self, arguments: list[str]) -> None:
        if len(arguments) < 2:
            _tell(slash_help.SET)
            return
        setters: dict[str, _Handler] = {
            "parameter": self._set_parameter,
            "system": self._set_system,
            "format": self._set_format,
            "think": self._set_think,
        }
        name = arguments[1]
        if setter := setters.get(name):
            setter(arguments)
        elif not self._set_flag(name):
            typer.echo(f"Unknown command '/set {name}'. Type /? for help")

    def _set_flag(self, name: str) -> bool:
        """Set what is on or off; return whether there is such a flag."""
        session, style = self._session, self._session.style
        match name:
            case "history" | "nohistory":
                self._reader.keeps_history = name == "history"
                return True
            case "wordwrap" | "nowordwrap":
                style.wrap = name == "wordwrap"
            case "markdown" | "nomarkdown":
                style.markdown = name == "markdown"
            case "fold" | "nofold":
                style.fold_thinking = name == "fold"
            case "verbose" | "quiet":
                session.verbose = name == "verbose"
            case "nothink":
                session.think, session.think_is_set = False, True
            case "noformat":
                session.format = None
                typer.echo("Disabled format.")
                return True
            case _:
                return False
        typer.echo(f"Set '{name}' mode.")
        return True

    def _set_think(self, arguments: list[str]) -> None:
        level = arguments[2] if len(arguments) > 2 else ""
        self._session.think, self._session.think_is_set = level or True, True
        if "thinking" not in self._session.capabilities:
            _tell(f'warning: model "{self._session.model}" does not support thinking output')
        typer.echo(f"Set 'think' mode to '{level}'." if level else "Set 'think' mode.")

    def _set_format(self, arguments: list[str]) -> None:
        text = arguments[0].partition("format")[2].strip()
        if not text:
            typer.echo("Invalid or missing format. For 'json' mode use '/set format json'")
            return
        try:
            self._session.format = output_format(text)
        except ValueError as e:
            typer.echo(f"error: {e}")
        else:
            typer.echo(f"Set format to '{text}' mode.")

    def _set_parameter(self, arguments: list[str]) -> None:
        if len(arguments) < 4:
            _tell(slash_help.PARAMETERS)
            return
        name, values = arguments[2], arguments[3:]
        if name == "stop":
            values = _quoted_words(arguments[0].partition("stop")[2])
        try:
            parameters = typed_parameters(_pairs(name, values))
        except ModelfileError as e:
            typer.echo(f"Couldn't set parameter: {e}")
            return
        self._session.options |= parameters
        typer.echo(f"Set parameter '{name}' to '{', '.join(values)}'")

    def _set_system(self, arguments: list[str]) -> None:
        text = arguments[0].partition("system")[2].strip()
        if not text:
            _tell(slash_help.SET)
            return
        self._session.system = text.removeprefix('"""').removesuffix('"""')
        typer.echo("Set system message.")


def _pairs(name: str, values: list[str]) -> Iterable[tuple[str, str]]:
    return [(name, value) for value in (values if name == "stop" else [" ".join(values)])]


def _quoted_words(text: str) -> list[str]:
    """Split a text as a shell does: quotes keep blanks in a word, and are not part of it."""
    try:
        return shlex.split(text)
    except ValueError:  # a quote without an end
        return text.split()


def _tell(text: str) -> None:
    """Print a text that is no answer, on stderr."""
    if text:
        typer.echo(text, err=True)
