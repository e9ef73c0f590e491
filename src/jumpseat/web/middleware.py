"""The middleware around a request: functions and webhooks, asked before and told after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from starlette.requests import Request

from jumpseat.runtime.middleware_forms import AFTER_NAMES, BEFORE_NAMES, after_form, before_form
from jumpseat.web.webhooks import Webhook

if TYPE_CHECKING:
    from jumpseat.runtime import CopilotRuntime

__all__ = [
    "AfterRequest",
    "BeforeRequest",
    "Incoming",
    "Outcome",
    "ResponseRecord",
    "after_middleware",
    "before_middleware",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request that the before middleware is asked about."""

    request: Request
    path: str
    runtime: CopilotRuntime
    request_id: str
    max_body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRecord:
    """A response that was sent; ``body`` is empty for an event stream."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A response and what its event stream said, if it was one.

    Attributes:
        response: As it was sent.
        path: The request's full path, as it came.
        runtime: The runtime that answered.
        request: What the handler saw.
        request_id: Of the request.
        messages: What the stream's events add up to, as JSON objects.
        thread_id: The thread of the stream's last run.
        run_id: Its last run.
        aborted: The client left before the end.
    """

    response: ResponseRecord
    path: str
    runtime: CopilotRuntime
    request: Request
    request_id: str
    messages: Sequence[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    thread_id: str | None = None
    run_id: str | None = None
    aborted: bool = False


BeforeRequest: TypeAlias = Callable[[Incoming], Awaitable[Any]]
AfterRequest: TypeAlias = Callable[[Outcome], Awaitable[Any]]


def before_middleware(runtime: CopilotRuntime) -> BeforeRequest | None:
    """Return how the runtime's ``before_request_middleware`` is asked."""
    form = before_form(runtime.before_request_middleware)
    if form is not None:
        return lambda incoming: form({name: getattr(incoming, name) for name in BEFORE_NAMES})
    webhook = _webhook(runtime, runtime.before_request_middleware)
    if webhook is None:
        return None
    return lambda incoming: webhook.before(
        incoming.request,
        path=incoming.path,
        request_id=incoming.request_id,
        max_body_bytes=incoming.max_body_bytes,
    )


def after_middleware(runtime: CopilotRuntime) -> AfterRequest | None:
    """Return how the runtime's ``after_request_middleware`` is told."""
    form = after_form(runtime.after_request_middleware)
    if form is not None:
        return lambda outcome: form({name: getattr(outcome, name) for name in AFTER_NAMES})
    webhook = _webhook(runtime, runtime.after_request_middleware)
    if webhook is None:
        return None
    return lambda outcome: webhook.after(
        outcome.response,
        method=outcome.request.method,
        path=outcome.path,
        request_id=outcome.request_id,
        thread_id=outcome.thread_id,
        run_id=outcome.run_id,
        messages=outcome.messages,
        aborted=outcome.aborted,
    )


def _webhook(runtime: CopilotRuntime, option: object) -> Webhook | None:
    webhook = Webhook(option) if isinstance(option, str) else cast("Webhook | None", option)
    if webhook is not None:
        runtime.on_close(webhook.aclose)
    return webhook
