"""GGUF files: header parser, validator, chat template, fill-in tokens, and merging of shards."""

from model_store.gguf.chat import ChatTemplate, read_chat_template
from model_store.gguf.fill_in import FillInTokens, read_fill_in_tokens
from model_store.gguf.header import Array, GGUFHeader, Tensor
from model_store.gguf.merge import merge_shards
from model_store.gguf.parser import read_header

__all__ = [
    "Array",
    "ChatTemplate",
    "FillInTokens",
    "GGUFHeader",
    "Tensor",
    "merge_shards",
    "read_chat_template",
    "read_fill_in_tokens",
    "read_header",
]
