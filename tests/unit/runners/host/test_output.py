"""What a user is told of a runner's end: the cause in plain words, never a path."""

import pytest

from runners.host.output import OutputTail, describe_exit, tells_of_memory


@pytest.mark.parametrize(
    ("returncode", "output", "reason"),
    [
        (-9, "", "(signal 9)"),
        (3, "", "(exit status 3)"),
        (None, "", "(its connection closed)"),
        (
            -6,
            "/tmp/build/ggml/src/ggml.c:42: GGML_ASSERT(a <= b) failed\n/lib/x.so(+0x1) [0x2]\n",
            "(signal 6): an internal check failed: a <= b",
        ),
        (
            -6,
            "python: /src/a/llama.cpp:9: void f(): Assertion `n > 0' failed.\n",
            "(signal 6): an internal check failed: n > 0",
        ),
        (
            -6,
            "terminate called\n  what():  key not found in /home/me/models/x.gguf\n",
            "(signal 6): key not found in …",
        ),
        (-6, "/a/b/ggml-cuda.cu:88: CUDA error: out of memory\n", "(signal 6): CUDA error: out"),
        (1, "Traceback\n  File '/a/b.py', line 1\nValueError: secret\n", "(exit status 1)"),
    ],
)
def test_exit_is_described_in_one_sentence(
    returncode: int | None, output: str, reason: str
) -> None:
    sentence = describe_exit(returncode, output)
    assert sentence.startswith(f"the model runner stopped unexpectedly {reason}")
    assert "/" not in sentence
    assert "secret" not in sentence


def test_reason_has_a_bounded_length() -> None:
    assert len(describe_exit(-6, "error: " + "x" * 5000)) < 400


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", False),
        ("CUDA error: out of memory", True),
        ("cudaMalloc failed: out of memory, retrying without pipeline parallelism", False),
        ("terminate called after throwing an instance of 'std::bad_alloc'", True),
        ("error loading model", False),
    ],
)
def test_lack_of_memory_is_recognised(output: str, expected: bool) -> None:
    assert tells_of_memory(output) is expected


def test_tail_keeps_the_end_and_no_more_than_its_limit() -> None:
    tail = OutputTail(limit=10)
    for _ in range(100):
        tail.add(b"0123456")
    tail.add(b"the end")
    assert tail.text == "456the end"
    tail.add(b"\xff" * 20)
    assert len(tail.text) == 10
