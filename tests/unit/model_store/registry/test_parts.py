"""Cutting a blob into parts: every byte once, what is done stays done, whatever was left."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.registry.download.resume_state import ResumeState
from model_store.registry.download.schedule import Schedule
from model_store.registry.parts import Part, PartSizes, Span, covers, cut, merged, planned

TOTALS = st.integers(1, 500)
SPANS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=12).map(
    lambda pairs: [Span(min(pair), max(pair)) for pair in pairs]
)


def _bytes(spans: list[Span]) -> set[int]:
    return {n for span in spans for n in range(span.start, span.stop)}


@given(SPANS)
def test_merging_keeps_every_byte_and_leaves_gaps_between(spans: list[Span]) -> None:
    found = merged(spans)

    assert _bytes(found) == _bytes(spans)
    assert all(a.stop < b.start for a, b in itertools.pairwise(found))


@given(TOTALS, st.integers(1, 100), SPANS)
def test_a_plan_covers_the_blob_and_keeps_what_is_done(
    total: int, size: int, spans: list[Span]
) -> None:
    done = [span for span in merged(spans) if span.stop <= total]

    parts = planned(total, size, spans)

    assert covers(parts, total)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert _bytes([Span(p.start, p.position) for p in parts]) == _bytes(done)
    assert all(part.size - part.completed <= size for part in parts)


@given(TOTALS, st.integers(1, 100))
def test_pieces_follow_each_other(total: int, size: int) -> None:
    pieces = cut(Span(3, 3 + total), size)

    assert _bytes(pieces) == set(range(3, 3 + total))
    assert all(piece.size <= size for piece in pieces)


def test_parts_have_a_share_of_the_whole_within_bounds() -> None:
    sizes = PartSizes(smallest=10, largest=100, share=4)

    assert [sizes.of(total) for total in (1, 80, 10_000)] == [10, 20, 100]


@given(st.integers(0, 2**32), TOTALS, st.integers(1, 100))
def test_a_schedule_hands_out_every_byte_once_also_when_parts_are_taken_over(
    seed: int, total: int, size: int
) -> None:
    schedule, running, fetched = Schedule(planned(total, size)), [], set()
    chance = random.Random(seed)
    while not schedule.is_done:
        choice = chance.choice(["start", "receive", "split"])
        if choice == "start" and (fetch := schedule.start(now=0.0)):
            running.append(fetch)
        elif choice == "split" and (slow := schedule.slowest(9.0, slow_seconds=1.0, smallest=2)):
            schedule.split(slow, is_silent=chance.random() < 0.5)
        for fetch in list(running):
            n_bytes = chance.randrange(60) if choice == "receive" else 0
            n_bytes = min(n_bytes, fetch.missing)
            assert not fetched & set(range(fetch.received, fetch.received + n_bytes))
            fetched |= set(range(fetch.received, fetch.received + n_bytes))
            fetch.received += n_bytes
            fetch.part.completed += n_bytes
            if not fetch.missing:
                running.remove(fetch)
                schedule.finish(fetch)

    assert fetched == set(range(total))
    assert covers(schedule.parts, total)
    assert schedule.frontier == schedule.completed == total


def test_a_part_that_goes_well_is_left_alone_and_a_slow_one_is_halved() -> None:
    schedule = Schedule([Part(0, 0, 1000), Part(1, 1000, 1000)])
    slow, fast = schedule.start(0.0), schedule.start(0.0)
    assert slow is not None
    assert fast is not None
    slow.receive(100, now=9.0)
    fast.receive(900, now=9.0)

    found = schedule.slowest(10.0, slow_seconds=5.0, smallest=100)
    assert found is slow
    new = schedule.split(slow, is_silent=False)

    assert (slow.part.stop, new.start, new.stop) == (550, 550, 1000)
    assert schedule.slowest(4.0, slow_seconds=5.0, smallest=100) is None


def test_of_a_part_on_which_nothing_comes_all_is_taken_over() -> None:
    schedule = Schedule([Part(0, 0, 1000, completed=300)])
    stuck = schedule.start(0.0)
    assert stuck is not None

    assert schedule.slowest(4.0, slow_seconds=5.0, smallest=100) is None
    assert schedule.slowest(6.0, slow_seconds=5.0, smallest=10_000) is stuck
    new = schedule.split(stuck, is_silent=True)

    assert (stuck.part.size, stuck.missing, new.start, new.size) == (300, 0, 300, 700)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data file of 1,000 bytes."""
    path = tmp_path / "sha256-abc-partial"
    path.write_bytes(bytes(1000))
    return path


def _written(data: Path, **texts: str) -> None:
    for number, text in texts.items():
        data.with_name(f"{data.name}-{number.removeprefix('n')}").write_text(text)


def _completed(parts: list[Part]) -> set[int]:
    return _bytes([Span(part.start, part.position) for part in parts])


def test_a_ledger_is_read_as_it_was_left(data: Path) -> None:
    state = ResumeState(data)
    first = state.open(1000, 400)
    first[1].completed = 123
    state.record(first[1])

    found = ResumeState(data).open(1000, 400)

    assert sorted((p.start, p.size, p.completed) for p in found) == [
        (0, 400, 0), (400, 400, 123), (800, 200, 0)
    ]  # fmt: skip


def test_what_the_reference_left_is_gone_on_with(data: Path) -> None:
    _written(
        data,
        n0='{"N":0,"Offset":0,"Size":600,"Completed":450}\n',
        n1='{"N":1,"Offset":600,"Size":400,"Completed":400}\n',
    )

    found = ResumeState(data).open(1000, 100)

    assert _completed(found) == set(range(450)) | set(range(600, 1000))
    assert covers(found, 1000)


def test_what_is_written_can_be_read_by_the_reference(data: Path) -> None:
    ResumeState(data).record(Part(2, 100, 50, 7))

    line = data.with_name(f"{data.name}-2").read_text()

    assert line == '{"N":2,"Offset":100,"Size":50,"Completed":7}\n'


@pytest.mark.parametrize(
    "damage",
    [
        "", "{", "[]", "null", '{"N":0}', '{"Offset":-1,"Size":5,"Completed":1}', "\0" * 50,
        '{"Offset":0,"Size":99999,"Completed":5}', '{"Offset":"0","Size":5,"Completed":5}',
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_read_costs_that_part_alone(data: Path, damage: str) -> None:
    _written(data, n0='{"N":0,"Offset":0,"Size":400,"Completed":300}\n', n1=damage)

    found = ResumeState(data).open(1000, 100)

    assert _completed(found) == set(range(300))
    assert covers(found, 1000)


def test_parts_that_overlap_after_a_crash_keep_what_both_tell(data: Path) -> None:
    """A part was taken over: the new half is written down, the old part not yet shortened."""
    _written(
        data,
        n0='{"N":0,"Offset":0,"Size":1000,"Completed":200}\n',
        n1='{"N":1,"Offset":600,"Size":400,"Completed":50}\n',
    )

    found = ResumeState(data).open(1000, 1000)

    assert _completed(found) == set(range(200)) | set(range(600, 650))
    assert covers(found, 1000)


def test_a_ledger_without_its_data_tells_of_nothing(data: Path) -> None:
    _written(data, n0='{"N":0,"Offset":0,"Size":1000,"Completed":1000}\n')
    data.unlink()

    assert _completed(ResumeState(data).open(1000, 100)) == set()


def test_bytes_beyond_the_end_of_the_file_were_never_there(data: Path) -> None:
    _written(data, n0='{"N":0,"Offset":0,"Size":2000,"Completed":1500}\n')

    assert _completed(ResumeState(data).open(2000, 1000)) == set(range(1000))
