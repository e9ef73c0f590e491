"""Requests that are refused for where they come from: another host name, or another site."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from jumpseat.web.responses import error_response

__all__ = ["cross_site_refusal", "host_refusal", "media_type"]

# What a form or a script may send to another site without asking it first (the Fetch standard).
_UNASKED = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_refusal(request: Request, allowed: Sequence[str] | None) -> Response | None:
    """Return the refusal of a request for a host name that is not ours: a page that rebinds its own name."""
    if allowed is None:
        return None
    host = _host_name(request.headers.get("host", ""))
    for name in allowed:
        if host == name or (name.startswith("*.") and host.endswith(name[1:]) and len(host) >= len(name)):
            return None
    return error_response(400, "Invalid host")


def cross_site_refusal(request: Request, *, origin_allowed: bool) -> Response | None:
    """Return the refusal of a POST that another site's page can make a browser send with its cookies."""
    if request.method != "POST" or origin_allowed or media_type(request) not in _UNASKED:
        return None
    if not _from_elsewhere(request):
        return None
    return error_response(403, "Cross-site request refused", "Send the body as application/json")


def media_type(request: Request) -> str:
    """Return the content type in lower case without parameters, ``""`` if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _from_elsewhere(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site.strip().lower() in ("cross-site", "same-site")
    origin = request.headers.get("origin")
    return origin is not None and not _same_place(origin, request.headers.get("host", ""))


def _same_place(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin.strip())
        default = _DEFAULT_PORTS.get(parts.scheme)
        target = urlsplit(f"//{host.strip()}")
        return bool(parts.hostname) and (parts.hostname, parts.port or default) == (
            target.hostname,
            target.port or default,
        )
    except ValueError:
        return False


def _host_name(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0].removeprefix("[")
    return name.partition(":")[0].removesuffix(".")
