"""Who sends a request: what ``identify_user`` says, checked."""

from __future__ import annotations

import logging
import re
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from jumpseat.calling import call_user
from jumpseat.context import User
from jumpseat.runtime import IdentifyUser
from jumpseat.web.hooks import reply_of
from jumpseat.web.responses import error_response

__all__ = ["identify"]

_logger = logging.getLogger("jumpseat")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MAX_ID_LENGTH = 256


async def identify(identify_user: IdentifyUser, request: Request, request_id: str) -> User | Response:
    """Return the user, or the response that refuses the request.

    An exception that carries a response is passed on.
    """
    try:
        answer: object = await call_user(identify_user, request)
        if answer is None:
            return error_response(401, "Unauthorized")
        return _checked(answer)
    except Exception as error:
        if reply_of(error) is not None:
            raise
        _logger.exception("identify_user failed (request %s)", request_id, extra={"request_id": request_id})
        return error_response(500, "Failed to identify user")


def _checked(answer: object) -> User:
    user: Any = User(answer) if isinstance(answer, str) else answer
    if not isinstance(user, User):
        raise TypeError(f"it must return a User, a string or None, not {type(answer).__name__}")
    identifier = cast("object", user.id)
    if not isinstance(identifier, str):
        raise TypeError(f"the id of a user must be a string, not {type(identifier).__name__}")
    if not 1 <= len(identifier) <= MAX_ID_LENGTH or _UNUSABLE.search(identifier):
        raise ValueError(f"a user's id must be 1 to {MAX_ID_LENGTH} characters without control characters")
    return user
