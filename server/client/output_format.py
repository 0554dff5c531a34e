"""The output format of answers: JSON, or a JSON Schema in a file or as text."""

import json
from pathlib import Path
from typing import Any


def output_format(text: str) -> Any:
    """Return the `format` of requests for `json`, the name of a schema file, or a schema.

    Raises:
        ValueError: it is none of them; the text of the error says so.
    """
    if text == "json":
        return text
    if text.lstrip().startswith("{"):
        return _schema(text, "the format")
    file = Path(text).expanduser()
    try:
        return _schema(file.read_text(encoding="utf-8"), str(file))
    except OSError:
        raise ValueError(
            f'the format "{text}" is neither json nor a JSON Schema nor a file with one'
        ) from None


def _schema(text: str, where: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except ValueError as e:
        raise ValueError(f"{where} is not valid JSON: {e}") from None
    match schema:
        case dict():
            return schema
        case _:
            raise ValueError(f"{where} is not a JSON Schema: it must be an object")
