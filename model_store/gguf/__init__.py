"""GGUF files: what their headers say. Tensor data is never read here."""

from model_store.gguf.header import Array, GGUFHeader, Tensor
from model_store.gguf.parser import read_header

__all__ = ["Array", "GGUFHeader", "Tensor", "read_header"]
