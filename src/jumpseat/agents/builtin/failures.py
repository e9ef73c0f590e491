"""Why a run failed, in the words that clients get: a code from a short list and the provider's own text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from jumpseat.errors import JumpseatError
from jumpseat.protocol.codec import decode_json

__all__ = [
    "FAILURE_CODES",
    "AgentFailure",
    "developer_failure",
    "http_status",
    "provider_failure",
    "shown_failure",
    "words_of",
]

FAILURE_CODES: Final = frozenset(
    {
        "agent_error",
        "authentication_error",
        "content_filter",
        "context_length",
        "invalid_request",
        "mcp_error",
        "provider_error",
        "rate_limit",
        "timeout",
    }
)

_LONGEST: Final = 2_000
# More of a text is not looked at. It may hold what users wrote, and searching it must not take long.
_LOOKED_AT: Final = 4 * _LONGEST
_DEEPEST: Final = 8

# The classes of the libraries are told by their names: none of them is imported for it. A name stands for
# every class that has it among its bases.
_CODE_OF_CLASS: Final[Mapping[str, str]] = {
    "ContentFilterError": "content_filter",
    "ContentFilterFinishReasonError": "content_filter",
    "ModelContextWindowExceededError": "context_length",
    "ContextOverflowError": "context_length",
    "ModelRequestTimeout": "timeout",
    "ModelTimeoutError": "timeout",
    "APITimeoutError": "timeout",
    "DeadlineExceededError": "timeout",
    "TimeoutException": "timeout",
    "ServerTimeoutError": "timeout",
    "TimeoutError": "timeout",
    "ModelQuotaExceededError": "rate_limit",
    "ModelRateLimitError": "rate_limit",
    "RateLimitError": "rate_limit",
    "ModelAuthenticationError": "authentication_error",
    "AuthenticationError": "authentication_error",
    "PermissionDeniedError": "authentication_error",
    "CredentialsError": "authentication_error",
    "DefaultCredentialsError": "authentication_error",
    "RefreshError": "authentication_error",
}
_CODE_OF_WORD: Final[Mapping[str, str]] = {
    "context_length_exceeded": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "insufficient_quota": "rate_limit",
    "billing_hard_limit_reached": "rate_limit",
    "billing_error": "rate_limit",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "resource_exhausted": "rate_limit",
    "authentication_error": "authentication_error",
    "permission_error": "authentication_error",
    "invalid_api_key": "authentication_error",
    "api_key_invalid": "authentication_error",
    "unauthenticated": "authentication_error",
    "permission_denied": "authentication_error",
    "deadline_exceeded": "timeout",
    "timeout_error": "timeout",
}
_TOO_LONG: Final = re.compile(
    r"context_length_exceeded|prompt is too long|maximum context length|exceeds the maximum number of tokens",
    re.IGNORECASE,
)
_NO_KEY: Final = re.compile(
    r"api[ _-]?key (?:not valid|client option must be set)|set the `?\w+_API_KEY", re.IGNORECASE
)

_NOT_TAKEN: Final = re.compile(
    r"^(?:unsupported binary content|unknown media type)|(?:content|url)\b.* is not supported in ",
    re.IGNORECASE,
)

_DUMP: Final = re.compile(
    r"^(?:status_code: \d+|Error code: \d+|\d{3} [\w ]*\. \{|Client error '|Server error ')"
)
_MARKUP: Final = re.compile(r"^\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^\s'\"<>]+", re.IGNORECASE)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
# Where a text goes over to what nobody is to read.
_END: Final = re.compile(
    r"Traceback \(most recent call last\)|Raw response:|, got: |<!doctype|<html|<\?xml", re.IGNORECASE
)

_PLAIN_TEXTS: Final[Mapping[str, str]] = {
    "authentication_error": "The model provider refused the credentials.",
    "rate_limit": "The model provider's rate limit or quota is used up.",
    "context_length": "The conversation is too long for the model.",
    "content_filter": "The model provider's content filter refused the request.",
    "timeout": "The model provider did not answer in time.",
    "invalid_request": "The model provider refused the request.",
    "provider_error": "The model provider failed.",
}


class AgentFailure(JumpseatError):
    """Ends a run of an agent with RUN_ERROR of this ``code`` and ``message``.

    Raise it anywhere in an agent. ``code`` is one of ``FAILURE_CODES``; ``message`` is what a client is
    shown, after secrets were taken out.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def provider_failure(error: BaseException) -> AgentFailure:
    """Return the failure that an exception of a model, its library or its transport amounts to.

    By what is surest first: what the library calls it, the provider's own error code, its words, then the
    HTTP status. The message is the provider's own text, in one paragraph.
    """
    if isinstance(error, AgentFailure):
        return error
    chain = list(_chain(error))
    status = http_status(error)
    bodies = [body for each in chain if (body := _body(each)) is not None]
    said = next((text for body in bodies if (text := _message_in(body))), None) or _own_words(chain)
    code = _code(chain, bodies, status, said or "")
    message = _paragraph(said) if said else ""
    return AgentFailure(code, message or _plain_text(code, status))


def developer_failure(error: BaseException) -> AgentFailure:
    """Return the failure that an exception of the developer's own code is: ``agent_error`` and its text."""
    if isinstance(error, AgentFailure):
        return error
    return AgentFailure("agent_error", _paragraph(words_of(error)) or type(error).__name__)


def shown_failure(failure: AgentFailure, redact: Callable[[str], str]) -> tuple[str, str]:
    """Return the code and the message that a client gets, in one paragraph of at most 2,000 characters."""
    # Cut last: of a secret that was cut in two the first part would stay.
    message = redact(_paragraph(str(failure.message))) or "The run failed."
    message = message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
    code: object = failure.code
    return (code if isinstance(code, str) and code else "agent_error"), message


def words_of(error: BaseException) -> str:
    """Return the text of an exception, which is the developer's or a library's code and may itself fail."""
    try:
        return str(error)
    except Exception:
        return ""


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an exception, or one that caused it, brings along."""
    for each in _chain(error):
        for holder in (each, getattr(each, "response", None)):
            for name in ("status_code", "status", "code"):
                value = getattr(holder, name, None)
                if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
                    return value
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < _DEEPEST:
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", current)
            current = group.exceptions[0]
        else:
            current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _code(chain: list[BaseException], bodies: list[Any], status: int | None, said: str) -> str:
    by_class = {
        name for each in chain for kind in type(each).__mro__ if (name := _CODE_OF_CLASS.get(kind.__name__))
    }
    by_word = {code for body in bodies for word in _words(body) if (code := _CODE_OF_WORD.get(word.lower()))}
    found = by_class | by_word
    if "context_length" in found or _TOO_LONG.search(said):
        return "context_length"
    if "content_filter" in found:
        return "content_filter"
    if _NO_KEY.search(said):
        return "authentication_error"
    by_status = _code_of_status(status)
    # The library's own deadline passed; a status in its chain belongs to an earlier attempt.
    if "timeout" in by_class and (status is None or by_status == "timeout"):
        return "timeout"
    if by_status in ("authentication_error", "rate_limit", "timeout"):
        return by_status
    for code in ("authentication_error", "rate_limit", "timeout"):
        if code in found:
            return code
    if by_status is not None:
        return by_status
    # The library refused it before the provider could: an option, or a file of the messages.
    is_refused = _NOT_TAKEN.search(said) or any(type(each).__name__ == "UserError" for each in chain)
    return "invalid_request" if is_refused else "provider_error"


def _code_of_status(status: int | None) -> str | None:
    match status:
        case 401 | 403:
            return "authentication_error"
        case 402 | 429:
            return "rate_limit"
        case 408 | 504:
            return "timeout"
        case int() if 400 <= status < 500:
            return "invalid_request"
        case int():
            return "provider_error"
        case None:
            return None


def _body(error: BaseException) -> Any:
    for name in ("body", "details"):
        value = getattr(error, name, None)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            try:
                value = decode_json(value.encode())
            except ValueError:
                continue
        if isinstance(value, Mapping | list):
            return cast("Any", value)
    return None


def _members(body: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a body that say what went wrong: its ``error``, and itself; Gemini sends a list."""
    for item in cast("list[Any]", body)[:1] if isinstance(body, list) else [body]:
        if isinstance(item, Mapping):
            whole = cast("Mapping[str, Any]", item)
            inner = whole.get("error")
            if isinstance(inner, Mapping):
                yield cast("Mapping[str, Any]", inner)
            yield whole


def _message_in(body: Any) -> str | None:
    for members in _members(body):
        for name in ("message", "error", "detail"):
            text = members.get(name)
            if isinstance(text, str) and text.strip() and not _MARKUP.match(text):
                return text
    return None


def _words(body: Any) -> Iterator[str]:
    for members in _members(body):
        for name in ("code", "type", "status"):
            if isinstance(word := members.get(name), str):
                yield word
        for detail in cast(
            "list[Any]", members.get("details") if isinstance(members.get("details"), list) else []
        ):
            if isinstance(detail, Mapping) and isinstance(reason := cast("Any", detail).get("reason"), str):
                yield reason


def _own_words(chain: list[BaseException]) -> str | None:
    """The first text of an exception that is meant to be read."""
    # What several exceptions are called together says nothing.
    for error in [error for error in chain if not isinstance(error, BaseExceptionGroup)]:
        message = getattr(error, "message", None)
        for text in (message if isinstance(message, str) else "", words_of(error)):
            if text.strip() and not _DUMP.match(text) and not _MARKUP.match(text):
                return text
    return None


def _paragraph(text: str) -> str:
    text = text[:_LOOKED_AT]
    end = _END.search(text)
    return " ".join(_URL.sub(_without_query, text[: end.start()] if end else text).split())


def _without_query(url: re.Match[str]) -> str:
    return _QUERY.sub("", url[0])


def _plain_text(code: str, status: int | None) -> str:
    text = _PLAIN_TEXTS[code]
    return text if status is None else f"{text[:-1]} (HTTP {status})."
