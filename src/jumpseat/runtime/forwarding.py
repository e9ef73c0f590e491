"""Which headers of a request travel on to the agent servers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from jumpseat.errors import ConfigurationError

__all__ = ["ForwardHeaders", "forwarded_headers"]

_DENIED: Final = frozenset(
    {
        "x-amz-cf-id",
        "x-amzn-trace-id",
        "x-cache",
        "x-cloud-trace-context",
        "x-copilotcloud-public-api-key",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
        "x-request-id",
        "x-served-by",
    }
)
_DENIED_PREFIXES: Final = (
    "x-amz-",
    "x-azure-",
    "x-copilotcloud-",
    "x-fastly-",
    "x-middleware-",
    "x-vercel-",
)


@dataclass(frozen=True)
class ForwardHeaders:
    """Which request headers agents get in ``context.headers`` and send on to other agent servers.

    By default ``authorization`` and every ``x-`` header, minus what proxies and hosting platforms add.
    Entries are trimmed and lower-cased; blank ones are dropped.

    Attributes:
        use_default_denylist: Leave out what proxies and platforms add.
        deny: Further names that never travel, such as ``authorization`` when agents belong to others.
        deny_prefixes: Beginnings of names that never travel.
        allow: With at least one entry only these names travel, whatever they are; ``deny`` and
            ``deny_prefixes`` still take from them, the default list does not.
    """

    use_default_denylist: bool = True
    deny: Sequence[str] = ()
    deny_prefixes: Sequence[str] = ()
    allow: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.use_default_denylist), bool):
            raise ConfigurationError("forward_headers: use_default_denylist must be True or False")
        for name in ("deny", "deny_prefixes", "allow"):
            object.__setattr__(self, name, _entries(name, getattr(self, name)))

    def admits(self, name: str) -> bool:
        """Say whether the header of this lower-case name travels."""
        if name in self.deny or name.startswith(tuple(self.deny_prefixes)):
            return False
        if self.allow:
            return name in self.allow
        if name != "authorization" and not name.startswith("x-"):
            return False
        return not (self.use_default_denylist and (name in _DENIED or name.startswith(_DENIED_PREFIXES)))


def forwarded_headers(headers: Mapping[str, str], policy: ForwardHeaders | None = None) -> dict[str, str]:
    """Return the headers that travel, by lower-case name; several of one name are joined with a comma.

    Args:
        headers: Of the request; a multi-mapping such as Starlette's ``Headers`` may repeat a name.
        policy: ``None`` for the default one.
    """
    policy = policy or ForwardHeaders()
    travelling: dict[str, str] = {}
    for raw_name, value in headers.items():
        name = raw_name.lower()
        if policy.admits(name):
            travelling[name] = f"{travelling[name]}, {value}" if name in travelling else value
    return travelling


def _entries(option: str, names: object) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"forward_headers: {option} must be a list of header names")
    entries: list[str] = []
    for name in cast("Iterable[object]", names):
        if not isinstance(name, str):
            raise ConfigurationError(f"forward_headers: {option} holds {name!r}, which is no header name")
        if entry := name.strip().lower():
            entries.append(entry)
    return tuple(entries)
