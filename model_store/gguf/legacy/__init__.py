"""Legacy layouts: model files for the reference's former engine, and how llama.cpp can read them.

Such a file holds text, image and audio tensors under names and metadata that llama.cpp does not
know. `translate` describes, without reading a tensor, the files that llama.cpp would have instead:
each a new header in front of spans of the old file.
"""

from model_store.gguf.legacy.draft import VirtualFile
from model_store.gguf.legacy.pieces import Piece, Rearranged, Span
from model_store.gguf.legacy.translation import Translation, translate

__all__ = ["Piece", "Rearranged", "Span", "Translation", "VirtualFile", "translate"]
