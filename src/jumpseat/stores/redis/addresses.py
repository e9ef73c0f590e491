"""What a URL says: one server, a node of a cluster, or sentinels that know which server is the primary."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from jumpseat.errors import ConfigurationError

__all__ = ["Address", "address_of"]

SENTINEL_PORT: Final = 26379
_SENTINEL_URL: Final = re.compile(r"(rediss?)\+sentinel://(.*)", re.DOTALL)
_HOST: Final = re.compile(r"(\[[^\]]+\]|[^:\[\]]+)(?::(\d{1,5}))?")
_DATABASE: Final = re.compile(r"/?\d*")
_SERVER_FORM: Final = (
    "url must be the address of a Redis server, such as redis://localhost:6379/0; special characters of user "
    "and password are URL-encoded"
)
_SENTINEL_FORM: Final = (
    "url for Sentinel must be as in redis+sentinel://user:password@host:26379,other:26379/service/0, where "
    "service is the name under which the sentinels watch the primary"
)

Parse = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the data are.

    Attributes:
        url: What redis-py reads; behind sentinels it names no host of use.
        where: The place, for messages: without user and password.
        sentinels: Their hosts and ports; empty without Sentinel.
        service: The name of the primary among them.
        sentinel_options: User and password that the sentinels themselves ask for.
    """

    url: str
    where: str
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_options: dict[str, str] = field(default_factory=dict[str, str])


def address_of(url: object, parse: Parse) -> Address:
    """Read a URL; ``parse`` is how redis-py does. Raises ``ConfigurationError`` without showing it."""
    text = str(url)
    if (found := _SENTINEL_URL.fullmatch(text)) is not None:
        return _of_sentinels(found[1], found[2], parse)
    if re.match(r"(redis-)?sentinel://", text):
        raise ConfigurationError(_SENTINEL_FORM)
    try:
        parts = urlsplit(text)
        if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path):
            raise ValueError("no database number")
        where = f"redis at {parts.hostname or parts.path}" + (f":{parts.port}" if parts.port else "")
        parse(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(_SERVER_FORM) from error
    return Address(text, where)


def _of_sentinels(scheme: str, rest: str, parse: Parse) -> Address:
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        user, at, hosts = parts.netloc.rpartition("@")
        sentinels = tuple(_host(host) for host in hosts.split(","))
        service, _, db = parts.path.strip("/").partition("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        own = {name: query.pop(f"sentinel_{name}", "") for name in ("username", "password")}
        server = f"{scheme}://{user}{at}primary/{db}?{urlencode(query)}"
        parse(server)
    except ValueError as error:
        raise ConfigurationError(_SENTINEL_FORM) from error
    if not service or (db and not db.isdigit()):
        raise ConfigurationError(_SENTINEL_FORM)
    return Address(
        server,
        f"redis service {service} of the sentinels {hosts}",
        sentinels,
        service,
        {name: value for name, value in own.items() if value},
    )


def _host(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text.strip())
    if found is None or int(found[2] or 0) > 65535:
        raise ValueError("not a host with an optional port")
    return found[1].strip("[]"), int(found[2] or SENTINEL_PORT)
