"""Runs agents of the ``ai`` package, with a scripted model, through the converter and prints the events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import ai

from foreign_streams import converted, stream_of

CASES: dict[str, Any] = {}


def case(function: Any) -> Any:
    CASES[function.__name__] = function
    return function


@ai.tool
async def weather(city: str) -> dict[str, Any]:
    """Tells the weather."""
    return {"city": city, "degrees": 7}


@ai.tool
async def motto(city: str) -> str:
    """Tells a motto."""
    return f'Onwards "{city}"'


@ai.tool
async def broken(city: str) -> str:
    """Fails."""
    raise ValueError(f"no {city}")


@ai.tool
async def slow(city: str) -> ai.StreamingTextTool:
    """Takes its time."""
    yield "half"
    yield f" of {city}"


@ai.tool(require_approval=True)
async def remove(city: str) -> str:
    """Removes a city."""
    return f"removed {city}"


def model(*said: Any) -> ai.testing.FakeModel:
    return ai.testing.FakeModel([ai.user_message("hi"), *said])


def asked(tool: Any, **arguments: Any) -> Any:
    return ai.testing.tool_call(tool, **arguments)


def run(tools: list[Any], *said: Any) -> Any:
    return ai.Agent(tools=tools).run(model(*said), [ai.user_message("hi")])


@case
def text() -> Any:
    return ai.stream(model(ai.assistant_message("Hello")), [ai.user_message("hi")])


@case
def reasoning() -> Any:
    thought = ai.thinking("Let me see", provider_metadata={"anthropic": {"signature": "sig-1"}})
    return ai.stream(model(ai.assistant_message(thought, "Fine.")), [ai.user_message("hi")])


@case
def tools() -> Any:
    calls = [asked(weather, city="Bern"), asked(motto, city="Bern")]
    return run([weather, motto], ai.assistant_message("I look.", *calls), ai.assistant_message("It is 7."))


@case
def failing() -> Any:
    return run([broken], ai.assistant_message(asked(broken, city="Bern")), ai.assistant_message("Sorry."))


@case
def progress() -> Any:
    return run([slow], ai.assistant_message(asked(slow, city="Bern")), ai.assistant_message("Done."))


@case
def approval() -> Any:
    calls = [asked(remove, city="Bern"), asked(weather, city="Bern")]
    return run([remove, weather], ai.assistant_message(*calls), ai.assistant_message("Never."))


@case
def client() -> Any:
    schema = {"type": "object", "properties": {}}
    show = ai.tools.Tool(kind="function", name="show", spec=ai.tools.ToolSpec(description="", params=schema))
    said = model(ai.assistant_message(asked("show", a=1)))
    return ai.stream(said, [ai.user_message("hi")], tools=[show])


@case
def approved() -> Any:
    """The run after the answer to an approval: the package goes on with the call of the earlier run."""
    call = asked(remove, city="Bern")
    given = [ai.user_message("hi"), ai.assistant_message(call)]
    # So the package marks the turn that it goes on with, and the scripted model compares the mark too.
    said = model(given[-1].model_copy(update={"replay": True}), ai.assistant_message("It is gone."))

    async def stream() -> AsyncIterator[Any]:
        async with ai.Agent(tools=[remove]).run(said, given) as events:
            ai.resolve_hook(f"approve_{call.tool_call_id}", {"granted": True})
            async for event in events:
                yield event

    return stream()


@case
def as_dicts() -> Any:
    async def stream() -> AsyncIterator[Any]:
        async with tools() as events:
            async for event in events:
                yield event.model_dump(mode="json")

    return stream()


@case
def from_a_ui_message_stream() -> Any:
    async def stream() -> AsyncIterator[Any]:
        async with tools() as events:
            async for chunk in ai.ui.ai_sdk.to_stream(events):
                yield chunk

    return stream()


@case
def unfinished() -> Any:
    return ai.Stream(stream_of([ai.events.StreamStart(), ai.events.TextDelta(chunk="Par", block_id="0")]))


async def main() -> None:
    print(json.dumps({name: await converted("aisdk", make()) for name, make in CASES.items()}))


asyncio.run(main())
