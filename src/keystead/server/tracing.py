"""Traces of requests by OpenTelemetry, where its packages are installed and somebody said where spans go.

A span is made once its request is answered, with the times of then, so that nothing of tracing is on the way of a
request. It holds the method, the template of the route, the status, the code and the id of the request: no path, since
paths have names in them, and no value.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from keystead import __version__
from keystead.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

CHOICES: Final = ("auto", "on", "off")
TRACEPARENT: Final = b"traceparent"
END_SECONDS: Final = 2.0
_PACKAGES: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
_NAMED_BY: Final = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final[Mapping[str, str]] = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_NONE: Final = "none"
_LONGEST_PARENT: Final = 512


class Answered(NamedTuple):
    """What is told of a request: `route` is a template, `code` that of its problem, both "" for none."""

    request_id: str
    method: str
    route: str
    status: int
    code: str
    seconds: float


def is_wanted(setting: str, variables: Mapping[str, str]) -> bool:
    """Whether requests are traced: as the setting says, where that is `auto` if a variable names where spans go."""
    if setting == "off" or variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter != _NONE and (setting == "on" or any(variables.get(name, "").strip() for name in _NAMED_BY))


def is_installed() -> bool:
    """Whether the packages are there."""
    try:
        return all(find_spec(name) is not None for name in _PACKAGES)
    except ModuleNotFoundError:
        return False


def require_installed() -> None:
    """Nothing, where they are.

    Raises:
        MissingExtra.
    """
    if not is_installed():
        raise MissingExtra("tracing needs opentelemetry-sdk and its exporter", hint="pip install 'keystead[otel]'")


def exporters(variables: Mapping[str, str]) -> list[Callable[[], SpanExporter]]:
    """What makes those that send spans away: as OTEL_TRACES_EXPORTER says (`otlp`, `console`, other names that packages
    bring), OTLP by OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or OTEL_EXPORTER_OTLP_PROTOCOL, else over HTTP.

    Raises:
        ConfigurationError: nothing that is installed has that name.
    """
    found = []
    for name in (variables.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        wanted = name.strip()
        if wanted == "otlp":
            protocol = variables.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or variables.get(
                "OTEL_EXPORTER_OTLP_PROTOCOL"
            )
            wanted = _PROTOCOLS.get((protocol or "http/protobuf").strip(), "")
        known = list(entry_points(group="opentelemetry_traces_exporter", name=wanted))
        if not known:
            problems = {"OTEL_TRACES_EXPORTER": "no exporter of that name and protocol is installed"}
            raise ConfigurationError("requests cannot be traced so", problems=problems)
        found.append(known[0].load())
    return found


class Spans:
    """The spans of one worker, sent away by a thread of the SDK's, as the standard OTEL_ variables say.

    Raises:
        ConfigurationError: as `exporters`.
    """

    def __init__(self, variables: Mapping[str, str], now_ms: Callable[[], int]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = "OTEL_SERVICE_NAME" in variables or "service.name=" in variables.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": "keystead"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in exporters(variables):
            self._provider.add_span_processor(BatchSpanProcessor(exporter()))
        self._tracer = self._provider.get_tracer("keystead", __version__)
        self._now_ms = now_ms

    def add(self, span: Answered, parent: bytes) -> None:
        """A request that was answered now. `parent` is its `traceparent`, which counts where it is valid."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = Context()
        if 0 < len(parent) <= _LONGEST_PARENT:
            carrier = {"traceparent": parent.decode("latin-1")}
            context = TraceContextTextMapPropagator().extract(carrier, context)
        attributes: dict[str, str | int] = {
            "http.request.method": span.method,
            "http.response.status_code": span.status,
            "keystead.request_id": span.request_id,
        }
        if span.route:
            attributes["http.route"] = span.route
        if span.status >= 500:
            attributes["error.type"] = span.code or str(span.status)
        end = self._now_ms() * 1_000_000
        made = self._tracer.start_span(
            f"{span.method} {span.route}".rstrip(),
            context,
            SpanKind.SERVER,
            attributes,
            start_time=end - int(span.seconds * 1_000_000_000),
        )
        if span.status >= 500:
            made.set_status(StatusCode.ERROR)
        made.end(end)

    def stop(self) -> None:
        """Send what is still here, for a moment at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="keystead-traces", daemon=True)
        ending.start()
        ending.join(END_SECONDS)
