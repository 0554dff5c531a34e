"""Fuzz targets: each gives bytes to a parser, which may only raise its own errors."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from model_store.config import parse_config
from model_store.errors import GGUFError, InvalidName, ManifestInvalid, ModelfileError
from model_store.gguf import read_chat_template, read_header
from model_store.gguf.validate import check_adapter, check_model, check_projector
from model_store.modelfile import parse_modelfile
from model_store.names import ModelName
from server.anthropic.schemas import MessagesRequest
from server.errors import BadRequest, TemplateError
from server.http.body import parse_body
from server.prompt.template import GoTemplate
from tests.support import gguf_bytes
from tests.support.tiny_architectures import write_jamba
from tests.support.tiny_models import write_bert, write_llama, write_lora

_SCRATCH = tempfile.TemporaryDirectory()


@dataclass(frozen=True, slots=True)
class Target:
    """A parser: `run` gives it one input, `corpus` yields inputs to begin with."""

    run: Callable[[bytes], None]
    corpus: Callable[[], Iterable[bytes]]


def _gguf(data: bytes) -> None:
    path = Path(_SCRATCH.name) / "model.gguf"
    path.write_bytes(data)
    try:
        header = read_header(path)
        read_chat_template(path)
        read_header(path, with_arrays=True)
    except GGUFError:
        return
    for check in (check_model, check_adapter, check_projector):
        try:
            check(header)
        except GGUFError:
            continue


def _gguf_corpus() -> Iterable[bytes]:
    yield gguf_bytes.model()
    yield gguf_bytes.adapter()
    yield gguf_bytes.projector()
    with tempfile.TemporaryDirectory() as directory:
        base = write_llama(Path(directory) / "base.gguf")
        for path in (
            base,
            write_bert(Path(directory) / "bert.gguf"),
            write_jamba(Path(directory) / "jamba.gguf"),
            write_lora(Path(directory) / "lora.gguf", base),
        ):
            yield path.read_bytes()[: 1 << 15]


def _modelfile(data: bytes) -> None:
    try:
        parse_modelfile(data.decode("utf-8", "replace"))
    except ModelfileError:
        return


def _name(data: bytes) -> None:
    try:
        name = ModelName.parse(data.decode("utf-8", "replace"))
    except InvalidName:
        return
    assert ModelName.parse(name.full) == name


def _body(data: bytes) -> None:
    try:
        parse_body(data, MessagesRequest)
    except BadRequest:
        return


def _go_template(data: bytes) -> None:
    try:
        GoTemplate(data.decode("utf-8", "replace"))
    except TemplateError:
        return


def _config(data: bytes) -> None:
    try:
        parse_config("m", data.decode("utf-8", "replace"))
    except ManifestInvalid:
        return


_CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "options": {"stop": "a"}}'
_MODELFILE = b'FROM m\nSYSTEM """a\nb"""\nPARAMETER stop "x"\nMESSAGE user Hi\nLICENSE "MIT"\n'
_TEMPLATE = b'{{ range .Messages }}{{ if eq .Role "user" }}{{ .Content | json }}{{ end }}{{ end }}'
TARGETS = {
    "gguf": Target(_gguf, _gguf_corpus),
    "modelfile": Target(_modelfile, lambda: [_MODELFILE]),
    "name": Target(_name, lambda: [b"registry.example:5000/space/model:tag", b"hf.co/a/b:Q4_K_M"]),
    "body": Target(_body, lambda: [_CHAT]),
    "go-template": Target(_go_template, lambda: [_TEMPLATE]),
    "config": Target(_config, lambda: [b'{"model_format": "gguf", "model_family": "llama"}']),
}
