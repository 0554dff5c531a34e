"""Listings have the keys that clients count on, and one bad model takes no other away."""

import json
import os
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model_store.model import Model
from model_store.options import Options
from runners.host.model_request import RunnerStatus
from server.inference.model_request import model_request
from server.library.listing import Listing, encode_loaded
from tests.support import gguf_bytes
from tests.support.fake_runner import ready
from tests.support.gguf_bytes import U32, key
from tests.support.runners import load_spec
from tests.unit.server.library.conftest import Installed

MANIFESTS = "manifests/registry.ollama.ai/library"
WITH_LENGTHS = gguf_bytes.model(
    "llama",
    key("llama.context_length", U32, 512),
    key("llama.embedding_length", U32, 64),
    file_type=7,
)
EMBEDDER = gguf_bytes.model("bert", key("bert.pooling_type", U32, 1))


def told(listing: Listing, installed: Installed) -> list[dict[str, Any]]:
    models = json.loads(listing.encode(installed.store.models()))["models"]
    assert isinstance(models, list)
    return models


def names(listing: Listing, installed: Installed) -> list[str]:
    return [entry["name"] for entry in told(listing, installed)]


@pytest.fixture
def listing() -> Listing:
    return Listing(go_template=None)


def test_an_empty_store_lists_nothing(listing: Listing, installed: Installed) -> None:
    assert listing.encode(installed.store.models()) == b'{"models":[]}'


def test_a_model_is_told_with_all_that_clients_show(listing: Listing, installed: Installed) -> None:
    model = installed.create("m", WITH_LENGTHS)

    (entry,) = told(listing, installed)

    assert datetime.fromisoformat(entry.pop("modified_at")).tzinfo is not None
    assert entry == {
        "name": "m:latest",
        "model": "m:latest",
        "size": model.size,
        "digest": model.digest,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "64",
            "quantization_level": "Q8_0",
            "context_length": 512,
            "embedding_length": 64,
        },
        "capabilities": ["completion"],
    }


def test_a_digest_is_bare_hex(listing: Listing, installed: Installed) -> None:
    installed.create("m")

    (entry,) = told(listing, installed)

    assert len(entry["digest"]) == 64
    assert int(entry["digest"], 16)


def test_models_stand_newest_first(listing: Listing, installed: Installed) -> None:
    for name, modified in (("old", 1_000_000), ("new", 3_000_000), ("middle", 2_000_000)):
        installed.create(name)
        os.utime(installed.root / MANIFESTS / name / "latest", (modified, modified))

    assert names(listing, installed) == ["new:latest", "middle:latest", "old:latest"]


def test_a_model_that_was_made_anew_is_told_anew(listing: Listing, installed: Installed) -> None:
    installed.create("m")
    assert told(listing, installed)[0]["capabilities"] == ["completion"]

    installed.create("m", EMBEDDER)

    (entry,) = told(listing, installed)
    assert (entry["details"]["family"], entry["capabilities"]) == ("bert", ["embedding"])


def test_a_damaged_model_is_left_out_and_told_to_the_operator_once(
    listing: Listing, installed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients ask for the list every few seconds."""
    installed.create("good")
    installed.damage(installed.create("bad", EMBEDDER))

    assert [names(listing, installed) for _ in range(3)] == [["good:latest"]] * 3

    (record,) = caplog.records
    assert "bad:latest is left out of the list" in record.getMessage()
    assert str(installed.root) not in record.getMessage()


def test_a_model_whose_file_comes_back_is_listed_again(
    listing: Listing, installed: Installed
) -> None:
    """Another program may be moving the files at this moment."""
    weights = installed.weights(installed.create("m"))
    found = installed.store.models()
    away = weights.rename(weights.with_suffix(".away"))
    assert json.loads(listing.encode(found))["models"] == []

    away.rename(weights)

    assert len(json.loads(listing.encode(found))["models"]) == 1


def test_another_form_of_the_list_is_made_once_while_nothing_changes(
    listing: Listing, installed: Installed
) -> None:
    """Clients of every API ask for the models again and again, of thousands in a large store."""
    installed.create("good")
    installed.damage(installed.create("bad", EMBEDDER))
    calls: list[int] = []

    def form(models: Sequence[Model], first: int) -> list[str]:
        calls.append(first)
        return [model.name.short for model in models][first:]

    models = installed.store.models()
    assert [listing.encode_as(form, models, n) for n in (0, 0, 1, 0)] == [
        b'["good:latest"]', b'["good:latest"]', b"[]", b'["good:latest"]',
    ]  # fmt: skip
    assert calls == [0, 1]

    installed.create("another")

    assert b"another" in listing.encode_as(form, installed.store.models(), 0)


def test_forms_with_ever_other_parameters_are_bounded(
    listing: Listing, installed: Installed
) -> None:
    installed.create("m")
    models = installed.store.models()
    listing.encode(models)

    tracemalloc.start()
    for number in range(1000):
        listing.encode_as(lambda _, text: text, models, f"{number}" + "x" * 10_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 1_000_000


def loaded(installed: Installed, *, size_vram: int = 0) -> dict[str, Any]:
    model = installed.create("child", WITH_LENGTHS)
    status = RunnerStatus(
        request=model_request(model, Options(), keep_alive=None, adapters=()),
        ready=ready(load_spec(n_ctx=256)),
        expires_at=datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(microseconds=5),
        size=1000,
        size_vram=size_vram,
    )
    (entry,) = json.loads(encode_loaded([status]))["models"]
    assert isinstance(entry, dict)
    assert entry["digest"] == model.digest
    return entry


def test_a_loaded_model_is_told_with_its_memory_and_its_end(installed: Installed) -> None:
    entry = loaded(installed, size_vram=400)

    assert (entry["name"], entry["model"]) == ("child:latest", "child:latest")
    assert (entry["size"], entry["size_vram"], entry["context_length"]) == (1000, 400, 256)
    assert datetime.fromisoformat(entry["expires_at"]) == datetime(
        2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC
    )
    assert "context_length" not in entry["details"]
    assert entry["details"]["family"] == "llama"


def test_a_model_on_the_cpu_says_that_it_takes_no_gpu_memory(installed: Installed) -> None:
    """Clients compare both sizes, so that zero must be there."""
    assert loaded(installed)["size_vram"] == 0


def test_nothing_loaded_is_an_empty_list() -> None:
    assert encode_loaded([]) == b'{"models":[]}'
