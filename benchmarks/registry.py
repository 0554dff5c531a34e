"""A registry with one model, as fast as a disk cache and a socket allow; a process of its own."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry: the `host` with its port, and the path of its one blob."""

    host: str
    blob: str


@contextmanager
def serving(weights: Path) -> Iterator[Registry]:
    """Run a registry whose `library/bench:latest` has the layer `weights` until the block ends."""
    with weights.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    command = [sys.executable, "-m", "benchmarks.registry", str(weights), digest]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        host = f"127.0.0.1:{int(process.stdout.readline())}"
        yield Registry(host, f"/v2/library/bench/blobs/{digest}")
    finally:
        process.terminate()
        process.wait()


def _manifest(weights: Path, digest: str) -> bytes:
    kind = "application/vnd.ollama.image.model"
    layer = {"mediaType": kind, "digest": digest, "size": weights.stat().st_size}
    return json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST_TYPE, "layers": [layer]}).encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers with the manifest, or with a stretch of the blob."""

    protocol_version = "HTTP/1.1"
    weights: Path
    manifest: bytes

    def do_GET(self) -> None:
        if "/manifests/" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.manifest)))
            self.end_headers()
            self.wfile.write(self.manifest)
            return
        match = _RANGE.fullmatch(self.headers["Range"])
        assert match is not None
        first, last = int(match[1]), int(match[2])
        self.send_response(206)
        total = self.weights.stat().st_size
        self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.flush()
        with self.weights.open("rb") as file:
            self.connection.sendfile(file, first, last + 1 - first)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that leave."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def main() -> None:
    """Serve until terminated, telling the port first."""
    _Handler.weights = Path(sys.argv[1])
    _Handler.manifest = _manifest(_Handler.weights, sys.argv[2])
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
