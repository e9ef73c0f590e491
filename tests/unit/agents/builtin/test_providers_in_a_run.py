"""Whole runs of a BuiltInAgent with the real SDK of every provider, against the mock of the providers."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from builtin_agents import given, of, run, run_context, types
from jumpseat import BuiltInAgent, define_tool
from jumpseat.protocol.codec import accept, to_wire
from jumpseat.protocol.reduce import Reducer
from mock_provider import KEY_VARIABLES, TEST_KEY, MockProvider

MODELS = {
    "openai": "openai/gpt-5",
    "openai-chat": "openai-chat/gpt-5",
    "anthropic": "anthropic/claude-opus-4-8",
    "google": "google/gemini-2.5-pro",
}
ANSWER = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]
LOOK = {"name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}

Make = Callable[..., BuiltInAgent]


@pytest_asyncio.fixture
async def make(provider: MockProvider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes agents that talk to the mock; their connections are closed when the test ends."""
    provider.use(monkeypatch)
    made: list[BuiltInAgent] = []

    def agent(model: str, **options: Any) -> BuiltInAgent:
        made.append(BuiltInAgent(model=model, **options))
        return made[-1]

    yield agent
    for one in made:
        await one.aclose()


def called(call_id: str, arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}, **fields}


def result(name: str, call_id: str, content: str) -> dict[str, Any]:
    return {"id": name, "role": "tool", "toolCallId": call_id, "content": content}


def transcript(provider: MockProvider, number: int = 0) -> list[Any]:
    """Who said what in a request, with consecutive messages of one side taken together."""
    told: list[Any] = []
    for message in provider.journal()[number]["body"]["messages"]:
        role, content = message["role"], message["content"] or ""
        if role == "tool":
            told.append((message["tool_call_id"], _returned(content)))
            continue
        calls = [
            (call["id"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls", ())
        ]
        if told and told[-1][0] == role:
            told[-1] = (role, told[-1][1] + content, [*told[-1][2], *calls])
        else:
            told.append((role, content, calls))
    return told


def _returned(content: str) -> str:
    """A result as it was; Gemini takes objects only."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    wrapped = isinstance(value, dict) and value.keys() == {"return_value"}
    return value["return_value"] if wrapped else content


# --- keys and addresses


@pytest.mark.parametrize("name", [*MODELS, "minimax"])
async def test_without_a_key_the_run_fails_and_the_next_one_works(
    name: str, provider: MockProvider, make: Make, monkeypatch: pytest.MonkeyPatch
):
    provider.say("ok")
    for variable in KEY_VARIABLES:
        monkeypatch.delenv(variable)
    agent = make(MODELS.get(name, "minimax/MiniMax-M2"))
    variable = {"openai-chat": "OPENAI", "google": "GEMINI"}.get(name, name.upper()) + "_API_KEY"
    failed = await run(agent)
    assert types(failed) == ["RUN_STARTED", "RUN_ERROR"]
    assert failed[-1]["code"] == "authentication_error"
    assert variable in failed[-1]["message"]
    assert provider.requests == []
    monkeypatch.setenv(variable, TEST_KEY)
    assert types(await run(agent)) == ANSWER


async def test_a_key_of_openai_never_goes_to_minimax(
    provider: MockProvider, make: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MINIMAX_API_KEY")
    (_, error) = await run(make("minimax/MiniMax-M2"))
    assert (error["code"], "MINIMAX_API_KEY" in error["message"]) == ("authentication_error", True)
    assert "OPENAI" not in error["message"]
    assert provider.requests == []


@pytest.mark.parametrize("name", MODELS)
async def test_a_key_may_end_with_the_end_of_its_line(name: str, provider: MockProvider, make: Make):
    provider.say("ok")

    async def read(_: Any) -> str:
        return "sk-of-the-run\r\n"

    for key in (" sk-of-the-file\n", read):
        assert types(await run(make(MODELS[name], api_key=key, max_retries=0))) == ANSWER
    assert "sk-of-the-file" in provider.requests[0].text
    assert "sk-of-the-run" in provider.requests[1].text


@pytest.mark.parametrize("returned", [None, "", " \n"])
async def test_the_key_of_the_environment_is_not_for_runs_that_should_have_their_own(
    returned: str | None, provider: MockProvider, make: Make
):
    (_, error) = await run(make(MODELS["openai"], api_key=lambda _: returned))
    assert (error["code"], error["message"]) == (
        "authentication_error",
        "api_key returned no key for this run.",
    )
    assert provider.requests == []


@pytest.mark.parametrize("returned", [5, b"sk-x"])
async def test_a_key_that_is_no_text_is_the_developers_mistake(
    returned: Any, provider: MockProvider, make: Make
):
    (_, error) = await run(make(MODELS["openai"], api_key=lambda _: returned))
    assert error["code"] == "agent_error"
    assert provider.requests == []


@pytest.mark.parametrize("key", ["sk-ü", "sk-a\nb", "sk-\x00"])
async def test_what_cannot_be_a_key_is_refused_without_being_shown(
    key: str, provider: MockProvider, make: Make, caplog: pytest.LogCaptureFixture
):
    (_, error) = await run(make(MODELS["openai"], api_key=key))
    assert error["code"] == "authentication_error"
    assert "api_key" in error["message"]
    assert key not in error["message"] + caplog.text
    assert provider.requests == []


PATHS = {
    "openai": "/v1/responses",
    "openai-chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
}
NODE_SUFFIXES = {"anthropic": "/v1", "google": "/v1beta"}


@pytest.mark.parametrize("name", MODELS)
async def test_each_interface_has_its_path_also_with_the_address_of_a_node_program(
    name: str, provider: MockProvider, make: Make, monkeypatch: pytest.MonkeyPatch
):
    provider.say("ok")
    variable = {"anthropic": "ANTHROPIC_BASE_URL", "google": "GOOGLE_GENERATIVE_AI_BASE_URL"}.get(name)
    for suffix in ("", NODE_SUFFIXES.get(name, "")):
        if variable is not None:
            monkeypatch.setenv(variable, provider.origin + suffix)
        assert types(await run(make(MODELS[name]))) == ANSWER
    assert {request.path.partition("?")[0] for request in provider.requests} == {PATHS[name]}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("url", ["no address", "ftp://a/b", "http://[::1", "http://", "http://a:99999"])
async def test_an_address_that_is_none_is_named_by_its_variable(
    name: str, url: str, make: Make, monkeypatch: pytest.MonkeyPatch
):
    variables = {"anthropic": "ANTHROPIC_BASE_URL", "google": "GOOGLE_GENERATIVE_AI_BASE_URL"}
    variable = variables.get(name, "OPENAI_BASE_URL")
    monkeypatch.setenv(variable, url)
    (_, error) = await run(make(MODELS[name]))
    assert (error["code"], error["message"]) == ("agent_error", f"{variable} is no http or https URL.")


# --- what the model gets


DISORDER = [
    "start",
    {
        "id": "a1",
        "role": "assistant",
        "content": "Let me.",
        "toolCalls": [called("c1", "{broken"), called("c2", '{"x":1}')],
    },
    result("t9", "c9", "orphan"),
    result("t2", "c2", "first"),
    {"id": "a0", "role": "assistant", "content": ""},
    {"id": "a2", "role": "assistant", "content": "Later."},
    {"id": "u7", "role": "user", "content": "Well, "},
    result("t3", "c2", "second"),
    "go on",
]
NO_RESULT = '{"error":"No result was recorded for this tool call."}'


@pytest.mark.parametrize("name", MODELS)
async def test_a_thread_in_disorder_is_put_in_order_for_every_provider(
    name: str, provider: MockProvider, make: Make
):
    provider.say("ok")
    events = await run(make(MODELS[name]), given(*DISORDER, tools=[LOOK]))
    assert types(events) == ANSWER
    assert transcript(provider) == [
        ("user", "start", []),
        ("assistant", "Let me.", [("c1", {}), ("c2", {"x": 1})]),
        ("c1", NO_RESULT),
        ("c2", "second"),
        ("assistant", "Later.", []),
        ("user", "Well, go on", []),
    ]


@pytest.mark.parametrize("name", MODELS)
async def test_forwarded_instructions_are_system_messages_behind_the_prompt(
    name: str, provider: MockProvider, make: Make
):
    provider.say("ok")
    messages = [
        {"id": "s", "role": "system", "content": "From the system."},
        {"id": "d", "role": "developer", "content": "From the developer."},
        "hi",
    ]
    both = {"forward_system_messages": True, "forward_developer_messages": True}
    for options in ({}, both):
        await run(make(MODELS[name], prompt="Be kind.", state_tools=False, **options), given(*messages))
    told = [[text for role, text, _ in transcript(provider, number) if role == "system"] for number in (0, 1)]
    assert told[0] == ["Be kind."]
    (whole,) = told[1]
    assert [text for text in ("Be kind.", "From the system.", "From the developer.") if text in whole] == [
        "Be kind.",
        "From the system.",
        "From the developer.",
    ]
    assert whole.startswith("Be kind.")
    assert whole.index("system.") < whole.index("developer.")


KEPT = {
    "type": "object",
    "properties": {
        "a": {"type": ["object", "null"]},
        "b": {"type": "string", "pattern": "^x", "minLength": 2},
        "c": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "d": {"$ref": "#/$defs/D"},
        "e": {"enum": ["a", None]},
    },
    "required": ["b"],
    "additionalProperties": False,
    "$defs": {"D": {"oneOf": [{"type": "string"}, {"type": "null"}]}},
}
ONLY_JSON_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"f": {"const": "k", "title": "F"}, "g": {"type": "string", "format": "email"}},
}


def schemas(provider: MockProvider) -> dict[str, Any]:
    """The schemas of the tools as they arrived."""
    found: dict[str, Any] = {}
    for entry in provider.requests[-1].json["tools"]:
        for tool in entry.get("functionDeclarations", [entry.get("function", entry)]):
            names = ("parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema")
            found[tool["name"]] = next(tool[name] for name in names if name in tool)
    return found


@pytest.mark.parametrize("name", MODELS)
async def test_the_schema_of_a_frontend_tool_reaches_the_provider_as_it_came(
    name: str, provider: MockProvider, make: Make
):
    provider.say("ok")
    empty = {"type": "object", "properties": {}}
    branches = {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    sent = {"null": None, "empty": {}, "branches": branches, "kept": KEPT}
    arrives = {"null": empty, "empty": empty, "branches": {"type": "object", **branches}, "kept": KEPT}
    if name != "google":  # Gemini knows a part of JSON Schema only.
        sent["json_schema"] = arrives["json_schema"] = ONLY_JSON_SCHEMA
    tools = [{"name": key, "description": "d", "parameters": schema} for key, schema in sent.items()]
    assert types(await run(make(MODELS[name], state_tools=False), given(tools=tools))) == ANSWER
    assert schemas(provider) == arrives
    assert '"strict":true' not in provider.requests[0].text.replace(" ", "")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "parameters", ["x", {"type": "string"}, {"type": ["object", "null"]}, {"properties": []}]
)
async def test_the_schema_of_something_else_is_refused_before_any_request(
    name: str, parameters: Any, provider: MockProvider, make: Make
):
    tool = {"name": "bad", "description": "d", "parameters": parameters}
    (_, error) = await run(make(MODELS[name]), given(tools=[tool]))
    assert (error["code"], error["message"]) == ("invalid_request", "Invalid JSON schema for tool bad")
    assert provider.requests == []


@pytest.mark.parametrize("name", MODELS)
async def test_a_file_of_this_machine_is_never_fetched_for_a_user(
    name: str, provider: MockProvider, make: Make
):
    provider.say("ok")
    source = {"type": "url", "value": f"{provider.origin}/secret.mp3", "mimeType": "audio/mpeg"}
    message = {"id": "u", "role": "user", "content": [{"type": "audio", "source": source}]}
    (_, error) = await run(make(MODELS[name]), given(message))
    assert error["code"] == "invalid_request"
    assert "private" in error["message"]
    assert provider.requests == []


UNTAKEN = {
    "openai": ("video/mp4", "audio/wav", "application/octet-stream", "nonsense"),
    "openai-chat": ("video/mp4", "audio/webm", "application/octet-stream", "nonsense"),
    "anthropic": ("video/mp4", "audio/wav", "application/octet-stream", "nonsense", "application/x-word"),
}


@pytest.mark.parametrize(("name", "media_types"), UNTAKEN.items())
async def test_a_file_that_a_provider_does_not_take_is_the_fault_of_the_request(
    name: str, media_types: tuple[str, ...], provider: MockProvider, make: Make
):
    agent = make(MODELS[name])
    for media_type in media_types:
        source = {"type": "data", "value": "AAAA", "mimeType": media_type}
        message = {"id": "u", "role": "user", "content": [{"type": "document", "source": source}]}
        (_, error) = await run(agent, given(message))
        assert (error["code"], error["message"] != "") == ("invalid_request", True), media_type
    assert provider.requests == []


@pytest.mark.parametrize("name", MODELS)
async def test_half_of_a_surrogate_pair_stops_no_request(name: str, provider: MockProvider, make: Make):
    provider.say("ok")
    messages = ["cut \ud83d", {"id": "a", "role": "assistant", "content": "\ud83d"}, "on"]
    half = given(
        *messages,
        context=[{"description": "\ud83d", "value": "\udc00"}],
        state={"\ud83d": ["\ud83d"]},
        tools=[{**LOOK, "description": "\ud83d"}],
    )
    assert types(await run(make(MODELS[name], prompt="Be \ud83d."), half)) == ANSWER
    assert "Be \ufffd." in json.dumps(provider.requests[0].json, ensure_ascii=False)


@pytest.mark.parametrize("name", MODELS)
async def test_without_messages_and_prompt_nothing_is_asked(name: str, provider: MockProvider, make: Make):
    (_, error) = await run(make(MODELS[name]), given(messages=[]))
    assert (error["code"], error["message"]) == ("invalid_request", "messages must not be empty")
    assert provider.requests == []


# --- reasoning of earlier runs


async def next_messages(first: Any, events: list[dict[str, Any]], *more: Any) -> list[Any]:
    """The thread as a client has it after a run, and what it adds."""
    reducer = Reducer(first.messages, None, warn=pytest.fail)
    for event in events:
        reducer.apply(accept(event))
    return [*(to_wire(message) for message in reducer.messages), *more]


async def test_anthropic_gets_its_signature_back_with_the_result_of_a_frontend_tool(
    provider: MockProvider, make: Make
):
    provider.add(
        {
            "match": {"hasToolResult": False},
            "response": {
                "reasoning": "Let me see.",
                "reasoningSignature": "signed-by-them",
                "toolCalls": [{"id": "toolu_1", "name": "look", "arguments": {"x": 1}}],
            },
        },
        {"match": {"hasToolResult": True}, "response": {"content": "I saw it."}},
    )
    agent = make(MODELS["anthropic"], provider_options={"anthropic": {"thinking": {"type": "adaptive"}}})
    first = given("look", tools=[LOOK])
    events = await run(agent, first)
    (value,) = of("REASONING_ENCRYPTED_VALUE", events)
    assert types(events)[types(events).index("REASONING_END") + 1] == "REASONING_ENCRYPTED_VALUE"
    assert json.loads(value["encryptedValue"]) == {"provider": "anthropic", "signature": "signed-by-them"}
    messages = await next_messages(first, events, result("t1", "toolu_1", "a cat"))
    second = await run(agent, given(*messages, tools=[LOOK], runId="r2"), run_context(run_id="r2"))
    assert types(second) == ANSWER
    answer = provider.requests[1].json["messages"][1]["content"]
    assert answer[0] == {"type": "thinking", "thinking": "Let me see.", "signature": "signed-by-them"}
    assert (answer[1]["type"], answer[1]["id"]) == ("tool_use", "toolu_1")


def signed(provider: str, signature: str, **fields: Any) -> str:
    return json.dumps({"provider": provider, "signature": signature, **fields})


def history(encrypted: str) -> list[Any]:
    return [
        "look",
        {"id": "r", "role": "reasoning", "content": "An old thought.", "encryptedValue": encrypted},
        {"id": "a", "role": "assistant", "toolCalls": [called("c1", encryptedValue=encrypted)]},
        result("t1", "c1", "a cat"),
        "and now?",
    ]


NOT_OURS = [
    "",
    "not JSON",
    "[]",
    "{}",
    '{"provider":"%s"}',
    '{"provider":"%s","signature":5}',
    signed("another", "c2ln"),
]


@pytest.mark.parametrize("name", MODELS)
async def test_a_signature_that_is_none_or_of_another_provider_is_ignored(
    name: str, provider: MockProvider, make: Make
):
    provider.say("ok")
    agent = make(MODELS[name])
    for encrypted in NOT_OURS:
        messages = history(encrypted.replace("%s", name.partition("-")[0]))
        assert types(await run(agent, given(*messages, tools=[LOOK]))) == ANSWER
    assert len(provider.requests) == len(NOT_OURS)
    sent = "".join(request.text for request in provider.requests)
    assert "An old thought." not in sent
    assert "c2ln" not in sent


@pytest.mark.parametrize("name", MODELS)
async def test_a_garbled_signature_never_stops_a_thread(name: str, provider: MockProvider, make: Make):
    provider.say("ok")
    agent = make(MODELS[name])
    fields: list[dict[str, Any]] = [{}, {"details": {"signs": "thought"}}, {"details": {"signs": [1]}}]
    for signature in ("\u00a7\u00a7", "abc", "{broken", '{"extra_content":5}'):
        for more in (*fields, {"id": "x"}):
            encrypted = signed(name.partition("-")[0], signature, **more)
            assert types(await run(agent, given(*history(encrypted), tools=[LOOK]))) == ANSWER
    assert len(provider.requests) == 16


@pytest.mark.parametrize("name", ["openai", "anthropic", "google"])
async def test_a_signature_that_the_provider_refuses_is_dropped_and_the_run_goes_on(
    name: str, provider: MockProvider, make: Make
):
    provider.answer_once(400, {"error": {"message": "Invalid signature", "type": "x"}})
    provider.say("ok")
    encrypted = signed(name, "c3RhbGU=", id="rs_1")
    assert types(await run(make(MODELS[name]), given(*history(encrypted), tools=[LOOK]))) == ANSWER
    refused, second = provider.requests
    assert "c3RhbGU=" in refused.text
    assert "c3RhbGU=" not in second.text


OWN = define_tool(
    name="own", description="d", parameters=copy.deepcopy(ONLY_JSON_SCHEMA), execute=lambda given: given
)


@pytest.mark.parametrize("name", MODELS)
async def test_no_provider_changes_the_schemas_that_runs_share(name: str, provider: MockProvider, make: Make):
    provider.say("ok")
    before = copy.deepcopy(OWN.parameters)
    parameters = {**copy.deepcopy(KEPT), "properties": copy.deepcopy(ONLY_JSON_SCHEMA["properties"])}
    asked = given(tools=[{"name": "look", "description": "d", "parameters": copy.deepcopy(parameters)}])
    agent = make(MODELS[name], tools=[OWN])
    for _ in range(2):
        assert types(await run(agent, asked)) == ANSWER
    assert (OWN.parameters, asked.tools[0].parameters) == (before, parameters)
    first, second = (request.json for request in provider.requests)
    assert first == second
