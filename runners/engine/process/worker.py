"""Runner process: the socket's reader thread, the intake threads and the engine's main thread.

It exits as soon as the socket closes, whatever it is doing, because the server is gone then or no
longer needs it.
"""

import argparse
import gc
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from runners.engine.batching.sequence import SequenceState
from runners.engine.embedding.embedder import EmbedTask
from runners.engine.native.llama import (
    LoadError,
    cpu_variant,
    describe_engine,
    devices,
    supports_gpu,
)
from runners.engine.native.quantize import QuantizeError, quantize
from runners.engine.native.tokenizer import Tokenizer, load_tokenizer
from runners.engine.process.engine import Engine
from runners.engine.process.intake import Intake
from runners.engine.process.open_requests import OpenRequests
from runners.protocol import framing
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Cancel,
    Chunk,
    Command,
    Devices,
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
    Ping,
    Pong,
    Ready,
    Shutdown,
    Step,
    StopReason,
)
from runners.protocol.prefixes import PrefixesSaved, SavePrefixes
from runners.protocol.quantization import Quantize, Quantized, QuantizeFailed, Quantizing
from runners.protocol.stats import Stats
from runners.protocol.tokens import (
    Detokenize,
    ListSpecialTokens,
    SpecialTokens,
    Text,
    Tokenize,
    Tokens,
)

_READ_SIZE = 1 << 18
_PROGRESS_INTERVAL = 0.2
_N_INTAKE_THREADS = 2
"""Two, so that a schema that takes long to compile does not delay every prompt."""
_SWITCH_INTERVAL = 0.0005
"""Seconds that the engine's thread waits at most for the GIL while an intake thread is busy."""
_QUICK_OFFLOAD = 1 << 24
"""Bytes of an idle prefix that are copied in a few milliseconds."""
_OFFLOAD_DELAY = 0.5
"""Seconds without work after which larger ones are copied: the next turn may follow at once."""

Request = Generate | Embed | Tokenize | Detokenize | ListSpecialTokens
Answer = Step | Failed | Embedded | Tokens | Text | SpecialTokens
Work = (
    SequenceState | EmbedTask | Stats | Hold | Cancel | SavePrefixes | ListDevices | Load | Quantize
)


class Worker:
    """Connects the socket with the engine."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._open = OpenRequests()
        self._engine: Engine | None = None
        self._is_working = False
        self._n_steps = 0

    def run(self) -> None:
        """Serve until the socket closes; never returns."""
        self._start_thread(self._read, "reader")
        hello = Hello(pid=os.getpid(), supports_gpu=supports_gpu(), cpu_variant=cpu_variant)
        self._send(hello)
        while True:
            self._accept_work()
            if self._engine is not None and self._engine.busy:
                self._engine.step()
                self._n_steps += 1

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()

    def _send(self, event: Event) -> None:
        """Write one frame; for any thread."""
        frame = framing.encode(event)
        try:
            with self._sending:
                self._connection.sendall(frame)
        except OSError:
            os._exit(0)

    def _answer(self, answer: Answer) -> None:
        """Send answers; a terminal event closes its request first."""
        for event in answer.events if isinstance(answer, Step) else (answer,):
            if not isinstance(event, Chunk):
                self._open.close(event.id)
        self._send(answer)

    # The reader's thread.

    def _read(self) -> None:
        frames = framing.FrameBuffer()
        try:
            while data := self._connection.recv(_READ_SIZE):
                for body in frames.feed(data):
                    self._dispatch(framing.decode_command(body))
        except framing.FrameError:
            traceback.print_exc()
            os._exit(1)
        except OSError:
            pass
        os._exit(0)

    def _dispatch(self, command: Command) -> None:
        if isinstance(command, Shutdown):
            os._exit(0)
        elif isinstance(command, Ping):
            self._send(Pong(self._is_working or len(self._open) > 0, self._n_steps))
        elif isinstance(command, Cancel):
            self._cancel(command)
        elif isinstance(command, Hold):
            self._hold(command)
        elif isinstance(command, Stats | SavePrefixes | ListDevices | Load | Quantize):
            self._work.put(command)
        else:
            is_background = isinstance(command, Generate | Embed) and command.is_background
            self._open.add(command.id, is_background=is_background)
            self._requests.put(command)

    def _cancel(self, command: Cancel) -> None:
        if self._open.cancel(command.id):
            self._work.put(command)
            if self._engine is not None:
                self._engine.interrupt(command.id)

    def _hold(self, command: Hold) -> None:
        self._open.hold(is_held=command.is_held)
        self._work.put(command)
        engine = self._engine
        if engine is not None and command.is_held:
            request_id = engine.interruptible
            if self._open.is_background(request_id):
                engine.interrupt(request_id)

    # The intake's threads.

    def _take_in(self, intake: Intake | None, tokenizer: Tokenizer) -> None:
        while True:
            request = self._requests.get()
            try:
                if isinstance(request, Tokenize):
                    self._answer(tokenizer.tokens(request))
                elif isinstance(request, Detokenize):
                    self._answer(tokenizer.text(request))
                elif isinstance(request, ListSpecialTokens):
                    self._answer(tokenizer.special_tokens(request))
                elif intake is None:
                    self._fail(request.id, "this runner has loaded only the model's vocabulary")
                else:
                    self._prepare(intake, request)
            except Exception:
                traceback.print_exc()
                self._fail(request.id, "the request could not be prepared")

    def _prepare(self, intake: Intake, request: Generate | Embed) -> None:
        result: SequenceState | EmbedTask | Embedded | Failed
        if isinstance(request, Generate):
            result = intake.sequence(request)
        else:
            result = intake.embed_task(request)
        if isinstance(result, SequenceState | EmbedTask):
            self._work.put(result)
        else:
            self._answer(result)

    def _fail(self, request_id: int, message: str) -> None:
        self._answer(Failed(id=request_id, code=FailureCode.COMPUTE, message=message))

    # The main thread.

    def _accept_work(self) -> None:
        """Accept all work that has arrived; block when there is nothing to compute."""
        wait = self._engine is None or not self._engine.busy
        if wait:
            self._is_working = False
            work = self._next_work()
            self._is_working = True
            self._accept(work)
        self._accept_arrived()

    def _next_work(self) -> Work:
        """Block until there is work; meanwhile, idle prefixes leave the KV cache."""
        while self._engine is not None and (size := self._engine.n_bytes_idle):
            delay = _OFFLOAD_DELAY if size > _QUICK_OFFLOAD else 0
            try:
                return self._work.get(delay > 0, timeout=delay)
            except queue.Empty:
                self._engine.offload(lambda: not self._work.empty())
        return self._work.get()

    def _pause(self) -> None:
        """Count a part of a long step, and take the work that has arrived meanwhile."""
        self._n_steps += 1
        self._accept_arrived()

    def _accept_arrived(self) -> None:
        while not self._work.empty():
            self._accept(self._work.get())

    def _accept(self, work: Work) -> None:
        if isinstance(work, ListDevices):
            self._send(Devices(devices()))
        elif isinstance(work, Load):
            self._load(work.spec)
        elif isinstance(work, Quantize):
            self._quantize(work)
        elif self._engine is None:
            pass  # without a model there is nothing to cancel or to count
        elif isinstance(work, SequenceState | EmbedTask):
            self._submit(self._engine, work)
        else:
            self._control(self._engine, work)

    def _control(self, engine: Engine, command: Cancel | Hold | SavePrefixes | Stats) -> None:
        if isinstance(command, Cancel):
            engine.cancel(command.id)
        elif isinstance(command, Hold):
            engine.hold(is_held=command.is_held)
        elif isinstance(command, SavePrefixes):
            self._send(PrefixesSaved(engine.save_prefixes(command.seconds)))
        else:
            self._send(engine.stats(command.id))

    def _submit(self, engine: Engine, work: SequenceState | EmbedTask) -> None:
        if not self._open.is_cancelled(work.id):
            engine.submit(work)
        elif isinstance(work, SequenceState):
            self._answer(Step((work.done(StopReason.CANCELLED),)))
        else:
            self._fail(work.id, "cancelled")

    def _load(self, spec: LoadSpec) -> None:
        try:
            ready = self._load_tokenizer(spec) if spec.vocab_only else self._load_model(spec)
        except LoadError as e:
            self._send(LoadFailed(message=str(e), native=e.native))
        else:
            self._send(ready)

    def _load_tokenizer(self, spec: LoadSpec) -> Ready:
        tokenizer = load_tokenizer(spec)
        self._start_intake(None, tokenizer)
        return tokenizer.ready

    def _load_model(self, spec: LoadSpec) -> Ready:
        engine = Engine(
            spec,
            send=self._answer,
            on_progress=self._progress(),
            on_pause=self._pause,
        )
        self._engine = engine
        sys.setswitchinterval(_SWITCH_INTERVAL)
        # What is loaded stays in memory: the garbage collector need not visit it again.
        gc.collect()
        gc.freeze()
        self._start_intake(engine.intake, engine.intake.tokenizer)
        return engine.ready

    def _start_intake(self, intake: Intake | None, tokenizer: Tokenizer) -> None:
        for number in range(_N_INTAKE_THREADS):
            self._start_thread(partial(self._take_in, intake, tokenizer), f"intake {number}")

    def _quantize(self, command: Quantize) -> None:
        try:
            quantize(command, lambda done, total: self._send(Quantizing(done, total)))
        except QuantizeError as e:
            self._send(QuantizeFailed(message=str(e), native=e.native))
            return
        self._send(Quantized())

    def _progress(self) -> Callable[[float], None]:
        last = 0.0

        def report(progress: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_INTERVAL:
                last = now
                self._send(Loading(progress))

        return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the runner process: `--fd N` is the inherited socket."""
    parser = argparse.ArgumentParser(prog="runners", description=__doc__)
    modes = parser.add_mutually_exclusive_group(required=True)
    modes.add_argument("--fd", type=int, help="the socket to the server")
    modes.add_argument("--describe", action="store_true", help="describe the engine as JSON")
    options = parser.parse_args(arguments)
    if options.describe:
        sys.stdout.buffer.write(msgspec.json.encode(describe_engine()))
        return
    # A service manager signals all processes of a service; the server decides when they end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Worker(socket.socket(fileno=options.fd)).run()
