"""Read the Jinja chat template of a GGUF file, with the special tokens that it may print."""

import struct
from dataclasses import dataclass
from pathlib import Path

from model_store.disk import open_regular
from model_store.gguf.header import Array
from model_store.gguf.parser import FileOffsets, read_offsets
from model_store.gguf.source import LONGEST_STRING, ByteSource, too_long
from model_store.gguf.types import STRING

_TOKENS = "tokenizer.ggml.tokens"
_KIND_BYTES = 4


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A template in Jinja, empty when a file has none.

    `bos` and `eos` are the texts of those tokens, empty when they are not known.
    `adds_bos` tells whether the tokenizer puts BOS before a prompt, None that the file leaves it
    to the kind of vocabulary.
    """

    source: str
    bos: str = ""
    eos: str = ""
    adds_bos: bool | None = None


def read_chat_template(path: Path) -> ChatTemplate:
    """Return the template of the file at `path`; its vocabulary is passed over but for two tokens.

    Raises:
        GGUFError: the file is damaged.
        OSError: it cannot be read.
    """
    offsets = read_offsets(path)
    header = offsets.header
    if not header.chat_template:
        return ChatTemplate("")
    bos, eos = (
        token_text(path, offsets, header.integer(f"tokenizer.ggml.{name}_token_id"))
        for name in ("bos", "eos")
    )
    adds_bos = header.flag("tokenizer.ggml.add_bos_token")
    return ChatTemplate(header.chat_template, bos, eos, adds_bos)


def token_text(path: Path, offsets: FileOffsets, number: int | None) -> str:
    """Return the text of a token of the file at `path`, "" when it has none with this number."""
    tokens = offsets.header.metadata.get(_TOKENS)
    if number is None or not isinstance(tokens, Array) or not 0 <= number < tokens.length:
        return ""
    length = struct.Struct(offsets.order + ("I" if offsets.header.version == 1 else "Q"))
    with open_regular(path) as file:
        source = ByteSource(file.fileno())
        source.skip(offsets.keys[_TOKENS][0])
        source.skip_strings(1, length)
        _, kind = struct.unpack(offsets.order + "II", source.take(2 * _KIND_BYTES))
        if kind != STRING:
            return ""
        source.skip(length.size)
        source.skip_strings(number, length)
        (size,) = length.unpack(source.take(length.size))
        if size > LONGEST_STRING:
            raise too_long(size)
        return source.take(size).decode("utf-8", "replace")
