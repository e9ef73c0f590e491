"""Answers with models of the ``ai`` package: the parts of one generation, or the events of a run."""

import asyncio
import json
import os
import sys
from typing import Any

import ai
import msgspec

from builtin_agents import given, run
from jumpseat.agents.builtin import BuiltInAgent, define_tool
from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    ModelRequest,
    ModelSettings,
    ModelTool,
    RequestedCall,
    SystemText,
    Text,
    Thinking,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.models.ai_sdk import AiSdkModel
from jumpseat.agents.builtin.models.ai_sdk_settings import request_parameters
from jumpseat.agents.builtin.parts import Finish
from jumpseat.context import AbortSignal

PIXEL = b"\x89PNG\r\n\x1a\n"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}}}
ASKED = RequestedCall(id="c-1", name="weather", arguments={"city": "Bern"})
CONVERSATIONS = {
    "hello": [SystemText(content="Be kind."), UserTurn(content="hello")],
    "picture": [UserTurn(content=[Text(text="hello"), MediaData(data=PIXEL, media_type="image/png")])],
    "answered": [
        UserTurn(content="hello"),
        AssistantTurn(
            content=[
                Thinking(text="Hm", signature="sig-1", provider="anthropic"),
                Text(text="I look."),
                ASKED,
            ]
        ),
        ToolReturn(tool_call_id="c-1", name="weather", content='{"degrees":7}'),
    ],
    "shown": [
        UserTurn(content="hello"),
        AssistantTurn(content=[ASKED]),
        ToolReturn(
            tool_call_id="c-1",
            name="weather",
            content=[Text(text="a map"), MediaData(data=PIXEL, media_type="image/png")],
        ),
    ],
}
PROTOCOLS = {
    "": None,
    "chat": ai.providers.openai.protocol.OpenAIChatCompletionsProtocol,
    "responses": ai.providers.openai.protocol.OpenAIResponsesProtocol,
}


def model_of(spec: str, protocol: str = "") -> Any:
    made = PROTOCOLS[protocol]
    return ai.get_model(spec, protocol=made() if made else None)


def request_of(job: dict[str, Any], messages: list[Any] | None = None) -> ModelRequest:
    choice = job.get("tool_choice", "auto")
    return ModelRequest(
        messages=CONVERSATIONS[job.get("conversation", "hello")] if messages is None else messages,
        abort_signal=AbortSignal(),
        tools=[ModelTool(name="weather", description="Tells it.", parameters=SCHEMA)]
        if job.get("tools")
        else [],
        tool_choice=tuple(choice) if isinstance(choice, list) else choice,
        settings=ModelSettings(**job.get("settings", {})),
        provider_options=job.get("options", {}),
        thinking=job.get("thinking", True),
    )


def plain(part: Any) -> dict[str, Any]:
    shown = msgspec.structs.replace(part, native=None) if isinstance(part, Finish) else part
    return msgspec.to_builtins(shown)


async def parts(job: dict[str, Any]) -> Any:
    model = AiSdkModel(model_of(job["model"], job.get("protocol", "")))
    try:
        got = [part async for part in model.stream(request_of(job))]
        if job.get("again"):
            # The second step of a run: the answer as the provider gave it, under ids that had to change.
            native = got[-1].native
            calls = {call.tool_call_id: "call_renamed" for call in native.tool_calls}
            turns = [
                UserTurn(content="hello"),
                AssistantTurn(content=[], native=native, renamed_calls=calls),
                ToolReturn(tool_call_id="call_renamed", name="weather", content="7"),
            ]
            got = [part async for part in model.stream(request_of(job, turns))]
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)}
    return {"parts": [plain(part) for part in got], "provider": model.provider, "model": model.model}


@define_tool
def weather(city: str) -> dict[str, Any]:
    """Tells the weather."""
    return {"city": city, "degrees": 7}


async def agent(job: dict[str, Any]) -> Any:
    made = BuiltInAgent(
        model=model_of(job["model"], job.get("protocol", "")), tools=[weather], max_steps=3, prompt="Be kind."
    )
    try:
        return await run(made, given("weather"))
    finally:
        await made.aclose()


async def left(_: dict[str, Any]) -> Any:
    """Leave a stream after its first part; says whether its provider then sees the connection close."""
    closed = asyncio.Event()
    said = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}], "id": "x"}
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}data: {json.dumps(said)}\n\n".encode())
        while await reader.read(65_536):
            pass
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    stream = AiSdkModel(model_of("openai:gpt-5", "chat")).stream(request_of({}))
    async with asyncio.timeout(10):
        first = await anext(stream)
        await stream.aclose()
        await closed.wait()
    server.close()
    return plain(first)


async def scripted(_: dict[str, Any]) -> Any:
    script = [
        ai.user_message("hello"),
        ai.assistant_message("Hi.", ai.testing.tool_call("weather", city="Bern")),
    ]
    got = [
        part
        async for part in AiSdkModel(ai.testing.FakeModel(script)).stream(
            request_of({"tools": True}, [UserTurn(content="hello")])
        )
    ]
    return [plain(part) for part in got]


async def gateway(job: dict[str, Any]) -> Any:
    """What a request through the AI Gateway is made with; nothing is sent."""
    made = AiSdkModel(ai.get_model("anthropic/claude-test-1"))
    given = request_parameters(ai.models, request_of(job), made.provider, (), gateway=True)
    return {"provider": made.provider, "body": given.extra_body}


JOBS = {"gateway": gateway, "parts": parts, "agent": agent, "left": left, "scripted": scripted}

for line in sys.stdin:
    asked = json.loads(line)
    os.environ |= asked["environment"]
    print(json.dumps(asyncio.run(JOBS[asked["do"]](asked))), flush=True)
