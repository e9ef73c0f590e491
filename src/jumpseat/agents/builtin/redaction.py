"""Takes secrets out of every text that is to leave the server."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["REDACTED", "Redactor", "redacted_trace"]

REDACTED: Final = "[redacted]"

# A shorter secret would tear holes into texts that have nothing to do with it.
_SHORTEST: Final = 4

# What can only be a key, each with pieces of text without one of which it cannot occur. The name of a value
# stays, so that JSON stays JSON.
_PATTERNS: Final = (
    (("sk-",), re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_*-]+"), REDACTED),
    (("://",), re.compile(r"(?<=://)[^\s/@:]{0,64}:[^\s/@]{1,256}(?=@)"), REDACTED),
    (("AIza",), re.compile(r"AIza[A-Za-z0-9_*-]+"), REDACTED),
    (("Bearer ", "bearer "), re.compile(r"\b[Bb]earer +[A-Za-z0-9._~+/=*-]{6,}"), REDACTED),
    (
        ("key", "KEY", "Key"),
        re.compile(r"""(?ix)(api[-_]?key ["']? \s* (?: = \s* ["']? | : \s* ["'] )) [^\s"'&,;)\]}]+"""),
        rf"\1{REDACTED}",
    ),
)


class Redactor:
    """Replaces secrets in texts by ``[redacted]``.

    Secrets are those it is given (keys in use, values of configured headers) and what looks like a key:
    ``sk-...``, ``AIza...``, ``Bearer ...``, ``api_key=...``, user and password of an address. A text without
    any is returned as it is.
    """

    __slots__ = ("_known", "secrets")

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = tuple(dict.fromkeys(secrets))
        known = {form for secret in self.secrets for form in _forms(secret) if len(form) >= _SHORTEST}
        # The longer first, or what is left of it would stay behind a shorter one.
        self._known = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, REDACTED)
        for marks, pattern, instead in _PATTERNS:
            if any(mark in text for mark in marks):
                text = pattern.sub(instead, text)
        return text


async def redacted_trace(error: BaseException, redact: Callable[[str], str]) -> str:
    """Return the traceback of an exception for a log, without secrets.

    The formatting of a log handler would leave them in, and reads source files where it is called.
    """
    lines = await asyncio.to_thread(traceback.format_exception, error)
    return redact("".join(lines)).rstrip()


def _forms(secret: str) -> Iterable[str]:
    """A header's value is a secret as a whole, and so is what follows its scheme."""
    stripped = secret.strip()
    yield stripped
    scheme, _, rest = stripped.partition(" ")
    if rest and scheme.isalpha():
        yield rest.strip()
