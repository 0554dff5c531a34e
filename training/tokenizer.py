"""The tokenizer: byte-level BPE whose words are the same with and without a space before them.

Copying a word from a question (` Paris`) into JSON (`"Paris"`) is easy only if both are made of the
same tokens. So pieces are learned without spaces, and only the commonest words of prose get a
token that includes the space: by merges that come last, after the word itself is whole.

Numbers are pairs of digits: half as much to copy as single ones, and alike more seldom.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import digits

from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.trainers import BpeTrainer

from training.chat import CONTROL_TOKENS, MARKS

SPACE = "\u0120"
"""How byte-level BPE writes a space."""
_N_TOKENS = 3584
_N_SPACED = 640


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id, and the merges in their order, each two tokens with a space between."""

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer; it splits texts as GPT-2 does."""
        ids = {token: i for i, token in enumerate(self.tokens)}
        made = Tokenizer(BPE(vocab=ids, merges=list(self.merges)))
        made.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=True)
        made.decoder = ByteLevelDecoder()
        made.add_special_tokens([AddedToken(token, special=True) for token in CONTROL_TOKENS])
        made.add_tokens([AddedToken(token, normalized=False) for token in MARKS])
        return made


def learn(texts: Sequence[str], prose: Iterable[str]) -> Vocabulary:
    """Return a vocabulary for `texts`; the common words of `prose` get tokens with a space."""
    specials = [*CONTROL_TOKENS, *MARKS]
    pieces = Tokenizer(BPE())
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [
            ByteLevel(add_prefix_space=False, use_regex=True),
            Split(Regex(f"{SPACE}|[0-9]"), "isolated"),
        ]
    )
    trainer = BpeTrainer(
        vocab_size=_N_TOKENS - len(specials) - len(digits) ** 2 - _N_SPACED,
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(texts, trainer)
    known = pieces.get_vocab()
    ranked = sorted(known, key=known.__getitem__)
    merges = _merges(pieces)
    spaced = [word for word in _spaced(prose) if word in known][:_N_SPACED]
    numbers = [(a, b) for a in digits for b in digits]
    return Vocabulary(
        (*specials, *ranked, *(a + b for a, b in numbers), *(SPACE + word for word in spaced)),
        (*merges, *numbers, *((SPACE, word) for word in spaced)),
    )


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    found = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in found]


def _spaced(prose: Iterable[str]) -> list[str]:
    """Return what stands after spaces, most frequent first."""
    split = ByteLevel(add_prefix_space=False, use_regex=True)
    counts = Counter(
        piece[1:]
        for text in prose
        for piece, _ in split.pre_tokenize_str(text)
        if piece.startswith(SPACE) and len(piece) > 1
    )
    return [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
