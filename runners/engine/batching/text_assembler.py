"""Incremental detokenization: UTF-8 decoding of token bytes, and stop strings.

Holds back the bytes of an incomplete character, and text that may be the beginning of a stop
string.
"""

import codecs
from collections.abc import Iterable


class TextAssembler:
    """Joins the pieces of one generation and ends it at the first stop string.

    Text that `push` returned is final. The stop string that is complete first ends the text; of
    several that are complete at the same character the longest counts. The text does not depend on
    how its bytes were cut into pieces, and a piece takes time in proportion to its length.
    """

    __slots__ = ("_decode", "_held", "_n_unchecked", "_node", "_stops", "stopped_by")

    def __init__(self, stop: tuple[str, ...] = (), *, n_unchecked: int = 0) -> None:
        """`stop`: strings that end the text and are no part of it; empty ones are ignored.

        In the first `n_unchecked` pieces none is looked for.
        """
        self._n_unchecked = n_unchecked
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stops = _StopStrings(filter(None, stop))
        self._node = _ROOT
        self._held = ""
        self.stopped_by = ""
        """The stop string that ended the text."""

    def push(self, piece: bytes) -> str:
        """Add the next bytes; return the text that can be sent now.

        Bytes that can never become UTF-8 turn into U+FFFD. After a stop string (`stopped_by`) all
        further bytes are ignored.
        """
        if self.stopped_by:
            return ""
        text = self._decode(piece)
        if self._n_unchecked:
            self._n_unchecked -= 1
            return text
        if self._node == _ROOT and self._stops.never_begin_in(text):
            return text
        return self._advance(text)

    def flush(self) -> str:
        """Return the text held back for a stop string that never came; drop unfinished bytes."""
        text, self._held, self._node = self._held, "", _ROOT
        return text

    def _advance(self, text: str) -> str:
        unsent = self._held + text
        node, stops = self._node, self._stops
        for end, char in enumerate(text, start=len(self._held) + 1):
            node = stops.step(node, char)
            if matched := stops.matched[node]:
                self.stopped_by = unsent[end - matched : end]
                self.flush()
                return unsent[: end - matched]
        cut = len(unsent) - stops.depth[node]
        self._node, self._held = node, unsent[cut:]
        return unsent[:cut]


_ROOT = 0


class _StopStrings:
    """Aho-Corasick automaton: each node is a beginning of a stop string.

    Reading text keeps the node of the longest beginning that the text ends with, which is all that
    has to be held back. `depth` is that beginning's length; `matched` the length of the longest
    stop string that it ends with, or 0.
    """

    __slots__ = ("_children", "_fallback", "depth", "matched")

    def __init__(self, stops: Iterable[str]) -> None:
        self._children: list[dict[str, int]] = [{}]
        self._fallback = [_ROOT]
        self.depth = [0]
        self.matched = [0]
        for stop in stops:
            self._add(stop)
        self._link()

    def never_begin_in(self, text: str) -> bool:
        """Whether `text` has no character that a stop string starts with."""
        return self._children[_ROOT].keys().isdisjoint(text)

    def step(self, node: int, char: str) -> int:
        """The node after `char` was read at `node`."""
        while (child := self._children[node].get(char)) is None:
            if node == _ROOT:
                return _ROOT
            node = self._fallback[node]
        return child

    def _add(self, stop: str) -> None:
        node = _ROOT
        for depth, char in enumerate(stop, start=1):
            child = self._children[node].setdefault(char, len(self._children))
            if child == len(self._children):
                self._children.append({})
                self._fallback.append(_ROOT)
                self.depth.append(depth)
                self.matched.append(0)
            node = child
        self.matched[node] = len(stop)

    def _link(self) -> None:
        """Set every node's fallback: the longest shorter beginning that it ends with."""
        level = list(self._children[_ROOT].values())
        while level:
            following = []
            for node in level:
                fallback = self._fallback[node]
                self.matched[node] = self.matched[node] or self.matched[fallback]
                for char, child in self._children[node].items():
                    self._fallback[child] = self.step(fallback, char)
                    following.append(child)
            level = following
