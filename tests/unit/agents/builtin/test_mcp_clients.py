"""Clients that a developer opened: each kind by its real library where there is one here."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import mcp
import pydantic
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic_ai.toolsets import FunctionToolset

from mcp_runs import call, mcp_tools, names, reasons, run_context
from mcp_servers import real_server


def value(answer) -> dict:
    return json.loads(answer.content)


class City(pydantic.BaseModel):
    city: str


@dataclass
class Tool:
    """A tool as an object."""

    execute: Any
    description: str | None = None
    input_schema: Any = None


class Mapped:
    """A client with ``tools()``."""

    name = "mapped"

    def __init__(self, **tools: Any) -> None:
        self.given = tools

    async def tools(self) -> dict[str, Any]:
        return self.given


def sync_weather(arguments: dict[str, Any]) -> str:
    return f"sunny in {arguments['city']}"


async def async_weather(args: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": options["toolCallId"]}], "isError": args == {}}


@pytest.mark.parametrize(
    "schema",
    [City, {"jsonSchema": City.model_json_schema()}, City.model_json_schema()],
    ids=["model", "wrapped", "dict"],
)
async def test_tools_of_a_mapping_are_called_with_their_arguments(schema):
    client = Mapped(
        weather={"description": "Weather.", "inputSchema": schema, "execute": sync_weather},
        other=Tool(async_weather),
    )
    async with mcp_tools(clients=[client]).for_run(run_context(), taken=()) as run:
        assert names(run) == ["weather", "other"]
        assert run.tools[0].description == "Weather."
        assert run.tools[0].parameters["required"] == ["city"]
        assert run.tools[1].parameters == {"type": "object", "properties": {}}
        answer = await call(run, "weather", '{"city":"Oslo"}')
        assert answer.content == '{"content":[{"type":"text","text":"sunny in Oslo"}],"isError":false}'
        assert answer.for_model == "sunny in Oslo"
        assert value(await call(run, "other"))["isError"] is True
        assert (await call(run, "other", '{"a":1}')).for_model == "c1"


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("returned", "content", "structured", "for_model"),
    [
        (None, [], None, ""),
        (3, said("3"), None, "3"),
        ({"a": [1]}, said('{"a":[1]}'), {"a": [1]}, '{"a":[1]}'),
        (["x", {"b": 1}], said("x", '{"b":1}'), None, 'x\n{"b":1}'),
        (City(city="Rome"), said('{"city":"Rome"}'), {"city": "Rome"}, '{"city":"Rome"}'),
    ],
)
async def test_any_value_becomes_a_result(returned, content, structured, for_model):
    client = Mapped(tool=Tool(lambda arguments: returned))
    async with mcp_tools(clients=[client]).for_run(run_context(), taken=()) as run:
        answer = await call(run, "tool")
        assert value(answer)["content"] == content
        assert value(answer).get("structuredContent") == structured
        assert answer.for_model == for_model


async def test_media_that_is_no_picture_is_named_to_the_model_and_a_broken_picture_too():
    content = [
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "image", "data": "not base64!", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
        {"type": "resource_link", "uri": "file:///b", "name": "b"},
    ]
    client = Mapped(tool=Tool(lambda arguments: {"content": content}))
    async with mcp_tools(clients=[client]).for_run(run_context(), taken=()) as run:
        answer = await call(run, "tool")
        assert value(answer)["content"] == content
        assert answer.for_model == "[audio]\n[image]\ninside\n[resource: b]"


async def test_a_client_tool_that_raises_answers_with_its_error_redacted_and_short():
    def fails(arguments):
        raise RuntimeError("Bearer abc " + "x" * 5000)

    client = Mapped(tool=Tool(fails))
    async with mcp_tools(clients=[client]).for_run(run_context(), taken=()) as run:
        answer = await call(run, "tool", redact=lambda text: text.replace("Bearer abc", "[redacted]"))
        assert value(answer)["error"].startswith("[redacted] xxx")
        assert len(value(answer)["error"]) == 2000
        assert answer.error == "error"


@pytest.mark.parametrize("tools", [{"a": {"description": "no execute"}}, {"a": Tool(lambda a, b, c: 1)}])
async def test_a_client_whose_tools_cannot_be_called_is_left_out(tools):
    async with mcp_tools(clients=[Mapped(**tools)]).for_run(run_context(), taken=()) as run:
        assert [reason[0] for reason in reasons(run)] == ["mapped"]
        assert run.tools == []


async def test_a_tool_whose_schema_is_not_an_object_is_dropped_alone():
    client = Mapped(bad=Tool(sync_weather, input_schema={"type": "string"}), good=Tool(sync_weather))
    async with mcp_tools(clients=[client]).for_run(run_context(), taken=()) as run:
        assert names(run) == ["good"]


async def test_a_client_and_a_session_of_the_mcp_package_are_used_and_left_open():
    async with real_server(legacy=False) as server, AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(server.url))
        streams = await stack.enter_async_context(streamable_http_client(server.url))
        session = await stack.enter_async_context(mcp.ClientSession(streams[0], streams[1]))
        await session.initialize()
        for opened in (client, session):
            tools = mcp_tools(clients=[opened])
            for text in ("one", "two"):
                async with tools.for_run(run_context(), taken=()) as run:
                    assert {"echo", "dotted_n_me"} <= set(names(run))
                    assert (await call(run, "echo", json.dumps({"text": text}))).for_model == text
                    assert (await call(run, "fails")).error == "tool_error"
                    picture = value(await call(run, "dotted_n_me"))
                    assert picture["structuredContent"]["seen"] is True


async def test_a_closed_client_of_the_mcp_package_is_left_out():
    async with mcp_tools(clients=[Client("http://127.0.0.1:9/mcp")]).for_run(run_context(), taken=()) as run:
        assert reasons(run) == [("Client", "error")]


async def test_a_toolset_of_pydantic_ai_is_used():
    toolset = FunctionToolset(id="weather-tools")

    @toolset.tool_plain
    def weather(city: str, days: int = 1) -> dict[str, Any]:
        """Weather of a city."""
        return {"city": city, "days": days}

    @toolset.tool_plain
    async def fails() -> str:
        raise RuntimeError("no weather")

    async with mcp_tools(clients=[toolset]).for_run(run_context(), taken=()) as run:
        assert names(run) == ["weather", "fails"]
        assert run.tools[0].description == "Weather of a city."
        assert value(await call(run, "weather", '{"city":"Oslo","days":"2"}'))["structuredContent"] == {
            "city": "Oslo",
            "days": 2,
        }
        assert value(await call(run, "fails")) == {"error": "no weather"}
        assert "error" in value(await call(run, "weather", "{}"))
