"""Fetches media that a provider cannot fetch itself, from public addresses only."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import mimetypes
import socket
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote_to_bytes, urljoin, urlsplit

from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.language_model import MediaData, MediaUrl
from jumpseat.http_clients import user_agent

if TYPE_CHECKING:
    import httpx2

__all__ = ["MAX_BYTES", "download", "is_public"]

MAX_BYTES: Final = 20 * 1024 * 1024
_SECONDS: Final = 30.0
_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DEFAULT_TYPE: Final = "application/octet-stream"

# Public addresses behind which clouds answer their own machines.
_CLOUD_INTERNAL: Final = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


async def download(media: MediaUrl) -> MediaData:
    """Return what is behind the URL, at most 20 MiB of it, within 30 seconds.

    Each host is resolved once and its address checked and used, also behind a redirect. Cancelling closes the
    connection.

    Raises:
        AgentFailure: ``invalid_request``: an address is not public, or nothing usable is there.
    """
    if media.url[:5].lower() == "data:":
        return _decoded(media)
    try:
        async with asyncio.timeout(_SECONDS):
            # Reading the certificates takes a while.
            client = await asyncio.to_thread(_make_client)
            async with client:
                return await _followed(client, media)
    except TimeoutError as error:
        raise _refusal(media.url, f"it took longer than {_SECONDS:g} s") from error


def is_public(address: str) -> bool:
    """Say whether an IP address can be reached by anybody, so that reaching it gives nothing away."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        inner = _carried(ip)
        if inner is not None and not is_public(str(inner)):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and ip not in _CLOUD_INTERNAL


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to ``ip`` end up at."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _make_client() -> httpx2.AsyncClient:
    import httpx2  # noqa: PLC0415 - it takes longer to import than the rest of the package

    # A proxy would resolve the host once more, and differently.
    return httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False)


async def _followed(client: httpx2.AsyncClient, media: MediaUrl) -> MediaData:
    url = media.url
    for _ in range(_MAX_REDIRECTS + 1):
        found = await _fetched(client, url, media)
        if isinstance(found, MediaData):
            return found
        url = urljoin(url, found)
    raise _refusal(media.url, "it redirects too often")


async def _fetched(client: httpx2.AsyncClient, url: str, media: MediaUrl) -> MediaData | str:
    """What is at ``url``, or the URL that it redirects to."""
    import httpx2  # noqa: PLC0415

    parts = _checked(url)
    address = await _resolved(parts, url)
    bracketed = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{bracketed}:{_port(parts)}", fragment="").geturl()
    request = client.build_request(
        "GET",
        pinned,
        headers={"host": parts.netloc, "user-agent": user_agent(), "accept": "*/*"},
        # The certificate has to be the host's, although the connection goes to its address.
        extensions={"sni_hostname": parts.hostname},
    )
    try:
        response = await client.send(request, stream=True)
        try:
            target = response.headers.get("location")
            if response.status_code in _REDIRECTS and target:
                return target
            return await _body(response, url, media)
        finally:
            await response.aclose()
    except httpx2.HTTPError as error:
        raise _refusal(url, "its server cannot be reached") from error


async def _body(response: httpx2.Response, url: str, media: MediaUrl) -> MediaData:
    if response.status_code != HTTPStatus.OK:
        raise _refusal(url, f"its server answered HTTP {response.status_code}")
    data = bytearray()
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            data += chunk
            if len(data) > MAX_BYTES:
                raise _refusal(url, f"it is larger than {MAX_BYTES // 1024 // 1024} MiB")
    said = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    guessed, _ = mimetypes.guess_type(urlsplit(url).path)
    kind = media.media_type or (said if said and said != _DEFAULT_TYPE else None) or guessed
    return MediaData(data=bytes(data), media_type=kind or _DEFAULT_TYPE)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _refusal(url, "it is no valid URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise _refusal(url, "only http and https URLs without credentials are loaded")
    return parts


async def _resolved(parts: SplitResult, url: str) -> str:
    """The first address of the host, if all of its addresses are public."""
    assert parts.hostname is not None
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _refusal(url, "its host is not known") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise _refusal(url, "its address is private")
    return addresses[0]


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _decoded(media: MediaUrl) -> MediaData:
    head, comma, payload = media.url[5:].partition(",")
    kind, *options = head.split(";")
    try:
        if not comma:
            raise ValueError("no comma")
        data = unquote_to_bytes(payload)
        if any(option.strip().lower() == "base64" for option in options):
            data = base64.b64decode(data, validate=False)
    except (ValueError, binascii.Error) as error:
        raise AgentFailure("invalid_request", "A data URL of the messages cannot be decoded.") from error
    return MediaData(data=data, media_type=media.media_type or kind.strip() or "text/plain")


def _refusal(url: str, reason: str) -> AgentFailure:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
    return AgentFailure(
        "invalid_request", f"A file at {host or 'an unknown host'} cannot be loaded: {reason}."
    )
