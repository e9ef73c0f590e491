"""Webhooks as middleware: a URL that is asked before each request and told after each response."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast

from starlette.requests import Request
from starlette.responses import Response

from jumpseat.errors import ConfigurationError
from jumpseat.http_clients import HttpClients, checked_headers, checked_url, is_header, user_agent
from jumpseat.protocol import codec
from jumpseat.web.body import body_of
from jumpseat.web.requests import replace_request
from jumpseat.web.responses import error_response

if TYPE_CHECKING:
    import httpx2

__all__ = ["ResponseSnapshot", "Webhook"]

_logger = logging.getLogger("jumpseat")

Stage: TypeAlias = Literal["before_request", "after_request"]

_AFTER_BODY_BYTES: Final = 1024 * 1024
_AFTER_ANSWER_BYTES: Final = 64 * 1024
_CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_CREDENTIAL_ENDINGS: Final = ("-token", "-secret", "-key")
_COPIED_FROM_REFUSAL: Final = ("Content-Type", "WWW-Authenticate", "Retry-After")
# They describe the connection that the request came over, which no answer can change.
_FIXED_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class ResponseSnapshot(Protocol):
    """What an after middleware sees of a response; ``body`` is empty for an event stream."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        ...

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx2.Headers
    body: bytes


class _CallFailed(Exception):
    """The receiver gave no usable answer; ``status`` is what the client gets for it."""

    def __init__(self, reason: str, status: int = 502) -> None:
        super().__init__(reason)
        self.status = status


class Webhook:
    """An HTTP receiver that checks or changes requests, or is told of responses.

    Each call is one POST of JSON, never repeated and never redirected. With ``secret`` it is signed:
    ``X-Jumpseat-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">``.

    Attributes:
        url: ``http`` or ``https``, without credentials and fragment.
        timeout: Seconds for the whole exchange.
        fail_open: Let requests pass while the receiver cannot be reached. A refusal (4xx) still refuses.
        include_credentials: Send credential headers too: authorization, cookies, ``-token``, ``-secret``
            and ``-key`` headers.
        headers: Added to each call, by lower-case name.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        timeout: float = 2.0,
        fail_open: bool = False,
        include_credentials: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Raises ``ConfigurationError`` for an option that cannot work."""
        parts = checked_url(url, "Webhook url")
        if isinstance(timeout, bool) or not 0 < timeout < math.inf:
            raise ConfigurationError(f"Webhook timeout must be a number of seconds above 0, not {timeout!r}")
        if secret is not None and not (isinstance(cast("object", secret), str) and secret):
            raise ConfigurationError("Webhook secret must be a string that is not empty")
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            _logger.warning("webhook to %s is not encrypted: use https", parts.hostname)
        self.url = url
        self.timeout = timeout
        self.fail_open = fail_open
        self.include_credentials = include_credentials
        self.headers = checked_headers(headers, "Webhook headers")
        self._secret = secret
        self._clients = HttpClients(timeout)

    def __repr__(self) -> str:
        return f"Webhook({self.url!r})"

    async def before(
        self, request: Request, *, path: str, request_id: str, max_body_bytes: int
    ) -> Request | Response | None:
        """Ask the receiver about a request.

        Returns:
            ``None`` to go on, a changed request to go on with, or the response that refuses it.

        Raises:
            BodyTooLarge: The request's body, which the receiver is to see, is over the limit.
        """
        payload = await self._before_payload(request, path, request_id, max_body_bytes)
        try:
            answer = await self._call("before_request", payload, request_id, max_body_bytes)
            if 400 <= answer.status < 500:
                return _refusal(answer)
            return _changed(request, answer)
        except _CallFailed as failure:
            _logger.warning("webhook %s failed (request %s): %s", self.url, request_id, failure)
            if self.fail_open:
                return None
            message = "The request check could not be completed"
            return error_response(failure.status, "middleware_unavailable", message, retryable=True)

    async def after(
        self,
        response: ResponseSnapshot,
        *,
        method: str,
        path: str,
        request_id: str,
        thread_id: str | None,
        run_id: str | None,
        messages: Sequence[Any],
        aborted: bool,
    ) -> None:
        """Tell the receiver of a response. A failure is only logged."""
        payload = {
            "stage": "after_request",
            "requestId": request_id,
            "method": method,
            "path": path,
            "status": response.status_code,
            "headers": self._visible(response.headers),
            "body": response.body[:_AFTER_BODY_BYTES].decode("utf-8", "replace"),
            "threadId": thread_id,
            "runId": run_id,
            "messages": messages,
            "aborted": aborted,
        }
        try:
            answer = await self._call("after_request", payload, request_id, _AFTER_ANSWER_BYTES)
            if not 200 <= answer.status < 300:
                raise _CallFailed(f"it answered HTTP {answer.status}")
        except _CallFailed as failure:
            _logger.warning("webhook %s failed (request %s): %s", self.url, request_id, failure)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    async def _before_payload(
        self, request: Request, path: str, request_id: str, max_body_bytes: int
    ) -> dict[str, Any]:
        body: Any = None
        if _is_json(request.headers.get("content-type", "")):
            body = _parsed(await body_of(request, limit=max_body_bytes).read())
        return {
            "stage": "before_request",
            "requestId": request_id,
            "method": request.method,
            "url": str(request.url),
            "path": path,
            "query": request.scope["query_string"].decode("latin-1"),
            "headers": self._visible(request.headers),
            "body": body,
        }

    def _visible(self, headers: Mapping[str, str]) -> dict[str, str]:
        visible: dict[str, str] = {}
        for raw_name, value in headers.items():
            name = raw_name.lower()
            if self.include_credentials or not _is_credential(name):
                visible[name] = f"{visible[name]}, {value}" if name in visible else value
        return visible

    async def _call(self, stage: Stage, payload: Any, request_id: str, limit: int) -> _Answer:
        body = codec.encode_json(payload)
        headers = self._call_headers(stage, body, request_id)
        # Made outside of the time limit: the first client of a process takes a while to make.
        client = await self._clients.get()
        import httpx2  # noqa: PLC0415 - see HttpClients

        try:
            async with (
                asyncio.timeout(self.timeout),
                client.stream("POST", self.url, content=body, headers=headers) as response,
            ):
                return _Answer(response.status_code, response.headers, await _read(response, limit))
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise _CallFailed(f"no answer within {self.timeout:g} seconds", 504) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _CallFailed(str(error) or type(error).__name__) from error

    def _call_headers(self, stage: Stage, body: bytes, request_id: str) -> list[tuple[bytes, bytes]]:
        headers = {
            "user-agent": user_agent(),
            **self.headers,
            "content-type": "application/json",
            "x-request-id": request_id,
            "x-jumpseat-stage": stage,
            # The name that receivers written for the TypeScript runtime look for.
            "x-copilotkit-webhook-stage": stage,
        }
        if self._secret is not None:
            headers["x-jumpseat-signature"] = _signature(self._secret, int(time.time()), body)
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _signature(secret: str, now: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={digest}"


async def _read(response: httpx2.Response, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async with aclosing(response.aiter_bytes()) as stream:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                raise _CallFailed(f"the answer is larger than {limit} bytes")
            chunks.append(chunk)
    return b"".join(chunks)


def _refusal(answer: _Answer) -> Response:
    # Our responses write Latin-1, whatever the HTTP client took the bytes for.
    encoding = answer.headers.encoding
    copied = ((name, answer.headers.get(name)) for name in _COPIED_FROM_REFUSAL)
    headers = {name: value.encode(encoding).decode("latin-1") for name, value in copied if value}
    headers.setdefault("Content-Type", "application/json")
    return Response(
        answer.body,
        status_code=answer.status,
        headers={**headers, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
    )


def _changed(request: Request, answer: _Answer) -> Request | None:
    """Return the request as a 2xx answer wants it, ``None`` if it wants nothing."""
    if not 200 <= answer.status < 300:
        raise _CallFailed(f"it answered HTTP {answer.status}")
    if answer.status == 204 or not answer.body:
        return None
    wanted = _parsed(answer.body)
    if not isinstance(wanted, dict):
        raise _CallFailed("it answered 2xx with something that is no JSON object")
    changes = cast("dict[str, Any]", wanted)
    set_headers, removed = _header_changes(changes.get("headers"))
    body: bytes | None = None
    if "body" in changes and request.method not in ("GET", "HEAD"):
        body = codec.encode_json(changes["body"])
        set_headers.setdefault("content-type", "application/json")
    if not set_headers and not removed and body is None:
        return None
    return replace_request(request, headers=set_headers, remove_headers=removed, body=body)


def _header_changes(headers: object) -> tuple[dict[str, str], list[str]]:
    if headers is None:
        return {}, []
    if not isinstance(headers, dict):
        raise _CallFailed("the 'headers' of its answer are no JSON object")
    changed: dict[str, str] = {}
    removed: list[str] = []
    for name, value in cast("dict[str, object]", headers).items():
        lowered = name.lower()
        if lowered in _FIXED_HEADERS:
            continue
        if not is_header(name, "" if value is None else value):
            raise _CallFailed(f"the header {name!r} of its answer is not a legal one")
        if value is None:
            removed.append(lowered)
        else:
            changed[lowered] = str(value)
    return changed, removed


def _is_credential(name: str) -> bool:
    return name in _CREDENTIALS or name.endswith(_CREDENTIAL_ENDINGS)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _parsed(body: bytes) -> Any:
    try:
        return codec.decode_json(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
