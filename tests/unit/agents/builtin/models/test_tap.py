import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from jumpseat.agents.builtin.models import tap
from jumpseat.agents.builtin.models.appending import APPENDING


class Body(httpx2.AsyncByteStream):
    def __init__(self, chunks: list[bytes | Exception]) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


def delta(text: str, item: str = "m") -> bytes:
    event = {"type": "response.output_text.delta", "item_id": item, "content_index": 0, "delta": text}
    return f"data: {json.dumps(event)}\n\n".encode()


def response(*chunks: bytes | Exception, status: int = 200, **headers: str) -> httpx2.Response:
    given = {"content-type": "text/event-stream; charset=utf-8", **headers}
    return httpx2.Response(
        status,
        headers={name.replace("_", "-"): text for name, text in given.items()},
        stream=Body([*chunks]),
        request=httpx2.Request("POST", "http://provider.test/v1/responses"),
    )


def tapped(*chunks: bytes | Exception) -> tuple[httpx2.Response, tap.AnswerTap]:
    answer = response(*chunks)
    made = tap.tap_of(answer, APPENDING["responses"])
    assert made is not None
    return answer, made


async def texts(made: tap.AnswerTap) -> list[list[str]]:
    target = made.appended()
    assert target is not None
    return [texts async for texts in made.texts(target, None)]


@pytest.mark.parametrize(
    "answer",
    [
        response(b"{}", content_type="application/json"),
        response(b"data: x\n\n", status=500),
    ],
)
def test_only_streams_of_events_are_tapped(answer: httpx2.Response):
    body = answer.stream
    assert tap.tap_of(answer, APPENDING["responses"]) is None
    assert answer.stream is body


async def test_texts_of_one_read_come_together_and_then_once_more_as_one_event():
    first, rest = delta("a"), delta("b") + delta("c")
    answer, made = tapped(first, rest, delta("d") + delta("x", "other") + b"data: end\n\n")
    events = aiter(answer.stream)  # type: ignore[type-var]
    assert await anext(events) == first
    assert await texts(made) == [["b", "c"], ["d"]]
    repeated = await anext(events)
    assert json.loads(repeated.removeprefix(b"data: "))["delta"] == "bcd"
    assert (made.repeats, made.appended()) == (True, None)
    assert await anext(events) == delta("x", "other")
    assert not made.repeats
    assert [chunk async for chunk in events] == [b"data: end\n\n"]


async def test_a_failure_while_reading_ahead_reaches_the_library_behind_the_text():
    answer, made = tapped(delta("a"), delta("b"), httpx2.ReadError("gone"))
    events = aiter(answer.stream)  # type: ignore[type-var]
    await anext(events)
    assert await texts(made) == [["b"]]
    assert b'"b"' in await anext(events)
    with pytest.raises(httpx2.ReadError, match="gone"):
        await anext(events)


async def test_an_event_that_is_too_long_to_be_kept_goes_through_in_pieces():
    long = [b"data: " + b"x" * tap.LONGEST, b"y" * 10, b"\n\n" + delta("a") + delta("b")]
    answer, made = tapped(*long)
    events = aiter(answer.stream)  # type: ignore[type-var]
    given = [await anext(events) for _ in range(3)]
    assert given == long
    assert made.appended() is None


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_every_line_end_counts_as_one(size: int):
    sent = b"event: x\r\ndata: 1\r\n\r\n: alive\r\rdata: 2\n\ndata: 3"
    answer, _ = tapped(*[sent[at : at + size] for at in range(0, len(sent), size)])
    assert [event async for event in answer.aiter_bytes()] == [
        b"event: x\ndata: 1\n\n",
        b": alive\n\n",
        b"data: 2\n\n",
        b"data: 3",
    ]


async def test_closing_the_response_closes_its_body():
    answer = response(delta("a"), delta("b"))
    body: Any = answer.stream
    assert tap.tap_of(answer, APPENDING["responses"]) is not None
    await anext(answer.aiter_bytes())
    await answer.aclose()
    assert body.closed


async def test_a_compressed_stream_is_decoded_once():
    packer = zlib.compressobj(wbits=31)
    sent = [packer.compress(delta(text)) + packer.flush(zlib.Z_SYNC_FLUSH) for text in "abc"]
    answer = response(*sent, packer.flush(), content_encoding="gzip")
    body: Any = answer.stream
    made = tap.tap_of(answer, APPENDING["responses"])
    assert made is not None
    events = answer.aiter_bytes()
    assert await anext(events) == delta("a")
    assert await texts(made) == [["b"], ["c"]]
    assert json.loads((await anext(events)).removeprefix(b"data: "))["delta"] == "bc"
    assert [chunk async for chunk in events] == []
    assert body.closed
