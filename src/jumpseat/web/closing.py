"""Answering a request whose body is refused: its connection closes, once the client could read the answer."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Message, Scope, Send

from jumpseat.web.body import RequestBody

__all__ = ["closing"]

# A connection that is closed with unread bytes is reset, which can take the answer away from the client.
LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024


def closing(response: Response, scope: Scope, source: RequestBody, send: Send) -> Send:
    """Return a ``send`` with which ``response`` is the last of its connection.

    The answer goes out at once; its end waits, for a limited time, until the client has sent what it was
    sending, so that it comes to read.
    """
    if str(scope.get("http_version", "")).startswith("1"):
        response.headers["Connection"] = "close"

    async def send_and_linger(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        await source.discard(LINGER_SECONDS, LINGER_BYTES)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_and_linger
