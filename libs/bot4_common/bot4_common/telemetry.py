"""What is a service doing? Metrics, traces, structured logs, and the little HTTP server that shows them."""

from __future__ import annotations

import json
import logging
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

# Upper bounds in seconds: from below one durable append to the recovery budget of five seconds.
LATENCY_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Meters:
    """The figures every service has. One registry per process, so that two services in one process stay apart."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self.frames = self.counter("bot4_frames", "Frames stored")
        self.events = self.counter("bot4_events", "Events stored")
        self.inputs = self.counter("bot4_inputs", "Inputs decided")
        self.unknown = self.counter("bot4_appends_unknown", "Appends without an answer")
        self.fenced = self.counter("bot4_fenced", "Appends refused because another process wrote")
        self.dropped = self.counter("bot4_spoken_dropped", "Messages of the bus dropped because too many waited")
        self.inbox = self.gauge("bot4_inbox_frames", "Frames heard and not yet decided")
        self.leading = self.gauge("bot4_leading", "1 when this process decides, 0 when it follows")
        self.sequence = self.gauge("bot4_sequence", "Sequence of the last own frame")
        self.recovery = self.gauge("bot4_recovery_seconds", "How long the last recovery took")
        self.append = self.histogram("bot4_append_seconds", "Awaited durable append")

    def counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, ("service",), registry=self.registry).labels(self._service)

    def gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, ("service",), registry=self.registry).labels(self._service)

    def histogram(self, name: str, meaning: str) -> Histogram:
        """Of seconds."""
        return Histogram(name, meaning, ("service",), registry=self.registry, buckets=LATENCY_BUCKETS).labels(
            self._service
        )


class Tracing:
    """Spans that follow one order through all services: its W3C traceparent travels in the frames."""

    def __init__(self, service: str, ratio: float, file: TextIO | None) -> None:
        """`ratio` is the share of orders that are followed; spans go to `file`, one JSON object per line."""
        self._file = file
        self._propagator = TraceContextTextMapPropagator()
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)), resource=Resource.create({"service.name": service})
        )
        if file is not None:
            self._provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=file, formatter=_one_line)))
        self._tracer = self._provider.get_tracer("bot4")

    def start(self, name: str, parent: str | None) -> tuple[trace.Span, str | None]:
        """The span of a request, and the traceparent to hand on (none when the request is not followed)."""
        span = self._tracer.start_span(name, context=self._context(parent))
        if not span.get_span_context().trace_flags.sampled:
            return span, None
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context=trace.set_span_in_context(span))
        return span, carrier["traceparent"]

    def record(self, name: str, parent: str, start: int, end: int, attributes: dict[str, str]) -> None:
        """A span that is already over; `start` and `end` in ns since the epoch."""
        span = self._tracer.start_span(name, context=self._context(parent), start_time=start, attributes=attributes)
        span.end(end)

    def close(self) -> None:
        """Writes what is not written yet, and closes the file."""
        self._provider.shutdown()
        if self._file is not None:
            self._file.close()

    def _context(self, parent: str | None) -> Any:
        return self._propagator.extract({"traceparent": parent}) if parent else None


def _one_line(span: ReadableSpan) -> str:
    return str(span.to_json(indent=None)) + "\n"


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record),
            "service": self._service,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(service: str, level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def open_traces(directory: str | None, service: str) -> TextIO | None:
    if directory is None:
        return None
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    return (path / f"{service}.jsonl").open("a", encoding="utf-8")


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without asking the domain name system what this machine is called, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Probes every second are not worth a line each."""


def serve_health(host: str, port: int, registry: CollectorRegistry, status: Callable[[], dict[str, Any]]) -> WSGIServer:
    """Serves /healthz, /readyz (503 until `status()["ready"]`) and /metrics from a thread of its own."""
    metrics = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            shown: Iterable[bytes] = metrics(environ, start_response)
            return shown
        if path not in ("/healthz", "/readyz"):
            start_response("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"code": "NOT_FOUND"}']
        current = status()
        good = path == "/healthz" or current["ready"]
        start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps(current).encode()]

    server = make_server(host, port, app, server_class=_Server, handler_class=_QuietHandler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
