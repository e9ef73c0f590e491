"""Cross-origin resource sharing: which sites may read answers, and the preflight answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from jumpseat.calling import call_user
from jumpseat.errors import ConfigurationError

__all__ = ["CorsConfig", "CorsHeaders", "CorsPolicy", "cors_policy"]

OriginTest: TypeAlias = Callable[[str], bool | Awaitable[bool]]
Origins: TypeAlias = str | Sequence[str] | re.Pattern[str] | OriginTest

DEFAULT_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
DAY = 86400
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsConfig:
    """Which other origins may use the application.

    Attributes:
        origins: ``"*"`` or one origin, sent as it is; a list of exact origins; a compiled regular
            expression that must match fully; or a callable of the origin that says yes or no.
        credentials: Let browsers send cookies. Needs explicit origins.
        methods: For preflights.
        headers: For preflights; ``None`` answers with the names that were asked for.
        expose_headers: Response headers that scripts may read.
        max_age: Seconds that a browser may keep a preflight answer.
    """

    origins: Origins = "*"
    credentials: bool = False
    methods: Sequence[str] = DEFAULT_METHODS
    headers: Sequence[str] | None = None
    expose_headers: Sequence[str] = ()
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class CorsHeaders:
    """What one request's answer carries; ``allowed`` says whether its origin may read it."""

    allowed: bool
    fields: tuple[tuple[str, str], ...]
    varies: bool

    def apply(self, headers: MutableHeaders) -> None:
        """Add the fields to a response."""
        for name, value in self.fields:
            headers[name] = value
        if self.varies and "origin" not in headers.get("vary", "").lower():
            headers.add_vary_header("Origin")


class CorsPolicy:
    """A checked ``CorsConfig``."""

    def __init__(self, config: CorsConfig) -> None:
        _check(config)
        self.config = config

    async def decide(self, request: Request) -> CorsHeaders:
        """Return the headers for the answer to ``request``."""
        origin = request.headers.get("origin")
        allowed = await self._allowed_origin(origin)
        fields: list[tuple[str, str]] = []
        if allowed is not None:
            fields.append(("Access-Control-Allow-Origin", allowed))
            if self.config.credentials:
                fields.append(("Access-Control-Allow-Credentials", "true"))
            if self.config.expose_headers:
                fields.append(("Access-Control-Expose-Headers", ", ".join(self.config.expose_headers)))
        permits = allowed is not None and allowed in ("*", origin)
        return CorsHeaders(permits, tuple(fields), varies=self.config.origins != "*")

    def preflight(self, request: Request, decided: CorsHeaders) -> Response:
        """Return the answer to an OPTIONS request."""
        asked = request.headers.get("access-control-request-headers", "").strip()
        configured = self.config.headers
        allowed = (asked or "*") if configured is None else ", ".join(configured)
        response = Response(
            status_code=204,
            headers={
                "Cache-Control": "no-store",
                "Access-Control-Allow-Methods": ", ".join(self.config.methods),
                "Access-Control-Allow-Headers": allowed,
            },
        )
        if self.config.max_age is not None:
            response.headers["Access-Control-Max-Age"] = str(self.config.max_age)
        decided.apply(response.headers)
        response.headers.add_vary_header("Access-Control-Request-Headers")
        response.headers.add_vary_header("Access-Control-Request-Method")
        return response

    async def _allowed_origin(self, origin: str | None) -> str | None:
        origins = self.config.origins
        if isinstance(origins, str):
            return origins
        if origin is None:
            return None
        if isinstance(origins, re.Pattern):
            return origin if origins.fullmatch(origin) else None
        if callable(origins):
            return origin if await call_user(origins, origin) is True else None
        return origin if origin in origins else None


def cors_policy(option: object) -> CorsPolicy | None:
    """Return the policy that the ``cors`` option of an application asks for, ``None`` for no CORS."""
    if option is False or option is None:
        return None
    if option is True:
        return CorsPolicy(CorsConfig())
    if isinstance(option, CorsConfig):
        return CorsPolicy(option)
    raise ConfigurationError(f"cors must be True, False or CorsConfig(...), not {type(option).__name__}")


def _check(config: CorsConfig) -> None:
    entries = _listed(config.origins)
    if config.credentials and (entries == () or "*" in (entries or ())):
        raise ConfigurationError("cors: credentials=True needs explicit origins")
    for entry in entries or ():
        if entry not in ("*", "null") and _ORIGIN.fullmatch(str(entry)) is None:
            raise ConfigurationError(
                f"cors: {entry!r} is no origin: give scheme and host without a path, as in https://app.example.com"
            )
    if config.max_age is not None and not 0 <= config.max_age <= DAY:
        raise ConfigurationError(f"cors: max_age must be 0 to {DAY} seconds, not {config.max_age}")
    for name in ("methods", "headers", "expose_headers"):
        if isinstance(getattr(config, name), str):
            raise ConfigurationError(f"cors: {name} must be a list of names, not a string")


def _listed(origins: object) -> tuple[object, ...] | None:
    """Return the origins that are spelled out; ``None`` for a regex or a callable."""
    if isinstance(origins, str):
        return (origins,) if origins else ()
    if isinstance(origins, (list, tuple)):
        entries = tuple(cast("Sequence[object]", origins))
        if not all(isinstance(entry, str) for entry in entries):
            raise ConfigurationError("cors: every entry of origins must be a string")
        return entries
    if isinstance(origins, re.Pattern) or callable(origins):
        return None
    raise ConfigurationError("cors: origins must be a string, a list, a compiled regex or a callable")
