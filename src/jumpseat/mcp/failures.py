"""How talking to an MCP server fails: with a reason in one word, or with the server's own error."""

from __future__ import annotations

from jumpseat.errors import JumpseatError

__all__ = ["ReplyError", "ServerUnavailable"]


class ServerUnavailable(JumpseatError):
    """A server cannot be used; ``reason`` is one word and the message holds no address and no header.

    Words: ``unreachable``, ``timeout``, ``unauthorized``, ``redirected``, ``refused`` (an HTTP error status),
    ``protocol`` (it does not speak MCP), ``lost`` (the connection broke), ``oversize`` (a message beyond the
    limit), ``unfinished`` (a tool wants input that nobody here can give), ``list`` (its tools cannot be
    listed), ``headers`` (the ``headers`` callable failed), ``error`` (anything else).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the MCP server is unavailable: {reason}")
        self.reason = reason


class ReplyError(JumpseatError):
    """The server answered a request with a JSON-RPC error."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"MCP error {number}: {text}")
        self.number = number
        self.text = text
