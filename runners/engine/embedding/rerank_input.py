"""Two texts as one input, for models that tell how well a text answers a query."""

import re
from typing import Any

import numpy as np

from runners.engine.native.llama import TokenIds, lib
from runners.engine.native.vocab import Vocab

_TEMPLATE = b"rerank"
_PLACE = re.compile(r"\{(query|document)\}")


class RerankInput:
    """Makes the inputs, in the form that the model was trained on; for any thread."""

    def __init__(self, model: Any, vocab: Vocab) -> None:
        """Take the template for pairs from the `model`, if it has one."""
        self._vocab = vocab
        found: bytes | None = lib.llama_model_chat_template(model, _TEMPLATE)
        self._template = (found or b"").decode("utf-8", "replace")

    def tokens(self, query: str, text: str) -> TokenIds:
        """Return the tokens of a query and a text."""
        if self._template:
            texts = {"query": query, "document": text}
            whole = _PLACE.sub(lambda place: texts[place[1]], self._template)
            return self._vocab.tokenize(whole, add_special=False)
        first = self._vocab.tokenize(query, add_special=False)
        second = self._vocab.tokenize(text, add_special=False)
        opening = [self._vocab.bos] if self._vocab.adds_bos else []
        parts = (opening, first, self._vocab.between, second, self._vocab.ending)
        return np.concatenate([np.asarray(part, np.int32) for part in parts])
