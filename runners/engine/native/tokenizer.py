"""Tokenize and detokenize requests, which need only a vocabulary and no weights."""

from itertools import groupby

from runners.engine.native.llama import LoadError, lib
from runners.engine.native.model_file import load_model_file
from runners.engine.native.vocab import Vocab
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Failed,
    FailureCode,
    Ready,
)
from runners.protocol.tokens import (
    Detokenize,
    ListSpecialTokens,
    SpecialTokens,
    Text,
    Tokenize,
    Tokens,
)

NO_SUCH_TOKEN = "a token id is outside the model's vocabulary"


class Tokenizer:
    """Answers what needs only a vocabulary; for any thread."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab

    def tokens(self, request: Tokenize) -> Tokens:
        """Answer a `Tokenize`."""
        tokens = self._vocab.tokenize(request.text, add_special=request.add_special)
        return Tokens(request.id, tuple(tokens.tolist()))

    def text(self, request: Detokenize) -> Text | Failed:
        """Answer a `Detokenize`."""
        if any(not 0 <= token < self._vocab.size for token in request.tokens):
            return Failed(id=request.id, code=FailureCode.BAD_TOKEN, message=NO_SUCH_TOKEN)
        text, special = "", []
        for is_special, tokens in groupby(request.tokens, self._vocab.is_special):
            for run in ([token] for token in tokens) if is_special else (tokens,):
                piece = b"".join(map(self._vocab.full_piece, run)).decode("utf-8", "replace")
                if is_special:
                    special.append((len(text), len(text) + len(piece)))
                text += piece
        return Text(request.id, text, tuple(special))

    def special_tokens(self, request: ListSpecialTokens) -> SpecialTokens:
        """Answer a `ListSpecialTokens`."""
        control, user_defined = self._vocab.special_texts()
        return SpecialTokens(id=request.id, control=control, user_defined=user_defined)

    @property
    def ready(self) -> Ready:
        """The `Ready` event of a runner that loaded only the vocabulary."""
        return Ready(
            n_ctx=0,
            n_seq=0,
            n_cells=0,
            n_vocab=self._vocab.size,
            n_embd=0,
            pooled=False,
            adds_bos=self._vocab.adds_bos,
            n_layers=0,
            n_gpu_layers=0,
            memory=(),
        )


def load_tokenizer(spec: LoadSpec) -> Tokenizer:
    """Load the vocabulary of a model file without its weights. Raises LoadError."""
    params = lib.llama_model_default_params()
    params.vocab_only = True
    pointer = load_model_file(spec, params)
    if not pointer:
        raise LoadError("the vocabulary of the model cannot be loaded")
    return Tokenizer(Vocab(pointer))
