"""Single-route requests: one URL, and a JSON envelope that says which route is meant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jumpseat.protocol import codec
from jumpseat.web.body import ReplayableRequest, body_of
from jumpseat.web.guard import media_type
from jumpseat.web.paths import decode_segments
from jumpseat.web.responses import error_response, method_not_allowed, not_found
from jumpseat.web.routes import Matched, match, route_named

__all__ = ["Opened", "is_envelope", "open_envelope"]

RESOURCE_REQUEST = "resource/request"


@dataclass(frozen=True, slots=True)
class Kind:
    """What an envelope of one method holds; ``wire_method`` is the HTTP method of the route it stands for."""

    params: tuple[str, ...] = ()
    needs_body: bool = False
    wire_method: str = "POST"


KINDS: Mapping[str, Kind] = {
    "info": Kind(wire_method="GET"),
    "inspector/metadata": Kind(wire_method="GET"),
    "inspector/learning": Kind(wire_method="GET"),
    "agent/run": Kind(("agentId",), needs_body=True),
    "agent/connect": Kind(("agentId",), needs_body=True),
    "agent/suggest": Kind(("agentId",), needs_body=True),
    "agent/stop": Kind(("agentId", "threadId")),
    "transcribe": Kind(needs_body=True),
    RESOURCE_REQUEST: Kind(("path", "httpMethod")),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """What an envelope asked for.

    Attributes:
        matched: The route and its parameters.
        request: The outer request with the inner method, query and body.
        path: What the envelope adds to the outer path.
        refusal: Sent in place of the handler's answer, once hooks have let the request through.
    """

    matched: Matched
    request: Request
    path: str = ""
    refusal: Response | None = None


async def open_envelope(request: Request, *, limit: int) -> Opened | Response:
    """Return what the envelope asks for, or the response that refuses it."""
    if request.method != "POST":
        return method_not_allowed("POST")
    if media_type(request) != "application/json":
        return _invalid("Single-route endpoint expects JSON payloads", 415)
    try:
        envelope = codec.decode_json(
            (await body_of(request, limit=limit).read()).removeprefix(b"\xef\xbb\xbf")
        )
    except ValueError:
        return _invalid("Invalid JSON payload")
    fields = cast("dict[str, Any]", envelope) if isinstance(envelope, dict) else {}
    method = fields.get("method")
    if not method:
        return _invalid("Missing method field")
    kind = KINDS.get(method) if isinstance(method, str) else None
    if kind is None:
        return _invalid(f"Unsupported method '{_shown(method)}'")
    params = _params(fields.get("params"), kind)
    if isinstance(params, Response):
        return params
    if method == RESOURCE_REQUEST:
        return _resource(request, params, fields.get("body"))
    return _operation(request, cast("str", method), kind, params, fields.get("body"))


async def is_envelope(request: Request, *, limit: int) -> bool:
    """Say whether a request that no route matched is an envelope. Raises ``BodyTooLarge``."""
    if request.method != "POST" or media_type(request) != "application/json":
        return False
    try:
        body = codec.decode_json((await body_of(request, limit=limit).read()).removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return False
    method = cast("dict[str, Any]", body).get("method") if isinstance(body, dict) else None
    return isinstance(method, str) and method in KINDS


def _operation(request: Request, method: str, kind: Kind, params: Mapping[str, str], body: object) -> Opened:
    matched = Matched(route_named(method), params)
    inner = _inner(request, kind.wire_method, b"", _encoded(body))
    if kind.needs_body and body is None:
        return Opened(matched, inner, refusal=_invalid("Missing request body for JSON handler"))
    return Opened(matched, inner)


def _resource(request: Request, params: Mapping[str, str], body: object) -> Opened | Response:
    path, _, query = params["path"].partition("?")
    if not path.startswith("/") or path.startswith("//") or any(bad in path for bad in ("\\", "#", "://")):
        return _invalid("Resource path must be Runtime-relative")
    segments = decode_segments([segment for segment in path.split("/") if segment])
    matched = match(segments) if segments is not None and not {".", ".."} & set(segments) else None
    if matched is None or not (matched.route.name.startswith("threads/") or matched.route.name == "annotate"):
        return not_found()
    method = params["httpMethod"].upper()
    if method not in matched.route.handlers:
        return method_not_allowed(matched.route.allow)
    content = b"" if method in ("GET", "HEAD") else _encoded(body)
    inner = _inner(request, method, query.encode("utf-8", "replace"), content)
    return Opened(matched, inner, path=params["path"])


def _params(params: object, kind: Kind) -> dict[str, str] | Response:
    given = cast("dict[str, Any]", params) if isinstance(params, dict) else {}
    for name in kind.params:
        value = given.get(name)
        if not isinstance(value, str) or not value.strip():
            return _invalid(f"Missing or invalid parameter '{name}'")
    return {name: given[name] for name in kind.params}


def _inner(request: Request, method: str, query: bytes, body: bytes) -> Request:
    scope = {**request.scope, "method": method, "query_string": query}
    return ReplayableRequest(scope, body_of(request, limit=0).replaced(body))


def _encoded(body: object) -> bytes:
    """Return the body of the inner request; text is JSON already."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        # Lone surrogates stay escaped: whether they are allowed depends on where they stand.
        return json.dumps(body).encode()


def _shown(method: object) -> str:
    return method if isinstance(method, str) else codec.encode_json(method).decode()


def _invalid(message: str, status: int = 400) -> Response:
    return error_response(status, "invalid_request", message)
