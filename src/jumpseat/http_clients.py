"""HTTP clients for calls to other servers: one per event loop, without cookies and without redirects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit
from weakref import WeakKeyDictionary

from jumpseat.errors import ConfigurationError
from jumpseat.version import __version__

if TYPE_CHECKING:
    import httpx2

__all__ = ["HttpClients", "checked_headers", "checked_url", "is_header", "user_agent"]

_CONNECT_SECONDS: Final = 10.0
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class HttpClients:
    """Lends one pooled client to each event loop.

    A pool belongs to the loop that opened its sockets, so a client must not travel between loops. No client
    keeps cookies (they would leak from one caller to the next) or follows a redirect (it would carry headers
    to a host nobody configured).
    """

    def __init__(self, timeout: float) -> None:
        """``timeout``: seconds that one connect, write or read may take; a connect at most 10."""
        self._timeout = timeout
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()

    async def get(self) -> httpx2.AsyncClient:
        """Return the running loop's client, made at first need. Cancelling loses nothing."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None or client.is_closed:
            # Importing the library and reading the certificates takes a while.
            made = await asyncio.to_thread(self._make)
            client = self._clients.setdefault(loop, made) if client is None else made
            self._clients[loop] = client
        return client

    async def aclose(self) -> None:
        """Close the running loop's client; requests in flight fail."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _make(self) -> httpx2.AsyncClient:
        # Imported at first use: they take longer to import than the rest of the package.
        from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415

        import httpx2  # noqa: PLC0415

        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS)),
            # A streamed answer holds its connection for as long as a run takes: a cap would queue runs.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            headers={"user-agent": user_agent()},
        )


def user_agent() -> str:
    """Return what Jumpseat calls itself: ``jumpseat/<version>``."""
    return f"jumpseat/{__version__}"


def checked_url(url: object, option: str) -> SplitResult:
    """Return the parts of an absolute http(s) URL without credentials and fragment.

    Raises:
        ConfigurationError: It is anything else; the message begins with ``option``.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{option} must be a URL string, got {type(url).__name__}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{option} is not a valid URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{option} must begin with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise ConfigurationError(f"{option} must not hold user or password: send them in a header")
    if "#" in url:
        raise ConfigurationError(f"{option} must not have a fragment (#...)")
    if any(not "!" <= char <= "~" for char in url):
        raise ConfigurationError(f"{option} must be percent-encoded: only printable ASCII, no blanks")
    return parts


def checked_headers(headers: Mapping[str, str] | None, option: str) -> dict[str, str]:
    """Return configured headers by lower-case name; of names that differ only in case the first stays.

    Raises:
        ConfigurationError: A name or value cannot be sent; the message begins with ``option``.
    """
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not is_header(name, value):
            raise ConfigurationError(f"{option}: the name or value of {name!r} cannot be sent as a header")
        checked.setdefault(name.lower(), value)
    return checked


def is_header(name: object, value: object) -> bool:
    """Say whether HTTP can carry this header (RFC 9110, section 5): a token and printable Latin-1."""
    if not isinstance(name, str) or not isinstance(value, str) or not name:
        return False
    if not _TOKEN.issuperset(name.lower()) or value != value.strip(" \t"):
        return False
    return all(char == "\t" or " " <= char <= "~" or "\xa0" <= char <= "\xff" for char in value)
