"""No blob of an installed model is ever deleted, whatever the operating system refuses."""

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.errors import StoreError
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes
from tests.support.file_faults import ERRNOS, file_faults

SEQUENCES = int(os.environ.get("PADDOCK_FAULT_SEQUENCES", "300"))
STEPS = 8
WEIGHTS = (gguf_bytes.model(), gguf_bytes.model("qwen2"), gguf_bytes.model("gemma"))
NAMES = tuple(map(ModelName.parse, ("keep", "second", "me/third", "host.example/a/b:c")))
SYSTEMS = ("", "Be brief.", "Be kind.")


class Sequence:
    """A store that is used, with faults, by the choices of a seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        self.store = Store(root)
        self.store.prepare()
        self.told: list[str] = []

    def step(self) -> None:
        """Do one thing while some file operations fail."""
        before = manifests(self.root)
        work, name = self._work()
        faults = self._faults()
        with file_faults(faults.decide):
            try:
                work()
            except StoreError as e:
                result = str(e)
            else:
                result = "done"
        self.told.append(f"{work.__name__} {name.full} with {faults}: {result}")
        after = manifests(self.root)
        changed = {path for path in before if before[path] != after.get(path)}
        assert changed <= {str(name.full)}, self.told
        assert missing_blobs(self.root) == [], self.told

    def _work(self) -> tuple[Callable[[], None], ModelName]:
        name, other = self.random.choice(NAMES), self.random.choice(NAMES)
        weights, system = self.random.choice(WEIGHTS), self.random.choice(SYSTEMS)

        def install() -> None:
            digest = Digest.of(weights)
            with self.store.blob_writer(digest) as writer:
                writer.write(weights)
                writer.commit()
            self._create(name, files={"m.gguf": str(digest)}, system=system)

        def resume() -> None:
            digest = Digest.of(weights)
            offset = self.store.upload_offset(digest)
            upload = self.store.resume_upload(digest, offset)
            try:
                upload.write(weights[offset : (offset + len(weights)) // 2])
                upload.write(weights[(offset + len(weights)) // 2 :])
                self.store.commit_blob(upload)
            finally:
                upload.keep()
            self._create(name, files={"m.gguf": str(digest)}, system=system)

        def derive() -> None:
            self._create(name, parent=other, system=system)

        def copy() -> None:
            self.store.copy(other, name)

        def delete() -> None:
            self.store.delete(name)

        def start() -> None:
            self.store = Store(self.root)
            self.store.prepare()

        work = self.random.choice((install, resume, derive, copy, delete, delete, start))
        if work is start:
            for path in self.root.glob("*/*"):
                if path.is_file():
                    os.utime(path, (1, 1))
        return work, name

    def _create(self, name: ModelName, **fields: object) -> None:
        spec = CreateSpec(name=name, check_template=lambda _: None, **fields)  # type: ignore[arg-type]
        for _ in self.store.create(spec):
            pass

    def _faults(self) -> "Faults":
        kind, code = self.random.choice(("none", "one", "rest", "path")), self.random.choice(ERRNOS)
        paths = [*map(str, self.root.rglob("*"))]
        return Faults(kind, code, self.random.randrange(60), self.random.choice(paths))


class Faults:
    """One operation fails, or all from one on, or all that concern one path or what is below."""

    def __init__(self, kind: str, code: int, number: int, path: str) -> None:
        self.kind, self.code, self.number, self.path = kind, code, number, path
        self.count = 0

    def decide(self, operation: str, path: str) -> int:
        number, self.count = self.count, self.count + 1
        fails = {
            "none": False,
            "one": number == self.number,
            "rest": number >= self.number,
            "path": path == self.path or path.startswith(self.path + "/"),
        }
        return self.code if fails[self.kind] else 0

    def __str__(self) -> str:
        where = self.path if self.kind == "path" else self.number
        return f"{self.kind} {errno.errorcode[self.code]} {where}"


def manifests(root: Path) -> dict[str, bytes]:
    """Return what lies under the names of models, read without the code under test."""
    found = {}
    for path in (root / "manifests").glob("*/*/*/*"):
        host, namespace, model, tag = path.relative_to(root / "manifests").parts
        found[f"{host}/{namespace}/{model}:{tag}"] = path.read_bytes()
    return found


def missing_blobs(root: Path) -> list[str]:
    """Return the blobs that manifests name and that are not there, or damaged."""
    missing = []
    for name, data in manifests(root).items():
        fields = json.loads(data)
        for layer in (fields["config"], *fields["layers"]):
            path = root / "blobs" / layer["digest"].replace(":", "-")
            if not path.is_file() or str(Digest.of(path.read_bytes())) != layer["digest"]:
                missing.append(f"{name}: {layer['digest']}")
    return missing


@pytest.mark.parametrize("part", range(10))
def test_blobs_of_installed_models_outlive_every_fault(tmp_path: Path, part: int) -> None:
    """A tenth of the sequences each: installs, copies, deletions and starts, with faults."""
    for seed in range(part, SEQUENCES, 10):
        root = tmp_path / "models"
        sequence = Sequence(root, seed)
        for _ in range(STEPS):
            sequence.step()
        shutil.rmtree(root)
