"""What the reference of BuiltInAgent says is so: its tables are read, and each row is tried."""

import asyncio
import dataclasses
import inspect
import json
import re
from typing import Any

import pytest

from builtin_agents import given, of, run, run_context, types
from chats import call_message, failure, text
from documents import ROOT, quoted, table, tables
from jumpseat import BuiltInAgent, RunAgentInput, ToolError, define_tool
from jumpseat.agents.builtin import (
    AssistantTurn,
    MCPServer,
    ModelRequest,
    ModelTool,
    SystemText,
    ToolReturn,
    UserTurn,
    parts,
)
from jumpseat.agents.builtin.failures import FAILURE_CODES
from jumpseat.agents.builtin.options import DEFAULTS
from jumpseat.agents.builtin.overrides import OVERRIDABLE
from jumpseat.mcp.failures import ServerUnavailable
from jumpseat.testing import ScriptedModel
from mock_provider import MockProvider, mock_server, provider

__all__ = ["mock_server", "provider"]

REFERENCE = ROOT / "docs" / "reference" / "built-in-agent.md"


def rows(*columns: str) -> list[dict[str, str]]:
    return table(REFERENCE, *columns)


def call(name: str, arguments: Any = None, call_id: str = "c1") -> dict[str, Any]:
    return {"type": "tool-call", "id": call_id, "name": name, "input": arguments or {}}


def test_every_option_is_in_the_reference_with_its_default():
    found = [row for listed in tables(REFERENCE) if "option" in listed[0] for row in listed]
    defaults = {}
    for row in found:
        names, values = quoted(row["option"]), quoted(row["default"])
        for number, name in enumerate(names):
            defaults[name] = values[number if len(values) == len(names) else 0] if values else "required"
    signature = inspect.signature(BuiltInAgent.__init__).parameters
    own = {
        name: found.default for name, found in signature.items() if name not in ("self", "options", "model")
    }
    expected = {name: repr(value) for name, value in {**DEFAULTS, **own}.items()}
    assert defaults.pop("model") == "required"
    assert {name: value.replace('"', "'") for name, value in defaults.items()} == expected


def test_parts_and_their_fields_are_in_the_reference():
    described = {}
    for row in rows("part", "fields"):
        described |= {kind: set(quoted(row["fields"])) for kind in quoted(row["part"])}
    kinds = {kind.__struct_config__.tag: set(kind.__struct_fields__) for kind in parts.StreamPart.__args__}
    described["tool-output-denied"] -= {"error"}
    assert {kind: fields for kind, fields in kinds.items() if kind in described} == described
    # The others are for the streams of factories.
    assert set(kinds) - set(described) == {"abort", "approval-request", "step-break"}


def test_what_a_model_is_asked_is_in_the_reference():
    (found,) = [listed for listed in tables(REFERENCE) if quoted(listed[0].get("field", "")) == ["messages"]]
    assert {name for row in found for name in quoted(row["field"])} == set(ModelRequest.__struct_fields__)
    kinds = [SystemText, UserTurn, AssistantTurn, ToolReturn, ModelTool]
    expected = [f"{kind.__name__}({', '.join(kind.__struct_fields__)})" for kind in kinds]
    written = [word for row in found for word in quoted(row[""]) if re.match(r"[A-Z]\w+\(", word)]
    assert written == expected


def test_fields_of_a_server_are_in_the_reference():
    found = rows("field of `mcp_servers`")
    named = {name for row in found for name in quoted(row["field of `mcp_servers`"])}
    for_apps = {"server_id", "agent_id", "resource_schemes"}
    assert named == {field.name for field in dataclasses.fields(MCPServer)} - for_apps


def test_reasons_why_a_server_is_away_are_in_the_reference():
    words = {word for row in rows("reason") for word in quoted(row["reason"])}
    described = (ServerUnavailable.__doc__ or "").partition("Words:")[2]
    assert words == set(re.findall(r"``(\w+)``", described))


def test_what_clients_may_override_is_in_the_reference():
    found = rows("name", "accepted")
    assert {name for row in found for name in quoted(row["name"])} == set(OVERRIDABLE.values())


def test_a_configuration_of_the_typescript_runtime_is_taken():
    agent = BuiltInAgent.from_config(
        {
            "model": "openai/gpt-5",
            "apiKey": "sk-0123456789",
            "maxSteps": 3,
            "toolChoice": {"type": "tool", "toolName": "search"},
            "maxOutputTokens": 100,
            "temperature": 0,
            "topP": 1,
            "topK": 2,
            "presencePenalty": 0,
            "frequencyPenalty": 0,
            "stopSequences": ["END"],
            "seed": 1,
            "maxRetries": 1,
            "prompt": "Be brief.",
            "tools": [],
            "mcpServers": [{"type": "http", "url": "http://127.0.0.1:1/mcp", "options": {"requestInit": {}}}],
            "mcpClients": [],
            "providerOptions": {"openai": {"reasoningEffort": "low"}},
            "overridableProperties": ["toolChoice", "topP"],
            "forwardSystemMessages": True,
            "forwardDeveloperMessages": True,
            "capabilities": {"tools": {"supported": False}},
        }
    )
    assert isinstance(agent, BuiltInAgent)
    with pytest.raises(TypeError, match="max_step"):
        BuiltInAgent.from_config({"model": "openai/gpt-5", "maxStep": 3})


# A conversation for each part: the part itself, or what has to come before it.
REASONING: list[Any] = [{"type": "reasoning-start"}, {"type": "reasoning-delta", "delta": "hm"}]
SCENES: dict[str, list[Any]] = {
    "text-start": [{"type": "text-start", "id": "own-id"}],
    "text-delta": [{"type": "text-delta", "delta": ""}, {"type": "text-delta", "delta": "hi"}],
    "reasoning-start": [{"type": "reasoning-start"}],
    "reasoning-delta": [*REASONING],
    "reasoning-end": [*REASONING, {"type": "reasoning-end", "signature": "s", "provider": "scripted"}],
    "tool-input-start": [{"type": "tool-input-start", "id": "c1", "name": "pick"}],
    "tool-input-delta": [
        {"type": "tool-input-start", "id": "c1", "name": "pick"},
        {"type": "tool-input-delta", "id": "c1", "delta": "{}"},
    ],
    "tool-call": [call("pick", {"a": 1})],
    "tool-result": [
        {**call("AGUISendStateSnapshot"), "provider_executed": True},
        {"type": "tool-result", "id": "c1", "output": {"snapshot": 1}},
    ],
    "tool-error": [
        {**call("pick"), "provider_executed": True},
        {"type": "tool-error", "id": "c1", "error": "x"},
    ],
    "error": [{"type": "error", "error": "broken"}],
    "finish": [{"type": "finish", "usage": {"inputTokens": 1}}],
    "usage": [{"type": "usage", "usage": {"inputTokens": 1}}, {"type": "finish"}],
    "source": [{"type": "source", "url": "http://127.0.0.1"}, {"type": "finish"}],
}
EVENTS = {
    "text-delta": ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"],
    "reasoning-start": ["REASONING_START", "REASONING_MESSAGE_START"],
    "reasoning-delta": ["REASONING_MESSAGE_CONTENT"],
    "reasoning-end": ["REASONING_MESSAGE_END", "REASONING_END", "REASONING_ENCRYPTED_VALUE"],
    "tool-input-start": ["TOOL_CALL_START"],
    "tool-input-delta": ["TOOL_CALL_ARGS"],
    "tool-call": ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"],
    "tool-result": ["TOOL_CALL_RESULT"],
    "tool-error": ["TOOL_CALL_RESULT"],
    "error": ["RUN_ERROR"],
}


def documented(part: str) -> list[str]:
    """The events that the reference gives for a part, in its order."""
    for row in rows("part", "fields"):
        if part in quoted(row["part"]) or (row["part"].startswith("anything") and part == "source"):
            return [name for name in quoted(row["events"]) if re.fullmatch("[A-Z_]+", name)]
    raise AssertionError(part)


@pytest.mark.parametrize("part", SCENES)
async def test_each_part_makes_the_events_in_the_reference(part: str):
    async def with_part(scene: list[Any]) -> list[str]:
        model = ScriptedModel([scene], finish=False)
        kinds = types(await run(BuiltInAgent(model=model), given(tools=[PICK])))
        return kinds[1:]

    assert documented(part) == EVENTS.get(part, [])
    made = await with_part(SCENES[part])
    # What is left open at the end is closed, and the run has its own end.
    if part in EVENTS:
        assert [kind for kind in made if kind in EVENTS[part]] == EVENTS[part]
    else:
        assert set(made) <= {"RUN_FINISHED", "RUN_ERROR"}


PICK = {"name": "pick", "description": "", "parameters": {}}


class Opaque:
    pass


@define_tool
def tells(how: str) -> Any:
    """Do as told."""
    if how == "opaque":
        return Opaque()
    if how == "tool error":
        raise ToolError("text")
    raise RuntimeError("its text")


@define_tool(timeout=0.01)
async def waits() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


RESULTS = {
    "returns what has no JSON form": (call("tells", {"how": "opaque"}), "tells"),
    'raises `ToolError("text")`': (call("tells", {"how": "tool error"}), "tells"),
    "raises something else": (call("tells", {"how": "other"}), "tells"),
    "gets arguments that do not fit": (call("tells", {}), "tells"),
    "does not exist": (call("nothing"), "nothing"),
    "takes longer than `timeout`": (call("waits"), "waits"),
}


@pytest.mark.parametrize("case", RESULTS)
async def test_each_result_of_a_tool_reads_as_in_the_reference(case: str):
    (content,) = [quoted(row["`content`"])[0] for row in rows("the tool") if row["the tool"] == case]
    part, name = RESULTS[case]
    agent = BuiltInAgent(model=ScriptedModel([[part], ["Done."]]), tools=[tells, waits], max_steps=2)
    events = await run(agent)
    expected = content.replace("<its text>", "its text").replace("<problems>", "how: missing")
    expected = re.sub(r"\bN\b", name, expected).replace("S s", "0.01 s")
    assert [event["content"] for event in of("TOOL_CALL_RESULT", events)] == [expected]
    assert text(events) == "Done."


async def test_calls_of_an_answer_that_failed_have_the_result_in_the_reference():
    (row,) = [row for row in rows("the tool") if row["the tool"].startswith("was called by an answer")]
    agent = BuiltInAgent(
        model=ScriptedModel([[call("tells"), {"type": "error", "error": "x"}]]), tools=[tells]
    )
    events = await run(agent)
    assert [event["content"] for event in of("TOOL_CALL_RESULT", events)] == quoted(row["`content`"])
    assert events[-1]["type"] == "RUN_ERROR"


def statuses() -> list[tuple[int, str]]:
    return [
        (int(status), quoted(row["code"])[0])
        for row in rows("code", "when")
        for status in re.findall(r"\b\d{3}\b", row["when"])
    ]


@pytest.mark.parametrize(("status", "code"), [*statuses(), (422, "invalid_request"), (500, "provider_error")])
async def test_each_status_of_a_provider_has_the_code_in_the_reference(
    provider: MockProvider, monkeypatch: pytest.MonkeyPatch, status: int, code: str
):
    provider.use(monkeypatch)
    provider.answer_once(status, {"error": {"message": "Not now."}})
    agent = await asyncio.to_thread(BuiltInAgent, model="anthropic/claude-opus-4-8", max_retries=0)
    end = failure(await run(agent))
    await agent.aclose()
    assert (end["code"], end["message"]) == (code, "Not now.")


@pytest.mark.parametrize(
    ("ends", "said", "end"),
    [
        ("stop", "hi", "RUN_FINISHED"),
        ("length", "hi", "RUN_FINISHED"),
        ("tool_call", "hi", "RUN_FINISHED"),
        ("other", "", "RUN_FINISHED"),
        ("content_filter", "hi", "RUN_FINISHED"),
        ("content_filter", "", "content_filter"),
        ("error", "hi", "provider_error"),
        ("nothing", "", "provider_error"),
    ],
)
async def test_each_end_of_an_answer_ends_the_run_as_in_the_reference(ends: str, said: str, end: str):
    reasons = {
        name for row in rows("the provider ends with") for name in quoted(row["the provider ends with"])
    }
    assert ends in reasons | {"nothing"}
    script = [said, *([] if ends == "nothing" else [{"type": "finish", "reason": ends}])]
    context = run_context()
    events = await run(BuiltInAgent(model=ScriptedModel([script], finish=False)), context=context)
    assert end in (events[-1]["type"], events[-1].get("code"))
    if ends == "nothing":
        assert f"`{events[-1]['message']}`" in str(rows("the provider ends with")[-1])
    else:
        assert context.record["finish_reason"] == ends
    assert set(context.record) == {"finish_reason", "steps", "model"}


def test_capabilities_are_those_in_the_reference():
    written = re.search(r"^`(\{\"tools\".*?\})`", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written is not None
    agent = BuiltInAgent(model=ScriptedModel([]))
    assert asyncio.run(agent.capabilities()) == json.loads(written[1])


async def test_a_thread_with_open_calls_is_repaired_as_in_the_reference():
    model = ScriptedModel([["All right."]])
    await run(BuiltInAgent(model=model), given(call_message("pick", "c9"), "and now?"))
    result = model.requests[0].messages[1]
    assert f"`{result.content}`" in REFERENCE.read_text(encoding="utf-8")  # type: ignore[union-attr]


async def test_an_empty_conversation_is_refused_as_in_the_reference():
    end = failure(
        await run(
            BuiltInAgent(model=ScriptedModel([])), RunAgentInput(thread_id="t1", run_id="r1", messages=[])
        )
    )
    assert f"`{end['code']}`, `{end['message']}`" in REFERENCE.read_text(encoding="utf-8")


def test_the_codes_in_the_reference_are_all_there_are():
    assert {quoted(row["code"])[0] for row in rows("code", "when")} == FAILURE_CODES
