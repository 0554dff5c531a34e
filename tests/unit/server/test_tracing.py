"""Traces: a span for each request with its phases, part of the client's trace."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from server.app import create_app
from server.config.settings import Settings
from server.request_record import RequestRecord
from server.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = [(b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]


def spans_of(
    record: RequestRecord, route: str, headers: list[tuple[bytes, bytes]] | None = None
) -> dict[str, ReadableSpan]:
    """Return the spans of a request by their names."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter, "1.0")
    tracing.add(record, route, headers or [])
    tracing.close()
    return {span.name: span for span in exporter.get_finished_spans()}


def answered(**fields: Any) -> RequestRecord:
    """A chat that was answered by a model that had to be loaded."""
    record = RequestRecord(id="req_1", method="POST", client="10.0.0.1", status=200, model="m")
    record.set_lease("m:latest", 7, 0.001, 0.002)
    record.add_answer(
        n_prompt=10, n_cached=4, n_generated=3, prompt_ns=3000, decode_ns=5000, end="stop"
    )
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def test_a_chat_is_a_span_by_the_conventions_for_generative_models() -> None:
    span = spans_of(answered(), "/api/chat")["chat m:latest"]

    assert span.kind is SpanKind.SERVER
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/chat",
        "http.response.status_code": 200,
        "paddock.request.id": "req_1",
        "client.address": "10.0.0.1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "paddock",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m:latest",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": pytest.approx(0.003003),
    }
    assert span.resource.attributes["service.name"] == "paddock"


def test_phases_are_children_one_behind_the_other() -> None:
    spans = spans_of(answered(), "/api/chat")
    parent = spans.pop("chat m:latest")

    assert list(spans) == ["queue", "load", "prefill", "decode"]
    begin = parent.start_time
    for span, duration in zip(spans.values(), (1_000_000, 2_000_000, 3000, 5000), strict=True):
        assert span.parent == parent.get_span_context()
        assert span.start_time == begin
        begin = span.end_time
        assert begin is not None
        assert begin - (span.start_time or 0) == duration


def test_a_request_is_part_of_the_trace_of_its_client() -> None:
    span = spans_of(answered(), "/api/chat", PARENT)["chat m:latest"]

    assert f"{span.get_span_context().trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"


def test_a_trace_that_its_client_does_not_sample_is_not_sent() -> None:
    unsampled = [(b"traceparent", f"00-{TRACE}-b7ad6b7169203331-00".encode())]

    assert spans_of(answered(), "/api/chat", unsampled) == {}


def test_a_failed_request_is_an_error_and_a_refused_one_is_not() -> None:
    failed = answered(status=500, error="the runner died")
    refused = RequestRecord(method="GET", status=404, error="no such path")

    span = spans_of(failed, "/api/chat")["chat m:latest"]
    other = spans_of(refused, "/api/tags")["GET /api/tags"]

    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "the runner died",
    )
    assert (span.attributes or {})["error.type"] == "500"
    assert other.status.status_code is StatusCode.UNSET
    assert "gen_ai.operation.name" not in (other.attributes or {})


@pytest.mark.anyio
async def test_a_collector_receives_the_spans_of_the_application(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            paths.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    paths: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        tracing = Tracing.to(f"http://127.0.0.1:{collector.server_port}/", "1.0")
        app = create_app(Settings(models=tmp_path / "models"), tracing=tracing)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get("/api/version", headers={"traceparent": PARENT[0][1].decode()})
        tracing.close()
        collector.shutdown()

    assert paths == ["/v1/traces"]
    request = ExportTraceServiceRequest.FromString(bodies[0])
    [span] = request.resource_spans[0].scope_spans[0].spans
    assert span.name == "GET /api/version"
    assert span.trace_id.hex() == TRACE


def test_a_server_without_a_collector_imports_nothing_of_it() -> None:
    program = (
        "import sys, server.app, server.commands.serve\n"
        "MODULES = 'opentelemetry.sdk', 'opentelemetry.exporter', 'server.config_file'\n"
        "print([m for m in sys.modules if m.startswith(MODULES)])\n"
        "print([m for m in ('tomllib', 'server.http.tls') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert answer.stdout == "[]\n[]\n"
