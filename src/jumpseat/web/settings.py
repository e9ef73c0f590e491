"""The options of one ASGI application over a runtime, checked and normalised."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, TypeAlias, cast
from urllib.parse import unquote

from jumpseat.errors import ConfigurationError
from jumpseat.runtime.options import check_number
from jumpseat.web.cors import CorsConfig, CorsPolicy, cors_policy
from jumpseat.web.hooks import Hooks

__all__ = ["AppSettings", "Mode", "app_settings"]

Mode: TypeAlias = Literal["multi-route", "single-route"]

_HOST_NAME = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*\.?")
_BAD_PATH = re.compile(r"[?#\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What ``CopilotRuntime.app`` was called with; ``base_path`` is ``""`` or ``/a/b``, decoded."""

    base_path: str = ""
    mode: Mode = "multi-route"
    cors: CorsPolicy | None = None
    hooks: Hooks
    max_body_bytes: int = 16 * 1024 * 1024
    allowed_hosts: tuple[str, ...] | None = None


def app_settings(
    *,
    base_path: str,
    mode: str,
    cors: bool | CorsConfig,
    hooks: Hooks | None,
    max_body_bytes: int,
    allowed_hosts: Sequence[str] | None,
) -> AppSettings:
    """Return the options as settings. Raises ``ConfigurationError`` naming the option that is wrong."""
    if mode not in ("multi-route", "single-route"):
        raise ConfigurationError(f"mode must be 'multi-route' or 'single-route', not {mode!r}")
    check_number("max_body_bytes", max_body_bytes, low=1, whole=True)
    return AppSettings(
        base_path=_base_path(base_path),
        mode=mode,
        cors=cors_policy(cors),
        hooks=_hooks(hooks),
        max_body_bytes=max_body_bytes,
        allowed_hosts=_allowed_hosts(allowed_hosts),
    )


def _hooks(hooks: object) -> Hooks:
    if hooks is None:
        return Hooks()
    if not isinstance(hooks, Hooks):
        raise ConfigurationError(f"hooks must be Hooks(...), not {type(hooks).__name__}")
    return hooks


def _base_path(path: object) -> str:
    if not isinstance(path, str):
        raise ConfigurationError(f"base_path must be a string, not {type(path).__name__}")
    segments = [unquote(segment) for segment in path.split("/") if segment]
    if _BAD_PATH.search(path) or any(segment in (".", "..") for segment in segments):
        raise ConfigurationError(
            f"base_path {path!r} must be a plain URL path without '?', '#', '\\' or dot segments"
        )
    return "".join(f"/{segment}" for segment in segments)


def _is_host(text: str) -> bool:
    if _HOST_NAME.fullmatch(text):
        return True
    try:
        ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _allowed_hosts(hosts: object) -> tuple[str, ...] | None:
    if hosts is None:
        return None
    if isinstance(hosts, str) or not isinstance(hosts, Sequence):
        raise ConfigurationError("allowed_hosts must be a list of host names, such as ['localhost']")
    names: list[str] = []
    for host in cast("Sequence[object]", hosts):
        if not isinstance(host, str) or not _is_host(host.strip()):
            raise ConfigurationError(
                f"allowed_hosts: {host!r} is neither a host name nor a suffix such as '*.example.com' "
                "(no scheme, port or path)"
            )
        names.append(host.strip().lower())
    return tuple(names)
