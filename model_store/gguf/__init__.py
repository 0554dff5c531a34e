"""GGUF files: header parser, validator, chat template, and merging of shards."""

from model_store.gguf.chat import ChatTemplate, read_chat_template
from model_store.gguf.header import Array, GGUFHeader, Tensor
from model_store.gguf.merge import merge_shards
from model_store.gguf.parser import read_header

__all__ = [
    "Array",
    "ChatTemplate",
    "GGUFHeader",
    "Tensor",
    "merge_shards",
    "read_chat_template",
    "read_header",
]
