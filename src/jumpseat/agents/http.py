"""HttpAgent: an agent that lives behind another AG-UI server."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

from jumpseat.agents.base import Agent
from jumpseat.agents.sse_parser import SseParser
from jumpseat.context import RunContext
from jumpseat.errors import AgentServerError, ConfigurationError, InvalidEvent
from jumpseat.http_clients import HttpClients, checked_headers, checked_url
from jumpseat.protocol import codec
from jumpseat.protocol.inputs import RunAgentInput

if TYPE_CHECKING:
    import httpx2

__all__ = ["HttpAgent", "wire_input"]

_EXCERPT_BYTES: Final = 2048
_EXCERPT_CHARS: Final = 300
_SET_BY_US: Final = {
    "accept": "text/event-stream",
    # Compressed streams reach a reader in bursts, one per flush of the compressor.
    "accept-encoding": "identity",
    "content-type": "application/json",
}
# They describe one connection or one body, and neither is the client's.
_NEVER_FORWARDED: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class HttpAgent(Agent):
    """An AG-UI server elsewhere: the input is posted to ``url``, the answer is its event stream.

    The request is closed when the run is stopped. An answer that is not 2xx, a redirect included, ends the
    run with the status and the beginning of the body; a stream that is cut off ends it as incomplete. Cookies
    are neither kept nor sent. One object serves any number of runs at once.

    Attributes:
        url: Where runs are posted.
        headers: Sent with every run, by lower-case name; they win over forwarded ones.
        timeout: Seconds that the server may stay silent; a connection is made within 10 of them.
        forward_headers: Whether the headers of the client's request that may travel are sent along.
    """

    requires_terminal = True

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        name: str = "",
        description: str = "",
        timeout: float = 300.0,
        forward_headers: bool = True,
    ) -> None:
        """Raises ``ConfigurationError`` for a URL, header or timeout that cannot work."""
        checked_url(url, "HttpAgent url")
        if isinstance(timeout, bool) or not 0 < timeout < math.inf:
            raise ConfigurationError(
                f"HttpAgent timeout must be a number of seconds above 0, not {timeout!r}"
            )
        self.url = url
        self.headers = checked_headers(headers, "HttpAgent headers")
        self.name = name
        self.description = description
        self.timeout = timeout
        self.forward_headers = forward_headers
        self._clients = HttpClients(timeout)

    async def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        """Post the input and yield each event of the answer as a dict.

        Raises:
            AgentServerError: The server cannot be reached, is silent for too long, or answers something else
                than an event stream.
            InvalidEvent: A frame holds no JSON object.
            EventTooLarge: A frame is larger than 8 MiB.
        """
        client = await self._clients.get()
        import httpx2  # noqa: PLC0415 - see HttpClients

        body = codec.encode_json(wire_input(input))
        answered = False
        try:
            async with client.stream("POST", self.url, content=body, headers=self._sent(context)) as response:
                answered = True
                await _check_status(response)
                async with aclosing(_frames(response)) as frames:
                    async for data in frames:
                        yield _event(data)
        except httpx2.TimeoutException as error:
            raise AgentServerError(_timeout_text(error, answered, self.timeout)) from error
        except httpx2.TransportError as error:
            # Once the stream is there, a broken connection is its end: the run is then incomplete.
            if not answered:
                raise AgentServerError(f"The agent server cannot be reached: {_reason(error)}") from error
        except httpx2.DecodingError as error:
            raise AgentServerError("The agent server sent a broken compressed stream") from error

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    def _sent(self, context: RunContext) -> list[tuple[bytes, bytes]]:
        travelling: dict[str, str] = {}
        if self.forward_headers:
            lowered = ((name.lower(), value) for name, value in context.headers.items())
            travelling = {name: value for name, value in lowered if name not in _NEVER_FORWARDED}
        merged = {**travelling, **_SET_BY_US, **self.headers}
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged.items()]


def wire_input(input: RunAgentInput) -> dict[str, Any]:  # noqa: A002
    """Return an input as every AG-UI server accepts it: unknown keys kept, nothing left to a default."""
    wire = cast("dict[str, Any]", codec.to_wire(input))
    for tool in wire.get("tools", ()):
        tool.setdefault("parameters", {"type": "object", "properties": {}})
    empty: dict[str, Any] = {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
    return {**empty, **{key: value for key, value in wire.items() if value is not None}}


async def _check_status(response: httpx2.Response) -> None:
    if response.is_success:
        return
    excerpt = await _excerpt(response)
    where = response.headers.get("location") if response.is_redirect else None
    hint = " (redirects are not followed: configure the final URL)" if where else ""
    text = f"The agent server answered HTTP {response.status_code}{hint}"
    raise AgentServerError(f"{text}: {excerpt}" if excerpt else text, upstream_status=response.status_code)


async def _excerpt(response: httpx2.Response) -> str:
    """Return the beginning of an error body as one line of printable text."""
    import httpx2  # noqa: PLC0415 - see HttpClients

    head = b""
    try:
        async with aclosing(response.aiter_bytes()) as chunks:
            async for chunk in chunks:
                head += chunk
                if len(head) >= _EXCERPT_BYTES:
                    break
    except (httpx2.TransportError, httpx2.DecodingError):
        # The status is the message; a body that breaks off adds what arrived of it.
        pass
    text = head[:_EXCERPT_BYTES].decode("utf-8", "replace")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _EXCERPT_CHARS else f"{line[:_EXCERPT_CHARS]}…"


async def _frames(response: httpx2.Response) -> AsyncGenerator[bytes]:
    parser = SseParser()
    any_frame = False
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            for data in parser.feed(chunk):
                if data:
                    any_frame = True
                    yield data
    last = parser.finish()
    if last is not None and _is_object(last):
        yield last
    elif not any_frame and not _is_event_stream(response):
        kind = response.headers.get("content-type", "no content type")
        raise AgentServerError(f"The agent server answered {kind} instead of an event stream")


def _is_event_stream(response: httpx2.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(codec.decode_json(data), dict)
    except ValueError:
        return False


def _event(data: bytes) -> dict[str, Any]:
    try:
        event = codec.decode_json(data)
    except ValueError as error:
        raise InvalidEvent("the agent server sent a frame that is not JSON") from error
    if not isinstance(event, dict):
        raise InvalidEvent("the agent server sent a frame that is not a JSON object")
    return cast("dict[str, Any]", event)


def _timeout_text(error: httpx2.TimeoutException, answered: bool, seconds: float) -> str:
    if answered:
        return f"The agent server sent nothing for {seconds:g} seconds"
    if type(error).__name__ == "ConnectTimeout":
        return "The agent server cannot be reached: connecting took too long"
    return f"The agent server did not answer within {seconds:g} seconds"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
