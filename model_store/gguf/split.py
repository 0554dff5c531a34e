"""Group the shards of split GGUF models by their names and metadata."""

import re
from collections.abc import Mapping

from model_store.errors import CreateError
from model_store.gguf.header import GGUFHeader

_NAME = re.compile(r"(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf\Z")


def group_shards(headers: Mapping[str, GGUFHeader]) -> list[list[str]]:
    """Return the names of the files, those of one model together and in their order.

    Raises:
        CreateError: a part is missing, or the names do not match the metadata.
    """
    groups: dict[str, dict[int, str]] = {}
    for name, header in headers.items():
        count = _split(header, "count") or 1
        if count < 2:
            groups[name] = {0: name}
            continue
        prefix, number = _checked(name, header, count)
        shards = groups.setdefault(f"{prefix}-of-{count}", {})
        if number in shards:
            raise CreateError(f"split GGUF has duplicate shard index {number}")
        shards[number] = name
    for shards in groups.values():
        first = next(iter(shards.values()))
        _check_complete(first, shards, _split(headers[first], "count") or 1)
    return [[shards[number] for number in sorted(shards)] for shards in groups.values()]


def _split(header: GGUFHeader, key: str) -> int | None:
    value = header.integer(f"split.{key}")
    return header.integer(f"{header.architecture}.split.{key}") if value is None else value


def _checked(name: str, header: GGUFHeader, count: int) -> tuple[str, int]:
    """Return what a file's name shares with the others, and its number from 0."""
    match = _NAME.match(name)
    if match is None:
        raise CreateError(f'split GGUF "{name}" must use llama.cpp split filename pattern')
    named, number = int(match["count"]), int(match["number"]) - 1
    if named != count:
        raise CreateError(
            f'split GGUF "{name}" filename count {named} does not match metadata count {count}'
        )
    index = _split(header, "no")
    if index is None:
        raise CreateError(f'split GGUF "{name}" is missing split.no metadata')
    if index != number:
        raise CreateError(
            f'split GGUF "{name}" filename index {number} does not match metadata index {index}'
        )
    return match["prefix"], number


def _check_complete(name: str, shards: Mapping[int, str], count: int) -> None:
    if 0 not in shards:
        raise CreateError("split GGUF is missing first shard")
    if len(shards) != count:
        raise CreateError(f'split GGUF "{name}" has {len(shards)} shards, expected {count}')
