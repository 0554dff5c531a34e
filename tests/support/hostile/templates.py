"""Chat templates of model files, and templates of requests, that compute or grow without end."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.support.hostile.bodies import MODEL
from tests.support.hostile.measurement import Attack, Target
from tests.support.live_server import LiveServer
from tests.support.tiny_models import write_llama

_LONG = "{% set r = range(99999) %}"
JINJA = {
    "search in C": "{{ ('a' * 900000).rfind('ab' ~ 'a' * 450000) }}",
    "division in C": "{{ (10 ** 900000) % (10 ** 450000 + 1) }}",
    "loops": _LONG + "{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
    "memory": "{% set ns = namespace(x=[]) %}" + _LONG + "{% for a in r %}"
    "{% set ns.x = ns.x + ['a' * 9999 ~ a] %}{% endfor %}",
}
GO = {
    "loops": "{{ range 99999999 }}{{ range 99999999 }}{{ end }}{{ end }}",
    "memory": '{{ $s := "<" }}{{ range 99 }}{{ $s = print $s $s }}{{ end }}',
    "nesting": "{{ if .Prompt }}" * 3000 + "{{ end }}" * 3000,
    "many actions": "{{ .Prompt | len }}" * 3500,
}
_MESSAGES = [{"role": "user", "content": "a"}]


def models(server: LiveServer, directory: Path) -> None:
    """Install a model for each Jinja template."""
    for number, template in enumerate(JINJA.values()):
        path = write_llama(directory / f"{number}.gguf", chat_template=template)
        server.create(f"jinja-{number}", path)


def attacks(server: LiveServer, directory: Path) -> Iterator[Attack]:
    """Yield the attacks; a template takes seconds of a worker, which is all that it may.

    Models are loaded before, as their runners and the standby runner take memory too.
    """
    for number, name in enumerate(JINJA):
        model = f"jinja-{number}"
        server.load(model)
        chat = {"model": model, "messages": _MESSAGES, "stream": False}
        count = {"model": model, "messages": _MESSAGES}
        yield _post(f"jinja {name}: chat", "/api/chat", chat)
        yield _post(f"jinja {name}: count_tokens", "/v1/messages/count_tokens", count)
        yield _post(f"jinja {name}: show", "/api/show", {"model": model})
        digest = "sha256:" + hashlib.sha256((directory / f"{number}.gguf").read_bytes()).hexdigest()
        create = {"model": "again", "files": {"model.gguf": digest}, "stream": False}
        yield _post(f"jinja {name}: create", "/api/create", create)
    server.load(MODEL)
    for name, template in GO.items():
        generate = {"model": MODEL, "prompt": "a", "template": template, "stream": False}
        yield _post(f"go {name}: generate", "/api/generate", generate | {"raw": False})
        create = {"model": "again", "from": MODEL, "template": template, "stream": False}
        yield _post(f"go {name}: create", "/api/create", create)


def _post(name: str, path: str, body: object) -> Attack:
    data = json.dumps(body).encode()

    def run(target: Target) -> str:
        return target.post(path, data)

    return Attack(name, run, size=len(data))
