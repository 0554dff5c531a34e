"""Errors of a runner become sentences that say what to do, without text of native code."""

import pytest

from runners.host.native_errors import describe_exit, describe_failure, is_out_of_memory

LOG = "see the server's log"


@pytest.mark.parametrize(
    ("returncode", "output", "reason"),
    [
        (-9, "", "(signal 9): it was killed, perhaps because the machine ran out of memory"),
        (-4, "", "(signal 4): llama.cpp was compiled for another processor"),
        (-7, "", "(signal 7): the model file can no longer be read"),
        (-11, "", f"(signal 11): {LOG}"),
        (3, "", f"(exit status 3): {LOG}"),
        (None, "", f"(its connection closed): {LOG}"),
        (
            -6,
            "/tmp/build/ggml/src/ggml.c:42: GGML_ASSERT(secret <= b) failed\n/lib/x.so(+0x1)\n",
            "(signal 6): an assertion in llama.cpp failed",
        ),
        (
            -6,
            "python: /src/secret/llama.cpp:9: void f(): Assertion `n > 0' failed.\n",
            "(signal 6): an assertion in llama.cpp failed",
        ),
        (
            -6,
            "terminate called after throwing 'std::out_of_range'\n  what():  unordered_map::at\n",
            "(signal 6): a character of the text has no token in the model's vocabulary",
        ),
        (-6, "terminate called\n  what():  key not found in /home/secret\n", f"(signal 6): {LOG}"),
        (-6, "/a/b/ggml-cuda.cu:88: CUDA error: out of memory\n", "(signal 6): out of memory"),
        (-6, "ggml-cuda.cu:88: CUDA error: secret\n", "(signal 6): the GPU reported an error"),
        (1, "ModuleNotFoundError: No module named 'secret'\n", "llama-cpp-python is not installed"),
        (1, "Traceback\n  File '/a/b.py', line 1\nValueError: secret\n", f"(exit status 1): {LOG}"),
    ],
)
def test_an_exit_is_described_in_one_sentence(
    returncode: int | None, output: str, reason: str
) -> None:
    sentence = describe_exit(returncode, output)

    assert sentence.startswith("the model runner stopped unexpectedly (")
    assert reason in sentence
    assert "secret" not in sentence
    assert "/" not in sentence


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        (
            "error loading model: unknown model architecture: 'foo-2'",
            'its architecture "foo-2" is not supported by this version of llama.cpp',
        ),
        (
            "unknown pre-tokenizer type: 'bar'",
            'its tokenizer "bar" is not supported by this version of llama.cpp',
        ),
        (
            "tensor 'a' data is not within the file bounds, model is corrupted or incomplete",
            "the file is damaged or incomplete",
        ),
        (
            "done_getting_tensors: wrong number of tensors; expected 1, got 2",
            "its tensors do not match",
        ),
        (
            "key not found in model: llama.context_length",
            'its key "llama.context_length" is missing',
        ),
        (
            "check_tensor_dims: tensor 'blk.0.attn_q.weight' not found",
            'its tensor "blk.0.attn_q.weight" is missing',
        ),
        (
            "tensor 'blk.0.ffn_up.weight' has wrong shape; expected 32, 0, got 32, 64, 1, 1",
            "another shape than its architecture needs",
        ),
        (
            "key llama.attention.head_count has wrong array length; expected 2, got 1",
            'its key "llama.attention.head_count" is wrong',
        ),
        ("invalid gguf type for tokenizer.ggml.scores", '"tokenizer.ggml.scores" is wrong'),
        ("invalid n_rot: 7, expected 8", "RoPE"),
        ("LoRA tensor 'x' does not exist in base model (hint: maybe wrong base model?)", "another"),
        (
            "error: mismatch between text model (n_embd = 32) and mmproj (n_embd = 64)",
            "it was made for another model",
        ),
        ("load_hparams: unknown projector type: marvel; Failed to load CLIP model", '"marvel"'),
        ("Failed to load CLIP model from /secret/x.gguf", "damaged, incomplete or not a projector"),
        ("K cache type q8_0 with block size 32 does not divide n_embd_head_k=8", "KV_CACHE_TYPE"),
        ("quantized V cache was requested, but this requires Flash Attention", "FLASH_ATTENTION"),
        ("ggml_backend_cpu: failed to allocate buffer of size 99", "out of memory"),
        ("something new: secret /home/me", LOG),
    ],
)
def test_a_refused_load_says_what_is_wrong_with_the_model(native: str, reason: str) -> None:
    sentence = describe_failure("the model cannot be loaded", native)

    assert sentence.startswith("the model cannot be loaded: ")
    assert reason in sentence
    assert "secret" not in sentence


def test_a_failure_without_native_words_is_told_as_it_is() -> None:
    assert describe_failure("encoders are not supported", "") == "encoders are not supported"


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
    assert is_out_of_memory(output) is expected
