"""A scripted runner: a real process that speaks the protocol without a model.

Requests contain the script: the file name of the weights scripts the load and the
quantisation (whose result is a copy), the first word of a prompt scripts the generation.

    weights   stall.gguf       never answers           slow.gguf    reports progress, then is ready
              oom.gguf         runs out of memory      broken.gguf  refuses the file
              crash.gguf       aborts while loading    chatty.gguf  writes to stderr, then is ready
    prompt    forever          chunks until cancelled  die X Y      says X Y, is killed by a signal
              assert           aborts with a message   refuse       Failed(PROMPT_TOO_LONG)
              flood N          N chunks in one go      deaf         answers nothing, not even cancel
              compute N        N CPU-seconds of one step, then says itself back
              fork N           starts a process of N seconds that holds its socket and output
              adapters         says the file and scale of each LoRA adapter
              count …          says how many special tokens the prompt has
              checkpoint …     says the prompt up to the end of the system message
              anything else    is said back word by word, after the sizes of its pictures and sounds
"""

import argparse
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from runners.protocol.framing import FrameBuffer, decode_command, encode
from runners.protocol.load_spec import LoadSpec
from runners.protocol.media import DecodedImage, Medium
from runners.protocol.messages import (
    Cancel,
    Chunk,
    Device,
    Devices,
    Done,
    Embed,
    Embedded,
    Event,
    Failed,
    FailureCode,
    Generate,
    Hello,
    Hold,
    ListDevices,
    Load,
    LoadFailed,
    Loading,
    MemoryUse,
    Ping,
    Pong,
    Ready,
    Step,
    StopReason,
)
from runners.protocol.placement import DeviceKind
from runners.protocol.prefixes import PrefixesSaved, SavePrefixes
from runners.protocol.quantization import Quantize, Quantized, QuantizeFailed, Quantizing
from runners.protocol.stats import SequenceStats, Stats, StatsReport
from runners.protocol.tokens import (
    AnyText,
    Detokenize,
    ListSpecialTokens,
    Segment,
    SpecialTokens,
    Text,
    Tokenize,
    Tokens,
)

ASSERTION = "/build/secret/path/ggml.c:42: GGML_ASSERT(n_rows <= n_batch) failed"
GPU = Device(
    index=1, name="FAKE0", description="A GPU", kind=DeviceKind.GPU, free=8 << 30, total=8 << 30
)

CONTROL = ("<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "</s>")
USER_DEFINED = ("<tool_call>", "</tool_call>")
"""Texts of the special tokens that the runner says its vocabulary has."""


N_BYTES = 256
"""Tokens below are bytes, the others are special."""
_SPECIAL = {text: N_BYTES + n for n, text in enumerate((*CONTROL, *USER_DEFINED))}


def tokens_of(text: AnyText) -> list[int]:
    """Return special tokens where they are parsed, as llama.cpp does, and bytes for the rest."""
    segments = (Segment(text, special=True),) if isinstance(text, str) else text.segments
    return [
        token
        for segment in segments
        for piece in _pieces(segment.text, _SPECIAL if segment.special else USER_DEFINED)
        for token in piece
    ]


def _pieces(text: str, special: Iterable[str]) -> Iterator[Iterable[int]]:
    for part in re.split(f"({'|'.join(map(re.escape, special))})", text):
        yield [_SPECIAL[part]] if part in special else part.encode("utf-8", "replace")


def detokenized(tokens: Iterable[int]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the text of tokens, and where special ones are in it."""
    texts = {token: text for text, token in _SPECIAL.items()}
    whole, special = "", []
    for is_special, run in groupby(tokens, lambda token: token >= N_BYTES):
        for each in ([token] for token in run) if is_special else (list(run),):
            text = texts[each[0]] if is_special else bytes(each).decode(errors="replace")
            if is_special:
                special.append((len(whole), len(whole) + len(text)))
            whole += text
    return whole, tuple(special)


class FakeRunner:
    """Answers commands; each generation has a thread of its own."""

    def __init__(self, sock: socket.socket, *, gpu: bool) -> None:
        self._socket = sock
        self._gpu = gpu
        self._lock = threading.Lock()
        self._cancelled: dict[int, threading.Event] = {}
        self._prompts: dict[int, int] = {}
        self._said: dict[int, int] = {}
        self._generated = self._n_ctx = 0
        self._may_compute = threading.Event()
        """Whether background requests are not held."""
        self._may_compute.set()

    def serve(self) -> None:
        """Answer until the socket is closed."""
        self._send(Hello(pid=os.getpid(), supports_gpu=self._gpu))
        frames = FrameBuffer()
        while data := self._receive():
            for body in frames.feed(data):
                self._answer(decode_command(body))

    def _receive(self) -> bytes:
        """Return what comes next, nothing when the server is gone, whatever it left unread."""
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""

    def _send(self, event: Event) -> None:
        try:
            with self._lock:
                self._socket.sendall(encode(event))
        except OSError:
            os._exit(0)

    def _answer(self, command: object) -> None:
        match command:
            case Load(spec):
                self._load(spec)
            case Quantize():
                self._quantize(command)
            case ListDevices():
                self._send(Devices((GPU,) if self._gpu else ()))
            case Generate():
                self._cancelled[command.id] = threading.Event()
                threading.Thread(target=self._generate, args=(command,), daemon=True).start()
            case Hold(is_held):
                (self._may_compute.clear if is_held else self._may_compute.set)()
            case Cancel(id):
                if event := self._cancelled.get(id):
                    event.set()
            case Embed():
                self._embed(command)
            case Stats() | SavePrefixes() | Ping():
                self._send(self._report(command))
            case _:
                self._convert(command)

    def _report(self, command: Stats | SavePrefixes | Ping) -> Event:
        match command:
            case Stats(id):
                return self._stats(id)
            case SavePrefixes():
                return PrefixesSaved(0)
            case Ping():
                return Pong(busy=bool(self._cancelled), steps=self._generated)

    def _convert(self, command: object) -> None:
        match command:
            case Tokenize():
                self._send(Tokens(command.id, tuple(tokens_of(command.text))))
            case ListSpecialTokens(id):
                self._send(SpecialTokens(id=id, control=CONTROL, user_defined=USER_DEFINED))
            case Detokenize():
                self._send(Text(command.id, *detokenized(command.tokens)))

    def _load(self, spec: LoadSpec) -> None:
        refusal = "the model cannot be loaded"
        match Path(spec.weights).stem:
            case "stall":
                return
            case "oom":
                self._send(LoadFailed(message=refusal, native="failed to allocate a buffer"))
                return
            case "broken":
                native = "/a/b.gguf: the model is corrupted or incomplete"
                self._send(LoadFailed(message=refusal, native=native))
                return
            case "crash":
                abort(ASSERTION)
            case "slow":
                for step in range(10):
                    self._send(Loading(step / 10))
                    time.sleep(0.05)
            case "chatty":
                for _ in range(10):
                    print("still here", file=sys.stderr, flush=True)
                    time.sleep(0.05)
        self._n_ctx = spec.n_ctx
        self._send(ready(spec))

    def _quantize(self, command: Quantize) -> None:
        self._send(Quantizing(1, 2))
        match Path(command.source).stem:
            case "stall":
                return
            case "broken":
                native = f"llama_model_quantize: {command.source}: invalid magic"
                self._send(QuantizeFailed(message="the model cannot be quantized", native=native))
                return
            case "crash":
                abort(ASSERTION)
        Path(command.target).write_bytes(Path(command.source).read_bytes())
        self._send(Quantizing(2, 2))
        self._send(Quantized())

    def _generate(self, request: Generate) -> None:  # noqa: C901, PLR0912 - one case a word
        prompt = request.prompt
        tokens = prompt if isinstance(prompt, tuple) else tokens_of(prompt)
        self._prompts[request.id] = len(tokens)
        words = detokenized(tokens)[0].split()
        match words:
            case ["die", *last_words]:
                for word in last_words:
                    self._send(Step((Chunk(request.id, f"{word} "),)))
                os.kill(os.getpid(), signal.SIGKILL)
            case ["assert", *_]:
                abort(ASSERTION)
            case ["refuse", *_]:
                failure = Failed(
                    id=request.id, code=FailureCode.PROMPT_TOO_LONG, n_tokens=9, n_ctx=4
                )
                self._end(request.id)
                self._send(Step((failure,)))
            case ["deaf", *_]:
                return
            case ["fork" | "compute" as what, seconds, *_]:
                (fork if what == "fork" else compute)(float(seconds))
                self._say(request, iter(words))
            case ["count", *_]:
                self._say(request, iter([str(sum(token >= N_BYTES for token in tokens))]))
            case ["flood", count, *_]:
                self._flood(request, int(count))
            case ["loop", *_]:
                ends = request.stop_repetition
                self._finish(request, StopReason.REPEAT if ends else StopReason.STOP, 1)
            case ["adapters", *_]:
                shown = [f"{Path(a.path).name}*{a.scale:g} " for a in request.adapters or ()]
                self._say(request, iter(shown or ["none"]))
            case ["checkpoint", *_]:
                text = detokenized(tokens)[0].encode()[: request.system_bytes]
                self._say(request, iter([text.decode()]))
            case ["forever", *_]:
                self._say(request, iter(lambda: "again ", ""))
            case _:
                media = [size_of(medium) for medium in request.media]
                self._say(request, iter([f"{word} " for word in (*media, *words)]))

    def _say(self, request: Generate, words: Iterator[str]) -> None:
        cancelled = self._cancelled[request.id]
        n_eval = 0
        reason = StopReason.STOP
        for word in words:
            while request.is_background and not cancelled.is_set():
                if self._may_compute.wait(0.01):
                    break
            if cancelled.is_set():
                reason = StopReason.CANCELLED
                break
            if request.n_predict is not None and n_eval >= request.n_predict:
                reason = StopReason.LENGTH
                break
            n_eval += 1
            self._generated += 1
            self._said[request.id] = n_eval
            self._send(Step((Chunk(request.id, word),)))
            time.sleep(0.001)
        self._finish(request, reason, n_eval)

    def _finish(self, request: Generate, reason: StopReason, n_eval: int) -> None:
        self._end(request.id)
        self._send(Step((done(request.id, reason, n_eval),)))

    def _flood(self, request: Generate, count: int) -> None:
        chunks = tuple(Chunk(request.id, f"{n} ") for n in range(count))
        self._end(request.id)
        self._send(Step((*chunks, done(request.id, StopReason.STOP, count))))

    def _embed(self, request: Embed) -> None:
        if any("refuse" in text for text in request.texts):
            self._send(Failed(id=request.id, code=FailureCode.NO_EMBEDDINGS))
            return
        vectors = b"\0\0\x80\x3f" * (4 * len(request.texts))
        lengths, n_ctx = [len(text) for text in request.texts], request.n_ctx or self._n_ctx
        n_tokens = sum(min(length, n_ctx) for length in lengths)
        if not request.truncate and max(lengths) > n_ctx:
            code = FailureCode.PROMPT_TOO_LONG
            self._send(Failed(id=request.id, code=code, n_tokens=max(lengths), n_ctx=n_ctx))
            return
        self._send(Embedded(id=request.id, dim=4, vectors=vectors, n_tokens=n_tokens))

    def _stats(self, request_id: int) -> StatsReport:
        counters = dict.fromkeys(StatsReport.__struct_fields__, 0)
        own = {"id": request_id, "n_generated": self._generated}
        sequences = tuple(
            SequenceStats(
                id=id,
                n_prompt=n_prompt,
                n_computed=n_prompt,
                n_reused=0,
                n_generated=self._said.get(id, 0),
                is_waiting=False,
            )
            for id, n_prompt in tuple(self._prompts.items())
        )
        return StatsReport(**{**counters, **own, "sequences": sequences})

    def _end(self, request_id: int) -> None:
        for of_request in (self._cancelled, self._prompts, self._said):
            of_request.pop(request_id, None)


def size_of(medium: Medium) -> str:
    """Return what is said of a picture or a sound."""
    if isinstance(medium, DecodedImage):
        return f"{medium.width}x{medium.height}"
    return f"{len(medium.samples) // 2}samples"


MEMORY = (MemoryUse(device="CPU", is_gpu=False, weights=1000, kv_cache=200, compute=30),)


def ready(spec: LoadSpec, memory: tuple[MemoryUse, ...] | None = None) -> Ready:
    """Return the `Ready` of a runner that loaded `spec` in full."""
    return Ready(
        n_ctx=spec.n_ctx,
        n_seq=spec.n_seq,
        n_cells=spec.n_cells,
        n_vocab=256,
        n_embd=4,
        pooled=True,
        adds_bos=True,
        has_vision=spec.projector is not None,
        sample_rate=16_000 if spec.projector is not None else 0,
        n_layers=3,
        n_gpu_layers=spec.placement.n_gpu_layers,
        memory=MEMORY if memory is None else memory,
    )


def done(request_id: int, reason: StopReason, n_eval: int) -> Done:
    """Return the end of a generation."""
    return Done(
        id=request_id,
        reason=reason,
        n_prompt=1,
        n_reused=0,
        n_truncated=0,
        n_eval=n_eval,
        prompt_ns=1,
        eval_ns=1,
    )


def fork(seconds: float) -> None:
    """Leave a process that outlives this one and holds all that it has open."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(seconds)
        os._exit(0)


def compute(seconds: float) -> None:
    """Use the CPU for so many seconds of its time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def abort(message: str) -> None:
    """End as native code does whose assertion failed."""
    print(message, file=sys.stderr, flush=True)
    os.abort()


def main(options: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--silent", action="store_true", help="end before saying hello")
    arguments = parser.parse_args(options)
    if arguments.silent:
        sys.exit("ModuleNotFoundError: No module named 'llama_cpp'")
    with socket.socket(fileno=arguments.fd) as sock:
        FakeRunner(sock, gpu=arguments.gpu).serve()


if __name__ == "__main__":
    main()
