"""``POST transcribe``: a recording in, its text out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response

from jumpseat.calling import call_user
from jumpseat.errors import TranscriptionError
from jumpseat.protocol import codec
from jumpseat.transcription import TranscriptionFile, failure_code
from jumpseat.web.body import BodyTooLarge
from jumpseat.web.call import Call
from jumpseat.web.responses import error_response, json_response

__all__ = ["transcribe"]

_logger = logging.getLogger("jumpseat")

SUPPORTED: Final = (
    "audio/mpeg",
    "audio/mp3",
    "audio/mp4",
    "audio/wav",
    "audio/webm",
    "audio/ogg",
    "audio/flac",
    "audio/aac",
)
_UNKNOWN_TYPES: Final = ("", "application/octet-stream")
_DEFAULT_TYPE: Final = "audio/webm"
_DEFAULT_NAME: Final = "recording.webm"
_BLANKS: Final = re.compile(r"\s+")
_PIECE: Final = 256 * 1024

# Status, text and whether trying again may help. A service's own text replaces this one.
_FAILURES: Final = {
    "rate_limited": (429, "Rate limited. Please try again later.", True),
    "auth_failed": (401, "Authentication failed with transcription provider", False),
    "audio_too_long": (400, "Audio file is too long", False),
    "audio_too_short": (400, "Audio is too short to transcribe", False),
    "network_error": (502, "Network error during transcription", True),
    "provider_error": (500, "Transcription failed", True),
    "invalid_audio_format": (400, "Unsupported audio format", False),
    "invalid_request": (400, "Invalid request", False),
}


class _Refused(Exception):
    """The request holds no recording that can be transcribed."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code


async def transcribe(call: Call) -> Response:
    """Answer ``{"text", "size", "type"}`` for the recording in the body."""
    service = call.runtime.transcription_service
    if service is None:
        return _unconfigured("Transcription service is not configured", retryable=False)
    if call.runtime.draining:
        return _unconfigured("Server is shutting down", retryable=True)
    try:
        audio = await _recording(call)
    except _Refused as refused:
        return _failure(refused.code, str(refused))
    except BodyTooLarge:
        return error_response(413, "audio_too_long", "Audio file is too large", retryable=False)
    if not audio.data:
        return _failure("audio_too_short")
    try:
        text = await call_user(service.transcribe_file, audio)
        if not isinstance(text, str):
            raise TypeError(f"transcribe_file must return a string, not {type(text).__name__}")
    except Exception as error:
        _logger.warning("transcription failed (request %s)", call.request_id, exc_info=error)
        return _service_failure(call, error)
    return json_response({"text": text, "size": audio.size, "type": audio.mime_type})


async def _recording(call: Call) -> TranscriptionFile:
    kind = _base_type(call.request.headers.get("content-type", ""))
    if kind == "multipart/form-data":
        return await _from_form(call)
    if kind == "application/json":
        return await _from_json(call)
    raise _Refused("Request must be multipart/form-data or application/json with base64 audio")


async def _from_form(call: Call) -> TranscriptionFile:
    parser = MultiPartParser(call.request.headers, _pieces(await call.body()), max_files=10, max_fields=100)
    # The body is in memory already and bounded: a temporary file would only copy it.
    parser.spool_max_size = call.app.max_body_bytes
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:
        raise _Refused("Malformed multipart body") from error
    try:
        upload = form.get("audio")
        if not isinstance(upload, UploadFile):
            raise _Refused("No audio file found in form data. Please include an 'audio' field.")
        kind = _supported(upload.content_type or "")
        return TranscriptionFile(
            data=await upload.read(),
            filename=upload.filename or _DEFAULT_NAME,
            mime_type=_DEFAULT_TYPE if kind in _UNKNOWN_TYPES else kind,
        )
    finally:
        await form.close()


async def _from_json(call: Call) -> TranscriptionFile:
    try:
        body = await call.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _Refused("Request body must be valid JSON")
    fields = cast("dict[str, Any]", body)
    audio, kind, name = fields.get("audio"), fields.get("mimeType"), fields.get("filename")
    if not isinstance(audio, str) or not audio:
        raise _Refused("Request must include 'audio' field with base64-encoded audio data")
    if not isinstance(kind, str) or not kind:
        raise _Refused("Request must include 'mimeType' field (e.g., 'audio/webm')")
    supported = _supported(codec.scrub(kind))
    return TranscriptionFile(
        data=_decoded(audio),
        filename=codec.scrub(name) if isinstance(name, str) and name else _DEFAULT_NAME,
        mime_type=supported or _DEFAULT_TYPE,
    )


def _supported(kind: str) -> str:
    base = _base_type(kind)
    if base not in SUPPORTED and base not in _UNKNOWN_TYPES:
        raise _Refused(
            f"Unsupported audio format: {base[:100]}. Supported: {', '.join(SUPPORTED)}",
            "invalid_audio_format",
        )
    return base


def _base_type(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def _decoded(audio: str) -> bytes:
    if audio.startswith("data:"):
        audio = audio.partition(",")[2]
    audio = _BLANKS.sub("", audio).rstrip("=")
    try:
        return base64.b64decode(audio + "=" * (-len(audio) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise _Refused("Failed to decode base64 audio data") from error


async def _pieces(body: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]
        # Taking a large form apart must not hold up streams.
        await asyncio.sleep(0)


def _service_failure(call: Call, error: Exception) -> Response:
    code = failure_code(error)
    if isinstance(error, TranscriptionError):
        return _failure(code, str(error))
    if code == "provider_error":
        return _failure(code, call.error_text(error, _FAILURES[code][1]))
    return _failure(code)


def _failure(code: str, message: str | None = None) -> Response:
    status, text, retryable = _FAILURES.get(code, _FAILURES["provider_error"])
    return error_response(status, code, message or text, retryable=retryable)


def _unconfigured(message: str, *, retryable: bool) -> Response:
    return error_response(503, "service_not_configured", message, retryable=retryable)
