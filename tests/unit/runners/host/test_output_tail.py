"""The end of a runner's output is kept, however much it writes."""

from runners.host.output_tail import OutputTail


def test_tail_keeps_the_end_and_no_more_than_its_limit() -> None:
    tail = OutputTail(limit=10)
    for _ in range(100):
        tail.add(b"0123456")
    tail.add(b"the end")
    assert tail.text == "456the end"
    tail.add(b"\xff" * 20)
    assert len(tail.text) == 10
