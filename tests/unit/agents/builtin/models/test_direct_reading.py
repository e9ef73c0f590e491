"""Text that is read ahead of the libraries: nothing may be told that they alone would not tell."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import aclosing
from itertools import groupby
from typing import Any

import pytest

from jumpseat.agents.builtin.failures import provider_failure
from jumpseat.agents.builtin.language_model import ModelSettings
from jumpseat.agents.builtin.models import tap
from jumpseat.agents.builtin.models.upstream_events import EventReader
from jumpseat.agents.builtin.parts import ReasoningDelta, StreamPart, TextDelta, ToolInputDelta
from mock_provider import MockProvider
from model_requests import WEATHER, answered, asked, finish_of, reasoning_of, text_of

ONCE = ModelSettings(max_retries=0)
MODELS = {
    "responses": "openai/gpt-5",
    "chat": "openai-chat/gpt-4o",
    "anthropic": "anthropic/claude-sonnet-5",
}
DELTAS = (TextDelta, ReasoningDelta, ToolInputDelta)
WORDS = ["Ein ", "Wörtchen ", "", "über ", "<b>", "dies ", "\n\n", "und\r\n", "\u2028das 🙂", "."]
ARGUMENTS = ['{"city"', ':"Ro', "me", '"}']


def framed(events: Iterable[dict[str, Any]], *, named: bool) -> list[bytes]:
    return [
        (f"event: {event['type']}\n" if named else "").encode()
        + f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    ]


def responses_answer() -> list[bytes]:
    response = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": []}
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": ""}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": thought},
        *(
            {
                "type": "response.reasoning_summary_text.delta",
                "item_id": "rs_1",
                "output_index": 0,
                "summary_index": paragraph,
                "delta": word,
            }
            for paragraph in (0, 1)
            for word in WORDS
        ),
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**thought, "encrypted_content": "sealed"},
        },
        {"type": "response.output_item.added", "output_index": 1, "item": message},
        *(
            {
                "type": "response.output_text.delta",
                "item_id": "msg_1",
                "output_index": 1,
                "content_index": part,
                "delta": word,
                "logprobs": [],
            }
            for part in (0, 1)
            for word in WORDS
        ),
        {"type": "response.something_new", "delta": "?"},
        {"type": "response.output_item.added", "output_index": 2, "item": call},
        *(
            {
                "type": "response.function_call_arguments.delta",
                "item_id": "fc_1",
                "output_index": 2,
                "delta": piece,
            }
            for piece in ARGUMENTS
        ),
        {
            "type": "response.function_call_arguments.done",
            "item_id": "fc_1",
            "output_index": 2,
            "arguments": "".join(ARGUMENTS),
        },
        {"type": "response.completed", "response": {**response, "status": "completed"}},
    ]
    return framed(({**event, "sequence_number": n} for n, event in enumerate(events)), named=True)


def chat_answer() -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": None}
        return {**head, "choices": [choice], **more}

    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {"arguments": arguments, **({"name": "weather"} if more else {})}
        return chunk({"tool_calls": [{"index": index, "function": function, **more}]})

    tags = ["<think>", "Let me ", "look ", "there.", "</think>"]
    events = [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"reasoning_content": word}) for word in WORDS),
        *(chunk({"content": word}) for word in [*tags, *WORDS]),
        chunk({"content": "cost "}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        chunk({"content": "and "}, unheard_of={"x": 1}),
        *(chunk({"content": word}) for word in WORDS),
        *(call(index, "", id=f"call_{index}", type="function") for index in (0, 1)),
        *(call(index, piece) for index in (0, 1) for piece in ARGUMENTS),
        chunk({}, "tool_calls"),
    ]
    return [*framed(events, named=False), b"data: [DONE]\n\n"]


def anthropic_answer() -> list[bytes]:
    def delta(index: int, kind: str, **said: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}

    def started(index: int, kind: str, **block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **block}}

    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None}},
        started(0, "thinking", thinking="", signature=""),
        *(delta(0, "thinking_delta", thinking=word) for word in WORDS),
        delta(0, "signature_delta", signature="sealed"),
        {"type": "content_block_stop", "index": 0},
        {"type": "ping"},
        started(1, "text", text=""),
        *(delta(1, "text_delta", text=word) for word in WORDS),
        {"type": "ping"},
        *(delta(1, "text_delta", text=word) for word in WORDS),
        {"type": "content_block_stop", "index": 1},
        started(2, "tool_use", id="toolu_1", name="weather", input={}),
        *(delta(2, "input_json_delta", partial_json=piece) for piece in ARGUMENTS),
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return framed(events, named=True)


ANSWERS = {"responses": responses_answer(), "chat": chat_answer(), "anthropic": anthropic_answer()}


def one_by_one(frames: list[bytes]) -> list[bytes]:
    return frames


def together(frames: list[bytes]) -> list[bytes]:
    return [b"".join(frames)]


def in_tiny_pieces(frames: list[bytes]) -> list[bytes]:
    whole = b"".join(frames)
    return [whole[at : at + 7] for at in range(0, len(whole), 7)]


def with_other_line_ends(frames: list[bytes]) -> list[bytes]:
    return in_tiny_pieces([frame.replace(b"\n", b"\r\n") for frame in frames])


def with_comments(frames: list[bytes]) -> list[bytes]:
    return [b": alive\n\n".join(frames[at : at + 3]) for at in range(0, len(frames), 3)]


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries read by themselves."""
    monkeypatch.setattr(tap, "tap_of", lambda *_: None)


def joined(parts: list[StreamPart]) -> list[Any]:
    """The parts, with neighbouring deltas of one kind as one text; the native answer apart."""
    told: list[Any] = []
    for key, group in groupby(parts, key=lambda part: (type(part), getattr(part, "id", None))):
        if key[0] in DELTAS:
            told.append((key, "".join(part.delta for part in group if isinstance(part, DELTAS))))
        else:
            told += [(type(part), {**_fields(part), "native": None}) for part in group]
    return told


def _fields(part: StreamPart) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__struct_fields__}


async def both(
    api: str, stream: list[bytes], provider: MockProvider, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[StreamPart], list[StreamPart]]:
    """What is told of an answer, and what the libraries alone tell of it."""
    request = asked("hi", tools=[WEATHER], settings=ONCE)
    provider.answer_once(200, stream=stream)
    ahead = await answered(await connect(MODELS[api]), request)
    with monkeypatch.context() as patched:
        alone(patched)
        patched.setenv("OPENAI_API_KEY", "another client")
        patched.setenv("ANTHROPIC_API_KEY", "another client")
        provider.answer_once(200, stream=stream)
        return ahead, await answered(await connect(MODELS[api]), request)


@pytest.mark.parametrize(
    "cut",
    [one_by_one, together, in_tiny_pieces, with_other_line_ends, with_comments],
    ids=lambda c: c.__name__,
)
@pytest.mark.parametrize("api", MODELS)
async def test_an_answer_is_told_as_the_libraries_alone_tell_it(
    api: str, cut: Any, provider: MockProvider, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    ahead, behind = await both(api, cut(ANSWERS[api]), provider, connect, monkeypatch)
    assert joined(ahead) == joined(behind)
    deltas = [[part.delta for part in parts if isinstance(part, DELTAS)] for parts in (ahead, behind)]
    assert deltas[0] == deltas[1]
    natives = [finish_of(parts).native for parts in (ahead, behind)]
    assert natives[0].parts == natives[1].parts
    assert natives[0].provider_details == natives[1].provider_details
    assert natives[0].usage == natives[1].usage


@pytest.mark.parametrize("api", MODELS)
async def test_the_libraries_get_what_was_read_ahead_as_one_event(
    api: str, provider: MockProvider, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    seen: list[Any] = []
    read = EventReader.read

    def spy(self: EventReader, event: Any) -> Any:
        seen.append(event)
        return read(self, event)

    monkeypatch.setattr(EventReader, "read", spy)
    frames = ANSWERS[api]
    text = next(at for at, frame in enumerate(frames) if "über".encode() in frame)
    long = [*frames[: text + 1], *[frames[text]] * 500, *frames[text + 1 :]]
    provider.answer_once(200, stream=long)
    parts = await answered(await connect(MODELS[api]), asked("hi", tools=[WEATHER]))
    assert len([part for part in parts if isinstance(part, DELTAS)]) > 500
    assert (reasoning_of(parts) + text_of(parts)).count("über ") > 500
    assert len(seen) < 100


FAILURES = {
    "error": {
        "responses": b'data: {"type":"error","code":"x","message":"Broken.","sequence_number":9}\n\n',
        "chat": b'data: {"error":{"message":"Broken.","type":"server_error","code":"x"}}\n\n',
        "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"x","message":"Broken."}}\n\n',
    },
    "no JSON": dict.fromkeys(MODELS, b"event: x\ndata: {broken\n\n"),
    "no UTF-8": dict.fromkeys(MODELS, b'event: x\ndata: {"type":"\xff"}\n\n'),
}


@pytest.mark.parametrize(
    "way", [(what, end) for what in (*FAILURES, "nothing") for end in ("close", "reset")]
)
@pytest.mark.parametrize("api", MODELS)
async def test_a_failure_within_a_text_is_the_libraries_failure(
    api: str, way: tuple[str, Any], provider: MockProvider, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    what, end = way
    frames = ANSWERS[api]
    text = next(at for at, frame in enumerate(frames) if "über".encode() in frame)
    broken = FAILURES[what][api] if what in FAILURES else b"data: {cut"

    async def told() -> tuple[Any, ...]:
        provider.answer_once(200, stream=[*frames[: text + 1], *[frames[text]] * 5, broken], end=end)
        model, parts = await connect(MODELS[api]), list[StreamPart]()
        try:
            async with aclosing(model.stream(asked("hi", settings=ONCE))) as stream:
                async for part in stream:
                    parts += [part]
        except Exception as error:
            failure = provider_failure(error)
            return joined(parts), type(error), failure.code, failure.message
        return (joined(parts),)

    ahead = await told()
    alone(monkeypatch)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "another client")
    assert ahead == await told()


@pytest.mark.parametrize("api", MODELS)
async def test_the_timeout_of_a_request_covers_what_is_read_ahead(
    api: str, provider: MockProvider, connect: Any
):
    frames = ANSWERS[api]
    text = next(at for at, frame in enumerate(frames) if "über".encode() in frame)
    provider.answer_once(200, stream=frames[: text + 1], end="hang")
    with pytest.raises(Exception) as raised:
        await answered(
            await connect(MODELS[api]), asked("hi", settings=ModelSettings(max_retries=0, timeout=0.4))
        )
    assert provider_failure(raised.value).code == "timeout"


@pytest.mark.parametrize("api", MODELS)
async def test_leaving_while_text_is_read_ahead_hangs_up(api: str, provider: MockProvider, connect: Any):
    frames = ANSWERS[api]
    text = next(at for at, frame in enumerate(frames) if "über".encode() in frame)
    provider.answer_once(200, stream=[*frames[: text + 1], *[frames[text]] * 3], end="hang")
    stream = (await connect(MODELS[api])).stream(asked("hi"))
    told = 0
    async for part in stream:
        told += isinstance(part, DELTAS) and part.delta == "über "
        if told == 3:
            break
    await stream.aclose()
    assert await asyncio.to_thread(provider.requests[0].hung_up.wait, 5)
