"""The middleware around a request: functions and webhooks, asked before and told after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request

from jumpseat.calling import call_form
from jumpseat.errors import ConfigurationError
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

BEFORE_NAMES = ("request", "path", "runtime")
AFTER_NAMES = ("response", "path", "runtime", "request", "messages", "thread_id", "run_id", "aborted")


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
AfterRequest: TypeAlias = Callable[[Outcome], Awaitable[None]]


def before_middleware(option: object) -> BeforeRequest | None:
    """Return how the ``before_request_middleware`` option is asked. Raises ``ConfigurationError``."""
    if option is None:
        return None
    webhook = _webhook("before_request_middleware", option)
    if webhook is not None:
        return lambda incoming: webhook.before(
            incoming.request,
            path=incoming.path,
            request_id=incoming.request_id,
            max_body_bytes=incoming.max_body_bytes,
        )
    form = call_form(
        option,
        option="before_request_middleware",
        names=BEFORE_NAMES,
        positional=(("request", "path"), ("request",)),
    )
    return lambda incoming: form({name: getattr(incoming, name) for name in BEFORE_NAMES})


def after_middleware(option: object) -> AfterRequest | None:
    """Return how the ``after_request_middleware`` option is told. Raises ``ConfigurationError``."""
    if option is None:
        return None
    webhook = _webhook("after_request_middleware", option)
    if webhook is not None:
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
    form = call_form(
        option,
        option="after_request_middleware",
        names=AFTER_NAMES,
        positional=(("response", "path"), ("response",)),
    )

    async def tell(outcome: Outcome) -> None:
        await form({name: getattr(outcome, name) for name in AFTER_NAMES})

    return tell


def _webhook(name: str, option: object) -> Webhook | None:
    if isinstance(option, Webhook):
        return option
    if not isinstance(option, str):
        return None
    try:
        return Webhook(option)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
