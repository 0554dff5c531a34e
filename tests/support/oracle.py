"""A prompt lookup that predicts a known answer, for tests of speculative decoding."""

from array import array

from runners.engine.drafting.prompt_lookup import PromptLookup
from tests.support.stepped_engine import Answer


class Oracle(PromptLookup):
    """Predicts the tokens of a known answer, every fifth of a draft wrong, and is trusted."""

    def __init__(self, answer: Answer, *, wrong_every: int = 5) -> None:
        super().__init__()
        self._wrong_every = wrong_every
        done = answer.done
        assert done.tokens is not None
        self._n_prompt, self._answer = done.n_prompt, done.tokens[-done.n_eval :]
        self.n_matched = 32

    def observe(self, tokens: "array[int]") -> None:
        """Learn nothing."""

    def predict(self, tokens: "array[int]", count: int) -> list[int]:
        start = len(tokens) - self._n_prompt
        draft = self._answer[start : start + count]
        return [
            token + (index % self._wrong_every == self._wrong_every - 1)
            for index, token in enumerate(draft)
        ]
