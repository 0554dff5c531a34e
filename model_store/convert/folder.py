"""A model folder: uploaded files by name, their JSON and their safetensors."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from model_store.convert.fields import Fields, parse_fields
from model_store.convert.tensors import SourceTensor, read_index, shown
from model_store.errors import CreateError

LARGEST_JSON = 64 * 2**20
"""Bytes; the largest tokenizers known have half of that."""

_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors\Z")


class Folder:
    """Files of a folder; each is read when it is asked for, and never as a whole if it is large."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    @property
    def names(self) -> Iterable[str]:
        """The names of all files."""
        return self._files.keys()

    def data(self, name: str) -> bytes | None:
        """Return the bytes of a file, None when there is none; raises CreateError."""
        path = self._files.get(name)
        if path is None:
            return None
        with path.open("rb") as file:
            data = file.read(LARGEST_JSON + 1)
        if len(data) > LARGEST_JSON:
            raise CreateError(f"{name} is larger than {LARGEST_JSON} bytes")
        return data

    def text(self, name: str) -> str:
        """Return the text of a file, empty when there is none; raises CreateError."""
        return (self.data(name) or b"").decode("utf-8-sig", "replace")

    def fields(self, name: str) -> Fields:
        """Return the object in a JSON file, an empty one when there is none; raises CreateError."""
        data = self.data(name)
        return Fields(name, {}) if data is None else parse_fields(name, data)

    def tensors(self) -> dict[str, SourceTensor]:
        """Return all tensors by their names.

        Raises:
            CreateError: a file is damaged or missing, or two tensors have the same name.
        """
        tensors: dict[str, SourceTensor] = {}
        for name in self._weight_files():
            for tensor in read_index(name, self._files[name]):
                if tensor.name in tensors:
                    raise CreateError(
                        f'duplicate tensor name "{shown(tensor.name)}" was found for this model'
                    )
                tensors[tensor.name] = tensor
        return tensors

    def _weight_files(self) -> list[str]:
        indexed = self.fields(_INDEX).inner("weight_map").items()
        if indexed:
            required = {value if isinstance(value, str) else "" for _, value in indexed}
            missing = sorted(required - self._files.keys())
            if missing:
                raise CreateError(
                    f'the file "{shown(missing[0])}", which {_INDEX} names, is missing'
                )
            return sorted(required)
        names = sorted(name for name in self._files if name.endswith(".safetensors"))
        # Some folders hold the same weights twice, or those of other parts below.
        names = [name for name in names if "/" not in name] or names
        names = [name for name in names if not name.startswith("consolidated")] or names
        _check_complete(names)
        return names


def _check_complete(names: Iterable[str]) -> None:
    """Refuse a folder that lacks parts of split files, by the names of the others."""
    present = set(names)
    parts = {(match["stem"], match["count"]) for match in map(_SHARD.match, present) if match}
    for stem, count in sorted(parts):
        for number in range(1, int(count) + 1):
            name = f"{stem}-{number:05}-of-{count}.safetensors"
            if name not in present:
                raise CreateError(f'the file "{shown(name)}" is missing')
