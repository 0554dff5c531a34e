"""Log probabilities of continuations by nothing but llama.cpp, for tests that cannot import it.

Reads from standard input a JSON list of pairs of token lists, a context and its continuation, and
writes the sum of the log probabilities of each continuation and whether it is the greedy one.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.bare_llama import BareLlama, logprobs

Score = tuple[float, bool]
"""Log probability of a continuation, and whether greedy decoding would write it."""


def true_score(bare: BareLlama, context: Sequence[int], continuation: Sequence[int]) -> Score:
    """Return the score of a continuation, one token after the other."""
    total, is_greedy = 0.0, True
    logits = bare.start(context)
    for token in continuation:
        values = logprobs(logits)
        total += float(values[token])
        is_greedy = is_greedy and int(values.argmax()) == token
        logits = bare.advance([token])
    return total, is_greedy


def main() -> None:
    bare = BareLlama(Path(sys.argv[1]), exact=True)
    print(json.dumps([true_score(bare, *pair) for pair in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
