"""Speech to text: the service contract, OpenAI's service, and what a failure of one means."""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from jumpseat.agents.builtin.redaction import Redactor
from jumpseat.errors import ConfigurationError, TranscriptionError
from jumpseat.http_clients import HttpClients, checked_headers, checked_url
from jumpseat.protocol import codec

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "OpenAITranscriptionService",
    "ProviderRefused",
    "TranscriptionFile",
    "TranscriptionService",
    "failure_code",
]

OPENAI_URL: Final = "https://api.openai.com/v1"

_ANSWER_BYTES: Final = 4 * 1024 * 1024
_EXCERPT_CHARACTERS: Final = 500

_NETWORK_NAMES: Final = frozenset(
    {
        "APIConnectionError",
        "ClientConnectionError",
        "ConnectError",
        "ConnectionError",
        "NetworkError",
        "ProxyError",
        "RemoteProtocolError",
        "Timeout",
        "TimeoutException",
    }
)
_NETWORK_PACKAGES: Final = frozenset(
    {"aiohttp", "httpcore", "httpcore2", "httpx", "httpx2", "openai", "requests"}
)
_WORDS: Final = (
    ("rate_limited", re.compile(r"\b(?:rate|429|too many)\b", re.IGNORECASE)),
    ("auth_failed", re.compile(r"\b(?:auth|401|api key|unauthorized)\b", re.IGNORECASE)),
    ("audio_too_long", re.compile(r"\b(?:too long|duration|length)\b", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionFile:
    """A recording: its bytes, a file name with an ending that fits, and its MIME type without parameters."""

    data: bytes
    filename: str
    mime_type: str

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.data)


class TranscriptionService(ABC):
    """Turns recordings into text."""

    @abstractmethod
    async def transcribe_file(self, audio: TranscriptionFile) -> str:
        """Return what is said in ``audio``.

        Raise ``TranscriptionError`` for a failure that the client has a text for; other exceptions are
        classified by ``failure_code``.
        """

    async def aclose(self) -> None:  # noqa: B027 - optional, not abstract
        """Release what the service holds."""


class ProviderRefused(Exception):
    """A transcription provider answered with an error; ``status_code`` is its HTTP status."""

    def __init__(self, status_code: int, excerpt: str) -> None:
        super().__init__(f"The transcription provider answered HTTP {status_code}: {excerpt}")
        self.status_code = status_code


class OpenAITranscriptionService(TranscriptionService):
    """Transcribes with OpenAI, or a server that has its ``/audio/transcriptions``.

    Attributes:
        model: Such as ``whisper-1`` or ``gpt-4o-transcribe``.
        base_url: The part of the URL before ``/audio/transcriptions``.
        language: ISO 639-1 code of the speech, if it is known.
        prompt: Text that guides spelling and style.
        timeout: Seconds for the whole exchange.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        model: str = "whisper-1",
        base_url: str = OPENAI_URL,
        language: str | None = None,
        prompt: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        """Without ``api_key`` the environment variable ``OPENAI_API_KEY`` is used.

        Raises ``ConfigurationError`` for an option that cannot work, and when OpenAI itself is to be used
        without any key.
        """
        self._api_key = api_key or os.environ.get("OPENAI_API_KEY", "").strip() or None
        checked_url(base_url, "OpenAITranscriptionService base_url")
        if self._api_key is None and base_url == OPENAI_URL:
            raise ConfigurationError(
                "OpenAITranscriptionService needs a key: pass api_key or set OPENAI_API_KEY"
            )
        if isinstance(timeout, bool) or not 0 < timeout < math.inf:
            raise ConfigurationError(
                f"OpenAITranscriptionService timeout must be a number of seconds above 0, not {timeout!r}"
            )
        # Providers repeat the key that they refuse.
        self._redact = Redactor([self._api_key] if self._api_key else [])
        authorization = {"authorization": f"Bearer {self._api_key}"} if self._api_key else None
        self._headers = checked_headers(authorization, "OpenAITranscriptionService api_key")
        self.model = model
        self.base_url = base_url.rstrip("/")
        self.language = language
        self.prompt = prompt
        self.timeout = timeout
        self._clients = HttpClients(timeout)

    async def transcribe_file(self, audio: TranscriptionFile) -> str:
        """Return what is said in ``audio``.

        Raises ``ProviderRefused``, ``TimeoutError``, and the HTTP client's errors.
        """
        fields = {"model": self.model, "language": self.language, "prompt": self.prompt}
        client = await self._clients.get()
        async with (
            asyncio.timeout(self.timeout),
            client.stream(
                "POST",
                f"{self.base_url}/audio/transcriptions",
                headers=self._headers,
                data={name: value for name, value in fields.items() if value is not None},
                files={"file": (audio.filename, audio.data, audio.mime_type)},
            ) as response,
        ):
            return _text(response.status_code, await _read(response), self._redact)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()


def failure_code(error: BaseException) -> str:
    """Return the client's code for an exception of a transcription service.

    By what is surest first: a ``TranscriptionError``'s own code, an HTTP status on the exception or its
    ``response``, its type, then whole words of its message.
    """
    if isinstance(error, TranscriptionError):
        return error.code or "provider_error"
    by_status = _code_of_status(_status(error))
    if by_status is not None:
        return by_status
    if _is_network(error):
        return "network_error"
    text = str(error)
    return next((code for code, words in _WORDS if words.search(text)), "provider_error")


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status_code", "status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def _code_of_status(status: int | None) -> str | None:
    match status:
        case 429:
            return "rate_limited"
        case 401 | 403:
            return "auth_failed"
        case 413:
            return "audio_too_long"
        case 408 | 504:
            return "network_error"
        case int() if 500 <= status < 600:
            return "provider_error"
        case _:
            return None


def _is_network(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError | socket.gaierror):
        return True
    # By name, because none of these packages but one need be installed.
    return any(
        kind.__name__ in _NETWORK_NAMES and kind.__module__.partition(".")[0] in _NETWORK_PACKAGES
        for kind in type(error).__mro__
    )


async def _read(response: httpx2.Response) -> bytes:
    body = b""
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _ANSWER_BYTES:
                raise ProviderRefused(response.status_code, f"more than {_ANSWER_BYTES} bytes")
    return body


def _text(status: int, body: bytes, redact: Redactor) -> str:
    excerpt = redact(body.decode("utf-8", "replace"))[:_EXCERPT_CHARACTERS]
    if not 200 <= status < 300:
        raise ProviderRefused(status, excerpt)
    try:
        answer: Any = codec.decode_json(body)
    except ValueError:
        answer = None
    text = cast("dict[str, Any]", answer).get("text") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        raise ProviderRefused(status, f"no JSON object with a 'text': {excerpt}")
    return text
