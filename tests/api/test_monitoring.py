"""What monitoring reads: /metrics, the probes of service managers, and the dashboard's queries."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def _samples(server: Server) -> Samples:
    answer = await server.http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of `name` that have all `labels`."""
    return sum(
        value
        for (sample, found), value in samples.items()
        if sample == name and found >= labels.items()
    )


async def test_requests_are_counted_by_route_status_and_the_model_that_served_them(
    server: Server,
) -> None:
    for _ in range(2):
        await server.post("/api/generate", model="base", prompt="two words", stream=False)
    await server.post("/api/generate", model="absent", prompt="a")

    samples = await _samples(server)

    generate = {"route": "/api/generate", "method": "POST"}
    served = {**generate, "status": "200", "model": "base:latest"}
    assert _value(samples, "paddock_requests_total", **served) == 2
    assert _value(samples, "paddock_requests_total", **generate, status="404", model="") == 1
    assert _value(samples, "paddock_generation_tokens_total", model="base:latest") > 0
    assert _value(samples, "paddock_time_to_first_token_seconds_count", model="base:latest") == 2
    assert _value(samples, "paddock_model_loads_total") == 1


async def test_what_clients_invent_makes_no_series(server: Server) -> None:
    """Names and paths of attackers would fill the memory of the server, and of Prometheus."""
    await server.http.get("/metrics")
    before = len(await _samples(server))
    for number in range(20):
        await server.http.get(f"/nothing/{number}")
        await server.http.request(f"VERB{number}", "/nothing")
        await server.post("/api/generate", model=f"absent{number}", prompt="a")

    after = await _samples(server)

    # Two routes more, "" and /api/generate: their statuses, and a histogram of durations for each.
    n_buckets = 19
    assert len(after) - before <= 2 * (n_buckets + 4)


async def test_a_deleted_model_leaves_no_series(server: Server) -> None:
    """A server that runs for years sees thousands of models."""
    await server.post("/api/copy", source="base", destination="other")
    await server.post("/api/generate", model="other", prompt="two words", stream=False)
    assert _value(await _samples(server), "paddock_generation_tokens_total", model="other:latest")

    await server.http.request("DELETE", "/api/delete", json={"model": "other"})

    labels = [dict(label) for _, label in await _samples(server)]
    assert "other:latest" not in {label.get("model") for label in labels}


async def test_loaded_models_are_shown_with_their_memory_and_kv_cache(server: Server) -> None:
    await server.post("/api/generate", model="base", prompt="a", stream=False)

    samples = await _samples(server)

    gauges = {name for name, labels in samples if ("model", "base:latest") in labels}
    assert gauges >= {
        "paddock_num_requests_running",
        "paddock_num_requests_waiting",
        "paddock_kv_cache_usage_ratio",
        "paddock_runner_memory_bytes",
    }


async def test_a_runner_that_crashed_is_counted(server: Server) -> None:
    await server.post("/api/generate", model="base", prompt="a", stream=False)
    (runner,) = server.runners
    await runner.close()

    await server.post("/api/generate", model="base", prompt="a", stream=False)

    samples = await _samples(server)
    assert _value(samples, "paddock_runner_crashes_total") == 1
    assert _value(samples, "paddock_model_loads_total") == 2


async def test_a_scraper_that_prefers_openmetrics_gets_it(server: Server) -> None:
    await server.post("/api/generate", model="base", prompt="a", stream=False)

    answer = await server.http.get("/metrics", headers={"accept": OPENMETRICS})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name for family in openmetrics_families(answer.text)}
    assert {"paddock_requests", "paddock_model_loads"} <= families


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=x", "application/openmetrics-text;version=\xe9,"]
)
async def test_any_accept_header_gets_metrics(server: Server, accept: str) -> None:
    headers = {"accept": accept.encode("latin-1")}

    answer = await server.http.get("/metrics", headers=headers)

    assert answer.status_code == 200


async def test_the_dashboard_asks_for_series_that_exist(server: Server) -> None:
    """A renamed metric would leave a panel empty."""
    await server.post("/api/generate", model="base", prompt="two words", stream=False)
    answer = await server.http.get("/metrics")
    # A histogram without an observation is declared, but has no series yet.
    series: dict[str, set[str]] = {
        f"{family.name}_bucket": {"le", "model"}
        for family in text_string_to_metric_families(answer.text)
        if family.type == "histogram" and not family.samples
    }
    for name, labels in await _samples(server):
        series.setdefault(name, set()).update(label for label, _ in labels)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]

    for query in queries:
        names = set(re.findall(r"\b(?:paddock|process)_\w+", query))
        assert names <= series.keys(), query
        grouped = re.findall(r"by \(([^)]*)\)", query)
        labels = {label.strip() for group in grouped for label in group.split(",")}
        assert labels <= set.union(*(series[name] for name in names)), query


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_healthy_server_passes_every_probe(server: Server, path: str, method: str) -> None:
    answer = await server.http.request(method, path)

    assert answer.status_code == 200


async def test_health_says_what_llama_server_says(server: Server) -> None:
    assert (await server.http.get("/health")).json() == {"status": "ok"}


async def test_a_store_that_vanished_is_not_ready_but_alive(server: Server) -> None:
    """A restart would not bring the disk back, but requests should go elsewhere."""
    shutil.rmtree(server.store)

    answer = await server.http.get("/readyz")

    assert answer.status_code == 503
    assert "cannot be read: it is not there" in answer.json()["checks"]["models"]
    assert str(server.store) not in answer.text
    assert (await server.http.get("/livez")).status_code == 200


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_store_that_cannot_be_written_is_not_ready(server: Server) -> None:
    blobs = server.store / "blobs"
    blobs.chmod(0o500)

    answer = await server.http.get("/readyz")

    blobs.chmod(0o700)
    assert answer.status_code == 503
    assert "cannot be written" in answer.json()["checks"]["models"]


async def test_a_server_whose_runners_do_not_start_is_not_ready(tmp_path: Path) -> None:
    machine = FakeMachine(can_start=False)
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)

        answer = await server.http.get("/readyz")

        assert answer.status_code == 503
        assert "could not be started" in answer.json()["checks"]["runners"]
