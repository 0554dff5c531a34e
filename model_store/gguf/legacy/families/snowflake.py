"""Snowflake Arctic Embed 2 in its legacy layout: a table of characters in base64.

Fact, from the published file: `tokenizer.ggml.precompiled_charsmap` is a list of strings, one
character of base64 each, where llama.cpp takes a list of bytes, and aborts on anything else.
"""

import base64
import binascii

from model_store.errors import GGUFError
from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.source import SourceFile
from model_store.gguf.legacy.steps import Family
from model_store.gguf.legacy.values import U8, array
from model_store.gguf.types import STRING

_TABLE = "tokenizer.ggml.precompiled_charsmap"


def _is_legacy(header: GGUFHeader) -> bool:
    return header.text("tokenizer.ggml.model") == "t5" and header.has(_TABLE)


def _is_base64(source: SourceFile) -> bool:
    return source.list_length(_TABLE) > 0 and source.list_span(_TABLE, 0)[0] == STRING


def _decode(draft: Draft) -> None:
    try:
        data = base64.b64decode(
            b"".join(draft.source.strings(_TABLE, draft.source.list_length(_TABLE))), validate=True
        )
    except binascii.Error:
        raise GGUFError(f'GGUF key "{_TABLE}" is not base64') from None
    draft.put(_TABLE, array(U8, data))


FAMILY = Family(
    architectures=("bert",), is_legacy=_is_legacy, is_confirmed=_is_base64, text=(_decode,)
)
