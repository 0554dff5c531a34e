"""Multimodal projector (mtmd): tokenises images and audio and encodes them to embeddings."""

import ctypes
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from runners.engine.media.encoding_cache import EncodingCache
from runners.engine.media.layout import InvalidMedia, Layout, Span, digest_of, ids_of
from runners.engine.media.projector_file import projector_file
from runners.engine.native.llama import (
    Floats,
    LoadError,
    NativeError,
    TokenIds,
    device_pointer,
    lib,
    media_log,
    mtmd,
)
from runners.engine.native.model import Model
from runners.protocol.load_spec import LoadSpec
from runners.protocol.media import FULL_SCALE, MIN_AUDIO_SECONDS, DecodedAudio, DecodedImage, Medium
from runners.protocol.messages import MemoryUse
from runners.protocol.tokens import Segment

_MIN_IMAGE_TOKENS = {"qwen2vl": 1024, "qwen25vl": 1024, "qwen3vl": 1024, "qwen3vlmoe": 1024}
"""Architectures that locate objects (grounding) only in images of enough tokens."""
_PAUSE_OPERATIONS = 8
"""Operations between two pauses: a third of a layer, some hundredths of a whole image."""
_TEXT, _IMAGE = mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT, mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE
_CPU = "CPU"


class Projector:
    """A loaded projector file. `read` is for any thread, `encode` for one. Raises LoadError."""

    def __init__(self, model: Model, spec: LoadSpec, *, n_threads: int) -> None:
        assert spec.projector is not None
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = spec.projector.device is not None
        if spec.projector.device is not None:
            params.device = device_pointer(spec.projector.device)
        params.print_timings = False
        params.n_threads = n_threads
        self._callback = lib.ggml_backend_sched_eval_callback(self._on_operation)
        params.cb_eval = self._callback
        self._n_operations = 0
        self._pause: Callable[[], bool] = lambda: True
        self._stopped = False
        self._error: Exception | None = None
        params.image_min_tokens = _MIN_IMAGE_TOKENS.get(model.architecture, -1)
        with projector_file(spec.projector) as path:
            self._size = path.stat().st_size
            self._pointer = mtmd.mtmd_init_from_file(bytes(path), model.pointer, params)
        if not self._pointer:
            raise LoadError("the projector cannot be loaded", media_log)
        self.has_vision = bool(mtmd.mtmd_support_vision(self._pointer))
        self.sample_rate = max(0, int(mtmd.mtmd_get_audio_sample_rate(self._pointer)))
        self._n_sections = 4 if mtmd.mtmd_decode_use_mrope(self._pointer) else 1
        self._n_embd = model.n_embd_input
        self._cache = EncodingCache()

    def memory(self) -> tuple[MemoryUse, ...]:
        """Return the bytes that it occupies on each device."""
        used = media_log.memory()
        main = next((use for use in used if use.is_gpu), MemoryUse(device=_CPU, is_gpu=False))
        weights = MemoryUse(device=main.device, is_gpu=main.is_gpu, weights=self._size)
        return (*used, weights)

    def read(self, parts: Sequence[Segment | Medium]) -> tuple[TokenIds, Layout]:
        """Return the tokens of a prompt and the layout of its media. Raises InvalidMedia."""
        chunks = _Chunks()
        media = [part for part in parts if not isinstance(part, Segment)]
        bitmaps = [self._bitmap(medium, number) for number, medium in enumerate(media)]
        status = chunks.fill(self._pointer, parts, bitmaps)
        if status != 0:
            media_log.take_error()
            raise InvalidMedia("the model's projector cannot tokenise it")
        tokens: list[TokenIds] = []
        spans: list[Span] = []
        n_parts: Counter[bytes] = Counter()
        start = position = 0
        for chunk in chunks:
            n_tokens = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
            if mtmd.mtmd_input_chunk_get_type(chunk) == _TEXT:
                tokens.append(_text_tokens(chunk))
                position += n_tokens
            else:
                name = bytes(mtmd.mtmd_input_chunk_get_id(chunk))
                span = self._span(chunk, start, position, name=name, part=n_parts[name])
                n_parts[name] += 1
                tokens.append(ids_of(span.key, n_tokens))
                spans.append(span)
                position = span.following
            start += n_tokens
        return np.concatenate(tokens), Layout(spans, chunks)

    def _bitmap(self, medium: Medium, number: int) -> "_Bitmap":
        name = b"%d %s" % (number, digest_of(medium).hex().encode())
        if isinstance(medium, DecodedImage):
            if not self.has_vision:
                raise InvalidMedia("this model does not accept images")
            return _Bitmap(_image_bitmap(medium), name)
        if not self.sample_rate:
            raise InvalidMedia("this model does not accept audio")
        return _Bitmap(_audio_bitmap(medium, self.sample_rate), name)

    def _span(self, chunk: Any, start: int, position: int, *, name: bytes, part: int) -> Span:
        n_tokens = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
        _, _, digest = name.partition(b" ")
        return Span(
            start=start,
            end=start + n_tokens,
            positions=self._positions(chunk, position, n_tokens),
            following=position + int(mtmd.mtmd_input_chunk_get_n_pos(chunk)),
            key=b"%s %d %d" % (digest, part, n_tokens),
            chunk=chunk,
            whole=bool(mtmd.mtmd_decode_use_non_causal(self._pointer, chunk)),
        )

    def _positions(self, chunk: Any, position: int, n_tokens: int) -> TokenIds:
        if self._n_sections == 1 or mtmd.mtmd_input_chunk_get_type(chunk) != _IMAGE:
            line = np.arange(position, position + n_tokens, dtype=np.int32)
            return np.repeat(line[None], self._n_sections, axis=0)
        image = mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        positions = (mtmd.mtmd_decoder_pos * n_tokens)()
        mtmd.mtmd_helper_image_get_decoder_pos(image, position, positions)
        columns = np.frombuffer(positions, np.uint32).reshape(n_tokens, 4)
        # mtmd returns (time, x, y, z) of each token; llama_batch takes all times, then all y, …
        return np.ascontiguousarray(columns[:, [0, 2, 1, 3]].T.astype(np.int32))

    def cached(self, span: Span) -> Floats | None:
        """Return the embeddings of a medium that was encoded recently, or None."""
        return self._cache.get(span.key)

    def encode(self, span: Span, pause: Callable[[], bool]) -> Floats | None:
        """Compute the embeddings of a medium, shape (n_tokens, n_embd). Raises NativeError.

        `pause` is called at regular intervals; it returns False to stop, and then so is None here.
        """
        self._pause, self._stopped, self._error = pause, False, None
        status = mtmd.mtmd_encode_chunk(self._pointer, span.chunk)
        if self._error is not None:
            raise self._error
        if self._stopped:
            return None
        if status != 0:
            raise NativeError(media_log.take_error())
        output = mtmd.mtmd_get_output_embd(self._pointer)
        rows = np.ctypeslib.as_array(output, (span.n_tokens, self._n_embd)).copy()
        self._cache.put(span.key, rows)
        return rows

    def _on_operation(self, _tensor: object, ask: bool, _data: object) -> bool:  # noqa: FBT001
        """`ggml_backend_sched_eval_callback`: with `ask`, whether to be called after the operation.

        The call after it returns whether to continue.
        """
        if ask:
            self._n_operations += 1
            return self._n_operations % _PAUSE_OPERATIONS == 0
        try:
            self._stopped = self._stopped or not self._pause()
        except Exception as e:
            self._error, self._stopped = e, True
        return not self._stopped


class _Bitmap:
    """An image or audio in mtmd's memory; freed with the object.

    Every chunk that mtmd splits it into inherits `name`: its number in the prompt, a blank and its
    digest.
    """

    def __init__(self, pointer: Any, name: bytes) -> None:
        self.pointer = pointer
        mtmd.mtmd_bitmap_set_id(pointer, name)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            mtmd.mtmd_bitmap_free(self.pointer)


def _image_bitmap(image: DecodedImage) -> Any:
    if not image.width or len(image.rgb) != 3 * image.width * image.height:
        raise InvalidMedia("its width and height do not match its data")
    data = ctypes.cast(ctypes.c_char_p(image.rgb), ctypes.POINTER(ctypes.c_uint8))
    return mtmd.mtmd_bitmap_init(image.width, image.height, data)


def _audio_bitmap(audio: DecodedAudio, sample_rate: int) -> Any:
    # mtmd aborts the process on some audio of only a few samples.
    if len(audio.samples) % 2 or len(audio.samples) // 2 < MIN_AUDIO_SECONDS * sample_rate:
        raise InvalidMedia(f"it is shorter than {MIN_AUDIO_SECONDS} seconds")
    samples = np.frombuffer(audio.samples, "<i2").astype(np.float32) / FULL_SCALE
    pointer = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return mtmd.mtmd_bitmap_init_from_audio(len(samples), pointer)


class _Chunks:
    """The chunks of one prompt, text and media; freed with the object."""

    def __init__(self) -> None:
        self._pointer = mtmd.mtmd_input_chunks_init()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            mtmd.mtmd_input_chunks_free(self._pointer)

    def __iter__(self) -> Iterator[Any]:
        for index in range(mtmd.mtmd_input_chunks_size(self._pointer)):
            yield mtmd.mtmd_input_chunks_get(self._pointer, index)

    def fill(
        self, context: Any, parts: Sequence[Segment | Medium], bitmaps: Sequence[_Bitmap]
    ) -> int:
        """Tokenise `parts`, whose media are `bitmaps`; return mtmd's status, 0 for success."""
        rest = iter(bitmaps)
        inputs = [
            _part(part if isinstance(part, Segment) else next(rest).pointer) for part in parts
        ]
        pointers = [ctypes.pointer(part) for part in inputs]
        array = (ctypes.POINTER(mtmd.mtmd_input_part) * len(inputs))(*pointers)
        add_special = True
        status = mtmd.mtmd_tokenize_from_parts(
            context, self._pointer, array, len(inputs), add_special
        )
        return int(status)


def _part(content: Any) -> Any:
    """Return a part of a prompt: a segment of text, or a bitmap."""
    if not isinstance(content, Segment):
        return mtmd.mtmd_input_part(None, content)
    data = content.text.encode("utf-8", "replace")
    add_special = False
    text = mtmd.mtmd_input_text(data, len(data), add_special, content.special)
    return mtmd.mtmd_input_part(ctypes.pointer(text), None)


def _text_tokens(chunk: Any) -> TokenIds:
    count = ctypes.c_size_t()
    ids = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
    return np.ctypeslib.as_array(ids, (count.value,)).astype(np.int32)
