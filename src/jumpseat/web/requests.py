"""Requests that hooks and middleware change: a copy with other headers, another body or another method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from starlette.requests import Request

from jumpseat.http_clients import is_header
from jumpseat.protocol import codec
from jumpseat.web.body import ReplayableRequest, RequestBody, body_of

__all__ = ["Body", "replace_request"]

Body: TypeAlias = bytes | str | Mapping[str, Any] | Sequence[Any]

_JSON = (b"content-type", b"application/json")


def replace_request(
    request: Request,
    *,
    headers: Mapping[str, str] | None = None,
    remove_headers: Iterable[str] = (),
    body: Body | None = None,
    method: str | None = None,
) -> Request:
    """Return a copy of ``request`` with some of it changed; later steps see only the copy.

    Args:
        request: Stays as it is.
        headers: Set, whatever the request had under these names.
        remove_headers: Names to drop.
        body: Bytes or text as they are; anything else is sent as JSON. ``None`` keeps the body.
        method: ``None`` keeps the method.

    Raises:
        ValueError: A header cannot be sent.
        TypeError: The body cannot be written as JSON.
    """
    fields = _without(request, {name.lower() for name in (*(headers or {}), *remove_headers)})
    for name, value in (headers or {}).items():
        if not is_header(name, value):
            raise ValueError(f"the header {name!r} cannot be sent: use a plain name and printable text")
        fields.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    source = _source(request)
    if body is not None:
        content, is_json = _content(body)
        fields = [field for field in fields if field[0] not in (b"content-length", b"transfer-encoding")]
        fields.append((b"content-length", str(len(content)).encode()))
        if is_json:
            fields = [field for field in fields if field[0] != b"content-type"] + [_JSON]
        source = source.replaced(content)
    scope = {**request.scope, "headers": fields, "method": (method or request.method).upper()}
    return ReplayableRequest(scope, source)


def _without(request: Request, names: set[str]) -> list[tuple[bytes, bytes]]:
    return [
        (name, value) for name, value in request.headers.raw if name.decode("latin-1").lower() not in names
    ]


def _source(request: Request) -> RequestBody:
    source = body_of(request, limit=_UNLIMITED)
    # Starlette keeps a body that was read from a plain request only on that object.
    known: bytes | None = getattr(request, "_body", None)
    return source if known is None or isinstance(request, ReplayableRequest) else source.replaced(known)


def _content(body: Body) -> tuple[bytes, bool]:
    if isinstance(body, bytes):
        return body, False
    if isinstance(body, str):
        return body.encode(), False
    return codec.encode_json(body), True


# A request that no application of ours made has no limit to keep; the application applies its own.
_UNLIMITED = 1 << 62
