"""Convert tokenizers of model folders to GGUF vocabularies."""

from model_store.convert.tokenizers.read import read_vocabulary
from model_store.convert.tokenizers.special import add_special_tokens

__all__ = ["add_special_tokens", "read_vocabulary"]
