"""Translate errors of llama.cpp and exit statuses of runners into sentences for clients.

Texts of native code are never sent to a client: they hold paths and internals. A text that the
table does not know is in the server's log only.
"""

import re
import signal

_SEE_LOG = "see the server's log"
_UNFIT_TENSORS = "its tensors do not match its architecture"

_REASONS = tuple(
    (re.compile(pattern, re.IGNORECASE), sentence)
    for pattern, sentence in (
        (
            r"unknown model architecture: '([\w.-]{1,40})'",
            r'its architecture "\1" is not supported by this version of llama.cpp',
        ),
        (
            r"unknown (?:pre-)?tokenizer(?: type)?: '?([\w.-]{1,40})",
            r'its tokenizer "\1" is not supported by this version of llama.cpp',
        ),
        (
            r"corrupted or incomplete|has invalid data|invalid magic|failed to read",
            "the file is damaged or incomplete",
        ),
        (r"mismatch between text model", "it was made for another model"),
        (
            r"unknown projector type: ([\w.-]{1,40})",
            r'its type "\1" is not supported by this version of llama.cpp',
        ),
        (r"Failed to load CLIP model", "the file is damaged, incomplete or not a projector"),
        (
            r"LoRA arch mismatch|wrong base model|no longer supported",
            "the adapter was made for another model",
        ),
        (r"key not found in model: ([\w.-]{1,80})", r'its key "\1" is missing'),
        (r"tensor '([\w.-]{1,80})' not found", r'its tensor "\1" is missing'),
        (r"invalid gguf type for ([\w.-]{1,80})", r'its key "\1" is wrong'),
        (r"not an importance matrix", "the file for imatrix is damaged or no importance matrix"),
        (
            r"missing importance matrix|imatrix size \d+ is different",
            "the importance matrix was made for another model",
        ),
        (r"invalid n_rot", "its RoPE dimensions do not fit the size of its heads"),
        (
            r"tensor '([\w.-]{1,80})' has wrong shape",
            r'its tensor "\1" is of another shape than its architecture needs',
        ),
        (r"key ([\w.-]{1,80}) has wrong (?:array length|type|arr type)", r'its key "\1" is wrong'),
        (r"wrong number of tensors|wrong shape", _UNFIT_TENSORS),
        (r"tensor '[^']*' (?:not found|is duplicated)", _UNFIT_TENSORS),
        (
            r"does not divide n_embd_head|different K \(",
            "its head size does not allow this KV cache type: set OLLAMA_KV_CACHE_TYPE=f16",
        ),
        (
            r"quantized V cache",
            "a quantized KV cache requires flash attention: unset OLLAMA_FLASH_ATTENTION",
        ),
        (r"map(?:_base)?::at", "a character of the text has no token in the model's vocabulary"),
        (r"ModuleNotFoundError|ImportError", "llama-cpp-python is not installed: run make install"),
        (r"iostream error", "the output file cannot be written, perhaps because the disk is full"),
        (r"(?:CUDA|ROCm|Vulkan|Metal) error", "the GPU reported an error"),
        (r"GGML_ASSERT|Assertion", "an assertion in llama.cpp failed"),
    )
)
_CACHE_TYPE = re.compile(
    r"does not divide n_embd_head|different K \(|quantized V cache", re.IGNORECASE
)
_NO_MEMORY = "out of memory"
_MEMORY_WORDS = (
    "out of memory",
    "out of device memory",
    "cudamalloc failed",
    "hipmalloc failed",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "insufficient memory",
    "erroroutofmemory",
    "outofdevicememory",
    "out_of_device_memory",
    "bad_alloc",
    "memoryerror",
)
_SIGNALS: dict[int, str] = {
    signal.SIGKILL: "it was killed, perhaps because the machine ran out of memory",
    signal.SIGILL: (
        "llama.cpp was compiled for another processor: reinstall with CMAKE_ARGS=-DGGML_NATIVE=off"
    ),
    signal.SIGBUS: "the model file can no longer be read",
}


def describe_exit(returncode: int | None, output: str) -> str:
    """Return one sentence that says how a runner exited; `returncode` is negative for a signal."""
    reason = _reason(output) or _SIGNALS.get(-(returncode or 0), _SEE_LOG)
    return f"the model runner stopped unexpectedly ({_status(returncode)}): {reason}"


def describe_failure(what: str, native: str) -> str:
    """Return `what` failed, followed by the cause that the `native` text gives, if any."""
    return f"{what}: {_reason(native) or _SEE_LOG}" if native else what


def is_out_of_memory(output: str) -> bool:
    """Whether the output reports that memory ran out."""
    # llama.cpp prints the excluded line when it retries by itself with fewer buffers.
    lines = [
        line for line in output.lower().splitlines() if "retrying without pipeline" not in line
    ]
    return any(word in line for line in lines for word in _MEMORY_WORDS)


def is_cache_type_refused(output: str) -> bool:
    """Whether llama.cpp refused the element type of the KV cache."""
    return _CACHE_TYPE.search(output) is not None


def _status(returncode: int | None) -> str:
    if returncode is None:
        return "its connection closed"
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"


def _reason(native: str) -> str:
    if is_out_of_memory(native):
        return _NO_MEMORY
    for pattern, sentence in _REASONS:
        if match := pattern.search(native):
            return match.expand(sentence)
    return ""
