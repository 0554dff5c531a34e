"""What llama.cpp itself computes for a prompt with one picture or sound: the measure of ours."""

import ctypes

import numpy as np
import numpy.typing as npt

from runners.engine.native.llama import lib, mtmd
from tests.support.stepped_engine import SteppedEngine


def native_logprobs(
    engine: SteppedEngine, prompt: str, bitmap: int, count: int
) -> npt.NDArray[np.float32]:
    """Return the `count` largest log probabilities of the token after `prompt`, largest first.

    `bitmap` is what stands for `[img-0]`; it is freed.
    """
    inner = engine.engine
    projector, context = inner.intake._projector, inner._context
    marked = prompt.replace("[img-0]", mtmd.mtmd_default_marker().decode()).encode()
    text = mtmd.mtmd_input_text(marked, len(marked), True, True)
    chunks = mtmd.mtmd_input_chunks_init()
    bitmaps = (ctypes.c_void_p * 1)(bitmap)
    assert mtmd.mtmd_tokenize(projector._pointer, chunks, ctypes.byref(text), bitmaps, 1) == 0
    end = ctypes.c_int32(0)
    batch, seq, wants_logits = 64, 0, True
    assert not mtmd.mtmd_helper_eval_chunks(
        projector._pointer, context.pointer, chunks, 0, seq, batch, wants_logits, ctypes.byref(end)
    )
    found = lib.llama_get_logits_ith(context.pointer, -1)
    logits = np.ctypeslib.as_array(found, (inner.ready.n_vocab,)).copy()
    mtmd.mtmd_input_chunks_free(chunks)
    mtmd.mtmd_bitmap_free(bitmap)
    context.clear()
    logprobs = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    largest: npt.NDArray[np.float32] = np.sort(logprobs)[::-1][:count]
    return largest
