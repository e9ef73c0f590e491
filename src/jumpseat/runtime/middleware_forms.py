"""How the middleware options are called, found out when the runtime is made."""

from __future__ import annotations

from jumpseat.calling import CallForm, call_form
from jumpseat.http_clients import checked_url

__all__ = ["AFTER_NAMES", "BEFORE_NAMES", "after_form", "before_form"]

BEFORE_NAMES = ("request", "path", "runtime")
AFTER_NAMES = ("response", "path", "runtime", "request", "messages", "thread_id", "run_id", "aborted")

_BEFORE = "before_request_middleware"
_AFTER = "after_request_middleware"


def before_form(option: object) -> CallForm | None:
    """Return how a before middleware wants to be called; ``None`` for none and for webhooks.

    Raises ``ConfigurationError`` for anything that is none of these.
    """
    if option is None or _is_webhook(option, _BEFORE):
        return None
    return call_form(
        option, option=_BEFORE, names=BEFORE_NAMES, positional=(("request", "path"), ("request",))
    )


def after_form(option: object) -> CallForm | None:
    """Return how an after middleware wants to be called; as ``before_form``."""
    if option is None or _is_webhook(option, _AFTER):
        return None
    return call_form(
        option, option=_AFTER, names=AFTER_NAMES, positional=(("response", "path"), ("response",))
    )


def _is_webhook(option: object, name: str) -> bool:
    if isinstance(option, str):
        checked_url(option, name)
        return True
    return all(callable(getattr(option, stage, None)) for stage in ("before", "after"))
