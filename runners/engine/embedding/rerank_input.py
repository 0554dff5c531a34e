"""Input of reranking models: a query and a document as one sequence of tokens."""

import re
from typing import Any

import numpy as np

from runners.engine.native.llama import TokenIds, lib
from runners.engine.native.vocab import Vocab

_TEMPLATE = b"rerank"
_PLACEHOLDER = re.compile(r"\{(query|document)\}")


class RerankInput:
    """Tokenises pairs in the form that the model was trained on; thread-safe."""

    def __init__(self, model: Any, vocab: Vocab) -> None:
        """Use the `rerank` template of the model file, if it has one."""
        self._vocab = vocab
        template: bytes | None = lib.llama_model_chat_template(model, _TEMPLATE)
        self._template = (template or b"").decode("utf-8", "replace")

    def tokens(self, query: str, document: str) -> TokenIds:
        """Return the tokens of a query and a document."""
        if self._template:
            texts = {"query": query, "document": document}
            whole = _PLACEHOLDER.sub(lambda match: texts[match[1]], self._template)
            return self._vocab.tokenize(whole, add_special=False)
        first = self._vocab.tokenize(query, add_special=False)
        second = self._vocab.tokenize(document, add_special=False)
        opening = [self._vocab.bos] if self._vocab.adds_bos else []
        parts = (opening, first, self._vocab.between, second, self._vocab.ending)
        return np.concatenate([np.asarray(part, np.int32) for part in parts])
