"""Images that take far more memory or time than their size, for a model that accepts images."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
from PIL import Image

from tests.support.hostile.measurement import Attack, Target
from tests.support.image_files import bomb, encoded, plain, repeated_scans, webp_claim
from tests.support.live_server import LiveServer
from tests.support.tiny_models import write_llama
from tests.support.tiny_vision import write_llava

_MODEL = "hostile-vision"


def model(server: LiveServer, directory: Path) -> None:
    """Install a model that accepts images."""
    weights, projector = write_llama(directory / "eye.gguf"), write_llava(directory / "mmproj.gguf")
    server.create(_MODEL, weights, projector)


def load(server: LiveServer) -> None:
    """Load the model and what it needs for its first image, which is nothing of the attacks."""
    server.load(_MODEL)
    data = _chat(plain())
    httpx.post(f"{server.url}/api/chat", content=data, timeout=60).raise_for_status()


def files() -> Iterator[tuple[str, bytes, str]]:
    """Yield images with their names and the status that they deserve."""
    yield "webp of 30 bytes", webp_claim(16383, 16383), "400"
    yield "png that claims to be large", bomb(50_000, 50_000), "400"
    yield "png that claims what is allowed", bomb(5000, 5000), "400"
    yield "jpeg that repeats its scan", repeated_scans(10_000), "400"
    black = Image.new("RGBA", (6000, 4000))
    yield "large png", encoded(black, compress_level=1), "200"
    yield "large progressive jpeg", encoded(black.convert("RGB"), "JPEG", progressive=True), "200"
    yield "large webp", encoded(Image.new("RGBA", (3840, 2160)), "WEBP", lossless=True), "200"


def attacks() -> Iterator[Attack]:
    """Yield a chat with each of the files."""
    for name, file, _ in files():
        data = _chat(file)
        yield Attack(name, lambda target, data=data: _send(target, data), size=len(data))


def _chat(file: bytes) -> bytes:
    message = {"role": "user", "content": "a", "images": [base64.b64encode(file).decode()]}
    body = {"model": _MODEL, "messages": [message], "stream": False}
    return json.dumps(body | {"options": {"num_predict": 1}}).encode()


def _send(target: Target, data: bytes) -> str:
    return target.post("/api/chat", data)
