"""An answer in a loop is ended; text that repeats for a reason is not."""

import itertools
from collections.abc import Iterable

import pytest

from runners.engine.batching.repetition import MAX_PERIOD, RepetitionDetector

PARAGRAPH = [f" word{chr(97 + i // 8)}{chr(97 + i % 8)}" for i in range(MAX_PERIOD)]
EMPTY_ROW = ["|", "   |", "   |", "\n"]


def n_until_ended(pieces: Iterable[str], *, before: int = 200) -> int | None:
    """Return how many of `pieces` are written before the detector ends them; None: all of them."""
    ids: dict[str, int] = {}
    tokens = [ids.setdefault(f" prompt {i}", len(ids)) for i in range(before)]
    texts = list(ids)
    detector = RepetitionDetector(lambda token: texts[token].encode())
    for count, piece in enumerate(pieces, start=1):
        if piece not in ids:
            ids[piece] = len(ids)
            texts.append(piece)
        tokens.append(ids[piece])
        if detector.repeats(tokens):
            return count
    return None


def forever(*piece: str) -> Iterable[str]:
    return itertools.islice(itertools.cycle(piece), 20_000)


@pytest.mark.parametrize(
    ("pieces", "most"),
    [
        (forever("<tool_response>"), 600),
        (forever("\n", "<tool_response>"), 700),
        (forever(" I", "'m", " sorry", "."), 700),
        (forever(" la"), 600),
        (forever(*PARAGRAPH), 2200),
        (forever(*PARAGRAPH[:63]), 2200),
        (forever(*PARAGRAPH[:37]), 2200),
        (forever("\n"), 4200),
        (forever("0", ","), 4200),
        (forever('{"', "name", '":', " ", "0", "},"), 4200),
        ((*(f" once{i}" for i in range(999)), *forever(" and", " so", " on")), 999 + 700),
        ((*(["0", ","] * 900), *forever(" the", " end")), 1800 + 700),
    ],
)
def test_an_endless_loop_is_ended(pieces: Iterable[str], most: int) -> None:
    ended = n_until_ended(pieces)

    assert ended is not None
    assert ended <= most


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(["0", ","] * 1024, id="array of a thousand zeros"),
        pytest.param(["0", ".", "0", ","] * 768, id="embedding of zeros"),
        pytest.param(["null", ","] * 1500, id="array of nulls"),
        pytest.param([" false", ","] * 1500, id="mask of a picture"),
        pytest.param(["[", "0", ",", "0", "],", "\n"] * 500, id="matrix"),
        pytest.param(['{"', "x", '":', "0", "},"] * 500, id="objects that are alike"),
        pytest.param(EMPTY_ROW * 365, id="empty rows of a year"),
        pytest.param(["\t", "\t", "\n"] * 1000, id="empty table"),
        pytest.param(["#"] * 60 * 60, id="drawing of one character"),
        pytest.param((["."] * 40 + ["\n"]) * 40, id="empty board"),
        pytest.param(["="] * 2000, id="line"),
        pytest.param([" ha"] * 400, id="laughter"),
        pytest.param([" around", " the", " world", "\n"] * 120, id="song"),
        pytest.param([*PARAGRAPH[:11], "\n"] * 100, id="a line a hundred times"),
        pytest.param([*PARAGRAPH] * 30, id="a paragraph thirty times"),
        pytest.param(
            [p for i in range(900) for p in ("|", f" {i}", "|", "   |", "\n")], id="numbered rows"
        ),
        pytest.param([p for i in range(2000) for p in (" la", f"{i % 67}")], id="longer period"),
        pytest.param((["la"] * 300 + [" end"]) * 20, id="loops that end"),
    ],
)
def test_text_that_repeats_for_a_reason_goes_on(pieces: list[str]) -> None:
    assert n_until_ended(pieces) is None


def test_a_prompt_is_no_part_of_a_loop() -> None:
    """An agent's prompt may repeat as it likes."""
    detector = RepetitionDetector(lambda _: b" word")
    tokens = [1] * 5000

    for _ in range(400):
        tokens.append(1)
        assert not detector.repeats(tokens)
