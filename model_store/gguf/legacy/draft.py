"""Draft of a virtual GGUF file: metadata and tensors of a source file, to be edited by a table."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from model_store.errors import GGUFError
from model_store.gguf.header import Array, GGUFHeader, Tensor, Value
from model_store.gguf.legacy import values
from model_store.gguf.legacy.pieces import Piece, Rearranged, Span, joined, size_of
from model_store.gguf.legacy.source import SourceFile
from model_store.gguf.legacy.values import Setting
from model_store.gguf.types import TENSOR_TYPES

_VERSION, _ALIGNMENT = 3, 32
_LONGEST_NAME = 63
NUMBERS = {known.name: number for number, known in TENSOR_TYPES.items()}
_KINDS = {known.name: known for known in TENSOR_TYPES.values()}
_ARCHITECTURE = "general.architecture"
_F32_BYTES = 4
_MAX_REARRANGED = 2**30
"""Bytes of a tensor that is rearranged in memory; real ones have some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class DraftTensor:
    """A tensor to be written; `shape` has the fastest dimension first."""

    type: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return sum(map(size_of, self.pieces))


@dataclass(frozen=True, slots=True)
class VirtualFile:
    """A file in pieces, with the header that a reader of it finds; `size` in bytes."""

    header: GGUFHeader
    pieces: tuple[Piece, ...]
    size: int


class Draft:
    """Methods that change a draft skip what is not there, unless they say otherwise."""

    def __init__(self, source: SourceFile, *, metadata: bool, tensors: re.Pattern[str]) -> None:
        """Begin with the file's `metadata`, or without, and the tensors whose names match."""
        self.source = source
        self._values: dict[str, tuple[Value, tuple[Piece, ...]]] = {}
        self.tensors: dict[str, DraftTensor] = {}
        if metadata:
            for key in source.header.metadata:
                self.copy(key, key)
            self.drop(re.compile(r"general\.alignment$"))
        for name, tensor in source.tensors.items():
            if tensors.match(name):
                if not tensor.shape:
                    raise GGUFError(f'tensor "{name[:_LONGEST_NAME]}" has no dimensions')
                span = source.data_span(tensor)
                self.tensors[name] = DraftTensor(tensor.type, tensor.shape, (span,))

    # Metadata.

    def has(self, key: str) -> bool:
        """Tell whether the draft has `key`."""
        return key in self._values

    def put(self, key: str, setting: Setting) -> None:
        """Set a value."""
        self._values[key] = setting.shown, (setting.data,)

    def default(self, key: str, setting: Setting) -> None:
        """Set a value unless there is one."""
        if key not in self._values:
            self.put(key, setting)

    def copy(self, old: str, new: str) -> None:
        """Set `new` to what the file has as `old`, unless the draft has a value for it."""
        if old in self.source.header.metadata and new not in self._values:
            self._values[new] = self.source.header.metadata[old], (self.source.value_span(old),)

    def drop(self, keys: re.Pattern[str]) -> None:
        """Remove the keys that match."""
        self._values = {key: value for key, value in self._values.items() if not keys.match(key)}

    def set_architecture(self, name: str) -> None:
        """Rename the architecture, and its keys with it."""
        old = self.source.header.architecture + "."
        self._values = {
            name + "." + key.removeprefix(old) if key.startswith(old) else key: value
            for key, value in self._values.items()
        }
        self.put(_ARCHITECTURE, values.text(name))

    def rename_key(self, old: str, new: str) -> None:
        """Give the value of `old` the key `new`."""
        if old in self._values:
            self._values[new] = self._values.pop(old)

    def shorten_list(self, key: str, length: int) -> None:
        """Keep the first `length` elements of a list of the file."""
        if key in self._values and self.source.list_length(key) > length:
            kind, span = self.source.list_span(key, length)
            pieces = values.array_head(kind, length), span
            self._values[key] = Array(length, None), pieces

    # Tensors.

    def drop_tensors(self, names: re.Pattern[str]) -> None:
        """Remove the tensors whose names match."""
        self.tensors = {n: tensor for n, tensor in self.tensors.items() if not names.match(n)}

    def rename_tensors(self, rules: Iterable[tuple[str, str]]) -> None:
        """Apply the first rule (a regular expression and its replacement) that fits each name."""
        compiled = [(re.compile(pattern), new) for pattern, new in rules]
        renamed: dict[str, DraftTensor] = {}
        for name, tensor in self.tensors.items():
            new = _renamed(name, compiled)
            if new in renamed:
                raise GGUFError(f'two tensors would have the name "{new[:_LONGEST_NAME]}"')
            renamed[new] = tensor
        self.tensors = renamed

    def cut_rows(self, name: str, rows: int) -> None:
        """Keep the first `rows` of a tensor of the file, of its slowest dimension."""
        tensor = self.tensors.get(name)
        if tensor is not None and tensor.shape[-1] > rows:
            span = self._span(name)
            size = span.size // tensor.shape[-1] * rows
            shape = (*tensor.shape[:-1], rows)
            self.tensors[name] = DraftTensor(tensor.type, shape, (Span(span.offset, size),))

    def concatenate(self, names: Sequence[str], new: str) -> None:
        """Put tensors behind each other along their slowest dimension; of mixed types, as F32."""
        parts = [self.tensors.pop(name) for name in names if name in self.tensors]
        if not parts:
            return
        if len(parts) < len(names) or len({part.shape[:-1] for part in parts}) > 1:
            raise GGUFError(f'the tensors of "{new}" do not fit together')
        if len({part.type for part in parts}) > 1:
            parts = [_as_f32(part, new) for part in parts]
        shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        pieces = tuple(piece for part in parts for piece in part.pieces)
        self.tensors[new] = DraftTensor(parts[0].type, shape, pieces)

    def to_f32(self, names: re.Pattern[str]) -> None:
        """Convert the tensors whose names match to F32."""
        for name, tensor in self.tensors.items():
            if names.match(name) and tensor.type != "F32":
                self.tensors[name] = _as_f32(tensor, name)

    def map(self, name: str, change: Callable[[DraftTensor], DraftTensor]) -> None:
        """Replace a tensor."""
        if name in self.tensors:
            self.tensors[name] = change(self.tensors[name])

    def _span(self, name: str) -> Span:
        (piece,) = self.tensors[name].pieces
        assert isinstance(piece, Span)
        return piece

    # The file.

    def finish(self) -> VirtualFile:
        """Return the file."""
        placed = tuple(self._placed())
        metadata = {key: shown for key, (shown, _) in self._values.items()}
        pieces = joined(self._pieces(placed))
        return VirtualFile(
            GGUFHeader(_VERSION, metadata, placed), pieces, sum(map(size_of, pieces))
        )

    def _placed(self) -> Iterator[Tensor]:
        offset = 0
        for name, tensor in self.tensors.items():
            if len(name.encode()) > _LONGEST_NAME:
                raise GGUFError(f'the tensor name "{name[:_LONGEST_NAME]}…" is too long')
            for piece in tensor.pieces:
                if isinstance(piece, Rearranged) and _memory(piece) > _MAX_REARRANGED:
                    raise GGUFError(f'tensor "{name}" is too large for an encoder')
            n_elements = math.prod(tensor.shape)
            yield Tensor(name, tensor.type, tensor.shape, offset, tensor.size, n_elements)
            offset += tensor.size + -tensor.size % _ALIGNMENT

    def _pieces(self, placed: Sequence[Tensor]) -> Iterator[Piece]:
        size = 0
        for piece in self._header(placed):
            size += size_of(piece)
            yield piece
        yield bytes(-size % _ALIGNMENT)
        for tensor in self.tensors.values():
            yield from tensor.pieces
            yield bytes(-tensor.size % _ALIGNMENT)

    def _header(self, placed: Sequence[Tensor]) -> Iterator[Piece]:
        yield b"GGUF" + _number(_VERSION, 4) + _number(len(placed)) + _number(len(self._values))
        for key, (_, pieces) in self._values.items():
            yield values.string(key)
            yield from pieces
        for tensor in placed:
            yield values.string(tensor.name) + _number(len(tensor.shape), 4)
            yield b"".join(map(_number, tensor.shape))
            yield _number(NUMBERS[tensor.type], 4) + _number(tensor.offset)


def _memory(piece: Rearranged) -> int:
    return max(piece.size, piece.source_size)


def _number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


def _renamed(name: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, new in rules:
        name, count = pattern.subn(new, name, count=1)
        if count:
            break
    return name


def _as_f32(tensor: DraftTensor, name: str) -> DraftTensor:
    """Return `tensor` as F32; raises GGUFError when it was changed before."""
    if tensor.type == "F32":
        return tensor
    n_elements = math.prod(tensor.shape)
    match tensor.pieces:
        case (Span(offset, size),):
            shape: tuple[int, ...] = (n_elements,)
            pick = order = None
        case (Rearranged(offset=offset, source_size=size, shape=shape, pick=pick, order=order),):
            pass
        case _:
            raise GGUFError(f'tensor "{name}" cannot be converted to F32')
    piece = Rearranged(
        offset=offset,
        source_size=size,
        size=n_elements * _F32_BYTES,
        shape=shape,
        type=NUMBERS[tensor.type],
        pick=pick,
        order=order,
    )
    return DraftTensor("F32", tensor.shape, (piece,))


def permuted_rows(tensor: DraftTensor, n_heads: int) -> DraftTensor:
    """Return `tensor` with the rows of each head in pairs, one of each half of the head.

    Raises:
        GGUFError: its rows are no pairs of each head.
    """
    rows = tensor.shape[-1]
    match tensor.pieces:
        case (Span(offset, size),) if n_heads and rows and rows % (2 * n_heads) == 0:
            shape = (n_heads, 2, rows // n_heads // 2, size // rows)
        case _:
            raise GGUFError(f"{rows} rows are no pairs in each of {n_heads} heads")
    piece = Rearranged(offset=offset, source_size=size, size=size, shape=shape, order=(0, 2, 1, 3))
    return DraftTensor(tensor.type, tensor.shape, (piece,))


def row_as_f32(tensor: DraftTensor, row: int) -> DraftTensor:
    """Return one row of a tensor of the file, in F32. Raises GGUFError without such a row."""
    (data,) = tensor.pieces
    if not isinstance(data, Span) or not 0 <= row < tensor.shape[-1]:
        raise GGUFError(f"the token embedding has no row {row}")
    size = data.size // tensor.shape[-1]
    piece = Span(data.offset + row * size, size)
    return _as_f32(DraftTensor(tensor.type, tensor.shape[:1], (piece,)), "token_embd.weight")


def slice_as_f32(
    tensor: DraftTensor, *, axis: int, index: int, shape: tuple[int, ...]
) -> DraftTensor:
    """Return what a tensor of the file has at one index of an axis, in F32 and of a new shape.

    Axis 0 is the slowest. Raises GGUFError for a tensor whose rows are packed.
    """
    (data,) = tensor.pieces
    known = _KINDS[tensor.type]
    if not isinstance(data, Span) or known.block > 1:
        raise GGUFError(f"a tensor of type {tensor.type} cannot be cut into slices")
    is_f32 = tensor.type == "F32"
    elements = tuple(reversed(tensor.shape))
    piece = Rearranged(
        offset=data.offset,
        source_size=data.size,
        size=math.prod(shape) * _F32_BYTES,
        shape=(*elements[:-1], elements[-1] * _F32_BYTES) if is_f32 else elements,
        type=None if is_f32 else NUMBERS[tensor.type],
        pick=(axis, index),
    )
    return DraftTensor("F32", shape, (piece,))


def square_as_f32(tensor: DraftTensor, name: str, *, side: int) -> DraftTensor:
    """Return `tensor`, a row for each position of a square, for a square of another `side`; in F32.

    Raises GGUFError when its rows make no square.
    """
    width, n_rows = tensor.shape[0], math.prod(tensor.shape[1:])
    old = math.isqrt(n_rows)
    match tensor.pieces:
        case (Span(offset, size),) if side and n_rows and old**2 == n_rows:
            pass
        case _:
            raise GGUFError(f'the rows of "{name}" are no positions in a square')
    piece = Rearranged(
        offset=offset,
        source_size=size,
        size=side**2 * width * _F32_BYTES,
        shape=(n_rows, width),
        type=NUMBERS[tensor.type],
        grid=(old, side),
    )
    return DraftTensor("F32", (width, side**2), (piece,))
