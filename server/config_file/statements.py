"""Line numbers of TOML keys, which the parser of the standard library does not tell."""

import tomllib
from collections.abc import Iterator
from typing import NamedTuple

Path = tuple[str | int, ...]
"""The keys that lead to a value, with the position in an array of tables."""


class _Statement(NamedTuple):
    """A table header or an assignment, with the keys that it names and the line where it begins."""

    keys: tuple[str, ...]
    line: int
    is_header: bool = False
    is_array: bool = False


def line_of(text: str, path: Path) -> int:
    """Return the line of the statement in valid TOML that sets `path`, or what it is part of."""
    best, best_line, n_tables = -1, 1, dict[tuple[str, ...], int]()
    table: Path = ()
    for statement in _statements(text):
        if statement.is_array:
            position = n_tables[statement.keys] = n_tables.get(statement.keys, -1) + 1
            table = (*statement.keys, position)
        elif statement.is_header:
            table = statement.keys
        keys = table if statement.is_header else (*table, *statement.keys)
        n_shared = _n_shared(keys, path)
        # A statement about another value is not where it is set.
        is_relevant = n_shared in (len(keys), len(path))
        if is_relevant and n_shared > best:
            best, best_line = n_shared, statement.line
    return best_line


def _n_shared(one: Path, other: Path) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n


def _statements(text: str) -> Iterator[_Statement]:
    """Yield the statements; one ends where what was read since the last is valid by itself."""
    lines: list[str] = []
    begin = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        if not lines:
            begin = number
        lines.append(line)
        try:
            tables = tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError:
            continue
        yield _statement(lines[0].strip(), tables, begin)
        lines = []


def _statement(first: str, tables: dict[str, object], line: int) -> _Statement:
    is_array = first.startswith("[[")
    is_header = first.startswith("[")
    keys: list[str] = []
    value: object = tables
    depth_limit = None if is_header else _n_keys(first)
    while isinstance(value, dict) and len(value) == 1 and len(keys) != depth_limit:
        [(key, value)] = value.items()
        keys.append(key)
        if isinstance(value, list) and is_array:
            value = value[0] if value else None
    return _Statement(tuple(keys), line, is_header, is_array)


def _n_keys(assignment: str) -> int:
    """Return how many dotted keys stand before the equals sign."""
    for end, character in enumerate(assignment):
        if character != "=":
            continue
        try:
            table: object = tomllib.loads(f"{assignment[:end]}= 0")
        except tomllib.TOMLDecodeError:
            continue
        n = 0
        while isinstance(table, dict):
            [table] = table.values()
            n += 1
        return n
    return 1
