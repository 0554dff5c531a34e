"""OpenTelemetry traces: a span for each request with its phases, by the GenAI conventions.

Needs the extra `paddock-server[otel]`; imported only where an endpoint is set.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.request_record import RequestRecord

_PATH: Final = "/v1/traces"
_OPERATIONS: Final = {
    "/api/chat": "chat",
    "/api/generate": "text_completion",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
_PARENT_HEADERS: Final = ("traceparent", "tracestate")
_FIRST_FAILURE: Final = 500
_Value = str | int | float | list[str]


class Tracing:
    """Sends a span for each request that has ended to an OTLP endpoint, in the background.

    The environment variables of OpenTelemetry (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`,
    `OTEL_EXPORTER_OTLP_HEADERS`, …) hold.
    """

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        own = Resource.create({SERVICE_NAME: "paddock", SERVICE_VERSION: version})
        # Attributes of the environment win.
        resource = own.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("paddock", version)
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def to(cls, endpoint: str, version: str) -> "Tracing":
        """Return one that sends to the base URL of a collector."""
        return cls(OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _PATH), version)

    def add(
        self, record: RequestRecord, route: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Record a request that has ended; its `traceparent` makes it part of a trace."""
        end = time.time_ns()
        start = end - record.elapsed_ns
        span = self._tracer.start_span(
            _name(record, route),
            context=self._propagator.extract(_carrier(headers)),
            kind=SpanKind.SERVER,
            attributes=dict(_attributes(record, route)),
            start_time=start,
        )
        if span.is_recording():
            self._add_phases(span, record, start)
            if record.error and record.status >= _FIRST_FAILURE:
                span.set_status(Status(StatusCode.ERROR, record.error))
        span.end(end)

    def _add_phases(self, parent: Span, record: RequestRecord, start: int) -> None:
        """Add a child for each phase that took time, one behind the other."""
        context = set_span_in_context(parent)
        for name, duration in (
            ("queue", record.queue_ns),
            ("load", record.load_ns),
            ("prefill", record.prompt_ns),
            ("decode", record.decode_ns),
        ):
            if duration > 0:
                phase = self._tracer.start_span(name, context=context, start_time=start)
                start += duration
                phase.end(start)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _name(record: RequestRecord, route: str) -> str:
    operation = _OPERATIONS.get(route)
    model = record.served_model or record.model
    if operation is not None and model:
        return f"{operation} {model}"
    return f"{record.method} {route}".strip()


def _attributes(record: RequestRecord, route: str) -> Iterator[tuple[str, _Value]]:
    yield "http.request.method", record.method
    if route:
        yield "http.route", route
    yield "http.response.status_code", record.status
    yield "paddock.request.id", record.id
    if record.client:
        yield "client.address", record.client
    if record.status >= _FIRST_FAILURE:
        yield "error.type", str(record.status)
    operation = _OPERATIONS.get(route)
    if operation is None:
        return
    yield "gen_ai.operation.name", operation
    yield "gen_ai.provider.name", "paddock"
    if record.model:
        yield "gen_ai.request.model", record.model
    if record.served_model:
        yield "gen_ai.response.model", record.served_model
        yield "gen_ai.usage.input_tokens", record.n_computed + record.n_cached
        yield "gen_ai.usage.cache_read.input_tokens", record.n_cached
        yield "gen_ai.usage.output_tokens", record.n_generated
    if record.end:
        yield "gen_ai.response.finish_reasons", [record.end]
    if record.n_generated:
        waited = record.queue_ns + record.load_ns + record.prompt_ns
        yield "gen_ai.response.time_to_first_chunk", waited / 1e9


def _carrier(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    names = {name.encode(): name for name in _PARENT_HEADERS}
    return {names[name]: value.decode("latin-1") for name, value in headers if name in names}
