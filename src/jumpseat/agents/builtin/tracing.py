"""OpenTelemetry spans and metrics of a run, by the GenAI conventions; nothing where the API is not installed.

The names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any, Final

from jumpseat.agents.builtin.failures import developer_failure, provider_failure
from jumpseat.agents.builtin.library_streams import sole_cause
from jumpseat.agents.builtin.parts import Finish, Usage
from jumpseat.context import RunContext
from jumpseat.version import __version__

__all__ = ["RunTrace", "Span", "prepare_tracing", "trace_of"]

logger = logging.getLogger("jumpseat")

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_SCOPE: Final = "jumpseat"
_TOKENS: Final = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_input_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_input_tokens",
}


class Span:
    """One span; every call on it is safe, whatever an exporter does."""

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes; those that are ``None`` are left out."""

    def fail(self, code: str | None) -> None:
        """Mark the span as failed, with this code."""


class RunTrace:
    """The spans of one run. This one makes none."""

    captures = False
    """Whether contents of messages, arguments and results may be recorded."""

    def run(self) -> AbstractContextManager[Span]:
        """Return the span around the whole run."""
        return nullcontext(Span())

    def generation(self, provider: str, model: str) -> AbstractContextManager[Span]:
        """Return the span around one request to the model."""
        del provider, model
        return nullcontext(Span())

    def tool(self, name: str, call_id: str) -> AbstractContextManager[Span]:
        """Return the span around one call of a tool."""
        del name, call_id
        return nullcontext(Span())

    def finished(self, span: Span, finish: Finish | None, usage: Usage | None) -> None:
        """Record how a generation ended and what it used."""


def prepare_tracing() -> None:
    """Import the API if it is installed; later calls cost nothing. Reads files."""
    _api()


def trace_of(context: RunContext, agent: str) -> RunTrace:
    """Return the trace of a run, which is empty where OpenTelemetry is not installed."""
    api = _api()
    return RunTrace() if api is None else _Recorded(api, context, agent)


class _Api:
    def __init__(self) -> None:
        from opentelemetry import metrics, trace  # noqa: PLC0415 - optional

        self.trace = trace
        self.tracer = trace.get_tracer(_SCOPE, __version__)
        meter = metrics.get_meter(_SCOPE, __version__)
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage", unit="{token}", description="Tokens of one request"
        )
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration", unit="s", description="Time of one request"
        )


@cache
def _api() -> _Api | None:
    try:
        return _Api()
    except ImportError:
        return None
    except Exception:
        logger.warning("OpenTelemetry cannot be used; runs are not traced", exc_info=True)
        return None


def _code_of_provider(error: BaseException) -> str | None:
    return provider_failure(error).code


def _code_of_developer(error: BaseException) -> str | None:
    return developer_failure(sole_cause(error)).code


class _Recorded(RunTrace):
    def __init__(self, api: _Api, context: RunContext, agent: str) -> None:
        self._api = api
        self._context = context
        self._agent = agent or context.agent_id or "agent"
        self.captures = os.environ.get(CAPTURE_VARIABLE, "").strip().lower() == "true"

    def run(self) -> AbstractContextManager[Span]:
        attributes = {
            "gen_ai.agent.name": self._agent,
            "gen_ai.conversation.id": self._context.thread_id,
        }
        return self._span("invoke_agent", self._agent, attributes)

    def generation(self, provider: str, model: str) -> AbstractContextManager[Span]:
        attributes = {
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.agent.name": self._agent,
            "gen_ai.conversation.id": self._context.thread_id,
        }
        return self._span("chat", model, attributes, code=_code_of_provider, timed=True)

    def tool(self, name: str, call_id: str) -> AbstractContextManager[Span]:
        attributes = {
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": call_id,
            "gen_ai.agent.name": self._agent,
            "gen_ai.conversation.id": self._context.thread_id,
        }
        return self._span("execute_tool", name, attributes)

    def finished(self, span: Span, finish: Finish | None, usage: Usage | None) -> None:
        counts = {name: getattr(usage, field, None) for name, field in _TOKENS.items()}
        span.set(
            {
                "gen_ai.response.finish_reasons": None if finish is None else [finish.reason],
                "gen_ai.response.id": None if finish is None else finish.response_id,
                "gen_ai.response.model": None if finish is None else finish.response_model,
                **{name: count for name, count in counts.items() if isinstance(count, int)},
            }
        )
        if isinstance(span, _RecordedSpan):
            span.count_tokens(self._api, usage)

    @contextmanager
    def _span(
        self,
        operation: str,
        subject: str,
        attributes: dict[str, Any],
        *,
        code: Callable[[BaseException], str | None] = _code_of_developer,
        timed: bool = False,
    ) -> Generator[Span]:
        span = _RecordedSpan({"gen_ai.operation.name": operation, **attributes})
        with ExitStack() as stack:
            span.start(self._api, f"{operation} {subject}", stack)
            started = time.perf_counter()
            try:
                yield span
            except Exception as error:
                span.fail(code(error))
                raise
            finally:
                if timed:
                    span.measure(self._api, time.perf_counter() - started)


class _RecordedSpan(Span):
    def __init__(self, attributes: dict[str, Any]) -> None:
        self._attributes = {name: value for name, value in attributes.items() if value not in (None, "")}
        self._span: Any = None

    def start(self, api: _Api, name: str, stack: ExitStack) -> None:
        with _harmless():
            self._span = api.tracer.start_span(name, attributes=self._attributes)
            stack.callback(self._end)
            stack.enter_context(
                api.trace.use_span(
                    self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
                )
            )

    def set(self, attributes: Mapping[str, Any]) -> None:
        if self._span is None:
            return
        with _harmless():
            for name, value in attributes.items():
                if value is not None:
                    self._span.set_attribute(name, value)

    def fail(self, code: str | None) -> None:
        if self._span is None:
            return
        with _harmless():
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - optional

            self._attributes["error.type"] = code or "_OTHER"
            self._span.set_attribute("error.type", code or "_OTHER")
            self._span.set_status(StatusCode.ERROR)

    def measure(self, api: _Api, seconds: float) -> None:
        with _harmless():
            api.duration.record(seconds, self._dimensions("error.type"))

    def count_tokens(self, api: _Api, usage: Usage | None) -> None:
        for kind, count in (
            ("input", usage and usage.input_tokens),
            ("output", usage and usage.output_tokens),
        ):
            if isinstance(count, int) and count >= 0:
                with _harmless():
                    api.tokens.record(count, {**self._dimensions(), "gen_ai.token.type": kind})

    def _dimensions(self, *more: str) -> dict[str, Any]:
        names = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", *more)
        return {name: self._attributes[name] for name in names if name in self._attributes}

    def _end(self) -> None:
        with _harmless():
            self._span.end()


@contextmanager
def _harmless() -> Generator[None]:
    """Telemetry must never end a run."""
    try:
        yield
    except Exception:
        logger.warning("OpenTelemetry failed; the run goes on", exc_info=True)
