"""Traces of requests: sent by the SDK over OTLP to whoever receives them, one span a request, no names, no values."""

from __future__ import annotations

import base64
import gzip
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.server.test_http import head

from keystead.errors import ConfigurationError
from keystead.server.tracing import Answered, Spans, exporters, is_wanted

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"
INVALID = (
    f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}",
    "cAnaRy5e7b", VALID * 20, "",
)  # fmt: skip
WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
import keystead.server.worker
from keystead.errors import MissingExtra
from keystead.server.tracing import is_installed, require_installed
assert not is_installed()
try:
    require_installed()
except MissingExtra as error:
    print(error.hint)
"""


class Collector(http.server.ThreadingHTTPServer):
    """Receives traces as OTLP over HTTP, and keeps them."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Receiving)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        """What came, in the order of its end."""
        requests = [ExportTraceServiceRequest.FromString(data) for data in self.received]
        resources = [resource for request in requests for resource in request.resource_spans]
        assert all("keystead" in [each.value.string_value for each in one.resource.attributes] for one in resources)
        return [span for resource in resources for scope in resource.scope_spans for span in scope.spans]


class Receiving(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        self.server.received.append(gzip.decompress(data) if self.headers["Content-Encoding"] == "gzip" else data)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.shutdown()
    running.server_close()


def told(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_each_request_is_one_span_that_names_nothing(own_server: Any, collector: Collector) -> None:
    server = own_server(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    secret = "cAnaRy5e7b"
    server.request("POST", "/api/v1/keys", {"name": secret}, headers={"X-Request-Id": "made"})
    plain = {"plaintext": base64.b64encode(secret.encode()).decode()}
    for number in range(3):  # the slow way, then the short one
        how = {"X-Request-Id": f"sealed-{number}", "traceparent": VALID, "tracestate": f"x={secret}"}
        assert server.request("POST", f"/api/v1/keys/{secret}:encrypt", plain, headers=how).status == 200
    for given in INVALID:
        server.request("GET", f"/api/v1/secrets/{secret}?{secret}=1", headers={"traceparent": given})
    twice = ("X-Request-Id: twice", f"traceparent: {VALID}", f"traceparent: {VALID}", "Connection: close")
    for target in ("/api/v1/whoami", "/health/live"):
        assert server.raw(head("GET", target, server.token, *twice)).startswith(b"HTTP/1.1 200")
    server.raw(head("GET", f"/{secret}", None, f"traceparent: {VALID}", "X-Request-Id: nowhere"))
    server.raw(head("POST", "/api/v1/random", None, "Content-Length: 99999999"))
    server.raw(f"BREW /{secret} HTTP/1.1\r\n\r\n".encode())
    assert server.stop() == 0
    spans = collector.spans()
    assert len(spans) == 1 + 3 + len(INVALID) + 2 + 1 + 1 + 1
    assert not any(secret.encode() in data for data in collector.received)
    by_id = {told(span)["keystead.request_id"]: span for span in spans}
    for number in range(3):
        span = by_id[f"sealed-{number}"]
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "")
        assert (span.name, span.kind) == ("POST /api/v1/keys/{name}:encrypt", Span.SPAN_KIND_SERVER)
        assert told(span) == {
            "http.request.method": "POST",
            "http.route": "/api/v1/keys/{name}:encrypt",
            "http.response.status_code": 200,
            "keystead.request_id": f"sealed-{number}",
        }
        assert span.end_time_unix_nano > span.start_time_unix_nano
    assert by_id["nowhere"].trace_id.hex() == TRACE
    assert "http.route" not in told(by_id["nowhere"])
    others = [span for span in spans if not str(told(span)["keystead.request_id"]).startswith(("sealed", "nowhere"))]
    assert all(span.trace_id.hex() != TRACE and not span.parent_span_id for span in others)
    assert len({span.trace_id for span in others}) == len(others)
    found = sorted((told(span).get("http.route", ""), told(span)["http.response.status_code"]) for span in others)
    assert found == sorted(
        [("/api/v1/keys", 201), *[("/api/v1/secrets/{name}", 400)] * len(INVALID), ("/api/v1/whoami", 200),
         ("/health/live", 200), ("/api/v1/random", 413), ("", 400)]
    )  # fmt: skip


def test_what_failed_says_so(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.endpoint}/v1/traces")
    spans = Spans({}, lambda: 1_700_000_000_000)
    spans.add(Answered("req_1", "PUT", "/api/v1/secrets/{name}", 503, "KS3003", 0.25), b"")
    spans.stop()
    (span,) = collector.spans()
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert told(span)["error.type"] == "KS3003"
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000


def test_a_receiver_that_is_not_there_keeps_nobody_waiting(own_server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    server = own_server("--tracing", "on", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    for _ in range(20):
        assert server.request("GET", "/api/v1/whoami").status == 200
    assert '"tracing":true' in server.stop_and_read()


@pytest.mark.parametrize(
    ("setting", "variables", "wanted"),
    [
        ("auto", {}, False),
        ("auto", {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ("auto", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ("auto", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ("auto", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
        ("on", {}, True),
        ("on", {"OTEL_SDK_DISABLED": "true"}, False),
        ("off", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    ],
)
def test_the_setting_decides_and_else_the_standard_variables(
    setting: str, variables: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(setting, variables) is wanted


def test_an_exporter_that_is_not_installed_is_told_before_the_workers_start() -> None:
    assert [made.__name__ for made in exporters({"OTEL_TRACES_EXPORTER": "otlp, console"})] == [
        "OTLPSpanExporter", "ConsoleSpanExporter",
    ]  # fmt: skip
    for variables in (
        {"OTEL_TRACES_EXPORTER": "nobodys"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
    ):
        with pytest.raises(ConfigurationError):
            exporters(variables)


def test_the_server_needs_none_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "pip install 'keystead[otel]'\n"
